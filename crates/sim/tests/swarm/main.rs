//! Whole clusters under random faults, judged from outside (protocol section 8).

use hearth_sim::hunt::hunt;

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("HEARTH_SEEDS") else { return 0..usual };
    let number = |text: &str| text.trim().parse::<u64>().expect("HEARTH_SEEDS is a number or from..to");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}

#[test]
fn whatever_fails_there_are_never_two_owners_and_after_it_everything_runs_once() {
    let survey = std::env::var("HEARTH_SURVEY").is_ok();
    let failed = hunt(seeds(300), None, None, if survey { usize::MAX } else { 1 });
    if survey {
        for (seed, verdict) in &failed {
            for complaint in verdict.complaints.iter().take(1) {
                println!("{seed}: {} {}: {}", complaint.at, complaint.checker, complaint.text);
            }
        }
    }
    if let Some((seed, verdict)) = failed.first_key_value() {
        let complaints: Vec<String> =
            verdict.complaints.iter().map(|it| format!("{} {}: {}\n", it.at, it.checker, it.text)).collect();
        panic!("{} failed; seed {seed}:\n{}\n{}", failed.len(), verdict.story, complaints.concat());
    }
}
