//! A failure for a person: what broke, the one command that shows it again, and the small story.

use crate::swarm::{self, Run, Verdict};
use std::fmt::Write as _;

/// The first complaint in a line.
pub fn first(verdict: &Verdict) -> String {
    verdict.complaints.first().map_or_else(String::new, |it| format!("{} {}: {}", it.at, it.checker, it.text))
}

/// Everything that somebody needs who has never seen the seed. `nodes` is the size of cluster that was asked for,
/// `recordings` the folder with what each daemon of the small run was told.
pub fn failure(
    seed: u64,
    nodes: Option<usize>,
    commit: &str,
    verdict: &Verdict,
    small: &Run,
    recordings: &str,
) -> String {
    let mut text = format!("seed {seed} breaks a rule at commit {commit}\n\n");
    for complaint in verdict.complaints.iter().take(3) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {} {}: {}", complaint.at, complaint.checker, complaint.text);
    }
    let size = nodes.map_or_else(String::new, |nodes| format!("HEARTH_NODES={nodes} "));
    let _ = writeln!(text, "\nAgain: {size}HEARTH_SEEDS={seed}..{} ./run swarm", seed + 1);
    let _ = writeln!(text, "What each daemon of the smallest run was told: {recordings}/*.rec, for hearth replay");
    let drawn = swarm::draw(seed, nodes).steps.len();
    let _ = writeln!(text, "\nThe smallest run found, {} acts of {drawn}:\n", small.steps.len());
    text.push_str(&self::small(small));
    text
}

/// A small run, act by act in words that can be played again, its story, and what is wrong with it.
pub fn small(small: &Run) -> String {
    let mut text = String::new();
    for step in &small.steps {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}", step.act.text(&small.layout));
        if !step.then.is_zero() {
            let _ = writeln!(text, "  run {}us", step.then.as_micros());
        }
    }
    let again = swarm::judge(small, None);
    let _ = writeln!(text, "\nIts story:\n\n{}", again.story);
    for complaint in again.complaints.iter().take(3) {
        let _ = writeln!(text, "  {} {}: {}", complaint.at, complaint.checker, complaint.text);
    }
    text
}
