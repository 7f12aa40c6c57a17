//! Many seeds on all processors.

use hearth_sim::Mutant;
use hearth_sim::swarm::{self, Verdict};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Runs seeds until `enough` of them failed; those, by seed. A panic of the program counts as a failure.
pub fn hunt(seeds: Range<u64>, nodes: Option<usize>, mutant: Option<Mutant>, enough: usize) -> BTreeMap<u64, Verdict> {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(BTreeMap::new());
    let count = || failed.lock().unwrap_or_else(PoisonError::into_inner).len();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || count() >= enough {
                        return;
                    }
                    let verdict = swarm::judge(&swarm::draw(seed, nodes), mutant);
                    if !verdict.complaints.is_empty() {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, verdict);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}
