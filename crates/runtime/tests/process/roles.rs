//! What this program does when it was started by itself.

use hearth_runtime::{Folders, configuration, run, supervise};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// What `ip` does for a wire on which nobody else speaks.
pub const WIRE: &[&str] = &[
    "link add eth0 type veth peer name far0",
    "link set eth0 addrgenmode none",
    "link set far0 addrgenmode none",
    "addr add 10.77.0.1/24 broadcast + dev eth0",
    "link set eth0 up",
    "link set far0 up",
];

/// Nobody.
const NOBODY: u32 = 65_534;

pub fn play(words: &[String]) -> ExitCode {
    // Whoever starts it takes it along, so that nothing is left behind whatever happens to the test.
    set_pdeathsig(Signal::SIGKILL).expect("a signal at the parent's end");
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["machine", room, mode, disk] => machine(room, mode, disk),
        ["daemon", room] => daemon(Path::new(room), true),
        ["nobody", socket, request] => nobody(socket, request),
        _ => panic!("no such role: {words:?}"),
    }
}

/// A machine of its own: `lo`, `eth0` with its other end `far0`, and, if `disk` is a size, a state folder that small.
fn machine(room: &str, mode: &str, disk: &str) -> ExitCode {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect(
        "this test needs to make network and mount namespaces: run it as root, or in a user namespace \
         (unshare --user --map-root-user)",
    );
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("mounts of its own");
    if disk != "-" {
        let state = format!("{room}/state");
        std::fs::create_dir_all(&state).expect("a folder");
        let options = format!("size={disk}");
        mount(Some("none"), state.as_str(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).expect("a disk");
    }
    for words in ["link set lo up"].iter().chain(WIRE) {
        let done = Command::new("ip").args(words.split(' ')).status().expect("iproute2 is needed");
        assert!(done.success(), "ip {words}");
    }
    match mode {
        "daemon" => daemon(Path::new(room), false),
        "supervised" => {
            let program = std::env::current_exe().expect("this program's path");
            let command = || {
                let mut command = Command::new(&program);
                command.args(["role", "daemon", room]);
                command
            };
            supervise::supervise(command).expect("a supervisor").into()
        }
        other => panic!("no such mode: {other}"),
    }
}

/// As hearthd does.
fn daemon(room: &Path, supervised: bool) -> ExitCode {
    let began = Instant::now();
    let folders = Folders { config: room.join("ha.d"), state: room.join("state"), run: room.join("run") };
    let config = match configuration(&folders, Some("alpha")) {
        Ok((config, _)) => config,
        Err(error) => {
            eprint!("{error}");
            return supervise::CONFIGURATION.into();
        }
    };
    supervise::end(began, supervised, run(config, folders, Some("alpha".into()), "test")).into()
}

/// Asks as a user that is nobody, and prints the answer.
fn nobody(socket: &str, request: &str) -> ExitCode {
    setgroups(&[]).expect("root may");
    let (gid, uid) = (Gid::from_raw(NOBODY), Uid::from_raw(NOBODY));
    setresgid(gid, gid, gid).expect("root may");
    setresuid(uid, uid, uid).expect("root may");
    let mut stream = UnixStream::connect(socket).expect("everybody may connect");
    // It may have been refused, and closed, before it has asked.
    let _ = writeln!(stream, "{request}");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    print!("{line}");
    ExitCode::SUCCESS
}
