//! A ledger that was written down and read back goes on exactly as the one that was not: what a recording needs to begin
//! in the middle of an epoch. So does one that was cloned, whatever becomes of the first.

use hearth_cib::Entry;
use hearth_ledger::{Ledger, LedgerMessage, LedgerOut, Params};
use hearth_types::{NodeIdentity, NodeName, Timestamp};
use std::collections::VecDeque;
use std::time::Duration;

const NAMES: [&str; 2] = ["a", "b"];

fn name(node: usize) -> NodeName {
    NodeName::new(NAMES[node])
}

/// A ledger and its copy, which is written down and read back now and then.
struct Twins {
    live: Ledger,
    copy: Ledger,
}

impl Twins {
    fn new(node: usize) -> Twins {
        let made = || {
            let params = Params {
                local: name(node),
                fresh_identity: NodeIdentity(100 + node as u64),
                nodes: vec![name(0), name(1)],
                digest: 1,
                retry: Duration::from_millis(500),
                seed: node as u64 + 7,
            };
            Ledger::restore(params, None, &[]).expect("no state")
        };
        Twins { live: made(), copy: made() }
    }

    fn both(&mut self, what: impl Fn(&mut Ledger)) {
        what(&mut self.live);
        what(&mut self.copy);
    }

    fn drain(&mut self) -> Vec<LedgerOut> {
        let (mut live, mut copy) = (self.live.drain(), self.copy.drain());
        live.extend(self.live.settle());
        copy.extend(self.copy.settle());
        assert_eq!(format!("{live:?}"), format!("{copy:?}"));
        assert_eq!(self.live.dc(), self.copy.dc());
        live
    }

    fn written(&self) -> String {
        assert!(self.live.is_at_rest());
        serde_json::to_string(&self.live).expect("it is at rest")
    }

    fn copied(&mut self) {
        assert!(self.live.can_be_cloned());
        self.copy = self.live.clone();
    }

    fn read_back(&mut self) {
        let text = self.written();
        self.copy = serde_json::from_str(&text).expect("its own text");
        self.copy.join_up();
        assert_eq!(serde_json::to_string(&self.copy).expect("it is at rest"), text);
    }
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % bound
    }
}

fn collect(twins: &mut [Twins; 2], wire: &mut [VecDeque<LedgerMessage>; 2]) {
    for (node, one) in twins.iter_mut().enumerate() {
        for output in one.drain() {
            if let LedgerOut::Say { message, .. } = output {
                wire[1 - node].push_back(*message);
            }
        }
    }
}

#[test]
fn a_ledger_read_back_in_the_middle_of_an_epoch_goes_on_as_the_one_that_was_not() {
    for seed in 0..200 {
        let mut draw = Draw(seed);
        let mut twins = [Twins::new(0), Twins::new(1)];
        let mut wire: [VecDeque<LedgerMessage>; 2] = Default::default();
        for node in [0, 1] {
            twins[node].both(|ledger| ledger.poll_founding(Timestamp(1_000_000_000), &[name(1 - node)], false));
        }
        let mut quiet = 0;
        for _ in 0..600 {
            collect(&mut twins, &mut wire);
            let node = draw.below(2) as usize;
            quiet = if quiet == 0 && draw.below(40) == 0 { 80 } else { quiet.max(1) - 1 };
            match draw.below(if quiet > 0 { 24 } else { 40 }) {
                0..16 => {
                    if let Some(message) = wire[node].pop_front() {
                        twins[node].both(|ledger| ledger.handle(&name(1 - node), message.clone()));
                    }
                }
                16..24 => twins[node].both(Ledger::tick),
                24..35 => twins[node].both(|ledger| _ = ledger.propose(Entry::Noop)),
                35 => twins[node].both(Ledger::campaign),
                36 => {
                    wire.iter_mut().for_each(VecDeque::clear);
                    for node in [0, 1] {
                        twins[node].both(|ledger| ledger.reconnected(&name(1 - node)));
                    }
                }
                37 => twins[node].both(|ledger| _ = ledger.remove_voters(&[name(1 - node)])),
                38 => twins[node].copied(),
                _ => twins[node].read_back(),
            }
        }
    }
}

/// A cluster that is left alone for weeks must still be written down in little: its elections go on all the time.
#[test]
fn an_idle_epoch_takes_no_more_room_with_time() {
    let mut twins = [Twins::new(0), Twins::new(1)];
    let mut wire: [VecDeque<LedgerMessage>; 2] = Default::default();
    for node in [0, 1] {
        twins[node].both(|ledger| ledger.poll_founding(Timestamp(1_000_000_000), &[name(1 - node)], false));
    }
    let mut sizes = Vec::new();
    for round in 0..4000 {
        for node in [0, 1] {
            while let Some(message) = wire[node].pop_front() {
                twins[node].both(|ledger| ledger.handle(&name(1 - node), message.clone()));
            }
            twins[node].both(Ledger::tick);
        }
        collect(&mut twins, &mut wire);
        if round % 1000 == 999 {
            sizes.push(twins[0].written().len());
            twins[0].read_back();
        }
    }
    assert!(twins[0].live.dc().is_some());
    assert!(sizes[3] <= sizes[0] + 16, "{sizes:?}");
}
