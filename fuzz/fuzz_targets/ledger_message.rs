//! What a ledger says to another one: decoded or refused, and taken without harm by a ledger that expects nothing of it.
#![no_main]

use hearth_ledger::{Ledger, LedgerMessage, Params};
use hearth_types::{NodeIdentity, NodeName};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = minicbor_serde::from_slice::<LedgerMessage>(bytes) else { return };
    assert!(minicbor_serde::to_vec(&message).is_ok());
    let (us, peer) = (NodeName::new("us"), NodeName::new("peer"));
    let params = Params {
        local: us.clone(),
        fresh_identity: NodeIdentity(7),
        nodes: vec![us, peer.clone()],
        digest: 1,
        retry: Duration::from_secs(1),
        seed: 1,
    };
    let mut ledger = Ledger::restore(params, None, &[]).expect("a node without state");
    ledger.handle(&peer, message);
    ledger.drain();
});
