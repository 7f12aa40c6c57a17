//! Ways out of a guest: ports of a virtio console, by name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a port may be away (its driver comes up) or taken (its last user ends).
const PATIENCE: Duration = Duration::from_secs(10);

/// The device of a port.
///
/// # Errors
/// When the machine has no such port in time.
pub fn device(name: &str) -> io::Result<PathBuf> {
    let until = Instant::now() + PATIENCE;
    loop {
        for entry in fs::read_dir("/sys/class/virtio-ports").into_iter().flatten().flatten() {
            if fs::read_to_string(entry.path().join("name")).is_ok_and(|text| text.trim() == name) {
                return Ok(PathBuf::from("/dev").join(entry.file_name()));
            }
        }
        if Instant::now() >= until {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("this machine has no port {name}")));
        }
        pause(20);
    }
}

/// Opens a port for reading and writing; it has one user at a time.
///
/// # Errors
/// When it is not there, or not free in time.
pub fn open(name: &str) -> io::Result<File> {
    let (path, until) = (device(name)?, Instant::now() + PATIENCE);
    loop {
        match OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(&path) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < until => pause(20),
            other => return other,
        }
    }
}

/// Between two looks at something that sends no event.
pub fn pause(ms: u16) {
    // An interrupted wait is only shorter.
    let _ = nix::poll::poll(&mut [], nix::poll::PollTimeout::from(ms));
}
