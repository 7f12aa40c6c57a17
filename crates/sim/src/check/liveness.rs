//! Section 8, 8: after faults cease, everything that can run runs exactly once, and every order was answered.

use crate::site::Site;
use hearth_controller::Controller;
use hearth_types::NodeName;
use hearth_wire::NEWEST_VERSION;

/// What is not as it must be when nothing fails any more; the machines that are on are the core that must do it.
pub fn unwell(site: &Site) -> Option<String> {
    if let Some(node) = site.nodes().find(|node| site.machines[*node].switching > 0) {
        return Some(format!("{} is still to be switched off, or to boot", site.name(node)));
    }
    let all = site.all();
    let core: Vec<usize> = all.iter().copied().filter(|node| site.machines[*node].powered).collect();
    let whole = core.len() == all.len();
    let mut epochs = Vec::new();
    for node in &core {
        let name = site.name(*node);
        let Some(stated) = &site.machines[*node].stated else { return Some(format!("{name} is silent")) };
        // A pair is one of two again; a larger cluster may have shrunk its voters, or left a place to who is away.
        let voters = match (all.len(), whole) {
            (2, true) => stated.voters == 2,
            (2, false) => stated.voters == 1,
            // Below three no cluster of more shrinks, and one that has grown has come to that many.
            (3.., true) if stated.voters < 3 => false,
            (_, _) => stated.voters <= 2 * core.len(),
        };
        if let Some(missed) = outvoted(site, *node, &core).or_else(|| other_list(site, *node, &all)) {
            return Some(missed);
        }
        if stated.epoch.is_none() || !voters || !stated.admitted {
            let (epoch, count, admitted) = (&stated.epoch, stated.voters, stated.admitted);
            return Some(format!("{name} is in epoch {epoch:?} of {count} voters, admitted: {admitted}"));
        }
        epochs.push((name, &stated.epoch));
    }
    if let Some((name, epoch)) = epochs.iter().find(|(_, epoch)| *epoch != epochs[0].1) {
        return Some(format!("{} is in {:?}, {name} in {epoch:?}", epochs[0].0, epochs[0].1));
    }
    if site.excuse.addresses || site.excuse.scripts || site.excuse.believes_lies() {
        return Some("what ran twice still does, or may".to_owned());
    }
    resources(site, &core, whole)
        .or_else(|| said(site, &core, whole))
        .or_else(|| orders(site))
        .or_else(|| wire(site, &core, whole))
}

/// Decision 0058: what the files name in the end is what each daemon has read, what is agreed, and who votes.
fn other_list(site: &Site, node: usize, all: &[usize]) -> Option<String> {
    site.list.as_ref()?;
    let machine = &site.machines[node];
    let record = machine.controller.as_ref()?.record()?;
    let names: Vec<&NodeName> = all.iter().map(|node| &site.layout.names[*node]).collect();
    let text = |list: &[NodeName]| list.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ");
    let name = site.name(node);
    let differs = |list: &[NodeName]| list.len() != names.len() || !list.iter().all(|name| names.contains(&name));
    if differs(&machine.listed) {
        return Some(format!("{name} goes by a list of {}", text(&machine.listed)));
    }
    if differs(&record.node_order) {
        return Some(format!("by {name}'s record the nodes are {}", text(&record.node_order)));
    }
    let gone = record.voters.iter().find(|voter| !names.contains(&&voter.name))?;
    Some(format!("{} votes by {name}'s record, and no list names it", gone.name))
}

/// Of more than two machines a majority of those that vote decides, whoever else is there.
fn outvoted(site: &Site, node: usize, core: &[usize]) -> Option<String> {
    let record = site.machines[node].controller.as_ref()?.record().filter(|_| site.all().len() > 2)?;
    let voters = || record.voters.iter().filter_map(|voter| site.layout.node(voter.name.as_str()));
    let here = voters().filter(|voter| core.contains(voter)).count();
    let all = record.voters.len();
    (here * 2 <= all).then(|| format!("only {here} of the {all} that vote by {}'s record are there", site.name(node)))
}

fn resources(site: &Site, core: &[usize], whole: bool) -> Option<String> {
    let first = core.first().map(|node| &site.machines[*node])?;
    // Changed files count when every machine has them; a core goes by its record until then.
    let record = first.controller.as_ref().and_then(|it| it.record()).filter(|_| !whole);
    let groups = record.map_or(&site.layout.variants[first.variant], |record| &record.model.groups);
    for group in groups {
        let mut first = None;
        // Of more than two machines nothing but addresses is taken from one that is lost, by time alone (R-TAKE-2).
        let waits =
            |spec: &hearth_types::ResourceSpec| record.is_some_and(|record| record.waits_for_lost(spec).is_some());
        if !site.layout.is_fenced() && group.resources.iter().any(waits) {
            continue;
        }
        for spec in &group.resources {
            let on = site.running_on(&spec.id);
            let [node] = on[..] else { return Some(format!("{} runs on {} machines", spec.id, on.len())) };
            if spec.address().is_some() && site.machines[node].answers_until(&spec.id) <= site.now {
                return Some(format!("{} is set and does not answer", spec.id));
            }
            if *first.get_or_insert(node) != node {
                return Some(format!("{} runs in two parts", group.id));
            }
        }
    }
    None
}

/// A daemon that can be asked for one thing, where all that it says would cost much more; a mutant may say something else.
fn knows(site: &Site, node: usize) -> Option<&Controller> {
    site.machines[node].controller.as_ref().filter(|_| site.mutant.is_none())
}

/// What nodes say of groups: one that runs and counts as failed is still a matter for a person.
fn said(site: &Site, core: &[usize], whole: bool) -> Option<String> {
    core.iter().find_map(|node| {
        if knows(site, *node).is_some_and(Controller::groups_started) {
            return None;
        }
        let status = site.status(*node)?;
        let lost = !whole && site.all().len() > 2 && !site.layout.is_fenced();
        let group = status.groups.iter().find(|group| group.state != "started" && !lost)?;
        Some(format!("{} says that {} is {}: {}", site.name(*node), group.id, group.state, group.reason))
    })
}

/// R-WIRE-6: every machine there speaks the newest version, so it is in use; unless one of the record stays away.
fn wire(site: &Site, core: &[usize], whole: bool) -> Option<String> {
    core.iter().filter(|_| whole).find_map(|node| {
        let wire = match knows(site, *node) {
            Some(daemon) => daemon.record().map(|record| record.wire_version),
            None => site.status(*node)?.wire,
        };
        (wire != Some(NEWEST_VERSION)).then(|| format!("{} has wire version {wire:?} in use", site.name(*node)))
    })
}

fn orders(site: &Site) -> Option<String> {
    let waits = |order: &crate::site::Order| {
        let machine = &site.machines[order.node];
        !order.done && machine.run == order.run && machine.controller.is_some()
    };
    let open = site.orders.iter().find(|(_, order)| waits(order));
    open.map(|(token, order)| format!("order {token} on {} was never answered", site.name(order.node)))
}
