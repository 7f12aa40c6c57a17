//! The simulator's speed: a thousand clusters of three machines, two networks and five minutes in 20 s of one core
//! (decision 0052). Where others compile beside it the same work takes up to twice as long, so there it is held against a
//! yardstick that runs between the clusters and becomes dearer with them.

use hearth_sim::pace::live;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

/// Of one cluster.
const AIM: Duration = Duration::from_millis(20);
const ROUNDS: u64 = 12;
const CLUSTERS: u64 = 4;

/// Processor time of this thread.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel says it");
    Duration::from_nanos(text.split(' ').next().and_then(|word| word.parse().ok()).expect("nanoseconds come first"))
}

fn costs(work: impl FnOnce()) -> Duration {
    let began = on_processor();
    work();
    on_processor() - began
}

/// What a simulated node does most: names are found in maps, small things are made, moved and dropped.
fn yardstick(seed: u64) {
    let mut map = BTreeMap::new();
    let mut number = seed;
    for _ in 0..300_000 {
        number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        map.insert((number >> 54) as u32, vec![number; 8]);
        map.remove(&((number >> 44) as u32 & 0x3ff));
    }
    black_box(map.values().map(|list| list[0]).fold(0, u64::wrapping_add));
}

/// Harm: the swarm finds half as much in the time that it gets.
#[test]
fn a_thousand_clusters_of_three_take_at_most_twenty_seconds_of_one_core() {
    let (mut clusters, mut yardsticks) = (Duration::ZERO, Duration::ZERO);
    for round in 0..ROUNDS {
        yardsticks += costs(|| yardstick(round));
        clusters += costs(|| (0..CLUSTERS).for_each(|number| _ = live(round * CLUSTERS + number, 200)));
    }
    let (cluster, yardstick) = (clusters / (ROUNDS * CLUSTERS) as u32, yardsticks / ROUNDS as u32);
    println!("a cluster takes {cluster:?}, a yardstick {yardstick:?}");
    // Where a cluster took 20.4 ms, a yardstick took 25.5: so much of one is the aim, on a busy machine, too.
    let most = AIM.max(yardstick * 39 / 50);
    assert!(
        cluster <= most,
        "a cluster takes {cluster:?} of one core, and {most:?} is the bound (yardstick {yardstick:?})"
    );
}
