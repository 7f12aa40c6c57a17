//! What a scenario says must be so, judged by what machines really do.

use super::{node, why_not};
use crate::act::{self, NotAnAct};
use crate::check;
use crate::site::Site;
use crate::world::World;
use hearth_types::ResourceId;

/// Whether a resource runs on a machine; of an address, that clients are answered there.
pub fn serves(site: &Site, node: usize, id: &ResourceId) -> bool {
    let machine = &site.machines[node];
    let address = machine.kernel.running.get(id).is_some_and(|active| active.spec.address().is_some());
    machine.kernel.runs(id) && (!address || machine.answers_until(id) > site.now)
}

/// Whether what these words say is so. Words: `RESOURCE on NODE`, `RESOURCE nowhere`, `RESOURCE started N on NODE`,
/// `gap at most SPAN`, `gap at least SPAN`, `no overlap`, `overlap at most SPAN`, `event NAME [of SUBJECT]`,
/// `no event NAME [of SUBJECT]`, `well`.
///
/// # Errors
/// When it is not so, or means nothing; the text says what is.
pub fn holds(world: &World, words: &str) -> Result<(), NotAnAct> {
    let site = &world.site;
    let so = |so: bool, instead: String| if so { Ok(()) } else { Err(NotAnAct(instead)) };
    let words: Vec<&str> = words.split_whitespace().collect();
    match words[..] {
        ["gap", "at", "most", span] => {
            let gap = world.longest_gap();
            so(gap <= act::span(span)?, format!("the longest gap is {gap:?}"))
        }
        ["gap", "at", "least", span] => {
            let gap = world.longest_gap();
            so(gap >= act::span(span)?, format!("the longest gap is {gap:?}"))
        }
        ["no", "overlap"] => {
            let overlap = world.two_answered();
            so(overlap.is_zero(), format!("two machines answered for {overlap:?}"))
        }
        ["overlap", "at", "most", span] => {
            let overlap = world.two_answered();
            so(overlap <= act::span(span)?, format!("two machines answered for {overlap:?}"))
        }
        ["well"] => so(check::unwell(site).is_none(), why_not(world)),
        ["event", name] => so(count(site, name, None) > 0, format!("nobody told `{name}`")),
        ["event", name, "of", of] => so(count(site, name, Some(of)) > 0, format!("nobody told `{name}` of {of}")),
        ["no", "event", name] => so(count(site, name, None) == 0, format!("somebody told `{name}`")),
        ["no", "event", name, "of", of] => {
            so(count(site, name, Some(of)) == 0, format!("somebody told `{name}` of {of}"))
        }
        [resource, "on", name] => {
            let at = node(&site.layout, name)?;
            let id = ResourceId::from(resource);
            let served = serves(site, at, &id) && site.nodes().all(|other| other == at || !serves(site, other, &id));
            so(served, whereabouts(site, &id))
        }
        [resource, "nowhere"] => {
            let id = ResourceId::from(resource);
            so(site.nodes().all(|node| !serves(site, node, &id)), whereabouts(site, &id))
        }
        [resource, "started", times, "on", name] => {
            let times: u32 = times.parse().map_err(|_| NotAnAct(format!("`{times}` is no number")))?;
            let machine = &site.machines[node(&site.layout, name)?];
            let starts = machine.starts.get(&ResourceId::from(resource)).copied().unwrap_or(0);
            so(starts == times, format!("{resource} was started {starts} times on {name}"))
        }
        _ => Err(NotAnAct("nothing that can be expected".to_owned())),
    }
}

fn whereabouts(site: &Site, id: &ResourceId) -> String {
    let on: Vec<&str> = site.nodes().filter(|node| serves(site, *node, id)).map(|node| site.name(node)).collect();
    if on.is_empty() { format!("{id} is nowhere") } else { format!("{id} is on {}", on.join(" and ")) }
}

fn count(site: &Site, name: &str, of: Option<&str>) -> usize {
    let told = site.machines.iter().flat_map(|machine| &machine.events);
    told.filter(|told| told.event.name == name && of.is_none_or(|of| told.event.subject == of)).count()
}
