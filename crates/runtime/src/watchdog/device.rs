//! A watchdog of the kernel: its device, and what sysfs says of it.

use super::Hardware;
use crate::sys;
use hearth_config::WatchdogDevice;
use hearth_wire::{DRIVER_LETTERS, Watchdog};
use nix::sys::stat::{SFlag, major, minor, stat};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The old device, which is the first watchdog.
const MISC: (u64, u64) = (10, 130);
/// Of the options of WDIOC_GETSUPPORT.
const SET_TIMEOUT: u32 = 0x0080;
const MAGIC_CLOSE: u32 = 0x0100;
const PRETIMEOUT: u32 = 0x0200;
/// What, written before the close, ends it.
const MAGIC: &[u8] = b"V";

/// One device.
pub(super) struct Device {
    sysfs: PathBuf,
    file: Option<File>,
}

impl Default for Device {
    fn default() -> Device {
        Device { sysfs: PathBuf::from("/sys"), file: None }
    }
}

impl Hardware for Device {
    fn arm(&mut self, wanted: &WatchdogDevice) -> Result<Watchdog, String> {
        let path = Path::new(&wanted.device);
        let folder = self.folder(path)?;
        // To open it is to arm it: this is asked before (R-LEASE-7).
        let nowayout = read(&folder.join("nowayout"))
            .ok_or_else(|| format!("{} is no watchdog, or its driver tells nothing of it in sysfs", path.display()))?;
        if nowayout != "0" {
            return Err("it could never be closed again (nowayout), and would reset this machine after every stop of \
                        hearthd; load its driver with nowayout=0"
                .into());
        }
        let opened = File::options().write(true).custom_flags(libc::O_CLOEXEC).open(path);
        let mut file = opened.map_err(|error| match error.raw_os_error() {
            Some(libc::EBUSY) => "another program has it (RuntimeWatchdogSec of systemd, sbd, watchdogd)".to_owned(),
            _ => format!("it cannot be opened: {error}"),
        })?;
        match set_up(&file, wanted.timeout, &folder) {
            Ok(seen) => {
                self.file = Some(file);
                Ok(seen)
            }
            Err(trouble) => {
                // It was opened, so it is ended again; where even that fails it says so itself, by a reset.
                let _ = file.write_all(MAGIC);
                Err(trouble)
            }
        }
    }

    fn pet(&mut self) -> io::Result<()> {
        let file = self.file.as_ref().ok_or_else(|| io::Error::other("it is not open"))?;
        sys::watchdog_pet(file)
    }

    fn abandon(&mut self) {
        self.file = None;
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.write_all(MAGIC).map_err(|error| error.to_string())
    }
}

impl Device {
    /// Its folder in sysfs.
    fn folder(&self, path: &Path) -> Result<PathBuf, String> {
        let found = stat(path).map_err(|error| format!("{} cannot be found: {error}", path.display()))?;
        if SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT != SFlag::S_IFCHR {
            return Err(format!("{} is no device", path.display()));
        }
        let number = (major(found.st_rdev), minor(found.st_rdev));
        let name = if number == MISC {
            "watchdog0".to_owned()
        } else {
            let link = self.sysfs.join(format!("dev/char/{}:{}", number.0, number.1));
            let folder = std::fs::canonicalize(link).map_err(|error| format!("sysfs does not know it: {error}"))?;
            folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
        };
        Ok(self.sysfs.join("class/watchdog").join(name))
    }
}

/// What it is asked for, and what it says then: that counts.
fn set_up(file: &File, wanted: Duration, folder: &Path) -> Result<Watchdog, String> {
    let (options, identity) =
        sys::watchdog_support(file).map_err(|error| format!("it does not answer as a watchdog: {error}"))?;
    if options & MAGIC_CLOSE == 0 {
        return Err("its driver knows no orderly close, so a killed hearthd would end it; use another driver".into());
    }
    if options & SET_TIMEOUT != 0 {
        sys::watchdog_set_timeout(file, wanted.as_secs() as i32)
            .map_err(|error| format!("it does not take a timeout of {wanted:?}: {error}"))?;
    }
    let timeout = sys::watchdog_timeout(file).map_err(|error| format!("its timeout cannot be read: {error}"))?;
    let before = if options & PRETIMEOUT != 0 { read(&folder.join("pretimeout")) } else { None };
    // What comes before the reset (a panic, most often) ends the time to stop as well.
    let before = before.and_then(|text| text.parse::<i32>().ok()).unwrap_or(0);
    let seconds = u32::try_from(timeout - before).ok().filter(|seconds| *seconds >= 2);
    let seconds = seconds.ok_or_else(|| {
        format!("it has {timeout} s, {before} s of them pretimeout: too short for a daemon to be started anew in")
    })?;
    let name = read(&folder.join("identity")).unwrap_or(identity);
    Ok(Watchdog {
        driver: name.chars().filter(|letter| matches!(letter, ' '..='~')).take(DRIVER_LETTERS).collect(),
        timeout_ms: seconds * 1000,
        nowayout: false,
    })
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sysfs in which the null device is a watchdog.
    fn sysfs(nowayout: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let class = folder.path().join("class/watchdog/watchdog7");
        std::fs::create_dir_all(&class).unwrap();
        std::fs::write(class.join("nowayout"), nowayout).unwrap();
        std::fs::create_dir_all(folder.path().join("dev/char")).unwrap();
        std::os::unix::fs::symlink(&class, folder.path().join("dev/char/1:3")).unwrap();
        folder
    }

    fn arm(device: &str, sysfs: &Path) -> String {
        let wanted = WatchdogDevice { device: device.into(), timeout: Duration::from_secs(10) };
        Device { sysfs: sysfs.to_owned(), file: None }.arm(&wanted).unwrap_err()
    }

    #[test]
    fn what_could_never_be_closed_again_is_not_opened() {
        // R-LEASE-7
        let trouble = arm("/dev/null", sysfs("1\n").path());
        assert!(trouble.contains("nowayout=0"), "{trouble}");
    }

    #[test]
    fn what_is_no_watchdog_is_not_opened_or_said_to_be_none() {
        assert!(arm("/dev/none", Path::new("/sys")).contains("cannot be found"));
        assert!(arm("/proc/version", Path::new("/sys")).contains("is no device"));
        assert!(arm("/dev/null", Path::new("/sys")).contains("is no watchdog"));
        assert!(arm("/dev/null", sysfs("0\n").path()).contains("does not answer as a watchdog"));
    }
}
