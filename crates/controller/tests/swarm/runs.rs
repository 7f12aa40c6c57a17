//! Runs: random faults, then rest.

use crate::cluster::{Kind, NAMES, Rng, ms};
use crate::machine::Disk;
use crate::mutants::{ALL, Mutant};
use crate::world::World;
use hearth_control::{Request, Which};
use hearth_types::ResourceId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds of an ordinary run; `HEARTH_SEEDS=from..to` asks for others.
const SEEDS: u64 = 300;
/// Seeds within which every broken world must be seen.
const MUTANT_SEEDS: u64 = 1000;
const STANDBY_SEEDS: u64 = 60;

fn kind(seed: u64) -> Kind {
    Kind { tiebreaker: seed % 3 == 1, unfenced: seed % 5 != 3, auto_failback: seed % 4 == 2 }
}

/// Runs one seed. The error is the story.
fn swarm(seed: u64, mutant: Option<Mutant>, trace: bool) -> Result<(u64, usize), String> {
    let mut world = World::new(seed, kind(seed), mutant);
    world.trace = trace.then_some(0xcbf2_9ce4_8422_2325);
    through(&mut world)
}

fn through(world: &mut World) -> Result<(u64, usize), String> {
    world.start(0);
    let span = world.rng.span(ms(0), ms(300));
    world.run(span);
    world.start(1);
    let first = if world.rng.chance(800) { ms(2500) } else { ms(200) };
    world.run(first);
    let faults = 4 + world.rng.below(14);
    for _ in 0..faults {
        world.befall();
        let longest = [ms(30), ms(300), ms(1500)][world.rng.below(3) as usize];
        let span = world.rng.span(ms(0), longest);
        world.run(span);
    }
    let healed = world.heal();
    world.judge.close(world.now);
    let mut wrong: Vec<String> = world.judge.faults.iter().map(|(at, text)| format!("{at} {text}")).collect();
    wrong.extend(healed.err().map(|text| format!("{} not healed: {text}", world.now)));
    wrong.extend(records_differ(world));
    let orders = world.tokens.len() as u32;
    for (node, machine) in world.machines.iter().enumerate() {
        for (resource, starts) in &machine.starts {
            // Each fault and order moves a group there and back at most; a failed start is tried again.
            let most = 6 * (faults as u32 + orders + 4);
            if *starts > most {
                wrong.push(format!("{resource} was started {starts} times on {} for {faults} faults", NAMES[node]));
            }
        }
    }
    if wrong.is_empty() {
        return Ok((world.trace.unwrap_or(0), world.story.len()));
    }
    Err(format!("{}\n{}\n", world.told(), wrong.join("\n")))
}

/// R-LEDGER-1: what two disks hold of one epoch is equal as far as both have decided.
fn records_differ(world: &World) -> Option<String> {
    let epochs: Vec<Option<(String, String, Vec<String>)>> = world.machines.iter().map(epoch_on_disk).collect();
    let [Some((name, base, log)), Some((other, other_base, other_log))] = &epochs[..] else { return None };
    if name != other {
        return None;
    }
    let same = base == other_base && log.iter().zip(other_log).all(|(one, two)| one == two);
    (!same).then(|| format!("epoch {name} is not the same on both disks"))
}

/// Name, base and decided entries of the epoch that a disk holds.
fn epoch_on_disk(machine: &crate::machine::Machine) -> Option<(String, String, Vec<String>)> {
    let state: serde_json::Value = serde_json::from_str(machine.state.as_deref()?).ok()?;
    let epoch = state.get("epoch")?;
    let mut log: Vec<String> = epoch["log"]["entries"].as_array()?.iter().map(ToString::to_string).collect();
    let mut decided = epoch["log"]["decided"].as_u64()? as usize;
    for line in &machine.log {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        if let Some(entries) = line.get("entries") {
            log.truncate(entries[0].as_u64()? as usize);
            log.extend(entries[1].as_array()?.iter().map(ToString::to_string));
        }
        if let Some(to) = line.get("decided") {
            decided = to.as_u64()? as usize;
        }
    }
    log.truncate(decided);
    Some((epoch["base"]["epoch"].to_string(), epoch["base"].to_string(), log))
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("HEARTH_SEEDS") else { return 0..SEEDS };
    let number = |text: &str| text.trim().parse::<u64>().expect("HEARTH_SEEDS is a number or from..to");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}

/// Runs many seeds on all processors; the failures by seed.
fn failures(seeds: std::ops::Range<u64>, mutant: Option<Mutant>, enough: usize) -> BTreeMap<u64, String> {
    let next = AtomicU64::new(seeds.start);
    let failed = std::sync::Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().expect("no panic").len() >= enough {
                        return;
                    }
                    let ended = std::panic::catch_unwind(|| swarm(seed, mutant, false));
                    let story = match ended {
                        Ok(Ok(_)) => continue,
                        Ok(Err(story)) => story,
                        Err(_) => "it panicked: see above".to_owned(),
                    };
                    failed.lock().expect("no panic").insert(seed, story);
                }
            });
        }
    });
    failed.into_inner().expect("no panic")
}

#[test]
fn whatever_fails_there_are_never_two_owners_and_after_it_everything_runs_once() {
    let many = std::env::var("HEARTH_SURVEY").is_ok();
    let failed = failures(seeds(), None, if many { usize::MAX } else { 1 });
    if many {
        for (seed, story) in &failed {
            let last: Vec<&str> = story.trim_end().lines().rev().take(1).collect();
            println!("{seed}: {}", last.join(" | "));
        }
    }
    if let Some((seed, story)) = failed.first_key_value() {
        panic!(
            "seed {seed} of {}:\n{story}\nAgain: HEARTH_SEEDS={seed}..{} cargo test -p hearth-controller --test swarm \
             whatever_fails",
            failed.len(),
            seed + 1
        );
    }
}

#[test]
fn the_judges_see_every_broken_world() {
    for mutant in ALL {
        let failed = failures(0..MUTANT_SEEDS, Some(mutant), 1);
        assert!(!failed.is_empty(), "{mutant:?} was not seen in {MUTANT_SEEDS} seeds: the judges are blind to it");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    // Protocol section 8, 9: every output, in order, with its time.
    for seed in [1, 5, 12, 25] {
        let one = swarm(seed, None, true);
        assert_eq!(one, swarm(seed, None, true), "seed {seed}");
        assert!(one.is_ok_and(|(trace, faults)| trace != 0 && faults > 3), "seed {seed}");
    }
}

/// A recording begins anew with a node that was written down: it must do from there on exactly what the node did.
#[test]
fn a_node_that_was_written_down_and_read_back_at_every_turn_does_the_same() {
    for seed in 0..40 {
        let mut world = World::new(seed, kind(seed), None);
        world.trace = Some(0xcbf2_9ce4_8422_2325);
        world.read_back = [1, 7, 31, 97][seed as usize % 4];
        let run = through(&mut world);
        assert_eq!(run, swarm(seed, None, true), "seed {seed}");
        let most = world.fed / world.read_back;
        assert!(world.times_read_back * 10 >= most * 9, "seed {seed}: {} of {most}", world.times_read_back);
    }
}

#[test]
fn whatever_befalls_the_standby_the_owner_and_its_service_notice_nothing() {
    for seed in 0..STANDBY_SEEDS {
        let mut world =
            World::new(seed, Kind { tiebreaker: seed % 3 == 1, unfenced: true, auto_failback: false }, None);
        world.start(0);
        world.start(1);
        world.run(ms(2500));
        // B gives up what it has, so that it is a standby and nothing else.
        world.request(0, Request::Takeover { which: Which::All, wait: true });
        world.run(ms(1500));
        let stops = world.machines[0].stops;
        world.judge.watch(world.now, ResourceId::from("10.0.0.50"));
        let mut rng = Rng::new(seed + 77);
        for _ in 0..8 {
            let text = befall_standby(&mut world, &mut rng);
            world.tell(text);
            let span = rng.span(ms(10), ms(900));
            world.run(span);
        }
        let gap = world.judge.end_watch(world.now);
        assert_eq!(gap, ms(0), "seed {seed}: a gap\n{}", world.told());
        assert_eq!(world.machines[0].stops, stops, "seed {seed}: the owner was touched\n{}", world.told());
        let healed = world.heal();
        assert_eq!(healed, Ok(()), "seed {seed}\n{}", world.told());
        assert_eq!(world.machines[0].stops, stops, "seed {seed}: touched when it healed\n{}", world.told());
        assert!(world.judge.faults.is_empty(), "seed {seed}: {:?}\n{}", world.judge.faults, world.told());
    }
}

/// Something happens to B and to nothing else.
fn befall_standby(world: &mut World, rng: &mut Rng) -> String {
    let runs = world.machines[1].controller.is_some();
    match rng.below(7) {
        0 | 1 if world.machines[1].frozen => world.thaw(1),
        0 if runs => world.power_off(1),
        1 if runs => world.kill(1),
        2 if runs => world.freeze(1),
        3 if runs => {
            let up = !world.machines[1].carrier[0];
            world.carrier(1, 0, up);
            world.carrier(1, 1, up);
        }
        _ if !runs => world.start(1),
        4 => world.machines[1].disk = Disk::Slow,
        5 => world.machines[1].trouble = 300,
        _ => return "nothing".to_owned(),
    }
    let machine = &world.machines[1];
    format!("b: runs {} frozen {} carrier {:?}", machine.controller.is_some(), machine.frozen, machine.carrier)
}
