//! A state file and the journal behind it, with some bytes of it changed: read, or refused with a reason. (On disk each line has
//! a sum besides: what comes here is what somebody wrote by hand, or another version.)
#![no_main]

use hearth_cib::Entry;
use hearth_ledger::{Ledger, LedgerOut, Params};
use hearth_types::{Admission, NodeIdentity, NodeName, PermitKind};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fn params() -> Params {
    Params {
        local: NodeName::new("us"),
        fresh_identity: NodeIdentity(7),
        nodes: vec![NodeName::new("us"), NodeName::new("peer")],
        digest: 1,
        retry: Duration::from_secs(1),
        seed: 1,
    }
}

/// A state file and the lines behind it, as a node writes them that went on alone.
fn written() -> (String, Vec<String>) {
    let mut ledger = Ledger::restore(params(), None, &[]).expect("a node without state");
    ledger.force(PermitKind::Unfenced, vec![Entry::Noop]);
    ledger.set_note("heard-other", "yes");
    ledger.propose(Entry::Lost { node: NodeName::new("peer"), admission: Admission(1) });
    let (mut state, mut lines) = (String::new(), Vec::new());
    for out in ledger.settle() {
        if let LedgerOut::Persist { state: whole, lines: more, .. } = out {
            state = whole.unwrap_or(state);
            lines.extend(more);
        }
    }
    (state, lines)
}

fuzz_target!(|bytes: &[u8]| {
    let (state, lines) = written();
    let mut text = std::iter::once(state).chain(lines).collect::<Vec<_>>().join("\n").into_bytes();
    for change in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % text.len();
        text[at] = change[2];
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut all = text.split('\n').map(str::to_owned);
    let state = all.next();
    let lines: Vec<String> = all.collect();
    if let Ok(mut ledger) = Ledger::restore(params(), state.as_deref(), &lines) {
        ledger.tick();
        ledger.settle();
    }
});
