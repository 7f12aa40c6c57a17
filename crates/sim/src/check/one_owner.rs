//! Section 8, 1: an exclusive resource never runs on two powered machines at once.  Two owners of an address means two
//! machines that answer for it.

use super::{Blame, Checker};
use crate::site::Site;
use hearth_types::Timestamp;

/// The rule has no memory: what is permitted is the excuse's.
#[derive(Clone, Debug, Default)]
pub struct OneOwner;

impl Checker for OneOwner {
    fn name(&self) -> &'static str {
        "one owner"
    }

    fn pass(&mut self, site: &Site, until: Timestamp, blame: &mut Blame<'_>) {
        for one in site.nodes() {
            for other in one + 1..site.machines.len() {
                pair(site, one, other, until, blame);
            }
        }
    }
}

fn pair(site: &Site, one: usize, other: usize, until: Timestamp, blame: &mut Blame<'_>) {
    let (a, b) = (&site.machines[one], &site.machines[other]);
    let names = || format!("{} and {}", site.name(one), site.name(other));
    // Of a pair that nothing resets, a daemon that is gone leaves its scripts to what the permit clears.
    let vouched_for = site.layout.ends_what_is_lost() || !site.is_pair() || (a.awake() && b.awake());
    for (resource, active) in &a.kernel.running {
        if !b.kernel.runs(resource) || site.excuse.excuses(resource) || site.excuse.lied(one, other, resource) {
            continue;
        }
        if active.spec.address().is_none() {
            if vouched_for && !site.excuse.scripts && a.lives() && b.lives() {
                blame.that(format!("{resource} runs on {}", names()));
            }
            continue;
        }
        let end = a.answers_until(resource).min(b.answers_until(resource)).min(until);
        if end > site.now && !site.excuse.addresses {
            blame.that(format!("{} answer for {resource} for {:?}", names(), end.since(site.now)));
        }
    }
}
