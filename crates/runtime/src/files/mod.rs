//! The files on disk, the machine as the parser asks about it, and complaints as text for people.

mod environment;
mod render;

pub use environment::System;
pub(crate) use render::NOT_STARTED;
pub use render::render;

use hearth_config::Sources;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Reads ha.cf, haresources, resources.crm, authkeys and nodeinfo of `directory`. A file that does not exist is none. Bytes that are
/// not UTF-8 become U+FFFD: old files have such comments, and anywhere else the parser refuses that character.
///
/// # Errors
/// Any other failure to read, with the file's path in the message.
pub fn read(directory: &Path) -> io::Result<Sources> {
    let keys = directory.join("authkeys");
    let mode = match std::fs::metadata(&keys) {
        Ok(facts) => Some(facts.permissions().mode() & 0o7777),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(named(&keys, &error)),
    };
    let nodeinfo = text(&directory.join("nodeinfo"))?;
    Ok(Sources {
        directory: directory.display().to_string(),
        ha_cf: text(&directory.join("ha.cf"))?,
        haresources: text(&directory.join("haresources"))?,
        crm: text(&directory.join("resources.crm"))?,
        authkeys: text(&keys)?,
        authkeys_mode: mode,
        nodeinfo: nodeinfo
            .and_then(|text| text.lines().next().map(str::to_owned))
            .filter(|line| !line.trim().is_empty()),
    })
}

/// Puts a text in the place of a file: whoever reads it, also after a power cut, finds the old one or the new one whole. Mode
/// and owner stay; a link is followed.
///
/// # Errors
/// The folder or the disk refuses; the old file stands, and the message names it.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let put = || -> io::Result<()> {
        let path = path.canonicalize()?;
        let facts = std::fs::metadata(&path)?;
        let new = path.with_extension("cf.new");
        let mut file = std::fs::File::create(&new)?;
        file.set_permissions(facts.permissions())?;
        std::os::unix::fs::fchown(&file, Some(facts.uid()), Some(facts.gid()))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        let folder = path.parent().map_or_else(|| Path::new("/").to_owned(), Path::to_owned);
        std::fs::File::open(folder)?.sync_all()
    };
    put().map_err(|error| named(path, &error))
}

fn text(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(path, &error)),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
