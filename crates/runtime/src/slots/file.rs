//! The shared disk as a file: past all caches, in whole aligned sectors.

use hearth_slots::{Device, SECTOR};
use nix::sys::stat::{SFlag, fstat};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// One open disk.
pub struct SharedDisk {
    file: File,
    /// Room for a few sectors, and for what is lost to their alignment.
    room: Vec<u8>,
}

impl SharedDisk {
    /// Opens it for reading and writing; every write is durable when it returns. A regular file does as well as a block
    /// device where its file system lets caches be passed by.
    ///
    /// # Errors
    /// It cannot be opened so; for people.
    pub fn open(path: &Path) -> Result<SharedDisk, String> {
        let flags = libc::O_DIRECT | libc::O_DSYNC | libc::O_CLOEXEC;
        let opened = File::options().read(true).write(true).custom_flags(flags).open(path);
        let file = opened.map_err(|error| format!("it cannot be opened: {error}"))?;
        let kind = fstat(file.as_fd()).map_err(|error| format!("it cannot be looked at: {error}"))?.st_mode;
        match SFlag::from_bits_truncate(kind) & SFlag::S_IFMT {
            SFlag::S_IFBLK | SFlag::S_IFREG => Ok(SharedDisk { file, room: Vec::new() }),
            _ => Err("it is no block device".to_owned()),
        }
    }

    /// So many bytes that begin where the kernel wants them to.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        self.room.resize(self.room.len().max(bytes + SECTOR), 0);
        let lost = self.room.as_ptr().align_offset(SECTOR).min(SECTOR);
        &mut self.room[lost..lost + bytes]
    }
}

impl Device for SharedDisk {
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), String> {
        self.room(into.len());
        let SharedDisk { file, room } = self;
        let lost = room.as_ptr().align_offset(SECTOR).min(SECTOR);
        let place = &mut room[lost..lost + into.len()];
        file.read_exact_at(place, at).map_err(|error| format!("it cannot be read: {error}"))?;
        into.copy_from_slice(place);
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), String> {
        self.room(bytes.len()).copy_from_slice(bytes);
        let lost = self.room.as_ptr().align_offset(SECTOR).min(SECTOR);
        let place = &self.room[lost..lost + bytes.len()];
        self.file.write_all_at(place, at).map_err(|error| format!("it cannot be written: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_past_the_caches_is_read_again() {
        // Not in memory: some kernels cannot pass by the cache of what is nothing else.
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = folder.path().join("disk");
        File::create(&path).unwrap().set_len(8 * SECTOR as u64).unwrap();
        let mut disk = SharedDisk::open(&path).unwrap();
        disk.write(SECTOR as u64, &[7; SECTOR]).unwrap();
        let mut bytes = [0; 2 * SECTOR];
        disk.read(SECTOR as u64, &mut bytes).unwrap();
        assert_eq!((bytes[0], bytes[SECTOR - 1], bytes[SECTOR]), (7, 7, 0));
        assert!(disk.read(8 * SECTOR as u64, &mut bytes).is_err_and(|why| why.contains("cannot be read")));
    }

    #[test]
    fn what_is_no_disk_is_not_used() {
        assert!(SharedDisk::open(Path::new("/dev/none")).is_err_and(|why| why.contains("cannot be opened")));
        assert!(SharedDisk::open(Path::new("/dev/tty")).is_err());
    }
}
