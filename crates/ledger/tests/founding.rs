//! The first epoch (R-JOIN-1), every order of what can come: two machines of three that propose at once, one that forgets what
//! is not on its disk, links that fail. Whatever is decided is one epoch.

use hearth_ledger::founding::{Consent, FoundMessage, Founding, Proposal, Step};
use hearth_types::{EpochName, NodeIdentity, NodeName, Timestamp};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

const NAMES: [&str; 3] = ["a", "b", "c"];
const DIGEST: u64 = 1;

fn names() -> Vec<NodeName> {
    NAMES.map(NodeName::new).into()
}

fn node_of(name: &NodeName) -> usize {
    names().iter().position(|known| known == name).expect("one of the three")
}

fn founding(node: usize, consent: Consent) -> Founding {
    let (identity, retry) = (NodeIdentity(node as u64), Duration::from_millis(500));
    Founding::new(names()[node].clone(), identity, names(), DIGEST, consent, Vec::new(), retry)
}

/// Three machines, what is under way between each two of them in order, and what may still befall them.
#[derive(Clone)]
struct World {
    nodes: Vec<Founding>,
    wires: BTreeMap<(usize, usize), VecDeque<FoundMessage>>,
    founded: Vec<Option<Proposal>>,
    /// Times that each may still propose, and to be killed and started.
    proposals: [usize; 3],
    kills: [usize; 3],
    /// Who hears whom, by both.
    hears: [Vec<usize>; 3],
    story: Vec<String>,
}

impl World {
    fn new(proposals: [usize; 3], kills: [usize; 3], hears: [Vec<usize>; 3]) -> World {
        World {
            nodes: (0..3).map(|node| founding(node, Consent::default())).collect(),
            wires: BTreeMap::new(),
            founded: vec![None; 3],
            proposals,
            kills,
            hears,
            story: Vec::new(),
        }
    }

    /// Everything that decides what can still come.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let nodes = serde_json::to_string(&self.nodes).expect("a machine is plain values");
        let wires: Vec<_> = self.wires.iter().filter(|(_, wire)| !wire.is_empty()).collect();
        let wires = serde_json::to_string(&wires).expect("messages are plain values");
        (nodes, wires, self.proposals, self.kills).hash(&mut hasher);
        self.founded.iter().map(|it| it.as_ref().map(|it| it.epoch.nonce)).collect::<Vec<_>>().hash(&mut hasher);
        hasher.finish()
    }

    fn carry_out(&mut self, node: usize, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Persist => {}
                Step::Say(to, message) => {
                    let to = node_of(&to);
                    if self.hears[node].contains(&to) && self.hears[to].contains(&node) {
                        self.wires.entry((node, to)).or_default().push_back(message);
                    }
                }
                Step::Founded(proposal) => {
                    self.story.push(format!("{} founds {}", NAMES[node], NAMES[node_of(&proposal.epoch.founder)]));
                    self.founded[node] = Some(proposal);
                }
            }
        }
    }

    /// All that can happen next.
    fn next(&self) -> Vec<World> {
        let mut all = Vec::new();
        for ((from, to), _) in self.wires.iter().filter(|(_, wire)| !wire.is_empty()) {
            let mut next = self.clone();
            let message = next.wires.get_mut(&(*from, *to)).and_then(VecDeque::pop_front).expect("it is not empty");
            next.story.push(format!("{} gets of {} {message:?}", NAMES[*to], NAMES[*from]));
            // Who is in an epoch offers it, and consents no more.
            if next.founded[*to].is_none() {
                let mut steps = Vec::new();
                next.nodes[*to].handle(&names()[*from], message, *to as u64 + 100, &mut steps);
                next.carry_out(*to, steps);
            }
            all.push(next);
        }
        for (node, name) in NAMES.into_iter().enumerate() {
            if self.proposals[node] > 0 && self.founded[node].is_none() {
                let mut next = self.clone();
                next.proposals[node] -= 1;
                next.story.push(format!("{name} proposes"));
                let heard: Vec<NodeName> = next.hears[node].iter().map(|heard| names()[*heard].clone()).collect();
                let (mut steps, tries) = (Vec::new(), next.proposals[node] as u64);
                let now = Timestamp(1_000_000_000_000 * (10 - tries));
                // The first look begins the wait for its turn, the second one is its turn.
                next.nodes[node].poll(now, &heard, true, node as u64, &mut steps);
                next.nodes[node].poll(now + Duration::from_secs(10), &heard, true, node as u64, &mut steps);
                next.carry_out(node, steps);
                all.push(next);
            }
            if self.kills[node] > 0 && self.founded[node].is_none() {
                let mut next = self.clone();
                next.kills[node] -= 1;
                next.story.push(format!("{name} is killed and started"));
                next.nodes[node] = founding(node, next.nodes[node].consent.clone());
                next.wires.retain(|(from, to), _| *from != node && *to != node);
                all.push(next);
            }
        }
        all
    }

    fn epochs(&self) -> Vec<&EpochName> {
        let mut epochs: Vec<_> = self.founded.iter().flatten().map(|proposal| &proposal.epoch).collect();
        epochs.dedup();
        epochs
    }
}

/// Every world that can come of this one, judged; how many, and in how many of them an epoch began.
fn explore(first: World) -> (usize, usize) {
    let (mut seen, mut open, mut founded) = (HashSet::from([first.digest()]), vec![first], 0);
    while let Some(world) = open.pop() {
        assert!(world.epochs().len() <= 1, "two first epochs:\n  {}", world.story.join("\n  "));
        founded += usize::from(!world.epochs().is_empty());
        open.extend(world.next().into_iter().filter(|next| seen.insert(next.digest())));
    }
    (seen.len(), founded)
}

fn all_hear() -> [Vec<usize>; 3] {
    [vec![1, 2], vec![0, 2], vec![0, 1]]
}

/// Harm: a machine counts its own consent to a proposal after it promised a higher round to another one, so both find a
/// majority: two clusters, two owners of everything. R-JOIN-1
#[test]
fn two_first_epochs_because_a_promise_does_not_bind_who_gave_it() {
    let (worlds, founded) = explore(World::new([1, 1, 0], [0; 3], [vec![1, 2], vec![0], vec![0]]));
    assert!(founded > 0, "of {worlds} worlds none founds an epoch");
}

/// R-JOIN-1
#[test]
fn whoever_proposes_at_once_among_three_founds_the_same_epoch() {
    for (proposals, kills) in [
        ([1, 1, 0], [0, 0, 0]),
        ([1, 0, 1], [1, 0, 0]),
        ([0, 1, 1], [0, 0, 1]),
        ([1, 1, 0], [1, 1, 1]),
        ([2, 1, 0], [0, 0, 0]),
    ] {
        let (worlds, founded) = explore(World::new(proposals, kills, all_hear()));
        println!("{proposals:?} {kills:?}: {worlds} worlds, an epoch in {founded}");
        assert!(founded > 0);
    }
}

/// What stands between machines that not everybody hears is decided once all the same. R-JOIN-1
#[test]
fn where_two_of_three_do_not_hear_each_other_one_epoch_is_founded() {
    for (proposals, kills) in
        [([1, 1, 1], [0, 0, 0]), ([0, 2, 1], [0, 0, 0]), ([0, 1, 1], [1, 0, 0]), ([0, 2, 2], [1, 1, 1])]
    {
        let (worlds, founded) = explore(World::new(proposals, kills, [vec![1, 2], vec![0], vec![0]]));
        println!("{proposals:?} {kills:?}: {worlds} worlds, an epoch in {founded}");
        assert!(founded > 0);
    }
}
