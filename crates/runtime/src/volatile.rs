//! The note and the lease in /run, for the next daemon of the same boot (R-TAKE-4).

use hearth_types::Timestamp;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Boot id (36), end (16 hexadecimal digits), the same again inverted, so that half a write is seen.
const RECORD: usize = 36 + 16 + 16;

/// Files in the run folder. Writes are to memory (tmpfs) and take microseconds.
#[derive(Debug)]
pub struct Volatile {
    note: PathBuf,
    lease: File,
    boot: String,
}

impl Volatile {
    /// Makes the folder and reads what the daemon before left in this boot: the note and the end of its right.
    /// Unreadable or of another boot means none.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn open(directory: &Path) -> io::Result<(Volatile, Option<String>, Option<Timestamp>)> {
        std::fs::create_dir_all(directory)?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let note = directory.join("note");
        let text = std::fs::read_to_string(&note).ok();
        let text = text.and_then(|text| text.strip_prefix(boot.as_str())?.strip_prefix('\n').map(str::to_owned));
        let path = directory.join("lease");
        let lease = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut record = [0; RECORD];
        let until = lease.read_exact_at(&mut record, 0).ok().and_then(|()| parse(&record, &boot));
        Ok((Volatile { note, lease, boot }, text, until))
    }

    /// Replaces the note.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn note(&self, text: &str) -> io::Result<()> {
        let fresh = self.note.with_extension("new");
        std::fs::write(&fresh, format!("{}\n{text}", self.boot))?;
        std::fs::rename(fresh, &self.note)
    }

    /// Writes until when the next daemon may tick.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn lease(&self, until: Timestamp) -> io::Result<()> {
        let record = format!("{:36.36}{:016x}{:016x}", self.boot, until.0, !until.0);
        self.lease.write_all_at(record.as_bytes(), 0)
    }
}

fn parse(record: &[u8; RECORD], boot: &str) -> Option<Timestamp> {
    let text = std::str::from_utf8(record).ok()?;
    let end = u64::from_str_radix(text.get(36..52)?, 16).ok()?;
    let inverted = u64::from_str_radix(text.get(52..)?, 16).ok()?;
    (text.get(..36)? == boot && end == !inverted).then_some(Timestamp(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_take_4_the_next_daemon_of_the_same_boot_finds_note_and_lease() {
        let folder = tempfile::tempdir().unwrap();
        let (volatile, note, lease) = Volatile::open(folder.path()).unwrap();
        assert_eq!((note, lease), (None, None));
        volatile.note("{}\nx").unwrap();
        volatile.lease(Timestamp(77)).unwrap();
        let (_, note, lease) = Volatile::open(folder.path()).unwrap();
        assert_eq!((note.as_deref(), lease), (Some("{}\nx"), Some(Timestamp(77))));
        std::fs::write(folder.path().join("lease"), "x".repeat(RECORD)).unwrap();
        std::fs::write(folder.path().join("note"), "other-boot\n{}").unwrap();
        let (_, note, lease) = Volatile::open(folder.path()).unwrap();
        assert_eq!((note, lease), (None, None));
    }
}
