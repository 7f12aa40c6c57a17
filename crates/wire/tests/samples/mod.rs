//! Messages and rings that several tests use.

use hearth_types::{Admission, EpochName, Incarnation, Index, MessageNumber, NodeIdentity, NodeName};
use hearth_wire::{Heartbeat, KeyRing, Message, Method, NodeStatus, PeerReport, Segment};
use std::sync::Arc;

/// A heartbeat as one of two nodes in full work sends it, every number at its longest.
pub fn heartbeat() -> Heartbeat {
    let epoch = |number| EpochName { number, founder: NodeName::new("node-alpha"), nonce: u64::MAX - number };
    Heartbeat {
        from: NodeName::new("node-alpha"),
        identity: NodeIdentity(u64::MAX),
        incarnation: Incarnation(u64::MAX),
        sequence: 1 << 30,
        number: MessageNumber(1 << 30),
        epoch: Some(epoch(7)),
        lineage: vec![epoch(6)],
        admission: Some(Admission(12)),
        applied: Index(100_000),
        decided: Index(100_000),
        status: NodeStatus::Active,
        deadtime_ms: 10_000,
        versions: (1, 1),
        digest: (u64::MAX, u64::MAX),
        stall_us: 1_500,
        gated: vec!["service_ip".to_string().into()],
        unservable: vec![],
        pings: (1, 2),
        peers: vec![PeerReport {
            node: NodeName::new("node-beta"),
            incarnation: Incarnation(u64::MAX),
            heard: MessageNumber(1 << 30),
            age_us: 2_000_000,
            links: 3,
            vouch: Some(MessageNumber(1 << 30)),
            alive: None,
            beyond: None,
        }],
        answer_now: false,
        has_carrier: true,
        dc: Some(NodeName::new("node-alpha")),
        voters: vec![NodeName::new("node-alpha"), NodeName::new("node-beta")],
        statement: None,
        wire: None,
        mark: None,
        watchdog: None,
        strangers: None,
        tiebreaker: None,
    }
}

/// The same from a daemon that speaks version 2, in a cluster that uses it, and counts what its disk has taken.
#[allow(dead_code, reason = "each test file takes what it needs")]
pub fn newer_heartbeat() -> Heartbeat {
    let mark = Some(hearth_wire::Mark { began: 9_000, reached: 10_000 });
    Heartbeat { versions: (1, 2), wire: Some(2), mark, ..heartbeat() }
}

/// A full fragment.
#[allow(dead_code, reason = "each test file takes what it needs")]
pub fn segment(length: usize) -> Message {
    Message::Segment(Arc::new(Segment {
        from: NodeName::new("node-alpha"),
        incarnation: Incarnation(u64::MAX),
        to: NodeName::new("node-beta"),
        to_incarnation: Incarnation(u64::MAX),
        number: u64::MAX,
        acknowledged: u64::MAX,
        last: true,
        bytes: vec![0xFF; length],
        session: u64::MAX,
        to_session: Some(u64::MAX),
        ask: true,
        mark: Some(u64::MAX),
    }))
}

/// Ring of `cluster` that lists all methods under 1 (sha256) to 4 (crc).
pub fn ring(cluster: &str, signing: u8) -> KeyRing {
    let text = b"correct horse".to_vec();
    let keys = [
        (1, Method::Sha256, text.clone()),
        (2, Method::Sha1, text.clone()),
        (3, Method::Md5, text.clone()),
        (4, Method::Crc, Vec::new()),
    ];
    KeyRing::new(cluster, signing, keys).expect("all keys are good")
}
