//! Two daemons and one disk: what is on it, what is found, and when a pill proves anything.

use hearth_slots::{
    Damage, Device, Found, Guard, Header, Heart, Id, Keeper, Pill, RECORD, SECTOR, SLOTS_MAX, Stated, area, init,
    proven_after, show,
};
use hearth_types::{FenceId, NodeName, Timestamp};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

const DISK: Id = [7; 16];
const BOOT_A: Id = [1; 16];
const BOOT_B: Id = [2; 16];
const MS: u64 = 1_000_000;

/// A disk that several daemons share, and what a machine's path to it does.
#[derive(Clone)]
struct Shared {
    bytes: Rc<RefCell<Vec<u8>>>,
    broken: Rc<Cell<bool>>,
}

impl Shared {
    fn new(slots: u16, owners: &[&str]) -> Shared {
        let size = area(slots) as usize;
        let mut shared = Shared { bytes: Rc::new(RefCell::new(vec![0; size])), broken: Rc::default() };
        let owners: Vec<NodeName> = owners.iter().map(|name| NodeName::new(name)).collect();
        init(&mut shared, DISK, slots, &owners).unwrap();
        shared
    }

    /// Another path to the same bytes.
    fn path(&self) -> Shared {
        Shared { bytes: self.bytes.clone(), broken: Rc::default() }
    }
}

impl Device for Shared {
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), String> {
        if self.broken.get() {
            return Err("input/output error".into());
        }
        into.copy_from_slice(&self.bytes.borrow()[at as usize..][..into.len()]);
        Ok(())
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), String> {
        if self.broken.get() {
            return Err("input/output error".into());
        }
        self.bytes.borrow_mut()[at as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

const STATED: Stated =
    Stated { patience: Duration::from_secs(6), guard: Guard::Hardware, timeout: Duration::from_secs(10) };

fn at(ms: u64) -> Timestamp {
    Timestamp(ms * MS)
}

fn look(keeper: &mut Keeper, disk: &mut Shared, ms: u64) -> Result<Found, String> {
    keeper.look(disk, &STATED, ms, || at(ms))
}

struct Pair {
    a: Keeper,
    b: Keeper,
    disk_a: Shared,
    disk_b: Shared,
}

/// Both have looked for two seconds.
fn pair() -> Pair {
    let disk_a = Shared::new(4, &["a", "b"]);
    let disk_b = disk_a.path();
    let (a, b) = (Keeper::new("a".into(), BOOT_A), Keeper::new("b".into(), BOOT_B));
    let mut pair = Pair { a, b, disk_a, disk_b };
    for ms in [0, 1000, 2000] {
        pair.both(ms);
    }
    pair
}

impl Pair {
    fn both(&mut self, ms: u64) {
        assert_eq!(look(&mut self.a, &mut self.disk_a, ms).unwrap().pill, None);
        assert_eq!(look(&mut self.b, &mut self.disk_b, ms).unwrap().pill, None);
    }

    fn shoot(&mut self, ms: u64, heard: u64) -> Result<(), String> {
        let order = (FenceId(5), &NodeName::new("b"));
        self.a.fence(&mut self.disk_a, order, (ms + 1, ms), Some(at(heard)), || at(ms))
    }

    /// What a knows of its order at that moment.
    fn word(&mut self, ms: u64) -> Option<String> {
        look(&mut self.a, &mut self.disk_a, ms).unwrap();
        let mut ended = self.a.take_ended();
        assert!(ended.len() < 2);
        ended.pop().map(|(id, word)| {
            assert_eq!(id, FenceId(5));
            word.unwrap()
        })
    }
}

#[test]
fn who_has_a_pill_finds_it_at_its_next_look() {
    let mut pair = pair();
    pair.shoot(3000, 2500).unwrap();
    assert_eq!(look(&mut pair.b, &mut pair.disk_b, 3500).unwrap().pill.as_deref(), Some("a"));
    assert_eq!(look(&mut pair.a, &mut pair.disk_a, 3500).unwrap().pill, None, "who wrote it has none itself");
}

#[test]
fn two_owners_because_a_pill_counted_before_a_machine_that_cannot_read_it_was_reset() {
    let mut pair = pair();
    pair.disk_b.broken.set(true);
    assert!(look(&mut pair.b, &mut pair.disk_b, 2900).is_err());
    pair.shoot(3000, 2500).unwrap();
    // 6 s until it gives up, 10 s until its watchdog acts, a twentieth for two clocks, a second.
    assert_eq!(proven_after(&STATED), Duration::from_millis(17_800));
    assert_eq!(pair.word(3000 + 17_799), None);
    assert!(pair.word(3000 + 17_800).is_some_and(|word| word.contains("reset by its watchdog")));
}

#[test]
fn a_machine_that_has_booted_since_was_off_and_does_not_reset_itself_again() {
    let mut pair = pair();
    pair.shoot(3000, 2500).unwrap();
    assert_eq!(pair.word(4000), None);
    let mut booted = Keeper::new("b".into(), [3; 16]);
    assert_eq!(look(&mut booted, &mut pair.disk_b, 5000).unwrap().pill, None, "it resets itself at every boot");
    assert!(pair.word(5500).is_some_and(|word| word.contains("has booted since")));
    assert_eq!(look(&mut booted, &mut pair.disk_b, 6000).unwrap().pill, None);
    // The next one is for this boot.
    pair.shoot(7000, 6500).unwrap();
    assert_eq!(look(&mut booted, &mut pair.disk_b, 7500).unwrap().pill.as_deref(), Some("a"));
}

#[test]
fn two_owners_because_a_restarted_daemon_took_its_pill_for_an_old_one() {
    let mut pair = pair();
    pair.shoot(3000, 2500).unwrap();
    let mut again = Keeper::new("b".into(), BOOT_B);
    assert_eq!(look(&mut again, &mut pair.disk_b, 3500).unwrap().pill.as_deref(), Some("a"));
}

#[test]
fn two_owners_because_a_pill_lay_where_nobody_looks() {
    // The files of b name no disk: its heart stands still while it is heard.
    let mut fresh = pair();
    look(&mut fresh.a, &mut fresh.disk_a, 3000).unwrap();
    let refused = fresh.shoot(40_000, 39_000).unwrap_err();
    assert!(refused.contains("was heard for"), "{refused}");
    // A daemon that has never seen it move knows nothing.
    let mut young = pair();
    young.a = Keeper::new("a".into(), BOOT_A);
    look(&mut young.a, &mut young.disk_a, 3000).unwrap();
    let refused = young.shoot(3500, 2500).unwrap_err();
    assert!(refused.contains("has not been seen to look"), "{refused}");
    let checked = young.a.check(&"b".into(), None, at(4000));
    assert!(checked.is_err());
}

#[test]
fn a_restarted_daemon_goes_on_with_the_pill_of_the_one_before() {
    let mut pair = pair();
    pair.shoot(3000, 2500).unwrap();
    pair.a = Keeper::new("a".into(), BOOT_A);
    look(&mut pair.a, &mut pair.disk_a, 4000).unwrap();
    pair.shoot(4500, 2500).unwrap();
    assert_eq!(pair.word(4500 + 17_799), None, "the time counts anew");
    assert!(pair.word(4500 + 17_800).is_some());
}

#[test]
fn time_proves_nothing_of_a_machine_without_a_hardware_watchdog() {
    for guard in [Guard::None, Guard::Software] {
        let mut pair = pair();
        let soft = Stated { guard, ..STATED };
        pair.b.look(&mut pair.disk_b, &soft, 0, || at(2500)).unwrap();
        pair.shoot(3000, 2500).unwrap();
        assert_eq!(pair.word(300_000), None);
        assert!(pair.a.check(&"b".into(), Some(at(2500)), at(3000)).is_err());
        assert!(pair.a.give_up(FenceId(5)).is_some_and(|why| why.contains("no hardware watchdog")));
    }
}

#[test]
fn longer_times_that_were_written_beside_the_pill_count() {
    let mut pair = pair();
    pair.shoot(3000, 2500).unwrap();
    let longer = Stated { patience: Duration::from_secs(60), ..STATED };
    pair.b.look(&mut pair.disk_b, &longer, 0, || at(3100)).unwrap();
    assert_eq!(pair.word(30_000), None);
    assert!(pair.word(3000 + proven_after(&longer).as_millis() as u64).is_some());
}

#[test]
fn a_disk_that_was_initialised_anew_or_forgets_is_no_good_look() {
    let mut pair = pair();
    init(&mut pair.disk_a.path(), [9; 16], 4, &["a".into(), "b".into()]).unwrap();
    assert!(look(&mut pair.a, &mut pair.disk_a, 3000).is_err());
    assert!(look(&mut pair.a, &mut pair.disk_a, 4000).is_ok(), "the next one finds its new slot");
    let mut other = Keeper::new("c".into(), [4; 16]);
    let refused = look(&mut other, &mut pair.disk_a, 0).unwrap_err();
    assert!(refused.contains("no slot for c"), "{refused}");
}

#[test]
fn two_that_could_fence_each_other_do_not_both_end() {
    // R-PAIR-2
    let mut pair = pair();
    pair.shoot(3000, 2500).unwrap();
    let order = (FenceId(6), &NodeName::new("a"));
    let refused = pair.b.fence(&mut pair.disk_b, order, (9, 0), Some(at(2500)), || at(3001)).unwrap_err();
    assert!(refused.contains("has a pill itself"), "{refused}");
    assert_eq!(look(&mut pair.a, &mut pair.disk_a, 3500).unwrap().pill, None);
}

#[test]
fn a_torn_mailbox_is_never_an_empty_one() {
    let mut pair = pair();
    pair.shoot(3000, 2500).unwrap();
    let mail = show(&mut pair.disk_a).unwrap().unwrap();
    assert!(mail.slots[1].pill.as_ref().is_ok_and(|pill| pill.number == 3001));
    // The second slot's mailbox: header, one slot of four sectors, heart.
    pair.disk_b.bytes.borrow_mut()[6 * SECTOR + 30] ^= 1;
    assert!(look(&mut pair.b, &mut pair.disk_b, 3500).is_err());
}

#[test]
fn what_is_on_a_disk_that_is_not_ours_is_said() {
    let mut bytes = [0; RECORD];
    assert_eq!(Header::decode(&bytes), Err(Damage::Blank));
    bytes[100] = 1;
    assert_eq!(Header::decode(&bytes), Err(Damage::Foreign));
    let mut newer = Header { disk: DISK, slots: 4 }.encode();
    newer[20] ^= 1;
    assert_eq!(Header::decode(&newer), Err(Damage::Torn));
    assert_eq!(Header::decode(&[0; 100]), Err(Damage::Torn));
}

fn names() -> impl Strategy<Value = Option<NodeName>> {
    prop_oneof![Just(None), "[a-z0-9.-]{1,64}".prop_map(|name| Some(NodeName::new(&name)))]
}

fn hearts() -> impl Strategy<Value = Heart> {
    let guards = prop_oneof![Just(Guard::None), Just(Guard::Software), Just(Guard::Hardware)];
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>(), any::<u32>());
    (any::<Id>(), 0..SLOTS_MAX, names(), any::<Id>(), guards, numbers).prop_map(
        |(disk, slot, owner, boot, guard, (sequence, wall_ms, taken, patience, timeout))| Heart {
            disk,
            slot,
            owner,
            boot,
            sequence,
            wall_ms,
            stated: Stated {
                patience: Duration::from_millis(patience.into()),
                guard,
                timeout: Duration::from_millis(timeout.into()),
            },
            taken,
        },
    )
}

proptest! {
    #[test]
    fn records_come_back_as_they_went(heart in hearts(), number: u64, by in names(), boot: Id, slots in 0..=SLOTS_MAX) {
        let (disk, slot) = (heart.disk, heart.slot);
        prop_assert_eq!(Heart::decode(&heart.encode(), disk, slot), Ok(heart.clone()));
        prop_assert_eq!(Heart::decode(&heart.encode(), disk, slot + 1), Err(Damage::Elsewhere));
        let pill = Pill { disk, slot, number, by, boot, wall_ms: 5 };
        prop_assert_eq!(Pill::decode(&pill.encode(), disk, slot), Ok(pill));
        let header = Header { disk, slots };
        prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn no_changed_byte_goes_unseen(heart in hearts(), at in 0..RECORD, bit in 0..8u32) {
        let mut bytes = heart.encode();
        bytes[at] ^= 1 << bit;
        prop_assert!(Heart::decode(&bytes, heart.disk, heart.slot).is_err());
    }

    #[test]
    fn whatever_stands_there_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2 * RECORD)) {
        // Panics are what this is about; no sum is right by chance.
        prop_assert!(Header::decode(&bytes).is_err());
        prop_assert!(Heart::decode(&bytes, DISK, 0).is_err());
        prop_assert!(Pill::decode(&bytes, DISK, 0).is_err());
    }
}
