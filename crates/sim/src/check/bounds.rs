//! Everything is bounded: outputs of one input, inputs of a second, the state on disk, deadlines at one moment.

use super::{Blame, Checker, Seen};
use crate::site::Site;
use hearth_types::Timestamp;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Outputs of one input beyond which something runs away.
const OUTPUTS_MAX: usize = 3000;
/// Inputs of one node in a second beyond which machines keep each other busy, for each two of them.
const INPUTS_MAX: u32 = 400;
/// Writes of one node in a second beyond which something is decided over and over.
const WRITES_MAX: u32 = 250;
/// Lines of a log, and bytes of a state file.
const LINES_MAX: usize = 2000;
const STATE_MAX: usize = 4 << 20;
/// Deadlines at one moment beyond which a timer spins.
const SPINS_MAX: u32 = 200;

/// How often something was within the second that it is in.
type Pace = (Timestamp, u32);

/// Of each node.
#[derive(Clone, Debug, Default)]
struct Paces(Vec<Option<Pace>>);

impl Paces {
    fn of(&mut self, now: Timestamp, node: usize) -> &mut Pace {
        if self.0.len() <= node {
            self.0.resize(node + 1, None);
        }
        self.0[node].get_or_insert((now, 0))
    }
}

/// Counts inputs, writes and deadlines of each node.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    spins: Paces,
    inputs: Paces,
    writes: Paces,
}

/// Counts one more; the number within this second.
fn in_this_second(paces: &mut Paces, now: Timestamp, node: usize) -> u32 {
    let (since, count) = paces.of(now, node);
    if now.since(*since) >= SECOND {
        (*since, *count) = (now, 0);
    }
    *count += 1;
    *count
}

/// Once, and again at each multiple: a world that spins for ever ends soon, one that is only too fast goes on to be seen by
/// the other checkers.
fn exceeds(count: u32, most: u32) -> bool {
    count > most && (count - 1).is_multiple_of(most)
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
            Seen::Outputs { node, count } => {
                let inputs = in_this_second(&mut self.inputs, site.now, *node);
                let nodes = site.machines.len() as u32;
                if exceeds(inputs, INPUTS_MAX * nodes * nodes) {
                    blame.that(format!("{} has {inputs} inputs within a second", site.name(*node)));
                }
                if *count > OUTPUTS_MAX {
                    blame.that(format!("{count} outputs of one input on {}", site.name(*node)));
                }
            }
            Seen::Written { node } => {
                let writes = in_this_second(&mut self.writes, site.now, *node);
                if exceeds(writes, WRITES_MAX) {
                    blame.that(format!("{} writes {writes} times within a second", site.name(*node)));
                }
                let disk = &site.machines[*node].disk;
                if disk.log.len() > LINES_MAX || disk.state.as_ref().is_some_and(|state| state.len() > STATE_MAX) {
                    blame.that(format!("the state of {} grows without bound", site.name(*node)));
                }
            }
            Seen::Deadline { node } => {
                let (at, count) = self.spins.of(site.now, *node);
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
