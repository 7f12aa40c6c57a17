//! A node that takes part without a vote (R-LEDGER-2): what it takes, and what it never says.

use hearth_cib::{Entry, Record, Voter};
use hearth_ledger::founding::FoundMessage;
use hearth_ledger::{Ledger, LedgerMessage, LedgerOut, Params};
use hearth_types::{EpochName, Incarnation, Index, NodeIdentity, NodeName, ResourceModel};
use std::time::Duration;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn name(node: usize) -> NodeName {
    NodeName::new(NAMES[node])
}

fn identity(node: usize) -> NodeIdentity {
    NodeIdentity(100 + node as u64)
}

fn voters(nodes: &[usize]) -> Vec<Voter> {
    nodes.iter().map(|node| Voter { name: name(*node), identity: identity(*node) }).collect()
}

fn epoch(number: u64) -> EpochName {
    EpochName { number, founder: name(0), nonce: number }
}

/// a, b and c vote, and d was admitted: three entries into the epoch.
fn record() -> Record {
    let mut record = Record::found(epoch(1), voters(&[0, 1, 2]));
    let nodes = (0..4).map(name).collect();
    let configure = Entry::Configure { model: ResourceModel::default(), digest: 5, nodes };
    let admit = |node: usize| Entry::Admit {
        node: name(node),
        identity: identity(node),
        incarnation: Incarnation(node as u64),
    };
    for entry in [configure, admit(0), admit(3)] {
        let index = record.applied.next();
        record.apply(index, &entry).expect("applies");
    }
    record
}

/// d, which was handed that record.
fn member() -> Ledger {
    let params = Params {
        local: name(3),
        fresh_identity: identity(3),
        nodes: (0..3).map(name).collect(),
        digest: 1,
        retry: Duration::from_millis(500),
        seed: 7,
    };
    let mut ledger = Ledger::restore(params, None, &[]).expect("no state");
    ledger.handle(&name(0), LedgerMessage::Offer { record: Box::new(record()) });
    assert!(ledger.is_member() && ledger.takes_part() && !ledger.is_voting());
    ledger.drain();
    ledger
}

fn says(ledger: &mut Ledger) -> Vec<LedgerMessage> {
    let said = |item| if let LedgerOut::Say { message, .. } = item { Some(*message) } else { None };
    ledger.drain().into_iter().filter_map(said).collect()
}

#[test]
fn two_histories_in_one_epoch_by_the_record_that_a_node_without_a_vote_began_with() {
    // Found by the simulator: c was away when the epoch began, and took from d where its log begins.
    let mut ledger = member();
    ledger.offer(&name(2));
    let prepare = FoundMessage::Prepare { round: (1, name(2)), digest: 1 };
    ledger.handle(&name(2), LedgerMessage::Found(prepare));
    ledger.handle(&name(2), LedgerMessage::Ask { epoch: epoch(1), from: Index(1) });
    assert_eq!(says(&mut ledger).len(), 0, "who has no log tells nobody of it");
}

#[test]
fn what_was_decided_is_learned_in_order_and_once() {
    let mut ledger = member();
    let told = |from: u64, count: usize| LedgerMessage::Decided {
        epoch: epoch(1),
        from: Index(from),
        entries: vec![Entry::Noop; count],
    };
    ledger.handle(&name(1), told(5, 1));
    assert_eq!(ledger.decided(), Index(3), "a gap is waited for");
    ledger.handle(&name(1), told(2, 3));
    assert_eq!(ledger.decided(), Index(4));
    ledger.handle(&name(2), told(4, 1));
    assert_eq!(ledger.decided(), Index(4));
    ledger.ask(&name(1));
    let asked = says(&mut ledger);
    assert!(matches!(&asked[..], [LedgerMessage::Ask { from: Index(5), .. }]), "{asked:?}");
}

#[test]
fn who_is_invited_has_stored_what_it_takes_part_in_and_votes_when_that_is_decided() {
    let mut ledger = member();
    ledger.handle(&name(0), LedgerMessage::Store { record: Box::new(record()) });
    let said = says(&mut ledger);
    assert!(matches!(&said[..], [LedgerMessage::Stored { .. }]), "{said:?}");
    assert!(!ledger.is_voting(), "what is stored gives no right");
    let mut next = record();
    let entry = Entry::Epoch { name: epoch(2), voters: voters(&[0, 1, 3]), permit: None };
    next.apply(next.applied.next(), &entry).expect("applies");
    ledger.handle(&name(0), LedgerMessage::Offer { record: Box::new(next) });
    assert!(ledger.is_voting() && !ledger.is_member());
}

#[test]
fn a_node_that_the_next_epoch_leaves_out_goes_on_in_it_without_a_vote() {
    // R-LEDGER-4. But not in one of two, where nothing would end what it holds; and not under another identity.
    for (votes, known, takes_part) in [(vec![0, 1, 2], 3, true), (vec![0, 1], 3, false), (vec![0, 1, 2], 2, false)] {
        let mut ledger = member();
        let mut next = record();
        let entry = Entry::Epoch { name: epoch(2), voters: voters(&votes), permit: None };
        next.apply(next.applied.next(), &entry).expect("applies");
        if let Some(node) = next.nodes.get_mut(&name(3)) {
            node.identity = Some(identity(known));
        }
        ledger.handle(&name(0), LedgerMessage::Offer { record: Box::new(next) });
        assert_eq!(ledger.epoch() == Some(&epoch(2)), takes_part, "{votes:?} {known}");
    }
}
