//! Everything is bounded: outputs of one input, the state on disk, deadlines at one moment, what waits in the world.

use super::{Blame, Checker, Seen};
use crate::site::Site;
use hearth_types::Timestamp;
use std::collections::BTreeMap;

/// Outputs of one input beyond which something runs away.
const OUTPUTS_MAX: usize = 3000;
/// Lines of a log, and bytes of a state file.
const LINES_MAX: usize = 2000;
const STATE_MAX: usize = 4 << 20;
/// Deadlines at one moment beyond which a timer spins.
const SPINS_MAX: u32 = 200;

/// Counts deadlines.
#[derive(Debug, Default)]
pub struct Bounds {
    spins: BTreeMap<usize, (Timestamp, u32)>,
}

impl Checker for Bounds {
    fn name(&self) -> &'static str {
        "bounds"
    }

    fn sees_inputs(&self) -> bool {
        true
    }

    fn see(&mut self, site: &Site, seen: &Seen<'_>, blame: &mut Blame<'_>) {
        match seen {
            Seen::Outputs { node, count } if *count > OUTPUTS_MAX => {
                blame.that(format!("{count} outputs of one input on {}", site.name(*node)));
            }
            Seen::Written { node } => {
                let disk = &site.machines[*node].disk;
                if disk.log.len() > LINES_MAX || disk.state.as_ref().is_some_and(|state| state.len() > STATE_MAX) {
                    blame.that(format!("the state of {} grows without bound", site.name(*node)));
                }
            }
            Seen::Deadline { node } => {
                let (at, count) = self.spins.entry(*node).or_insert((site.now, 0));
                if *at != site.now {
                    (*at, *count) = (site.now, 0);
                }
                *count += 1;
                if *count == SPINS_MAX {
                    blame.that(format!("{} asks for a deadline that never moves", site.name(*node)));
                }
            }
            _ => {}
        }
    }
}
