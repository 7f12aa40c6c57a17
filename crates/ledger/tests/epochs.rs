//! Two ledgers and what is between them: epochs begin, follow each other, fork and survive restarts.

use hearth_cib::Entry;
use hearth_ledger::{Ledger, LedgerMessage, LedgerOut, Params, Relation, RivalOffer};
use hearth_types::{EpochName, NodeIdentity, NodeName, PermitKind, Timestamp};
use std::collections::VecDeque;
use std::time::Duration;

const NAMES: [&str; 2] = ["a", "b"];

fn name(node: usize) -> NodeName {
    NodeName::new(NAMES[node])
}

fn at(ms: u64) -> Timestamp {
    Timestamp(ms * 1_000_000)
}

fn params(node: usize, digest: u64) -> Params {
    Params {
        local: name(node),
        fresh_identity: NodeIdentity(100 + node as u64),
        nodes: vec![name(0), name(1)],
        digest,
        retry: Duration::from_millis(500),
        seed: node as u64 + 7,
    }
}

/// Two ledgers with their disks, and the messages under way.
struct World {
    ledgers: [Ledger; 2],
    disks: [(Option<String>, Vec<String>); 2],
    wire: VecDeque<(usize, usize, LedgerMessage)>,
    began: [Vec<EpochName>; 2],
}

impl World {
    fn new() -> World {
        World::with_digests([1, 1])
    }

    fn with_digests(digests: [u64; 2]) -> World {
        let ledger = |node: usize| Ledger::restore(params(node, digests[node]), None, &[]).expect("no state");
        World {
            ledgers: [ledger(0), ledger(1)],
            disks: [(None, Vec::new()), (None, Vec::new())],
            wire: VecDeque::new(),
            began: [Vec::new(), Vec::new()],
        }
    }

    fn drain(&mut self, node: usize) {
        for item in self.ledgers[node].drain() {
            self.carry_out(node, item);
        }
    }

    fn carry_out(&mut self, node: usize, item: LedgerOut) {
        match item {
            LedgerOut::Persist { state, lines, .. } => {
                let disk = &mut self.disks[node];
                if let Some(state) = state {
                    *disk = (Some(state), Vec::new());
                }
                disk.1.extend(lines);
            }
            LedgerOut::Say { message, .. } => self.wire.push_back((node, 1 - node, *message)),
            LedgerOut::EpochBegan { epoch, .. } => self.began[node].push(epoch),
            LedgerOut::Applied { .. } => {}
        }
    }

    /// Delivers one message; false if none is under way.
    fn step(&mut self) -> bool {
        self.drain(0);
        self.drain(1);
        let Some((from, to, message)) = self.wire.pop_front() else { return false };
        self.ledgers[to].handle(&name(from), message);
        true
    }

    fn run(&mut self) {
        for _ in 0..30 {
            while self.step() {}
            self.ledgers.iter_mut().for_each(Ledger::tick);
        }
        while self.step() {}
    }

    fn restart(&mut self, node: usize) {
        let (state, lines) = self.disks[node].clone();
        self.ledgers[node] = Ledger::restore(params(node, 1), state.as_deref(), &lines).expect("its own state");
        self.wire.clear();
    }

    fn found(&mut self, now: u64) {
        for node in [0, 1] {
            self.ledgers[node].poll_founding(at(now), &[name(1 - node)], false);
        }
    }

    fn together(digests: [u64; 2]) -> World {
        let mut world = World::with_digests(digests);
        world.found(1000);
        world.run();
        world
    }

    fn dc(&self) -> usize {
        (0..2).find(|node| self.ledgers[*node].is_dc()).expect("a DC")
    }

    fn epochs(&self) -> [Option<EpochName>; 2] {
        [self.ledgers[0].epoch().cloned(), self.ledgers[1].epoch().cloned()]
    }

    fn same_record(&self) {
        assert!(self.ledgers[0].record().is_some());
        assert_eq!(self.ledgers[0].record(), self.ledgers[1].record());
    }
}

fn configure(nodes: &[usize]) -> Entry {
    let nodes = nodes.iter().map(|node| name(*node)).collect();
    Entry::Configure { model: hearth_types::ResourceModel::default(), digest: 5, nodes }
}

#[test]
fn two_machines_that_propose_at_once_found_one_epoch() {
    // R-JOIN-1: both are first in their own eyes, messages cross.
    let mut world = World::new();
    for now in [1000, 2000, 3000, 4000] {
        world.found(now);
        world.drain(0);
        world.drain(1);
        world.step();
    }
    world.run();
    world.found(9000);
    world.run();
    let [a, b] = world.epochs();
    assert!(a.is_some());
    assert_eq!(a, b);
    assert_eq!(world.began[0].len(), 1);
    assert_eq!(world.began[1].len(), 1);
    world.same_record();
}

#[test]
fn a_consent_outlives_the_daemon() {
    // R-JOIN-1: a consent that is forgotten lets two epochs be founded.
    let mut world = World::new();
    world.ledgers[0].poll_founding(at(1000), &[name(1)], false);
    world.drain(0);
    world.step(); // B promises
    world.drain(1);
    world.step(); // A proposes
    world.drain(0);
    world.step(); // B accepts
    world.drain(1);
    let accepted = world.wire.iter().any(|(from, ..)| *from == 1);
    assert!(accepted);
    let proposed = world.disks[1].0.clone().unwrap_or_default();
    world.restart(1);
    // A dies before it hears of it; B founds with a new A: it must carry on what it accepted.
    world.restart(0);
    world.ledgers[1].poll_founding(at(3000), &[name(0)], false);
    world.ledgers[1].poll_founding(at(9000), &[name(0)], false);
    world.run();
    let epoch = world.epochs()[1].clone().expect("founded");
    assert!(proposed.contains(&epoch.nonce.to_string()), "{epoch} was not what was accepted");
    assert_eq!(world.epochs()[0], world.epochs()[1]);
}

#[test]
fn what_was_given_up_is_not_founded_again_under_its_old_name() {
    // R-JOIN-1: A gave its epoch up to B, and B lost its state. Founded again, the old epoch would begin with an empty
    // record and with a voter that is no more.
    let mut world = World::together([1, 1]);
    let old = world.epochs()[0].clone();
    world.ledgers[0].give_up_epoch();
    world.drain(0);
    world.wire.clear();
    let fresh = Params { fresh_identity: NodeIdentity(201), seed: 99, ..params(1, 1) };
    world.ledgers[1] = Ledger::restore(fresh, None, &[]).expect("no state");
    world.found(20_000);
    world.run();
    world.found(29_000);
    world.run();
    assert_ne!(world.epochs()[0], old);
    assert!(world.ledgers.iter().all(Ledger::is_voting));
    world.same_record();
}

#[test]
fn nodes_with_unequal_lists_found_nothing() {
    // R-JOIN-1
    let world = World::together([1, 2]);
    assert_eq!(world.epochs(), [None, None]);
}

#[test]
fn what_one_proposes_both_apply_in_one_order() {
    // R-LEDGER-1
    let mut world = World::together([1, 1]);
    let dc = world.dc();
    assert!(world.ledgers[dc].propose(configure(&[0, 1])));
    assert!(!world.ledgers[1 - dc].propose(Entry::Noop), "only the DC proposes");
    world.run();
    world.same_record();
    assert_eq!(world.ledgers[0].record().map(|record| record.digest), Some(5));
}

#[test]
fn one_lost_acknowledgement_does_not_freeze_a_pair() {
    // R-LEDGER-8
    let mut world = World::together([1, 1]);
    let dc = world.dc();
    world.ledgers[dc].propose(configure(&[0, 1]));
    world.drain(dc);
    while let Some((from, to, message)) = world.wire.pop_front() {
        if to != dc {
            world.ledgers[to].handle(&name(from), message);
        }
    }
    world.drain(1 - dc);
    world.wire.clear(); // the answer is lost
    assert!(world.ledgers[dc].has_undecided());
    world.run();
    assert!(!world.ledgers[dc].has_undecided());
    world.same_record();
}

#[test]
fn a_message_of_another_epoch_or_under_another_name_reaches_nobody() {
    // R-LEDGER-7
    let mut world = World::together([1, 1]);
    let dc = world.dc();
    world.ledgers[dc].propose(configure(&[0, 1]));
    world.drain(dc);
    let before = world.ledgers[1 - dc].decided();
    for (_, to, message) in std::mem::take(&mut world.wire) {
        // As if the receiver had said it itself: omnipaxos would believe the number inside.
        let LedgerMessage::Paxos { epoch, message } = message else { continue };
        let wrong = EpochName { nonce: epoch.nonce + 1, ..epoch.clone() };
        world.ledgers[to].handle(&name(to), LedgerMessage::Paxos { epoch, message: message.clone() });
        world.ledgers[to].handle(&name(dc), LedgerMessage::Paxos { epoch: wrong, message });
    }
    world.drain(1 - dc);
    assert_eq!(world.ledgers[1 - dc].decided(), before);
    assert!(!world.ledgers[1 - dc].has_undecided());
}

#[test]
fn a_survivor_takes_what_it_accepted_along() {
    // R-LEDGER-5: its peer may have decided and answered it.
    let mut world = World::together([1, 1]);
    let dc = world.dc();
    let survivor = 1 - dc;
    world.ledgers[dc].propose(configure(&[0, 1]));
    world.drain(dc);
    while let Some((from, to, message)) = world.wire.pop_front() {
        world.ledgers[to].handle(&name(from), message);
    }
    // Accepted here, decided by the DC with our answer; then the DC dies before it says so.
    world.drain(survivor);
    for (from, to, message) in std::mem::take(&mut world.wire) {
        world.ledgers[to].handle(&name(from), message);
    }
    assert_eq!(world.ledgers[dc].record().map(|record| record.digest), Some(5));
    assert_ne!(world.ledgers[survivor].record().map(|record| record.digest), Some(5));
    let before = world.ledgers[survivor].epoch().cloned().expect("an epoch");
    world.ledgers[survivor].force(PermitKind::Unfenced, Vec::new());
    world.drain(survivor);
    let ledger = &world.ledgers[survivor];
    assert!(ledger.is_sole() && ledger.is_dc());
    let record = ledger.record().expect("a record");
    assert_eq!(record.digest, 5);
    assert_eq!(record.permit, Some(PermitKind::Unfenced));
    assert!(record.descends_from(&before) && record.epoch.number > before.number);
}

#[test]
fn a_forced_epoch_is_durable_before_anything_of_it_is_said() {
    // R-LEDGER-3, R-LEDGER-5
    let mut world = World::together([1, 1]);
    world.ledgers[0].force(PermitKind::Unfenced, vec![Entry::Noop]);
    world.ledgers[0].offer(&name(1));
    let items = world.ledgers[0].drain();
    let persisted = items.iter().position(|item| matches!(item, LedgerOut::Persist { state: Some(_), .. }));
    let began = items.iter().position(|item| matches!(item, LedgerOut::EpochBegan { .. }));
    let said = items.iter().position(
        |item| matches!(item, LedgerOut::Say { message, .. } if matches!(**message, LedgerMessage::Offer { .. })),
    );
    assert!(persisted < began && persisted < said, "{items:?}");
    for item in items {
        world.carry_out(0, item);
    }
    let epoch = world.epochs()[0].clone();
    world.restart(0);
    assert_eq!(world.epochs()[0], epoch);
    assert!(world.ledgers[0].is_sole());
}

#[test]
fn a_node_that_was_left_behind_is_let_in_again_and_both_vote() {
    // R-LEDGER-2, R-JOIN-3: stored first, which gives no right; decided here; then offered.
    let mut world = World::together([1, 1]);
    world.wire.clear();
    world.ledgers[0].force(PermitKind::Unfenced, vec![configure(&[0, 1])]);
    let identity = world.ledgers[1].identity();
    world.ledgers[1].give_up_epoch();
    let incarnation = hearth_types::Incarnation(9);
    world.ledgers[0].propose(Entry::Admit { node: name(1), identity, incarnation });
    world.ledgers[0].invite(&name(1), None);
    world.drain(0);
    let stored = world.wire.pop_back().expect("the record");
    world.wire.clear();
    world.ledgers[1].handle(&name(0), stored.2);
    assert!(world.ledgers[1].has_no_epoch() && !world.ledgers[1].is_voting(), "what is stored gives no right");
    world.run();
    assert_eq!(world.ledgers[0].record().map(|record| record.voters.len()), Some(2));
    world.same_record();
    assert!(world.ledgers[1].is_voting());
}

#[test]
fn an_epoch_that_was_given_up_is_founded_again_and_has_two_histories_under_one_name() {
    // R-JOIN-1: the consent to it is durable and outlives it (found by the simulator, R-WIRE-6). Both gave it up; or one
    // did, and the other machine lost its disk; whichever it is, also after a restart.
    for forgets in [None, Some(0), Some(1)] {
        let mut world = World::together([1, 1]);
        let dc = world.dc();
        world.ledgers[dc].propose(configure(&[0, 1]));
        world.run();
        let old = world.epochs()[0].clone().expect("an epoch");
        for node in [0, 1] {
            world.ledgers[node].give_up_epoch();
            world.drain(node);
            if forgets == Some(node) {
                world.disks[node] = (None, Vec::new());
                let fresh = Params { fresh_identity: NodeIdentity(200), ..params(node, 1) };
                world.ledgers[node] = Ledger::restore(fresh, None, &[]).expect("no state");
            } else {
                world.restart(node);
            }
        }
        for now in (2000..8000).step_by(100) {
            world.found(now);
            world.run();
        }
        world.same_record();
        let new = world.epochs()[0].clone().expect("an epoch");
        assert!(new != old && new.number > old.number, "{forgets:?}: {new} after {old}");
        let voters = world.ledgers[0].record().map(|record| record.voters.clone()).unwrap_or_default();
        for (node, voter) in voters.iter().enumerate() {
            assert_eq!((&voter.name, voter.identity), (&name(node), world.ledgers[node].identity()), "{forgets:?}");
        }
    }
}

#[test]
fn an_offer_that_was_overtaken_by_a_forced_epoch_changes_nothing() {
    // R-LEDGER-6: neither descends from the other any more.
    let mut world = World::together([1, 1]);
    let old = world.epochs()[0].clone().expect("an epoch");
    world.ledgers[0].force(PermitKind::Unfenced, Vec::new());
    world.ledgers[0].offer(&name(1));
    world.drain(0);
    world.ledgers[1].force(PermitKind::Unfenced, Vec::new());
    let ours = world.ledgers[1].epoch().cloned();
    for (from, to, message) in std::mem::take(&mut world.wire) {
        world.ledgers[to].handle(&name(from), message);
    }
    assert_eq!(world.ledgers[1].epoch().cloned(), ours);
    let theirs = world.ledgers[0].record().expect("a record");
    assert_eq!(world.ledgers[1].relation(Some(&theirs.epoch), &theirs.lineage), Relation::Rival);
    assert_eq!(world.ledgers[0].relation(Some(&old), &[]), Relation::Behind);
}

#[test]
fn the_machine_without_its_state_does_not_vote_for_what_it_was() {
    // R-LEDGER-3, R-JOIN-5: a voter is a name with its persisted identity.
    let mut world = World::together([1, 1]);
    world.disks[1] = (None, Vec::new());
    let fresh = Params { fresh_identity: NodeIdentity(999), ..params(1, 1) };
    world.ledgers[1] = Ledger::restore(fresh, None, &[]).expect("no state");
    world.ledgers[0].offer(&name(1));
    world.run();
    assert!(world.ledgers[1].has_no_epoch());
    assert!(!world.ledgers[0].has_no_epoch());
}

#[test]
fn both_daemons_restart_at_once_and_agree_again() {
    // R-JOIN-2
    let mut world = World::together([1, 1]);
    let dc = world.dc();
    world.ledgers[dc].propose(configure(&[0, 1]));
    world.run();
    world.restart(0);
    world.restart(1);
    world.ledgers[0].campaign();
    world.run();
    let dc = world.dc();
    assert!(world.ledgers[dc].propose(Entry::Noop));
    world.run();
    world.same_record();
    assert!(!world.ledgers[dc].has_undecided());
}

#[test]
fn an_end_of_the_epoch_that_only_one_accepted_is_decided_after_both_restarted() {
    // R-LEDGER-5, R-LEDGER-8: omnipaxos says a follower that its log ends one behind its end.
    for by in [0, 1] {
        let mut world = World::together([1, 1]);
        world.ledgers[world.dc()].propose(configure(&[0, 1]));
        world.run();
        while world.dc() != by {
            world.ledgers[by].campaign();
            world.run();
        }
        assert!(world.ledgers[by].remove_voters(&[name(1 - by)]));
        world.drain(by);
        world.restart(by);
        world.restart(1 - by);
        // The one that does not know of it leads.
        world.ledgers[1 - by].campaign();
        world.run();
        let voters = world.ledgers[by].record().map(|record| record.voters.len());
        assert_eq!(voters, Some(1), "by {by}");
        assert!(world.ledgers[by].is_sole());
    }
}

#[test]
fn an_order_left_by_a_torn_write_is_not_half_applied() {
    // R-LEDGER-3: whole lines before the tear count, and the node goes on from there.
    let mut world = World::together([1, 1]);
    let dc = world.dc();
    for _ in 0..3 {
        world.ledgers[dc].propose(Entry::Noop);
        world.run();
    }
    let lines = world.disks[dc].1.clone();
    assert!(lines.len() > 3);
    for keep in 0..lines.len() {
        let (state, _) = world.disks[dc].clone();
        let restored = Ledger::restore(params(dc, 1), state.as_deref(), &lines[..keep]);
        let ledger = restored.unwrap_or_else(|error| panic!("{keep} lines: {error}"));
        assert!(ledger.decided() <= world.ledgers[dc].decided());
    }
    let broken = ["{\"entries\": 7".to_owned()];
    assert!(Ledger::restore(params(dc, 1), world.disks[dc].0.as_deref(), &broken).is_err());
    assert!(Ledger::restore(params(1 - dc, 1), world.disks[dc].0.as_deref(), &[]).is_err(), "a copied disk");
}

#[test]
fn an_epoch_ends_before_its_log_grows_without_bound() {
    // R-LEDGER-2: each epoch begins with a snapshot of the record.
    let mut world = World::together([1, 1]);
    let first = world.epochs()[0].clone().expect("an epoch");
    let mut longest = 0;
    for round in 0..1100 {
        let dc = world.dc();
        world.ledgers[dc].propose(Entry::Noop);
        while world.step() {}
        if round % 50 == 0 {
            world.run();
        }
        longest = longest.max(world.disks[0].1.len());
    }
    world.run();
    let second = world.epochs()[0].clone().expect("an epoch");
    assert!(second.number > first.number, "still in {second}");
    assert_eq!(world.epochs()[0], world.epochs()[1]);
    assert_eq!(world.ledgers[0].record().map(|record| record.voters.len()), Some(2));
    assert!(longest < 600, "{longest} lines behind the state");
    world.same_record();
}

#[test]
fn a_run_whose_disk_failed_promises_nothing() {
    // R-LEDGER-3
    let mut world = World::together([1, 1]);
    let dc = world.dc();
    world.ledgers[1 - dc].stop();
    world.ledgers[dc].propose(configure(&[0, 1]));
    world.run();
    assert!(world.ledgers[dc].has_undecided(), "decided by one of two");
    assert_eq!(world.ledgers[1 - dc].dc(), None);
    world.restart(1 - dc);
    world.ledgers[dc].reconnected(&name(1 - dc));
    world.run();
    world.ledgers[dc].campaign();
    world.run();
    world.same_record();
    assert_eq!(world.ledgers[dc].record().map(|record| record.digest), Some(5));
}

#[test]
fn of_two_rivals_exactly_one_goes_on_whoever_asks() {
    // R-LEDGER-6: permit, then reach, then weight, then name.
    let offer = |node: usize, permit, reach, weight| RivalOffer {
        epoch: EpochName { number: 3, founder: name(node), nonce: node as u64 },
        node: name(node),
        permit,
        reach,
        weight,
        running: Vec::new(),
        age_ms: 0,
    };
    let permits = [None, Some(PermitKind::Unfenced), Some(PermitKind::Tiebreaker), Some(PermitKind::Resigned)];
    for left in permits {
        for right in permits {
            for reach in [(0, 0), (1, 2), (2, 1)] {
                for weight in [(0, 0), (1, 2), (2, 1)] {
                    let a = offer(0, left, reach.0, weight.0);
                    let b = offer(1, right, reach.1, weight.1);
                    assert_ne!(a.beats(&b), b.beats(&a), "{a:?} {b:?}");
                }
            }
        }
    }
    let strong = offer(1, Some(PermitKind::Resigned), 0, 0);
    assert!(strong.beats(&offer(0, Some(PermitKind::Unfenced), 9, 9)));
    assert!(offer(0, None, 1, 1).beats(&offer(1, None, 1, 1)));
}

#[test]
fn what_is_late_is_not_made_later_by_what_should_hasten_it() {
    // R-LEDGER-8: over a slow line a decision takes ticks; a no-op at each of them would fill the line.
    let mut world = World::together([1, 1]);
    let dc = world.dc();
    world.ledgers[dc].propose(configure(&[0, 1]));
    world.drain(dc);
    let said = world.wire.len();
    for _ in 0..16 {
        world.ledgers[dc].tick();
        world.drain(dc);
    }
    let hastened =
        world.wire.iter().skip(said).filter(|(_, _, message)| format!("{message:?}").contains("Noop")).count();
    assert_eq!(hastened, 4, "at the ticks 2, 4, 8 and 16");
    assert!(!world.ledgers[dc].is_stuck());
}

#[test]
fn the_first_leader_of_an_epoch_stays() {
    // The voters' own election begins with the ballot that a first campaign would have: at the end of its first round
    // the one with the higher pid deposed the leader, and over a slow line nothing was decided for seconds.
    let mut world = World::together([1, 1]);
    let dc = world.dc();
    for _ in 0..100 {
        world.ledgers.iter_mut().for_each(Ledger::tick);
        while world.step() {}
        assert_eq!(world.ledgers[dc].dc(), Some(name(dc)));
    }
    assert_eq!(world.ledgers[1 - dc].dc(), Some(name(dc)));
}

#[test]
fn the_log_does_not_grow_while_the_other_voter_is_away_for_days() {
    // R-LEDGER-8, R-PAIR-1: without a permit nothing is decided, and what hastens decisions must not pile up.
    let mut world = World::together([1, 1]);
    let dc = world.dc();
    world.ledgers[dc].propose(configure(&[0, 1]));
    for _ in 0..3000 {
        world.ledgers[dc].tick();
        world.drain(dc);
        world.wire.clear();
    }
    let disk = &world.disks[dc];
    let bytes = disk.0.as_ref().map_or(0, String::len) + disk.1.iter().map(String::len).sum::<usize>();
    assert!(bytes < 64 << 10, "{bytes} bytes");
    assert!(world.ledgers[dc].is_stuck());
    // It comes back: a new round decides it.
    world.restart(1 - dc);
    world.ledgers[dc].campaign();
    world.run();
    world.same_record();
    assert_eq!(world.ledgers[dc].record().map(|record| record.digest), Some(5));
    assert!(!world.ledgers[dc].is_stuck());
}

#[test]
fn every_daemon_spins_for_ever_at_an_end_that_names_a_machine_as_what_it_was_before() {
    // Found by the simulator: c is let in as one machine and comes back as another while its vote is under way.
    let mut world = World::together([1, 1]);
    let (dc, c) = (world.dc(), NodeName::new("c"));
    let admit = |identity: u64| Entry::Admit {
        node: c.clone(),
        identity: NodeIdentity(identity),
        incarnation: hearth_types::Incarnation(identity),
    };
    let nodes = vec![name(0), name(1), c.clone()];
    let configure = Entry::Configure { model: hearth_types::ResourceModel::default(), digest: 5, nodes };
    for entry in [configure, admit(998)] {
        world.ledgers[dc].propose(entry);
    }
    world.run();
    world.ledgers[dc].invite(&c, None);
    for entry in [Entry::Left { node: c.clone() }, admit(999)] {
        world.ledgers[dc].propose(entry);
    }
    let epoch = world.ledgers[dc].epoch().cloned().expect("an epoch");
    world.ledgers[dc].handle(&c, LedgerMessage::Stored { epoch });
    world.run();
    world.same_record();
    let record = world.ledgers[dc].record().expect("a record");
    let voter = record.voters.iter().find(|voter| voter.name == c);
    assert_eq!(voter.map(|voter| voter.identity), Some(NodeIdentity(999)), "it votes as what it was let in");
}
