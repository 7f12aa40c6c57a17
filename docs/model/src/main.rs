//! `./run model`: looks through everything, then leaves out one part of the rules after the other and tells what happens.

use hearth_model::{Part, Rules, story};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let whole = Rules::whole();
    let searches = [
        ("everything, a lease of one tick", whole),
        ("one epoch, a lease of three ticks", whole.in_one_epoch().with_lease(3)),
        ("nobody killed, a lease of two ticks", Rules { others: 0, ..whole.without_crash().with_lease(2) }),
    ];
    println!("All rules:");
    let mut good = true;
    for (name, rules) in searches {
        good &= holds(name, rules, threads);
    }
    println!("\nWithout one part of them, the shortest way to two owners:");
    for part in Part::NEEDED {
        good &= breaks(part);
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether there is never more than one owner.
fn holds(name: &str, rules: Rules, threads: usize) -> bool {
    let begin = Instant::now();
    let found = rules.search(threads);
    let (moments, took, missing) = (found.moments, begin.elapsed().as_secs_f32(), found.missing(&rules));
    let verdict = if found.two_owners.is_some() { "TWO OWNERS" } else { "one owner in each" };
    println!("  {name}: {moments} moments, {verdict} ({took:.1} s)");
    if let Some(way) = &found.two_owners {
        print!("{}", story(way));
    }
    missing.iter().for_each(|what| println!("    NEVER SEEN: {what}"));
    found.two_owners.is_none() && missing.is_empty()
}

/// Whether there are two owners without that part.
fn breaks(part: Part) -> bool {
    let (clause, text) = part.text();
    println!("\n  {clause} without: {text}");
    match part.left_out().search(1).two_owners {
        Some(way) => print!("{}", story(&way)),
        None => {
            println!("      STILL ONE OWNER: this part is not needed, or the model does not show what for");
            return false;
        }
    }
    true
}
