//! State that outlives the daemon: a state file replaced as a whole, and a log behind it.
//!
//! The log is lines of `crc length text`; a torn last line is recognised and left out, damage before the last line is
//! an error and nothing is overwritten. The state file begins with a number of generation, and the log with the same
//! one: a log of an older state is ignored, so a crash between the two writes loses nothing and repeats nothing.

use atomic_write_file::AtomicWriteFile;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const STATE: &str = "state";
const LOG: &str = "log";

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The state file's text.
    pub state: Option<String>,
    /// Whole lines behind it.
    pub log: Vec<String>,
    /// A torn last line was left out.
    pub torn: bool,
}

/// Why the state cannot be used. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The files cannot be read or made.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The content is damaged.
    #[error(
        "{path} is damaged ({what}); it is left as it is. Restore it, or move the folder away: this node then comes back \
         as a new member"
    )]
    Damaged {
        /// Which.
        path: String,
        /// Where.
        what: String,
    },
    /// Another daemon uses it.
    #[error("{path} is in use: is another hearthd running here?")]
    InUse {
        /// Which.
        path: String,
    },
}

/// The folder, locked.
#[derive(Debug)]
pub struct Storage {
    directory: PathBuf,
    log: File,
    generation: u64,
    /// After a failed write nothing more is written: what is on disk then is not known.
    failed: Option<String>,
    _lock: nix::fcntl::Flock<File>,
}

impl Storage {
    /// Locks the folder (made if absent) and reads what is there.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub fn open(directory: &Path) -> Result<(Storage, Found), StorageError> {
        let at = |path: &Path| {
            let path = path.display().to_string();
            move |error| StorageError::Io { path, error }
        };
        std::fs::create_dir_all(directory).map_err(at(directory))?;
        let lock = lock(directory)?;
        let path = directory.join(STATE);
        let (mut found, mut generation) = (Found::default(), 0);
        if let Some(text) = read(&path).map_err(at(&path))? {
            let damaged = |what: &str| StorageError::Damaged { path: path.display().to_string(), what: what.into() };
            let text = String::from_utf8(text).map_err(|_| damaged("it is not text"))?;
            let (head, body) = text.split_once('\n').ok_or_else(|| damaged("it has no first line"))?;
            generation = header(head, body).ok_or_else(|| damaged("its checksum does not fit"))?;
            found.state = Some(body.to_owned());
        }
        let path = directory.join(LOG);
        let bytes = read(&path).map_err(at(&path))?.unwrap_or_default();
        let whole = parse_log(&bytes, generation, &mut found)
            .map_err(|what| StorageError::Damaged { path: path.display().to_string(), what })?;
        let log = OpenOptions::new().create(true).append(true).open(&path).map_err(at(&path))?;
        log.set_len(whole as u64).map_err(at(&path))?;
        let mut storage = Storage { directory: directory.to_owned(), log, generation, failed: None, _lock: lock };
        if whole == 0 {
            storage.begin_log().map_err(at(&path))?;
        }
        // What a killed daemon wrote and did not flush is read here, stated and acted on: it must not be lost after that.
        storage.log.sync_data().map_err(at(&path))?;
        File::open(directory).and_then(|folder| folder.sync_all()).map_err(at(directory))?;
        Ok((storage, found))
    }

    /// Makes durable: `state` first, which empties the log, then the lines.
    ///
    /// # Errors
    /// For people. After one failure every further call fails: a disk that lost one write cannot be reasoned about.
    pub fn persist(&mut self, state: Option<&str>, log: &[String]) -> Result<(), String> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.write(state, log).map_err(|error| {
            let text = format!("{} cannot be written: {error}", self.directory.display());
            self.failed = Some(text.clone());
            text
        })
    }

    fn write(&mut self, state: Option<&str>, log: &[String]) -> io::Result<()> {
        if let Some(state) = state {
            let generation = self.generation + 1;
            let mut file = AtomicWriteFile::open(self.directory.join(STATE))?;
            writeln!(file, "hearth-state {generation} {:08x}", crc(&[state.as_bytes()]))?;
            file.write_all(state.as_bytes())?;
            file.commit()?;
            self.generation = generation;
            self.log.set_len(0)?;
            self.begin_log()?;
        }
        if !log.is_empty() {
            let mut bytes = Vec::new();
            for line in log {
                frame(line, &mut bytes);
            }
            self.log.write_all(&bytes)?;
            self.log.sync_data()?;
        }
        Ok(())
    }

    fn begin_log(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame(&format!("generation {}", self.generation), &mut bytes);
        self.log.write_all(&bytes)?;
        self.log.sync_data()
    }
}

fn lock(directory: &Path) -> Result<nix::fcntl::Flock<File>, StorageError> {
    let path = directory.join("lock");
    let shown = path.display().to_string();
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| StorageError::Io { path: shown.clone(), error })?;
    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => StorageError::InUse { path: shown },
        error => StorageError::Io { path: shown, error: error.into() },
    })
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes).map(|_| Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn header(head: &str, body: &str) -> Option<u64> {
    let mut words = head.strip_prefix("hearth-state ")?.split(' ');
    let generation = words.next()?.parse().ok()?;
    (u32::from_str_radix(words.next()?, 16).ok()? == crc(&[body.as_bytes()])).then_some(generation)
}

/// Fills `found`; the length up to which the log is whole, zero if it belongs to an older state.
fn parse_log(bytes: &[u8], generation: u64, found: &mut Found) -> Result<usize, String> {
    let (mut at, mut lines) = (0, Vec::new());
    while at < bytes.len() {
        match line(&bytes[at..]) {
            Some((text, length)) => {
                lines.push(text);
                at += length;
            }
            // Only the last write can be torn: a whole line after it means that the disk changed what it had.
            None if whole_line_after(&bytes[at..]) => {
                return Err(format!("line {} does not fit its checksum", lines.len() + 1));
            }
            None => {
                found.torn = true;
                break;
            }
        }
    }
    let mut lines = lines.into_iter();
    match lines.next() {
        None => Ok(0),
        Some(first) => {
            let of = first.strip_prefix("generation ").and_then(|number| number.parse::<u64>().ok());
            match of.ok_or("its first line names no generation")? {
                of if of == generation => {
                    found.log = lines.collect();
                    Ok(at)
                }
                of if of < generation => Ok(0),
                of => Err(format!("it belongs to state {of}, and the state file is {generation}: an old copy")),
            }
        }
    }
}

fn whole_line_after(bytes: &[u8]) -> bool {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    starts.into_iter().any(|start| line(&bytes[start..]).is_some())
}

fn frame(text: &str, out: &mut Vec<u8>) {
    let length = format!("{:08x}", text.len());
    let sum = crc(&[length.as_bytes(), text.as_bytes()]);
    out.extend_from_slice(format!("{sum:08x} {length} {text}\n").as_bytes());
}

/// The first line and how many bytes it takes.
fn line(bytes: &[u8]) -> Option<(String, usize)> {
    let head = std::str::from_utf8(bytes.get(..18)?).ok()?;
    let (sum, length) = (head.get(..8)?, head.get(9..17)?);
    let end = 18_usize.checked_add(usize::from_str_radix(length, 16).ok()?)?;
    let text = bytes.get(18..end)?;
    if bytes.get(end) != Some(&b'\n') || u32::from_str_radix(sum, 16).ok()? != crc(&[length.as_bytes(), text]) {
        return None;
    }
    Some((String::from_utf8(text.to_vec()).ok()?, end + 1))
}

/// CRC-32 (IEEE): finds damage; nobody forges our own disk.
fn crc(parts: &[&[u8]]) -> u32 {
    let mut value = u32::MAX;
    for byte in parts.iter().copied().flatten() {
        value ^= u32::from(*byte);
        for _ in 0..8 {
            value = (value >> 1) ^ (0xEDB8_8320 & (value & 1).wrapping_neg());
        }
    }
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_was_persisted_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut storage, found) = Storage::open(folder.path()).unwrap();
        assert_eq!(found, Found::default());
        storage.persist(None, &lines(&["early"])).unwrap();
        storage.persist(Some("one\ntwo"), &lines(&["a\nb", ""])).unwrap();
        storage.persist(None, &lines(&["c"])).unwrap();
        assert!(matches!(Storage::open(folder.path()), Err(StorageError::InUse { .. })));
        drop(storage);
        let (_, found) = Storage::open(folder.path()).unwrap();
        assert_eq!(found.state.as_deref(), Some("one\ntwo"));
        assert_eq!((found.log, found.torn), (lines(&["a\nb", "", "c"]), false));
    }

    #[test]
    fn r_ledger_3_a_torn_last_line_is_left_out_and_damage_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (mut storage, _) = Storage::open(folder.path()).unwrap();
        storage.persist(Some("s"), &lines(&["first"])).unwrap();
        drop(storage);
        let path = folder.path().join(LOG);
        let before = std::fs::read(&path).unwrap();
        let mut second = before.clone();
        frame("second", &mut second);
        for length in before.len() + 1..second.len() {
            std::fs::write(&path, &second[..length]).unwrap();
            let (_, found) = Storage::open(folder.path()).unwrap();
            assert_eq!((found.log, found.torn), (lines(&["first"]), true), "{length}");
        }
        second[before.len() - 3] ^= 1;
        std::fs::write(&path, &second).unwrap();
        assert!(matches!(Storage::open(folder.path()), Err(StorageError::Damaged { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), second);
        std::fs::write(&path, &before).unwrap();
        let state = folder.path().join(STATE);
        let damaged = std::fs::read_to_string(&state).unwrap() + "x";
        std::fs::write(&state, &damaged).unwrap();
        assert!(matches!(Storage::open(folder.path()), Err(StorageError::Damaged { .. })));
        assert_eq!(std::fs::read_to_string(&state).unwrap(), damaged);
    }

    #[test]
    fn a_log_of_an_older_state_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let (mut storage, _) = Storage::open(folder.path()).unwrap();
        storage.persist(Some("s"), &lines(&["old"])).unwrap();
        let log = std::fs::read(folder.path().join(LOG)).unwrap();
        storage.persist(Some("t"), &[]).unwrap();
        drop(storage);
        std::fs::write(folder.path().join(LOG), log).unwrap();
        let (_, found) = Storage::open(folder.path()).unwrap();
        assert_eq!((found.state.as_deref(), found.log), (Some("t"), Vec::new()));
    }
}
