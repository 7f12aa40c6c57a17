//! A beat at rest leaves out what could only judge the same again (decision 0054): random worlds come to the same, output by
//! output and with all that every daemon knows at the end, if no daemon ever rests.
//!
//! `HEARTH_SEEDS=0..3000 cargo test -p hearth-sim --test rest` looks at more of them.

mod seeds;

use crate::seeds::seeds;
use hearth_sim::swarm::{Run, draw, traced};

/// The first lines in which the two differ, with what stands before them.
fn difference(run: &Run) -> String {
    let ((_, rests), (_, restless)) = (traced(run, false, true), traced(run, true, true));
    let at = rests.iter().zip(&restless).take_while(|(one, other)| one == other).count();
    let before = rests[at.saturating_sub(5)..at].join("\n");
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "nothing more".to_owned());
    format!("{before}\n-- at rest:\n{}\n-- without:\n{}", line(&rests), line(&restless))
}

fn comes_to_the_same(seeds: std::ops::Range<u64>, nodes: Option<usize>) {
    for seed in seeds {
        let run = draw(seed, nodes);
        let (rests, restless) = (traced(&run, false, false).0, traced(&run, true, false).0);
        assert!(rests == restless, "seed {seed} of {nodes:?} machines:\n{}", difference(&run));
    }
}

/// Harm: what is due, or has become possible, is not done before something else happens. Holds, too, that no record
/// changes without a word, which the checker of agreement goes by.
#[test]
fn a_beat_at_rest_leaves_nothing_out() {
    comes_to_the_same(seeds(0..220), None);
}

#[test]
fn a_beat_at_rest_of_a_pair_leaves_nothing_out() {
    comes_to_the_same(seeds(220..360), Some(2));
}

#[test]
fn a_beat_at_rest_of_three_leaves_nothing_out() {
    comes_to_the_same(seeds(360..420), Some(3));
}

#[test]
fn a_beat_at_rest_of_more_than_vote_leaves_nothing_out() {
    comes_to_the_same(seeds(420..426), Some(9));
}
