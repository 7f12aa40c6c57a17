//! Who may go on alone: every combination of what is configured and what is known, as a table.

#[path = "../../../tests/tables/table.rs"]
mod table;

use hearth_fencer::{Facts, Policy, Verdict, judge};
use hearth_types::{NodeName, PermitKind, Timestamp};
use std::time::Duration;
use table::{compare, decisions, flag, input};

const LEASE: Duration = Duration::from_secs(4);
/// How long a claim must have been complete.
const CLAIM: Duration = Duration::from_millis(4200);
const NOW: Timestamp = Timestamp(1_000_000_000_000);
const UNFENCED: Policy = Policy { fencing: false, tiebreaker_ping: false, tiebreaker_disk: false, unfenced: true };
/// Answer, of how many targets.
const PINGS: [(u16, u16); 6] = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3)];

/// In words, a kind that is added is added here.
fn permit(kind: PermitKind) -> &'static str {
    match kind {
        PermitKind::Unfenced => "goes on: unfenced",
        PermitKind::Tiebreaker => "goes on: tiebreaker",
        PermitKind::Watchdog => "goes on: watchdog",
        PermitKind::Resigned => "goes on: resigned",
        PermitKind::Fenced => "goes on: fenced",
    }
}

/// Complete by the compiler: a fact or a permit that is added is an input that is missing here.
fn facts(at: &[usize]) -> (Policy, Facts) {
    let &[permits, fenced, resigned, alive, isolated, silent, one_way, reached, steady, asked, answered, disk] = at
    else {
        unreachable!("twelve inputs")
    };
    let policy = Policy {
        fencing: permits == 4,
        tiebreaker_ping: matches!(permits, 2 | 3),
        tiebreaker_disk: permits == 5,
        unfenced: permits % 2 == 1,
    };
    let facts = Facts {
        now: NOW,
        peer: NodeName::new("b"),
        lost_at: if silent == 1 { NOW } else { NOW + Duration::from_nanos(1) },
        alive: alive == 1,
        one_way: one_way == 1,
        isolated: isolated == 1,
        resigned: resigned == 1,
        fenced: (fenced == 1).then(|| "its device says that it is off".to_owned()),
        pings: PINGS[reached],
        pings_for: if steady == 1 { LEASE } else { LEASE - Duration::from_nanos(1) },
        peer_asked: asked == 1,
        peer_answered_at: match answered {
            0 => None,
            1 => Some(NOW.before(LEASE)),
            _ => Some(NOW.before(LEASE - Duration::from_nanos(1))),
        },
        lease: LEASE,
        claimed: match disk {
            0 => Err("the disk favours nobody".to_owned()),
            1 => Ok(NOW.before(CLAIM - Duration::from_nanos(1))),
            _ => Ok(NOW.before(CLAIM)),
        },
        claim_wait: CLAIM,
        watchdog: disk == 3,
    };
    (policy, facts)
}

/// R-PAIR-1, R-MEM-7: and no combination but those of the table gets a permit.
#[test]
fn every_combination_of_permit_and_evidence() {
    let inputs = [
        input("configured", &["nothing", "unfenced", "ping", "ping and unfenced", "a fence device", "disk"]),
        flag("said to be off"),
        flag("peer resigned"),
        flag("alive"),
        flag("isolated"),
        flag("lost"),
        flag("one-way"),
        input("targets", &PINGS.map(|(reached, total)| format!("{reached}/{total}"))),
        flag("for a lease"),
        flag("peer asked"),
        input("peer answered", &["never", "a lease ago", "since"]),
        input("disk favours", &["nobody", "it, just now", "it", "it, and a watchdog"]),
    ];
    let text = decisions(&inputs, "may it go on alone", |at| {
        let (policy, facts) = facts(at);
        let verdict = judge(policy, &facts);
        if let Verdict::Granted { permit, .. } = &verdict {
            let configured = match permit {
                PermitKind::Unfenced => policy == UNFENCED,
                PermitKind::Tiebreaker => policy.tiebreaker_ping || policy.tiebreaker_disk,
                PermitKind::Watchdog => policy.tiebreaker_disk && facts.watchdog,
                PermitKind::Resigned => true,
                // Also a person's word, which needs no device.
                PermitKind::Fenced => facts.fenced.is_some(),
            };
            assert!(configured, "{permit} is not configured: {policy:?}, {facts:?}");
            assert!(*permit == PermitKind::Resigned || !(facts.alive || facts.isolated), "{facts:?}");
        }
        match verdict {
            Verdict::Granted { permit: kind, .. } => permit(kind).to_owned(),
            Verdict::Waiting { reason, until } => {
                format!("waits{}: {}", if until.is_some() { " for a moment" } else { "" }, of_any(&facts, &reason))
            }
            Verdict::MustFence => "waits: it must be fenced first".to_owned(),
            Verdict::Refused { reason } => format!("refused: {reason}"),
        }
    });
    let head = "Which of two machines may go on alone (protocol section 5): everything that `fencer::judge` reads.\n\
                configured: the permits of ha.cf, `tiebreaker`, `unfenced_takeover` and fence devices.\n\
                said to be off: by a fence device about an order given after the loss, or by a person.\n\
                lost: silent for deadtime. targets: ping targets that answer; for a lease: and have done so for so long.\n\
                peer answered: one of its own addresses, on a network over which a target is reached.\n\
                disk favours: whom the claim is given to; just now: for less than 1.05 leases; a watchdog: the other one has stated it.";
    compare("permits.txt", head, &text);
}

/// The sentence with the numbers taken out: how many targets answer stands in the row.
fn of_any(facts: &Facts, reason: &str) -> String {
    let (reached, total) = facts.pings;
    reason.replace(&format!("only {reached} of {total} ping targets answer"), "too few ping targets answer")
}
