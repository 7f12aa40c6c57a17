//! A shared disk with some bytes of it changed, and two daemons that use it: read, or refused with a reason.
#![no_main]

use hearth_slots::{Device, Guard, Header, Heart, Keeper, Pill, SECTOR, Stated, area, init, show};
use hearth_types::{FenceId, NodeName, Timestamp};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

struct Bytes(Vec<u8>);

impl Device for Bytes {
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), String> {
        let there = self.0.get(at as usize..at as usize + into.len()).ok_or("beyond the end")?;
        into.copy_from_slice(there);
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), String> {
        let there = self.0.get_mut(at as usize..at as usize + bytes.len()).ok_or("beyond the end")?;
        there.copy_from_slice(bytes);
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = (Header::decode(bytes), Heart::decode(bytes, [1; 16], 0), Pill::decode(bytes, [1; 16], 0));
    let mut disk = Bytes(vec![0; area(2) as usize]);
    let names = [NodeName::new("a"), NodeName::new("b")];
    init(&mut disk, [1; 16], 2, &names).expect("bytes in memory");
    let stated = Stated { patience: Duration::from_secs(6), guard: Guard::Hardware, timeout: Duration::from_secs(10) };
    let mut keepers = [Keeper::new(names[0].clone(), [2; 16]), Keeper::new(names[1].clone(), [3; 16])];
    for (step, change) in bytes.chunks_exact(3).enumerate() {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]]));
        // The first bytes of a sector are the ones that mean anything.
        let at = at / 512 % (disk.0.len() / SECTOR) * SECTOR + at % 512;
        disk.0[at] = change[2];
        let now = Timestamp(step as u64 * 1_000_000_000);
        let _ = keepers[step % 2].look(&mut disk, &stated, 0, || now);
        let _ = keepers[0].fence(&mut disk, (FenceId(1), &names[1]), (step as u64 + 1, 0), None, || now);
        let _ = (keepers[0].take_ended(), show(&mut disk));
    }
});
