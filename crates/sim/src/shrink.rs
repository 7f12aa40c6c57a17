//! A failure is made small: fewer acts, shorter waits, until nothing more can be left out.

use crate::swarm::{self, Run, Verdict};
use std::time::Duration;

/// Runs that shrinking may cost.
const TRIES_MAX: usize = 600;
/// A wait is not cut below this.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// The smallest run found that the same checker complains of.
pub fn shrink(run: &Run, verdict: &Verdict) -> Run {
    let Some(checker) = verdict.complaints.first().map(|complaint| complaint.checker) else { return run.clone() };
    let mut search = Search { checker, tries: 0 };
    let mut best = run.clone();
    loop {
        let before = best.steps.len();
        let mut piece = best.steps.len().div_ceil(2);
        while piece > 0 {
            let mut at = 0;
            while at < best.steps.len() {
                let mut smaller = best.clone();
                let end = (at + piece).min(smaller.steps.len());
                // The time of what is left out passes all the same, at first.
                let waited: Duration = smaller.steps.drain(at..end).map(|step| step.then).sum();
                if at > 0 {
                    smaller.steps[at - 1].then += waited;
                }
                if search.fails(&smaller) {
                    best = smaller;
                } else {
                    at += piece;
                }
            }
            piece /= 2;
        }
        search.shorten(&mut best);
        if best.steps.len() == before || search.tries >= TRIES_MAX {
            return best;
        }
    }
}

struct Search {
    checker: &'static str,
    tries: usize,
}

impl Search {
    fn fails(&mut self, run: &Run) -> bool {
        if self.tries >= TRIES_MAX {
            return false;
        }
        self.tries += 1;
        swarm::judge(run, None).complaints.iter().any(|complaint| complaint.checker == self.checker)
    }

    fn shorten(&mut self, best: &mut Run) {
        for at in 0..best.steps.len() {
            for shorter in [Duration::ZERO, best.steps[at].then / 4, best.steps[at].then / 2] {
                if best.steps[at].then.saturating_sub(shorter) < WAIT_MIN {
                    continue;
                }
                let mut smaller = best.clone();
                smaller.steps[at].then = shorter;
                if self.fails(&smaller) {
                    *best = smaller;
                    break;
                }
            }
        }
    }
}
