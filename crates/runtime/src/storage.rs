//! State that outlives the daemon: a state file replaced as a whole, and a log behind it.
//!
//! The log is lines of `crc length text`; a torn last line is recognised and left out. Any other damage, in either file,
//! means that the node must not act by what it reads: both are set aside as they are, and it begins without state, which
//! is what R-LEDGER-3 asks for. The state file begins with a number of generation, and the log with the same
//! one: a log of an older state is ignored, so a crash between the two writes loses nothing and repeats nothing.

use atomic_write_file::AtomicWriteFile;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const STATE: &str = "state";
const LOG: &str = "log";
/// Copies of damaged files that are kept.
const ASIDE_MAX: u32 = 8;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The state file's text.
    pub state: Option<String>,
    /// Whole lines behind it.
    pub log: Vec<String>,
    /// A torn last line was left out.
    pub torn: bool,
    /// The files were damaged: which, how, and where they are now. Everything else is as in an empty folder.
    pub damage: Option<String>,
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
        let (found, generation, whole) = match look(directory)? {
            Ok(read) => read,
            Err(damage) => {
                let aside = set_aside(directory).map_err(at(directory))?;
                let damage = format!("{damage}; the files are in {} now", aside.display());
                (Found { damage: Some(damage), ..Found::default() }, 0, 0)
            }
        };
        let path = directory.join(LOG);
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

/// What is in the folder, with the number of the state and how much of the log is whole; else what is damaged.
fn look(directory: &Path) -> Result<Result<(Found, u64, usize), String>, StorageError> {
    let bytes = |name| {
        let path = directory.join(name);
        let bytes = read(&path);
        bytes.map_err(|error| StorageError::Io { path: path.display().to_string(), error })
    };
    let (state, log) = (bytes(STATE)?, bytes(LOG)?.unwrap_or_default());
    let damaged = |name, what: String| format!("{} is damaged ({what})", directory.join(name).display());
    let (mut found, mut generation) = (Found::default(), 0);
    if let Some(state) = state {
        match parse_state(state) {
            Ok((number, text)) => (generation, found.state) = (number, Some(text)),
            Err(what) => return Ok(Err(damaged(STATE, what.to_owned()))),
        }
    }
    let whole = parse_log(&log, generation, &mut found);
    Ok(whole.map(|whole| (found, generation, whole)).map_err(|what| damaged(LOG, what)))
}

/// The number and the text of a state file.
fn parse_state(bytes: Vec<u8>) -> Result<(u64, String), &'static str> {
    let text = String::from_utf8(bytes).map_err(|_| "it is not text")?;
    let (head, body) = text.split_once('\n').ok_or("it has no first line")?;
    let generation = header(head, body).ok_or("its checksum does not fit")?;
    Ok((generation, body.to_owned()))
}

/// Moves both files, as they are, into a folder of their own. A crash in between leaves one of them: the log alone is of
/// a state that is not there, so that it is set aside by the next start.
fn set_aside(directory: &Path) -> io::Result<PathBuf> {
    let folder = |number| directory.join(format!("damaged-{number}"));
    // A disk that damages its files each day does not fill itself with them: the last copy gives way.
    let number = (1..ASIDE_MAX).find(|number| !folder(*number).exists()).unwrap_or(ASIDE_MAX);
    let aside = folder(number);
    std::fs::create_dir_all(&aside)?;
    for name in [STATE, LOG] {
        match std::fs::rename(directory.join(name), aside.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    File::open(&aside)?.sync_all()?;
    Ok(aside)
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

    fn whole_state(folder: &Path) {
        let (mut storage, _) = Storage::open(folder).unwrap();
        storage.persist(Some("s"), &lines(&["first"])).unwrap();
    }

    #[test]
    fn r_ledger_3_a_torn_last_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        whole_state(folder.path());
        let path = folder.path().join(LOG);
        let before = std::fs::read(&path).unwrap();
        let mut second = before.clone();
        frame("second", &mut second);
        for length in before.len() + 1..second.len() {
            std::fs::write(&path, &second[..length]).unwrap();
            let (_, found) = Storage::open(folder.path()).unwrap();
            assert_eq!((found.log, found.torn, found.damage), (lines(&["first"]), true, None), "{length}");
        }
    }

    /// Harm: a node with a damaged file votes by what is left of it; or it is started again and again and never comes back.
    #[test]
    fn r_ledger_3_damaged_files_are_set_aside_as_they_are_and_the_node_begins_without_state() {
        type Damage = fn(&Path);
        let damages: [(&str, Damage, &str); 5] = [
            ("state", |folder| append(&folder.join(STATE), b"x"), "its checksum does not fit"),
            ("state", |folder| std::fs::write(folder.join(STATE), [0xff, 0xfe, b'\n']).unwrap(), "it is not text"),
            ("state", |folder| std::fs::write(folder.join(STATE), "").unwrap(), "it has no first line"),
            ("log", |folder| flip(&folder.join(LOG)), "line 2 does not fit its checksum"),
            ("log", |folder| std::fs::remove_file(folder.join(STATE)).unwrap(), "an old copy"),
        ];
        for (name, damage, said) in damages {
            let folder = tempfile::tempdir().unwrap();
            whole_state(folder.path());
            let (mut storage, _) = Storage::open(folder.path()).unwrap();
            storage.persist(None, &lines(&["second"])).unwrap();
            drop(storage);
            damage(folder.path());
            let left = [STATE, LOG].map(|name| std::fs::read(folder.path().join(name)).ok());
            let (mut storage, found) = Storage::open(folder.path()).unwrap();
            let told = found.damage.clone().unwrap();
            assert!(told.contains(name) && told.contains(said) && told.contains("damaged-1"), "{told}");
            assert_eq!(found, Found { damage: Some(told), ..Found::default() });
            let aside = folder.path().join("damaged-1");
            assert_eq!([STATE, LOG].map(|name| std::fs::read(aside.join(name)).ok()), left);
            storage.persist(Some("anew"), &lines(&["third"])).unwrap();
            drop(storage);
            let (_, found) = Storage::open(folder.path()).unwrap();
            assert_eq!((found.state.as_deref(), found.log, found.damage), (Some("anew"), lines(&["third"]), None));
        }
    }

    #[test]
    fn a_disk_that_damages_its_files_again_and_again_is_not_filled_with_copies() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..ASIDE_MAX + 3 {
            whole_state(folder.path());
            append(&folder.path().join(STATE), b"x");
            assert!(Storage::open(folder.path()).unwrap().1.damage.is_some());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), ASIDE_MAX as usize + 2, "copies, lock and log");
    }

    fn append(path: &Path, bytes: &[u8]) {
        OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    /// Changes a byte of the line before the last.
    fn flip(path: &Path) {
        let mut bytes = std::fs::read(path).unwrap();
        let end = bytes.len() - 1;
        let start = bytes[..end].iter().rposition(|byte| *byte == b'\n').unwrap();
        bytes[start - 1] ^= 1;
        std::fs::write(path, bytes).unwrap();
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
