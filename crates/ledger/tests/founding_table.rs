//! The first epoch as a table: what a machine has promised, consented to and asked for, and what comes of everything that it hears.

#[path = "../../../tests/tables/table.rs"]
mod table;

use hearth_cib::Voter;
use hearth_ledger::founding::{Consent, FoundMessage, Founding, Proposal, Round, Step};
use hearth_types::{EpochName, NodeIdentity, NodeName, Timestamp};
use std::time::Duration;
use table::{Cells, compare};

const DIGEST: u64 = 1;
const RETRY: Duration = Duration::from_millis(500);

fn names() -> Vec<NodeName> {
    ["a", "b", "c"].map(NodeName::new).into()
}

fn name(text: &str) -> NodeName {
    NodeName::new(text)
}

/// A round of one of them.
fn round(count: u64, of: &str) -> Round {
    (count, name(of))
}

/// A proposal, told by its founder.
fn proposal(of: &str, digest: u64) -> Proposal {
    let epoch = EpochName { number: 1, founder: name(of), nonce: 5 };
    let voters = names().into_iter().map(|name| Voter { name, identity: NodeIdentity(1) }).collect();
    Proposal { epoch, voters, digest }
}

fn given_up() -> Proposal {
    let epoch = EpochName { number: 1, founder: name("c"), nonce: 99 };
    Proposal { epoch, ..proposal("c", DIGEST) }
}

fn founding(consent: Consent) -> Founding {
    Founding::new(name("b"), NodeIdentity(2), names(), DIGEST, consent, vec![given_up().epoch], RETRY)
}

fn at(ms: u64) -> Timestamp {
    Timestamp(ms * 1_000_000)
}

/// What b has durably promised and accepted. Its own first round is (6, b).
#[derive(Clone, Copy, Debug)]
enum Said {
    Nothing,
    Promised,
    Accepted,
    AcceptedOfGivenUp,
}

/// What b asks for itself.
#[derive(Clone, Copy, Debug)]
enum Asks {
    Nothing,
    ForPromises,
    ForConsents,
    ForPromisesAndPromisedHigher,
}

const SAID: [(Said, &str); 4] = [
    (Said::Nothing, "promised nothing"),
    (Said::Promised, "promised (5, a)"),
    (Said::Accepted, "consented to a's epoch in (5, a)"),
    (Said::AcceptedOfGivenUp, "consented in (5, a) to what it gave up since"),
];

const ASKS: [(Asks, &str); 4] = [
    (Asks::Nothing, "asks for nothing"),
    (Asks::ForPromises, "asks for promises"),
    (Asks::ForConsents, "asks for consents"),
    (Asks::ForPromisesAndPromisedHigher, "asks for promises, promised (9, c) since"),
];

/// The shortest way there, and the count of b's own round.
fn reach(said: Said, asks: Asks) -> (Founding, u64) {
    let consent = match said {
        Said::Nothing => Consent::default(),
        Said::Promised => Consent { promised: Some(round(5, "a")), accepted: None },
        Said::Accepted => {
            Consent { promised: Some(round(5, "a")), accepted: Some((round(5, "a"), proposal("a", DIGEST))) }
        }
        Said::AcceptedOfGivenUp => {
            Consent { promised: Some(round(5, "a")), accepted: Some((round(5, "a"), given_up())) }
        }
    };
    let mut machine = founding(consent);
    let own = machine.consent.promised.as_ref().map_or(0, |(count, _)| *count) + 1;
    if matches!(asks, Asks::Nothing) {
        return (machine, own);
    }
    let heard = [name("c")];
    machine.poll(at(1000), &heard, true, 7, &mut Vec::new());
    let promise = FoundMessage::Promise { round: round(own, "b"), identity: NodeIdentity(3), accepted: None };
    match asks {
        Asks::Nothing | Asks::ForPromises => {}
        Asks::ForConsents => machine.handle(&name("c"), promise, 7, &mut Vec::new()),
        Asks::ForPromisesAndPromisedHigher => {
            let prepare = FoundMessage::Prepare { round: round(9, "c"), digest: DIGEST };
            machine.handle(&name("c"), prepare, 7, &mut Vec::new());
        }
    }
    (machine, own)
}

fn epoch_of(proposal: &Proposal) -> String {
    match proposal.epoch.nonce {
        99 => "what was given up".into(),
        7 => "its own epoch".into(),
        _ => format!("{}'s epoch", proposal.epoch.founder),
    }
}

fn told(round: &Round) -> String {
    format!("({}, {})", round.0, round.1)
}

/// Complete by the compiler.
fn message(message: &FoundMessage) -> String {
    match message {
        FoundMessage::Prepare { round, .. } => format!("prepare {}", told(round)),
        FoundMessage::Promise { round, accepted: None, .. } => format!("promise {}", told(round)),
        FoundMessage::Promise { round, accepted: Some((of, proposal)), .. } => {
            format!("promise {}, having consented to {} in {}", told(round), epoch_of(proposal), told(of))
        }
        FoundMessage::Accept { round, proposal } => format!("accept {} in {}", epoch_of(proposal), told(round)),
        FoundMessage::Accepted { round } => format!("accepted {}", told(round)),
    }
}

fn step(step: &Step) -> String {
    match step {
        Step::Persist => "persist".into(),
        Step::Say(to, said) => format!("to {to}: {}", message(said)),
        Step::Founded(proposal) => format!("FOUNDS {}", epoch_of(proposal)),
    }
}

/// Whether an answer to the round that it asks for still counts, or it asks no more.
fn asks(machine: &Founding, own: u64) -> bool {
    let round = round(own, "b");
    let promise = FoundMessage::Promise { round: round.clone(), identity: NodeIdentity(3), accepted: None };
    [promise, FoundMessage::Accepted { round }].into_iter().any(|answer| {
        let (mut machine, mut steps) = (machine.clone(), Vec::new());
        machine.handle(&name("c"), answer, 7, &mut steps);
        !steps.is_empty()
    })
}

/// What changed of what is durable, whether it asks no more, and what is said.
fn outcome((before, own): (&Founding, u64), after: &Founding, steps: &[Step]) -> String {
    let mut parts = Vec::new();
    if steps.is_empty() && asks(before, own) && !asks(after, own) {
        parts.push("asks no more".into());
    }
    if before.consent.promised != after.consent.promised {
        parts.push(format!("promised {}", after.consent.promised.as_ref().map_or("nothing".into(), told)));
    }
    if before.consent.accepted != after.consent.accepted {
        let consent = after.consent.accepted.as_ref();
        parts.push(format!("consents to {}", consent.map_or("nothing".into(), |(_, proposal)| epoch_of(proposal))));
    }
    if !steps.is_empty() {
        parts.push(format!("[{}]", steps.iter().map(step).collect::<Vec<_>>().join("; ")));
    }
    if parts.is_empty() { "-".into() } else { parts.join(", ") }
}

type Happens = fn(&mut Founding, &mut Vec<Step>);

const ACTS: [(&str, Happens); 9] = [
    ("(its turn, nobody is heard)", |machine, out| machine.poll(at(60_000), &[], true, 7, out)),
    ("(its turn, all are heard, first look)", |machine, out| {
        machine.poll(at(60_000), &[name("a"), name("c")], false, 7, out);
    }),
    ("(its turn, all are heard, later)", |machine, out| {
        machine.poll(at(60_000), &[name("a"), name("c")], false, 7, &mut Vec::new());
        machine.poll(at(70_000), &[name("a"), name("c")], false, 7, out);
    }),
    ("(its turn, one of two is heard, initdead runs)", |machine, out| {
        machine.poll(at(60_000), &[name("c")], false, 7, out);
    }),
    ("(its turn, one of two is heard, initdead is over)", |machine, out| {
        machine.poll(at(60_000), &[name("c")], true, 7, out);
    }),
    ("(the epoch is given up)", |machine, _| machine.forget()),
    ("(another list is read)", |machine, _| machine.reconfigure(vec![name("b"), name("c")], 3)),
    ("(it is another machine from now on)", |machine, _| machine.take_identity(NodeIdentity(22))),
    ("(killed and started)", |machine, _| *machine = founding(machine.consent.clone())),
];

/// What the other two say, those of c where nothing else is said. `own` is the count of b's round.
fn heard(own: u64) -> Vec<(String, &'static str, FoundMessage)> {
    let accept = |round, proposal| FoundMessage::Accept { round, proposal };
    let promise = |round, accepted| FoundMessage::Promise { round, identity: NodeIdentity(3), accepted };
    let mut all = Vec::new();
    for count in [4, 12] {
        let round = round(count, "c");
        let prepare = |digest| FoundMessage::Prepare { round: round.clone(), digest };
        all.push((format!("prepare ({count}, c)"), "c", prepare(DIGEST)));
        all.push((format!("prepare ({count}, c), another list"), "c", prepare(2)));
        all.push((format!("prepare ({count}, c) by a"), "a", prepare(DIGEST)));
        all.push((format!("accept c's epoch in ({count}, c)"), "c", accept(round.clone(), proposal("c", DIGEST))));
        all.push((format!("accept ({count}, c), another list"), "c", accept(round.clone(), proposal("c", 2))));
        all.push((format!("accept ({count}, c) by a"), "a", accept(round.clone(), proposal("c", DIGEST))));
        all.push((format!("accept ({count}, c), what was given up"), "c", accept(round.clone(), given_up())));
    }
    let earlier = round(3, "a");
    all.push(("promise of its round".into(), "c", promise(round(own, "b"), None)));
    all.push((
        "promise of its round, a's epoch accepted".into(),
        "c",
        promise(round(own, "b"), Some((earlier.clone(), proposal("a", DIGEST)))),
    ));
    all.push((
        "promise of its round, what was given up accepted".into(),
        "c",
        promise(round(own, "b"), Some((earlier, given_up()))),
    ));
    all.push(("promise of another round".into(), "c", promise(round(own + 7, "b"), None)));
    all.push(("accepted its round".into(), "c", FoundMessage::Accepted { round: round(own, "b") }));
    all.push(("accepted another round".into(), "c", FoundMessage::Accepted { round: round(own + 7, "b") }));
    all
}

/// R-JOIN-1
#[test]
fn every_promise_and_consent_and_everything_that_is_heard() {
    let mut cells = Cells::default();
    for (said, said_text) in SAID {
        for (asks, asks_text) in ASKS {
            let state = format!("{said_text}; {asks_text}");
            for (act, happens) in ACTS {
                let (mut machine, own) = reach(said, asks);
                let (before, mut steps) = (machine.clone(), Vec::new());
                happens(&mut machine, &mut steps);
                cells.note(&state, act, outcome((&before, own), &machine, &steps));
            }
            let (before, own) = reach(said, asks);
            for (event, from, message) in heard(own) {
                let (mut machine, mut steps) = (before.clone(), Vec::new());
                machine.handle(&name(from), message, 7, &mut steps);
                let durable = steps.first() == Some(&Step::Persist);
                assert!(durable || before.consent == machine.consent, "{state}, {event}: said before it is durable");
                cells.note(&state, &event, outcome((&before, own), &machine, &steps));
            }
        }
    }
    let head = "b of three machines a, b, c founds the first epoch (crates/ledger/src/founding.rs): its promise and consent, what it\n\
                asks for; what comes of everything that it hears, and of every (act). [What is written and said, in order.]";
    compare("founding.txt", head, &cells.print("-"));
}
