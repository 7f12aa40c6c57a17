//! One QEMU process: its command line, and the sockets that it inherits.

use super::event::{NAMES, Who};
use crate::sys;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Memory of a guest.
const MEMORY: &str = "224M";
/// `panic=0`: a kernel that crashed stays so until its watchdog resets the machine. `no_timer_check`: an emulated processor
/// that gets no time for a moment is no reason to doubt the timer, and to hang for ever.
const BOOT: &str = "console=ttyS0 quiet panic=0 no_timer_check random.trust_cpu=on";

/// Files of one guest.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Kernel, uncompressed.
    pub kernel: PathBuf,
    /// Its first file system.
    pub initrd: PathBuf,
    /// The disk that both guests have.
    pub shared: PathBuf,
    /// Its own one, for Hearth's state.
    pub own: PathBuf,
    /// The disk for poison pills, which both guests have.
    pub slots: PathBuf,
    /// What its console and its daemon say is appended to files here.
    pub said: PathBuf,
}

/// Our ends of what a guest is connected to.
pub struct Ends {
    /// The machine protocol of QEMU.
    pub qmp: UnixStream,
    /// Shell commands for process 1.
    pub orders: UnixStream,
    /// What process 1 tells.
    pub tell: UnixStream,
    /// What the writer tells.
    pub write: UnixStream,
    /// Where its fence agent asks.
    pub power: UnixStream,
    /// The serial line.
    pub line: UnixStream,
    /// The network.
    pub network: UnixDatagram,
}

/// Starts it.
///
/// # Errors
/// When QEMU cannot be started.
pub fn start(who: Who, parts: &Parts) -> io::Result<(Child, Ends)> {
    let mut theirs: Vec<OwnedFd> = Vec::new();
    let mut pair = || -> io::Result<(UnixStream, i32)> {
        let (ours, other) = UnixStream::pair()?;
        theirs.push(other.into());
        Ok((ours, theirs.last().map_or(-1, AsRawFd::as_raw_fd)))
    };
    let (qmp, qmp_fd) = pair()?;
    let (orders, orders_fd) = pair()?;
    let (tell, tell_fd) = pair()?;
    let (write, write_fd) = pair()?;
    let (power, power_fd) = pair()?;
    let (line, line_fd) = pair()?;
    let (network, other) = UnixDatagram::pair()?;
    let network_fd = other.as_raw_fd();
    theirs.push(other.into());
    let mut command = command(who, parts);
    command.args(["-chardev", &format!("socket,id=qmp,fd={qmp_fd}"), "-mon", "chardev=qmp,mode=control"]);
    command.args(["-chardev", &format!("socket,id=line,fd={line_fd}"), "-serial", "chardev:line"]);
    command.args(["-netdev", &format!("dgram,id=net,local.type=fd,local.str={network_fd}")]);
    command.args(["-device", &format!("virtio-net-pci,netdev=net,mac=52:54:00:00:00:0{},romfile=", who + 1)]);
    for (name, fd) in [("orders", orders_fd), ("tell", tell_fd), ("write", write_fd), ("power", power_fd)] {
        command.args(["-chardev", &format!("socket,id={name},fd={fd}")]);
        command.args(["-device", &format!("virtserialport,chardev={name},name={name}")]);
    }
    sys::tie(&mut command, theirs.iter().map(AsRawFd::as_raw_fd).collect());
    let child = spawn(command)?;
    Ok((child, Ends { qmp, orders, tell, write, power, line, network }))
}

fn command(who: Who, parts: &Parts) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-smp", "1", "-m", MEMORY]);
    command.args(accelerator());
    command.arg("-kernel").arg(&parts.kernel).arg("-initrd").arg(&parts.initrd).args(["-append", BOOT]);
    command.args(["-action", "reboot=reset,shutdown=poweroff,panic=none,watchdog=reset", "-device", "i6300esb"]);
    command.args(["-object", "rng-builtin,id=chance", "-device", "virtio-rng-pci,rng=chance"]);
    let console = parts.said.join(format!("{}.console", NAMES[who]));
    command.args(["-chardev", &format!("file,id=console,path={},append=on", console.display())]);
    command.args(["-serial", "chardev:console"]);
    // The kernel of this machine does not crash here, so what a guest has synced needs no more than its memory.
    for (name, file) in [("shared", &parts.shared), ("own", &parts.own), ("slots", &parts.slots)] {
        let drive = format!("if=none,id={name},file={},format=raw,cache=unsafe,file.locking=off", file.display());
        command.args(["-drive", &drive, "-device", &format!("virtio-blk-pci,drive={name},share-rw=on")]);
    }
    command.args(["-device", "virtio-serial-pci,max_ports=8"]);
    let log = parts.said.join(format!("{}.hearthd", NAMES[who]));
    command.args(["-chardev", &format!("file,id=log,path={},append=on", log.display())]);
    command.args(["-device", "virtserialport,chardev=log,name=log"]);
    command
}

/// The processor itself where it can, else software: an open /dev/kvm alone proves nothing, for there are hosts that offer
/// it without being able to run such a kernel.
fn accelerator() -> [&'static str; 4] {
    let able = std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| {
        text.lines()
            .filter(|line| line.starts_with("flags"))
            .any(|line| line.split_whitespace().any(|flag| matches!(flag, "vmx" | "svm")))
    });
    if able && std::fs::OpenOptions::new().read(true).write(true).open(Path::new("/dev/kvm")).is_ok() {
        ["-accel", "kvm", "-cpu", "host"]
    } else {
        ["-accel", "tcg,thread=multi", "-cpu", "qemu64"]
    }
}

type Start = (Command, Sender<io::Result<Child>>);

/// A process is ended by the kernel when the thread that started it ends; this one lasts as long as the harness.
static SPAWNER: LazyLock<Mutex<Sender<Start>>> = LazyLock::new(|| {
    let (sender, starts) = channel::<Start>();
    std::thread::spawn(move || {
        for (mut command, answer) in starts {
            // Who asked waits for it.
            let _ = answer.send(command.spawn());
        }
    });
    Mutex::new(sender)
});

fn spawn(command: Command) -> io::Result<Child> {
    let (sender, answer) = channel();
    let ended = || io::Error::other("the thread that starts processes has ended");
    SPAWNER.lock().unwrap_or_else(PoisonError::into_inner).send((command, sender)).map_err(|_| ended())?;
    answer.recv().map_err(|_| ended())?
}
