//! Random faults, then rest.

use crate::hunt::hunt;
use crate::seeds::seeds;
use hearth_controller::Output;
use hearth_recording::Replay;
use hearth_sim::swarm::{Run, draw, recordings, run};
use hearth_sim::{report, shrink};
use std::path::Path;

/// Seeds of an ordinary run.
const SEEDS: u64 = 2000;

/// `HEARTH_NODES=N`: clusters of that size only.
fn nodes() -> Option<usize> {
    let text = std::env::var("HEARTH_NODES").ok()?;
    Some(text.parse().expect("HEARTH_NODES is a number"))
}

fn commit() -> String {
    let said = std::process::Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    let said = said.ok().filter(|output| output.status.success()).map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if said.is_empty() { "unknown".to_owned() } else { said }
}

/// Protocol section 8. `HEARTH_SURVEY=1` lists all seeds that fail instead of ending with the first.
#[test]
fn whatever_fails_there_are_never_two_owners_and_after_it_everything_runs_once() {
    let survey = std::env::var("HEARTH_SURVEY").is_ok();
    let seeds = seeds(0..SEEDS);
    println!("seeds {seeds:?}");
    let failed = hunt(seeds, nodes(), None, if survey { usize::MAX } else { 1 });
    if survey {
        for (seed, verdict) in &failed {
            println!("{seed}: {}", report::first(verdict));
        }
    }
    if let Some((seed, verdict)) = failed.first_key_value() {
        let small = shrink::shrink(&draw(*seed, nodes()), verdict);
        let folder = keep(*seed, &small);
        panic!("{}", report::failure(*seed, nodes(), &commit(), verdict, &small, &folder));
    }
}

/// Writes what each daemon was told where `hearth replay` and tests/regressions can take it; says where.
fn keep(seed: u64, small: &Run) -> String {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = target.join(format!("seed-{seed}"));
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    for recording in recordings(small) {
        std::fs::write(folder.join(format!("{}.rec", recording.name)), recording.bytes).expect("so can a file in it");
    }
    folder.display().to_string()
}

#[test]
fn what_a_daemon_was_told_here_is_lived_through_again_by_hearth_replay() {
    // Two machines and three, with restarts in the middle of writes and packets that nobody should mind.
    for seed in [3, 4, 9, 14] {
        let recordings = recordings(&draw(seed, None));
        assert!(recordings.len() > 1, "seed {seed}: {} daemons were started", recordings.len());
        for recording in recordings {
            let mut replay = Replay::new(&recording.bytes).expect("it can be read");
            let mut events = 0;
            while let Some(step) = replay.step().expect("it can be lived through") {
                assert!(step.agrees, "seed {seed}, {}: other orders at input {}", recording.name, step.number);
                events += step.outputs.iter().filter(|output| matches!(output, Output::Event(_))).count();
            }
            assert!(!replay.is_cut() && replay.missing() == 0, "seed {seed}, {}", recording.name);
            assert!(events > 0, "seed {seed}, {} tells nothing", recording.name);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    // Protocol section 8, 9: every output, in order, with its time.
    for seed in [1, 5, 10, 12, 25] {
        let one = run(&draw(seed, None), None, true);
        let two = run(&draw(seed, None), None, true);
        assert!(one.trace.is_some_and(|trace| trace != 0), "seed {seed}");
        assert_eq!(one.trace, two.trace, "seed {seed}");
    }
}

#[test]
fn what_a_seed_draws_can_be_written_and_read_again() {
    for seed in 0..200 {
        let drawn = draw(seed, None);
        for step in &drawn.steps {
            let text = step.act.text(&drawn.layout);
            assert_eq!(hearth_sim::act::parse(&drawn.layout, &text), Ok(step.act.clone()), "seed {seed}: {text}");
        }
    }
}
