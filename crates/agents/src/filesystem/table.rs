//! The mount table of this process, from /proc/self/mountinfo.

use std::fs;
use std::path::{Path, PathBuf};

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// `major:minor` as the kernel counts it.
    pub device: String,
    /// Where.
    pub directory: PathBuf,
    /// Type.
    pub fstype: String,
    /// What was mounted.
    pub source: String,
    /// Options of the file system itself, which turn `ro` when the kernel gave up writing.
    pub super_options: String,
}

/// All of them, in mount order: of two at one place the later lies on top.
pub(super) fn read() -> Result<Vec<Entry>, String> {
    let text =
        fs::read("/proc/self/mountinfo").map_err(|error| format!("cannot read /proc/self/mountinfo: {error}"))?;
    Ok(String::from_utf8_lossy(&text).lines().filter_map(parse).collect())
}

/// One line of it; none if it is not of that form.
pub(super) fn parse(line: &str) -> Option<Entry> {
    let (mount, rest) = line.split_once(" - ")?;
    let mount: Vec<&str> = mount.split(' ').collect();
    let mut rest = rest.split(' ');
    Some(Entry {
        device: mount.get(2)?.to_string(),
        directory: PathBuf::from(unescape(mount.get(4)?)),
        fstype: rest.next()?.to_string(),
        source: unescape(rest.next()?),
        super_options: rest.next().unwrap_or_default().to_string(),
    })
}

/// Undoes the kernel's octal escapes: `\040` is a blank.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal =
            bytes.get(at + 1..at + 4).filter(|digits| bytes[at] == b'\\' && digits.iter().all(u8::is_ascii_digit));
        match octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 4;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The entry on top at a directory.
pub(super) fn on_top<'a>(entries: &'a [Entry], directory: &Path) -> Option<&'a Entry> {
    entries.iter().rev().find(|entry| entry.directory == directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_optional_fields_are_read() {
        let line =
            "36 35 98:0 / /mnt/a\\040b\\134c rw,noatime master:1 shared:2 - ext3 /dev/my\\011disk rw,errors=continue";
        let entry = parse(line).expect("a mountinfo line");
        assert_eq!(entry.directory, Path::new("/mnt/a b\\c"));
        assert_eq!(
            (entry.device.as_str(), entry.fstype.as_str(), entry.source.as_str()),
            ("98:0", "ext3", "/dev/my\tdisk")
        );
        assert_eq!(unescape("\\9"), "\\9");
    }

    #[test]
    fn the_later_of_two_lies_on_top() {
        let lines = ["1 0 8:1 / /srv rw - ext4 /dev/sda1 rw", "2 1 0:5 / /srv rw - tmpfs none rw"];
        let entries: Vec<Entry> = lines.iter().filter_map(|line| parse(line)).collect();
        assert_eq!(on_top(&entries, Path::new("/srv")).map(|entry| entry.fstype.as_str()), Some("tmpfs"));
    }
}
