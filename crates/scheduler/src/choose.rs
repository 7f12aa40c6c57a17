//! Which node each group gets, and the entries that bring it there.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hearth_cib::{Entry, MemberState, Record, RequestedPlacement};
use hearth_types::{Admission, AutoFailback, GroupSpec, NodeName, OpAction, ResourceId};

use crate::verdict::{Obstacle, obstacle};
use crate::{Alive, Cause, Placement, Plan, Planned};

/// One node in the order in which a group would take it.
struct Candidate {
    node: NodeName,
    /// Place in the group's own list; all others come after it, equal among themselves.
    rank: usize,
    /// Ping targets reached.
    pings: u16,
    obstacle: Option<Obstacle>,
}

/// A node and why it.
struct Choice {
    node: NodeName,
    cause: Cause,
    reason: String,
}

pub(crate) struct Planner<'a> {
    view: &'a Alive,
    /// The record with all actions so far applied: what one group takes is taken for the next.
    record: Record,
    plan: Plan,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(record: &Record, view: &'a Alive) -> Planner<'a> {
        Planner { view, record: record.clone(), plan: Plan::default() }
    }

    pub(crate) fn run(mut self) -> Plan {
        self.confirm_clean();
        for group in self.record.model.groups.clone() {
            let placement = self.place(&group);
            self.plan.placements.push(placement);
        }
        self.plan
    }

    /// Proposes an entry; if the record would refuse it, says why and proposes nothing.
    fn act(&mut self, entry: Entry, cause: Cause, reason: &str) -> Result<(), String> {
        let index = self.record.applied.next();
        self.record.apply(index, &entry).map_err(|rejection| rejection.to_string())?;
        self.plan.actions.push(Planned { entry, reason: reason.to_string(), cause });
        Ok(())
    }

    /// A healed split is over when its loser has reported and nothing of it may be active there (R-LEDGER-6).
    fn confirm_clean(&mut self) {
        let waiting = self.record.nodes.iter().filter(|(_, node)| node.unclean.is_some() && node.probed);
        for node in waiting.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            // Refused while a flag is left: then it is too early.
            let reason = format!("{node} has confirmed that nothing of the split runs there");
            let _ = self.act(Entry::Confirmed { node }, Cause::Confirmed, &reason);
        }
    }

    fn place(&mut self, group: &GroupSpec) -> Placement {
        let candidates = self.candidates(group);
        let current = self.record.assignments.get(&group.id).map(|assignment| assignment.node.clone());
        let (reason, blocked) = match &current {
            None => self.place_new(group, &candidates),
            Some(node) => self.keep_or_move(group, &candidates, node),
        };
        let node = self.record.assignments.get(&group.id).map(|assignment| assignment.node.clone());
        let alternatives = candidates
            .iter()
            .filter(|candidate| Some(&candidate.node) != node.as_ref())
            .map(|candidate| (candidate.node.clone(), self.against(group, candidate, &candidates)))
            .collect();
        Placement { group: group.id.clone(), node, reason, alternatives, blocked }
    }

    fn candidates(&self, group: &GroupSpec) -> Vec<Candidate> {
        let mut names: Vec<&NodeName> = Vec::new();
        for name in group.preferred.iter().chain(&self.record.node_order) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let rank = |name: &NodeName| group.preferred.iter().position(|node| node == name);
        let candidate = |name: &NodeName| Candidate {
            node: name.clone(),
            rank: rank(name).unwrap_or(group.preferred.len()),
            pings: self.record.nodes.get(name).map_or(0, |node| node.pings.0),
            obstacle: obstacle(&self.record, self.view, group, name),
        };
        let mut all: Vec<Candidate> = names.into_iter().map(candidate).collect();
        // Rather a node that flaps than none.
        if !self.view.left_out.is_empty() && all.iter().all(|candidate| candidate.obstacle.is_some()) {
            let view = Alive { left_out: BTreeMap::new(), ..self.view.clone() };
            for candidate in &mut all {
                candidate.obstacle = obstacle(&self.record, &view, group, &candidate.node);
            }
        }
        all
    }

    /// Nowhere yet, or no longer.
    fn place_new(&mut self, group: &GroupSpec, candidates: &[Candidate]) -> (String, Option<String>) {
        let Some(choice) = self.best(group, candidates, None) else {
            return (nobody(candidates), Some(nobody(candidates)));
        };
        if let Some(node) = self.unheard(group) {
            let why = format!("{node} has not reported yet what runs there");
            return (format!("waits: {why}"), Some(why));
        }
        let reason = choice.reason.clone();
        match self.assign(group, choice) {
            Ok(()) => (reason, None),
            Err(why) => (format!("waits: {why}"), Some(why)),
        }
    }

    /// R-TAKE-4: before a group is placed for the first time everybody who is there says what runs. Later the flags know,
    /// except of a node that has never said anything: what was found of the group elsewhere says nothing of what runs there.
    fn unheard(&self, group: &GroupSpec) -> Option<NodeName> {
        let members = |id: &ResourceId| group.resources.iter().any(|member| &member.id == id);
        let mut known = self.record.states.keys().chain(self.record.may_be_active.keys()).map(|(id, _)| id);
        let is_known = known.any(members);
        let silent_or_leaving = |name: &NodeName| !self.view.alive.contains(name) || self.view.leaving.contains(name);
        let unheard = self.record.nodes.iter().find(|(name, node)| {
            let is_new = node.admission == Admission::default().next();
            let owes = node.member == MemberState::Admitted && !node.probed && (is_new || !is_known);
            owes && !silent_or_leaving(name)
        });
        unheard.map(|(name, _)| name.clone())
    }

    fn assign(&mut self, group: &GroupSpec, choice: Choice) -> Result<(), String> {
        let entry = Entry::Assign { group: group.id.clone(), node: choice.node, reason: choice.reason.clone() };
        self.act(entry, choice.cause, &choice.reason)
    }

    fn keep_or_move(
        &mut self,
        group: &GroupSpec,
        candidates: &[Candidate],
        current: &NodeName,
    ) -> (String, Option<String>) {
        let here = candidates.iter().find(|candidate| &candidate.node == current);
        let obstacle = here.and_then(|here| here.obstacle.clone());
        let target = match &obstacle {
            // It stays where it is until that is decided: silence is no proof of anything, probes are under way.
            Some(Obstacle { leave: None, text, .. }) => {
                return (self.reason_of(group), Some(format!("{current} {text}")));
            }
            Some(Obstacle { leave: Some(cause), text, at_once }) => match self.best(group, candidates, None) {
                Some(choice) => Some(Choice { cause: *cause, reason: format!("{current} {text}"), ..choice }),
                None if *at_once => {
                    let reason = format!("{current} {text}, and no other node can run it");
                    let entry = Entry::Unassign { group: group.id.clone(), reason: reason.clone() };
                    let refused = self.act(entry, *cause, &reason).err();
                    return (reason.clone(), Some(refused.unwrap_or(reason)));
                }
                None => None,
            },
            None => self.best(group, candidates, Some(current)),
        };
        match target.filter(|choice| &choice.node != current) {
            Some(choice) => self.move_away(group, current, choice),
            None => {
                let trouble = obstacle.map(|obstacle| format!("{current} {}, and {}", obstacle.text, nobody_else()));
                let missing = self.cover_members(group, current);
                let refused = self.unmet_request(group, current);
                (self.reason_of(group), trouble.or(missing).or(refused))
            }
        }
    }

    /// R-TAKE-5: stop now; start as soon as the stop is confirmed.
    fn move_away(&mut self, group: &GroupSpec, current: &NodeName, choice: Choice) -> (String, Option<String>) {
        // What a third node may hold would leave the group stopped for as long as that lasts.
        if let Some((resource, holder)) = self.held_elsewhere(group, current, &choice.node) {
            let why = format!("{resource} may be active on {holder}, so it cannot move to {}", choice.node);
            return (self.reason_of(group), Some(why));
        }
        let entry = Entry::Unassign { group: group.id.clone(), reason: choice.reason.clone() };
        if let Err(why) = self.act(entry, choice.cause, &choice.reason) {
            return (self.reason_of(group), Some(why));
        }
        let reason = format!("moves to {}: {}", choice.node, choice.reason);
        if let Some(member) = group.resources.iter().find(|member| self.record.flag(&member.id, current).is_some()) {
            return (reason, Some(format!("{} is being stopped on {current}", member.id)));
        }
        let refused = self.assign(group, choice).err();
        (reason, refused)
    }

    fn held_elsewhere(&self, group: &GroupSpec, current: &NodeName, target: &NodeName) -> Option<(String, NodeName)> {
        let exclusive = group.resources.iter().filter(|member| !member.owns.is_empty());
        exclusive
            .flat_map(|member| self.record.active_nodes(&member.id).map(move |holder| (member, holder)))
            .find(|(_, holder)| *holder != current && *holder != target)
            .map(|(member, holder)| (member.id.to_string(), holder.clone()))
    }

    /// Members that came in since, or whose stop was reported while they should run, need a new assignment.
    fn cover_members(&mut self, group: &GroupSpec, node: &NodeName) -> Option<String> {
        let missing = group.resources.iter().find(|member| {
            self.record.flag(&member.id, node).is_none()
                && self.record.failure_count(&member.id, node, OpAction::Start) == 0
        })?;
        let reason = format!("{} is to run there too", missing.id);
        // Why the group is there has not changed.
        let entry = Entry::Assign { group: group.id.clone(), node: node.clone(), reason: self.reason_of(group) };
        self.act(entry, Cause::Member, &reason).err()
    }

    /// Somebody asked for another node than the one that it stays on.
    fn unmet_request(&self, group: &GroupSpec, current: &NodeName) -> Option<String> {
        let placement = self.record.placements.get(&group.id)?;
        match &placement.to {
            Some(to) if to != current => Some(format!("{}: {to} cannot run it now", placement.by)),
            None if placement.away_from.as_ref() == Some(current) => {
                Some(format!("{}: no other node can run it now", placement.by))
            }
            _ => None,
        }
    }

    fn reason_of(&self, group: &GroupSpec) -> String {
        self.record.assignments.get(&group.id).map_or(String::new(), |assignment| assignment.reason.clone())
    }

    /// The node that the group should be on; with `current`, only if something speaks for leaving that.
    fn best(&self, group: &GroupSpec, candidates: &[Candidate], current: Option<&NodeName>) -> Option<Choice> {
        let usable: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.obstacle.is_none()).collect();
        let reach = usable.iter().map(|candidate| candidate.pings).max()?;
        // R-MEM-9: who reaches fewer targets than another that could run it is no choice.
        let reaching: Vec<&Candidate> = usable.into_iter().filter(|candidate| candidate.pings == reach).collect();
        let here = current.and_then(|current| reaching.iter().find(|candidate| &candidate.node == current));
        if let Some(placement) = self.record.placements.get(&group.id) {
            if let Some(node) = requested(placement, &reaching, here.map(|here| &here.node)) {
                return Some(Choice { node, cause: Cause::Requested, reason: placement.by.clone() });
            }
        } else if self.record.model.auto_failback == AutoFailback::On {
            let home = reaching.iter().find(|home| here.is_some_and(|here| home.rank < here.rank));
            if let Some(home) = home {
                let reason = format!("prefers {}, and auto_failback is on", home.node);
                return Some(Choice { node: home.node.clone(), cause: Cause::Failback, reason });
            }
        }
        if let Some(here) = here {
            return Some(Choice { node: here.node.clone(), cause: Cause::Placed, reason: "runs there".into() });
        }
        let first = reaching.first()?;
        let (cause, reason) = match current {
            Some(current) => {
                let pings = candidates.iter().find(|candidate| &candidate.node == current).map_or(0, |here| here.pings);
                (Cause::Pings, format!("{current} reaches {pings} ping targets, {} reaches {reach}", first.node))
            }
            None => (Cause::Placed, first_reason(first, candidates)),
        };
        Some(Choice { node: first.node.clone(), cause, reason })
    }

    /// What speaks against a node that does not have the group.
    fn against(&self, group: &GroupSpec, candidate: &Candidate, all: &[Candidate]) -> String {
        if let Some(obstacle) = &candidate.obstacle {
            return obstacle.text.clone();
        }
        let reach = all.iter().filter(|other| other.obstacle.is_none()).map(|other| other.pings).max().unwrap_or(0);
        if candidate.pings < reach {
            return format!("reaches {} ping targets, another reaches {reach}", candidate.pings);
        }
        if let Err(rejection) = self.record.check_exclusive(group, &candidate.node)
            && !self.record.assignments.contains_key(&group.id)
        {
            return format!("waits: {rejection}");
        }
        if let Some(placement) = self.record.placements.get(&group.id) {
            return format!("could run it; {} wins", placement.by);
        }
        match self.record.assignments.get(&group.id) {
            Some(assignment) => {
                let rank = |node: &NodeName| all.iter().find(|other| &other.node == node).map_or(0, |other| other.rank);
                if rank(&candidate.node) < rank(&assignment.node) {
                    "could run it and is preferred; auto_failback is off".into()
                } else {
                    "could run it; is not preferred".into()
                }
            }
            None => "could run it".into(),
        }
    }
}

/// What somebody asked for, if it can be had.
fn requested(placement: &RequestedPlacement, usable: &[&Candidate], here: Option<&NodeName>) -> Option<NodeName> {
    let here = here.filter(|here| placement.allows(here)).cloned();
    here.or_else(|| usable.iter().map(|candidate| &candidate.node).find(|node| placement.allows(node)).cloned())
}

fn first_reason(first: &Candidate, candidates: &[Candidate]) -> String {
    let better = candidates.iter().take_while(|candidate| candidate.node != first.node);
    let better: Vec<String> = better
        .map(|candidate| match &candidate.obstacle {
            Some(obstacle) => format!("{} {}", candidate.node, obstacle.text),
            None => format!("{} reaches fewer ping targets", candidate.node),
        })
        .collect();
    if !better.is_empty() {
        return better.join("; ");
    }
    // After a takeover the loss is the news, also where the survivor is the preferred one.
    let gone = candidates.iter().find_map(|candidate| {
        let text = &candidate.obstacle.as_ref()?.text;
        text.starts_with("is lost").then(|| format!("{} {text}", candidate.node))
    });
    match gone {
        Some(gone) => format!("it is preferred, and {gone}"),
        None => "it is preferred".into(),
    }
}

fn nobody(candidates: &[Candidate]) -> String {
    let verdicts = candidates
        .iter()
        .filter_map(|candidate| candidate.obstacle.as_ref().map(|why| format!("{} {}", candidate.node, why.text)));
    let verdicts: Vec<String> = verdicts.collect();
    format!("no node can run it: {}", verdicts.join("; "))
}

fn nobody_else() -> &'static str {
    "no other node can run it"
}
