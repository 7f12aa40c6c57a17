//! Claims of two machines on one disk (decision 0064): whatever order the accesses of both come in, and whichever of them
//! fail, at most one ever hears that it holds the claim and has not given it back.

use hearth_slots::{
    Claim, Claimant, Damage, Device, Favour, Holder, Id, Known, RECORD, SECTOR, Want, area, init, show,
};
use hearth_types::{NodeName, Timestamp};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const DISK: Id = [7; 16];
const HOLD: Want = Want::Hold { epoch: 3, other_is_off: false };

/// What becomes of the next access.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// It fails, and nothing was done.
    Fails,
    /// A write is done and fails all the same; a read finds a torn sector.
    Torn,
}

#[derive(Clone)]
struct Shared {
    bytes: Rc<RefCell<Vec<u8>>>,
    fault: Rc<Cell<Fault>>,
}

impl Shared {
    fn new() -> Shared {
        let bytes = Rc::new(RefCell::new(vec![0; area(4) as usize]));
        let mut shared = Shared { bytes, fault: Rc::new(Cell::new(Fault::None)) };
        init(&mut shared, DISK, 4, &["a".into(), "b".into()]).unwrap();
        shared
    }
}

impl Device for Shared {
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), String> {
        into.copy_from_slice(&self.bytes.borrow()[at as usize..][..into.len()]);
        match self.fault.get() {
            Fault::Fails => Err("input/output error".into()),
            Fault::Torn => {
                into[100] ^= 0x55;
                Ok(())
            }
            Fault::None => Ok(()),
        }
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), String> {
        if self.fault.get() != Fault::Fails {
            self.bytes.borrow_mut()[at as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        if self.fault.get() == Fault::None { Ok(()) } else { Err("input/output error".into()) }
    }
}

/// A daemon, and what it may rely on.
struct Machine {
    names: [NodeName; 2],
    claimant: Claimant,
    want: Want,
    /// What the attempt under way was begun with, and whether it still is what is wanted.
    attempt: Option<(Want, bool)>,
    holds: Option<u64>,
}

impl Machine {
    fn new(local: &str, other: &str) -> Machine {
        let names = [NodeName::new(local), NodeName::new(other)];
        let claimant = Claimant::new(names[0].clone(), names[1].clone());
        Machine { names, claimant, want: Want::Idle, attempt: None, holds: None }
    }

    fn restart(&mut self) {
        let [local, other] = self.names.clone();
        (self.claimant, self.attempt) = (Claimant::new(local, other), None);
    }

    /// Whoever wants something else than before relies on no answer that it had.
    fn wants(&mut self, want: Want) {
        if self.want != want {
            self.holds = None;
            self.attempt = self.attempt.take().map(|(begun, _)| (begun, false));
            self.want = want;
        }
    }

    fn step(&mut self, disk: &mut Shared, at: u64) -> Result<Option<Known>, String> {
        let (want, current) = self.attempt.take().unwrap_or_else(|| (self.want.clone(), true));
        let known = self.claimant.step(disk, &want, at, || Timestamp(at));
        match &known {
            Ok(None) => self.attempt = Some((want, current)),
            Ok(Some(known)) if current && want == HOLD => {
                self.holds = (known.holder == Holder::Ours).then_some(known.term);
            }
            _ => {}
        }
        known
    }

    /// A whole attempt.
    fn attempt(&mut self, disk: &mut Shared) -> Known {
        (0..100).find_map(|at| self.step(disk, at).unwrap()).expect("an attempt ends")
    }
}

fn pair() -> (Machine, Machine, Shared) {
    (Machine::new("a", "b"), Machine::new("b", "a"), Shared::new())
}

#[test]
fn who_claims_first_holds_it_and_gives_it_back() {
    let (mut a, mut b, mut disk) = pair();
    assert_eq!(a.attempt(&mut disk).holder, Holder::Nobody, "nobody has claimed anything");
    a.wants(HOLD);
    b.wants(HOLD);
    assert_eq!(a.attempt(&mut disk).holder, Holder::Ours);
    assert_eq!(b.attempt(&mut disk).holder, Holder::Theirs);
    assert_eq!(a.attempt(&mut disk).holder, Holder::Ours, "looking again changes nothing");
    b.restart();
    assert_eq!(b.attempt(&mut disk).holder, Holder::Theirs, "a restart makes nobody forget");
    a.restart();
    assert_eq!(a.attempt(&mut disk), Known { began_at: Timestamp(5), term: 0, holder: Holder::Ours });
    b.wants(Want::Rest);
    assert_eq!(b.attempt(&mut disk).term, 0, "it gives back what is not its own");
    a.wants(Want::Rest);
    assert_eq!(a.attempt(&mut disk), Known { began_at: Timestamp(2), term: 1, holder: Holder::Nobody });
    b.wants(HOLD);
    assert_eq!(b.attempt(&mut disk).holder, Holder::Ours, "the next split can be claimed anew");
    a.wants(HOLD);
    assert_eq!(a.attempt(&mut disk), Known { began_at: Timestamp(5), term: 1, holder: Holder::Theirs });
}

#[test]
fn who_held_it_before_its_restart_gives_it_back_too() {
    let (mut a, mut b, mut disk) = pair();
    a.wants(HOLD);
    a.attempt(&mut disk);
    a.restart();
    a.wants(Want::Rest);
    assert_eq!(a.attempt(&mut disk).term, 1);
    b.wants(HOLD);
    assert_eq!(b.attempt(&mut disk).holder, Holder::Ours);
}

#[test]
fn what_a_machine_holds_that_is_off_beyond_doubt_is_void() {
    let (mut a, mut b, mut disk) = pair();
    a.wants(HOLD);
    a.attempt(&mut disk);
    b.wants(Want::Hold { epoch: 3, other_is_off: true });
    assert_eq!(b.attempt(&mut disk).holder, Holder::Ours);
    assert_eq!(a.attempt(&mut disk).holder, Holder::Theirs, "it comes back and goes on as before");
}

#[test]
fn two_owners_because_one_read_was_held_up_until_the_other_had_claimed() {
    let (mut a, mut b, mut disk) = pair();
    a.wants(HOLD);
    b.wants(HOLD);
    // It has promised, read that nobody has a vote, and hangs before it writes its own.
    for at in 0..4 {
        assert_eq!(a.step(&mut disk, at), Ok(None));
    }
    assert_eq!(b.attempt(&mut disk).holder, Holder::Ours);
    assert_eq!(a.attempt(&mut disk).holder, Holder::Theirs);
}

#[test]
fn a_disk_that_fails_favours_nobody_and_works_again() {
    let (mut a, _, mut disk) = pair();
    a.wants(HOLD);
    for fault in [Fault::Fails, Fault::Torn] {
        disk.fault.set(fault);
        assert!(a.step(&mut disk, 0).is_err(), "{fault:?}");
    }
    disk.fault.set(Fault::None);
    assert_eq!(a.attempt(&mut disk).holder, Holder::Ours);
}

#[test]
fn a_disk_that_was_initialised_anew_or_names_somebody_else_knows_of_no_claim() {
    let (mut a, mut b, mut disk) = pair();
    a.wants(HOLD);
    a.attempt(&mut disk);
    init(&mut disk.clone(), [9; 16], 4, &["a".into(), "b".into()]).unwrap();
    b.wants(HOLD);
    assert_eq!(b.attempt(&mut disk).holder, Holder::Ours);
    assert_eq!(a.attempt(&mut disk).holder, Holder::Theirs);
    init(&mut disk.clone(), [8; 16], 4, &["a".into(), "c".into()]).unwrap();
    let refused = (0..9).find_map(|at| a.step(&mut disk, at).err()).unwrap();
    assert!(refused.contains("no slot for b"), "{refused}");
}

#[test]
fn a_claim_is_shown() {
    let (mut a, _, mut disk) = pair();
    a.wants(HOLD);
    a.attempt(&mut disk);
    let shown = show(&mut disk).unwrap().unwrap();
    assert_eq!(shown.slots[0].claim.as_ref().unwrap().favour, Some(Favour { node: "a".into(), epoch: 3 }));
    assert_eq!(shown.slots[1].claim, Ok(Claim::none(DISK, 1, 0)));
}

/// What befalls machine `on`: a step of it, another wish, a restart; or the other one is off beyond doubt.
#[derive(Clone, Debug)]
enum Act {
    Step(usize, Fault),
    Want(usize, Want),
    Restart(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let fault = prop_oneof![16 => Just(Fault::None), 1 => Just(Fault::Fails), 1 => Just(Fault::Torn)];
    let want = prop_oneof![3 => Just(HOLD), 1 => Just(Want::Rest), 1 => Just(Want::Idle)];
    let act = prop_oneof![
        30 => (0..2usize, fault).prop_map(|(on, fault)| Act::Step(on, fault)),
        2 => (0..2usize, want).prop_map(|(on, want)| Act::Want(on, want)),
        1 => (0..2usize).prop_map(Act::Restart),
    ];
    proptest::collection::vec(act, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn never_two_that_hold_it(acts in acts()) {
        let (mut a, mut b, mut disk) = pair();
        a.wants(HOLD);
        b.wants(HOLD);
        for (at, act) in acts.into_iter().enumerate() {
            let (Act::Step(on, _) | Act::Want(on, _) | Act::Restart(on)) = &act;
            let machine = if *on == 0 { &mut a } else { &mut b };
            match act {
                Act::Step(_, fault) => {
                    disk.fault.set(fault);
                    let _ = machine.step(&mut disk, at as u64);
                }
                Act::Want(_, want) => machine.wants(want),
                // What the daemon before relied on, the next one relies on too: it runs on.
                Act::Restart(_) => machine.restart(),
            }
            prop_assert!(a.holds.is_none() || b.holds.is_none(), "both hold it: {:?} and {:?}", a.holds, b.holds);
        }
        // After all that it can be claimed and given back as ever.
        disk.fault.set(Fault::None);
        for machine in [&mut a, &mut b] {
            machine.attempt = None;
            machine.wants(Want::Rest);
            machine.restart();
        }
        let _ = (a.attempt(&mut disk), b.attempt(&mut disk), a.attempt(&mut disk), b.attempt(&mut disk));
        b.wants(HOLD);
        prop_assert_eq!(b.attempt(&mut disk).holder, Holder::Ours);
    }

    #[test]
    fn claims_come_back_as_they_went(
        slot in 0..32u16,
        term: u64,
        rounds: (u64, u64),
        name in "[a-z0-9.-]{1,64}",
        numbers: (u64, u64),
    ) {
        let (promised, voted) = (rounds.0.max(rounds.1), rounds.0.min(rounds.1));
        let favour = (voted > 0).then(|| Favour { node: NodeName::new(&name), epoch: numbers.0 });
        let epoch = favour.as_ref().map_or(0, |favour| favour.epoch);
        let favour = favour.map(|favour| Favour { epoch, ..favour });
        let claim = Claim { disk: DISK, slot, term, promised, voted, favour, wall_ms: numbers.1 };
        prop_assert_eq!(Claim::decode(&claim.encode(), DISK, slot), Ok(claim.clone()));
        prop_assert_eq!(Claim::decode(&claim.encode(), DISK, slot + 1), Err(Damage::Elsewhere));
    }

    #[test]
    fn whatever_stands_there_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2 * RECORD)) {
        prop_assert!(Claim::decode(&bytes, DISK, 0).is_err() || bytes.iter().take(RECORD).all(|byte| *byte == 0));
    }
}

/// A claim stands in the third sector of its slot, and a disk of before has zeros there.
#[test]
fn a_disk_of_before_claims_were_made_is_used_as_it_is() {
    let (mut a, _, mut disk) = pair();
    for slot in 0..4 {
        let at = (3 + 4 * slot) * SECTOR;
        assert!(disk.bytes.borrow()[at..].starts_with(b"HRTHCLAM"));
        disk.bytes.borrow_mut()[at..at + SECTOR].fill(0);
    }
    a.wants(HOLD);
    assert_eq!(a.attempt(&mut disk).holder, Holder::Ours);
}
