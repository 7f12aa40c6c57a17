//! What a heal reports of two owners is at least the truth (R-LEDGER-6).

use super::{Blame, Checker, Seen};
use crate::Mutant;
use crate::layout::ms;
use crate::site::Site;
use hearth_types::Timestamp;
use std::time::Duration;

/// Adds up.
#[derive(Clone, Debug, Default)]
pub struct Overlap {
    episode: u64,
    open: bool,
    whole: bool,
    current: Duration,
    /// Of episodes that are over.
    total: Duration,
    told: Duration,
}

impl Checker for Overlap {
    fn name(&self) -> &'static str {
        "overlap"
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, _: &mut Blame<'_>) {
        let Seen::Event { event, .. } = seen else { return };
        if event.name == "two-owners-possible" && event.text.starts_with("There may") {
            let told = event.text.split_whitespace().filter_map(|word| word.parse().ok()).next_back().unwrap_or(0);
            let little = site.mutant == Some(Mutant::ReportsLittle);
            self.told += ms(if little { told / 10 } else { told });
        }
    }

    fn pass(&mut self, site: &Site, until: Timestamp, _: &mut Blame<'_>) {
        if self.open && (!site.excuse.addresses || site.excuse.episode != self.episode) {
            self.close();
        }
        if !site.excuse.addresses {
            return;
        }
        if !self.open {
            (self.open, self.episode, self.current, self.whole) = (true, site.excuse.episode, Duration::ZERO, true);
        }
        self.whole &= site.excuse.whole;
        self.current += super::double::answered_twice(site, until);
    }

    fn end(&mut self, _: &Site, blame: &mut Blame<'_>) {
        // An episode that is not over has not been reported yet. Machines count with their own clocks, which may be slow.
        if self.told * 106 / 100 < self.total {
            blame.that(format!("{:?} with two owners, told: {:?}", self.total, self.told));
        }
    }
}

impl Overlap {
    fn close(&mut self) {
        if self.whole {
            self.total += self.current;
        }
        self.open = false;
    }
}
