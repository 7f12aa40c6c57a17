//! Section 8, 7: a bounded number of moves per fault; nothing goes round in circles.

use super::{Blame, Checker, Seen};
use crate::site::Site;

/// Starts of one resource on one machine that one fault, order or repair may cost: a group moves there and back, or a start
/// that fails is tried again. Most cost none, and make up for those that cost more.
const STARTS_PER_FAULT: u32 = 2;
/// The same for the cluster's own start.
const STARTS_BEFORE: u32 = 12;

/// Counts what befell the cluster.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    acts: u32,
}

impl Checker for Moves {
    fn name(&self) -> &'static str {
        "moves"
    }

    fn see(&mut self, _: &Site, seen: &Seen<'_>, _: &mut Blame<'_>) {
        self.acts += u32::from(matches!(seen, Seen::Act(_)));
    }

    fn end(&mut self, site: &Site, blame: &mut Blame<'_>) {
        let most = STARTS_BEFORE + STARTS_PER_FAULT * self.acts;
        for (node, machine) in site.machines.iter().enumerate() {
            for (resource, starts) in machine.starts.iter().filter(|(_, starts)| **starts > most) {
                let (name, acts) = (site.name(node), self.acts);
                blame.that(format!("{resource} was started {starts} times on {name} for {acts} faults and orders"));
            }
        }
    }
}
