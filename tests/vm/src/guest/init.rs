//! Process 1 of a guest: mounts what a kernel wants, loads drivers, starts `/etc/rc`, runs what the harness asks for and
//! tells it when the shared file system is mounted.

use super::ports::{self, pause};
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

/// Where the shared file system is mounted.
const SHARED: &str = "/srv";
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// The group of processes that can be frozen.
const ICE: &str = "/sys/fs/cgroup/ice";

/// Who waits for the end of which child. Process 1 has all orphans as children, and one place alone may wait.
static WAITING: Mutex<BTreeMap<i32, Sender<i32>>> = Mutex::new(BTreeMap::new());

/// Never returns while the guest runs.
pub fn run() -> ExitCode {
    for (kind, place) in
        [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run"), ("cgroup2", "/sys/fs/cgroup")]
    {
        if let Err(error) = mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>) {
            eprintln!("init: {place}: {error}");
        }
    }
    let drivers = fs::read_to_string("/etc/drivers").unwrap_or_default();
    let loaded = Command::new("/sbin/modprobe").arg("-a").args(drivers.split_whitespace()).status();
    eprintln!("init: drivers: {loaded:?}");
    if let Err(error) = serve() {
        eprintln!("init: {error}");
    }
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) => ended(pid.as_raw(), code),
            Ok(WaitStatus::Signaled(pid, signal, _)) => ended(pid.as_raw(), 128 + signal as i32),
            Ok(_) => {}
            Err(_) => pause(50),
        }
    }
}

fn ended(pid: i32, code: i32) {
    if let Some(waiting) = WAITING.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid) {
        // Who no longer waits does not mind.
        let _ = waiting.send(code);
    }
}

fn serve() -> std::io::Result<()> {
    let orders = ports::open("orders")?;
    let tell = ports::open("tell")?;
    let log = ports::device("log")?;
    std::thread::spawn(move || watch_mounts(tell));
    std::thread::spawn(move || obey(orders));
    let mut rc = Command::new("/bin/sh");
    rc.arg("/etc/rc").env("PATH", PATH).env("LOG", log).stdin(Stdio::null());
    let _children = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    rc.spawn().map(drop)
}

/// The kernel says when the table of mounts changes.
fn watch_mounts(mut tell: File) {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let _ = writeln!(tell, "up {}", boot.trim());
    let Ok(table) = File::open("/proc/self/mounts") else { return };
    let mut mounted = false;
    loop {
        let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let found = text.lines().any(|line| line.split(' ').nth(1) == Some(SHARED));
        if found != mounted {
            mounted = found;
            let _ = writeln!(tell, "{}", if found { "mounted" } else { "unmounted" });
        }
        let _ = poll(&mut [PollFd::new(table.as_fd(), PollFlags::POLLPRI)], PollTimeout::NONE);
    }
}

fn obey(port: File) {
    let Ok(answers) = port.try_clone() else { return };
    let answers = std::sync::Arc::new(Mutex::new(answers));
    for line in BufReader::new(port).lines().map_while(Result::ok) {
        let Some((id, order)) = line.split_once(' ') else { continue };
        let (id, order, answers) = (id.to_owned(), order.to_owned(), answers.clone());
        // Each by itself: one that hangs must not keep the harness from asking why.
        std::thread::spawn(move || {
            let (code, said) = match order.as_str() {
                "freeze everything" => freeze(),
                order => shell(order),
            };
            let answer = serde_json::json!({ "id": id, "code": code, "said": said });
            let _ = writeln!(answers.lock().unwrap_or_else(PoisonError::into_inner), "{answer}");
        });
    }
}

fn shell(order: &str) -> (i32, String) {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", order]).env("PATH", PATH).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let (sender, code) = channel();
    let mut children = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return (127, error.to_string()),
    };
    children.insert(child.id().cast_signed(), sender);
    drop(children);
    let mut said = String::new();
    if let Some(mut out) = child.stdout {
        let _ = out.read_to_string(&mut said);
    }
    (code.recv().unwrap_or(127), said)
}

/// Every process but this one stands still, for ever.
fn freeze() -> (i32, String) {
    let freeze = || -> std::io::Result<()> {
        fs::create_dir_all(ICE)?;
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_process = name.parse::<u32>().is_ok_and(|pid| pid != 1);
            // Threads of the kernel have no command line, and stay where they are.
            if is_process && fs::read(entry.path().join("cmdline")).is_ok_and(|line| !line.is_empty()) {
                fs::write(format!("{ICE}/cgroup.procs"), &name)?;
            }
        }
        fs::write(format!("{ICE}/cgroup.freeze"), "1")
    };
    match freeze() {
        Ok(()) => (0, String::new()),
        Err(error) => (1, error.to_string()),
    }
}
