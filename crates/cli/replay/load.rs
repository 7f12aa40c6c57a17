//! Finding and reading a recording: one file, or the newest run of a folder.

use crate::trouble::{Exit, Trouble};
use hearth_recording::{Item, ReadError, Reader, ReplayError};
use std::path::{Path, PathBuf};

/// Longest recording that is read: `record` allows no longer one.
const SIZE_MAX: u64 = 2 << 30;

/// The bytes of a file, or of all files of a folder's newest run, one behind the other.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Trouble> {
    let unreadable = |error: std::io::Error| {
        Trouble::new(Exit::Error, format!("{}: {error}", path.display()))
            .help("hearthd keeps its recording in /var/lib/hearth/recording, readable for root")
    };
    let facts = std::fs::metadata(path).map_err(unreadable)?;
    if !facts.is_dir() {
        if facts.len() > SIZE_MAX {
            return Err(refused(path, ReadError::Foreign.into()));
        }
        return std::fs::read(path).map_err(unreadable);
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "rec") {
            files.push(file);
        }
    }
    files.sort();
    let (mut run, mut parts) = (None, Vec::new());
    while let Some(file) = files.pop() {
        let bytes = std::fs::read(&file).map_err(unreadable)?;
        // A part that the daemon had only just begun, or one of another run, tells nothing of this one.
        let Ok(Some(Ok(Item::Head(head)))) = Reader::new(&bytes).map(|mut reader| reader.next()) else { continue };
        if *run.get_or_insert(head.incarnation) != head.incarnation {
            break;
        }
        parts.push(bytes);
    }
    if parts.is_empty() {
        return Err(Trouble::new(Exit::Error, format!("{}: there is no recording in this folder", path.display()))
            .help("hearthd keeps its recording in /var/lib/hearth/recording, unless ha.cf says `record off`"));
    }
    parts.reverse();
    Ok(parts.concat())
}

/// Says why a recording is not lived through.
pub(crate) fn refused(path: &Path, error: ReplayError) -> Trouble {
    let help = match &error {
        ReplayError::Read(ReadError::Foreign) => "name a file of /var/lib/hearth/recording, or that folder",
        ReplayError::Read(ReadError::Empty | ReadError::Damaged(_)) => "other parts of the same run may be whole",
        ReplayError::Read(ReadError::Format(_) | ReadError::Unknown(_)) | ReplayError::Begin { .. } => {
            "use the hearth of the version that recorded it"
        }
    };
    Trouble::new(Exit::Error, format!("{}: {error}", path.display())).help(help)
}
