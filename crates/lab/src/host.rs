//! What runs inside a machine of the lab: its first process, and a small service.
//!
//! `hold` prepares the machine and waits; `serve` answers UDP asks (its echo carries the machine's name) and HTTP.

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, waitpid};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs one of the helper's commands: `hold --name N [--room DIR] [--sweep DIR]` or
/// `serve [--udp PORT] [--http PORT] [--daemon --pidfile FILE]`.
pub fn main(words: Vec<OsString>) -> ExitCode {
    let result = match words.first().and_then(|word| word.to_str()) {
        Some("hold") => hold(&words[1..]),
        Some("serve") => crate::serve::run(&words[1..]),
        _ => Err(anyhow::anyhow!("this is a part of the lab: hold or serve")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The value after `name`.
pub(crate) fn value(words: &[OsString], name: &str) -> Option<OsString> {
    let at = words.iter().position(|word| word == name)?;
    words.get(at + 1).cloned()
}

fn hold(words: &[OsString]) -> anyhow::Result<()> {
    // Our id as our maker sees it: the old /proc still shows it.
    let outside = std::fs::read_link("/proc/self")?;
    if std::process::id() != 1 {
        bail!("hold must be the first process of a process namespace");
    }
    let name = value(words, "--name").context("--name is missing")?;
    let room = value(words, "--room").map(PathBuf::from);
    prepare(&name.to_string_lossy(), room.as_deref()).context("cannot prepare the machine")?;
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_block()?;
    let ended = SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC)?;
    println!("{}", outside.display());
    std::io::stdout().flush()?;
    let maker = std::io::stdin();
    loop {
        let mut waiting =
            [PollFd::new(maker.as_fd(), PollFlags::POLLIN), PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        if waiting[1].any() == Some(true) {
            let _ = ended.read_signal()?;
            // Orphans of daemons come to us: nobody else takes their exit.
            while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                if status == nix::sys::wait::WaitStatus::StillAlive {
                    break;
                }
            }
        }
        if waiting[0].any() == Some(true) && maker.lock().read(&mut [0; 64])? == 0 {
            if let Some(sweep) = value(words, "--sweep") {
                // Our maker removes it too, if it lives; whoever is second finds nothing.
                let _ = std::fs::remove_dir_all(sweep);
            }
            return Ok(());
        }
    }
}

fn prepare(name: &str, room: Option<&Path>) -> anyhow::Result<()> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("mounts cannot be made private")?;
    nix::unistd::sethostname(name).context("host name")?;
    if let Some(room) = room {
        mount(Some(room), crate::space::ROOM, none, MsFlags::MS_BIND, none).context("the machine's folder")?;
    }
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none).context("/proc")?;
    // Its network view is that of the mounter. A container may forbid it; nothing here depends on it then.
    let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none);
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).context("/run")?;
    // A machine that is switched on has a new boot id; the kernel's own belongs to the host.
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    std::fs::write("/run/boot_id", uuid)?;
    mount(Some("/run/boot_id"), "/proc/sys/kernel/random/boot_id", none, MsFlags::MS_BIND, none).context("boot id")?;
    Ok(())
}
