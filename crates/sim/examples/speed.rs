//! How many clusters a second one core simulates: three machines, two networks, five minutes of virtual time, a machine
//! lost and back in the middle. `cargo run -p hearth-sim --example speed [CLUSTERS] [KEEPALIVE_MS]`

use hearth_sim::layout::{Layout, address, group, ms, script};
use hearth_sim::{Act, World};
use std::time::{Duration, Instant};

const MINUTES: Duration = Duration::from_secs(300);

fn main() {
    let mut words = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let clusters = words.next().unwrap_or(1000);
    let keepalive = words.next().unwrap_or(200);
    let began = Instant::now();
    let mut inputs = 0;
    for seed in 0..clusters {
        let mut layout = Layout::new(3);
        layout.variants = vec![vec![group(&["a"], vec![address("10.0.0.50"), script("web")])]];
        let timing = &mut layout.timing;
        (timing.keepalive, timing.warntime) = (ms(keepalive), ms(keepalive * 5));
        (timing.deadtime, timing.initdead) = (ms(keepalive * 10), ms(keepalive * 50));
        timing.deadping = timing.deadtime;
        let mut world = World::new(layout, seed, None);
        for node in 0..3 {
            world.act(&Act::Start(node));
        }
        world.run(MINUTES / 2);
        world.act(&Act::PowerOff(0));
        world.run(MINUTES / 10);
        world.act(&Act::Start(0));
        world.run(MINUTES / 2 - MINUTES / 10);
        world.close();
        assert!(world.complaints.is_empty(), "seed {seed}: {:?}", world.complaints);
        inputs += world.inputs;
    }
    let took = began.elapsed();
    println!(
        "{clusters} clusters of 3 machines x 2 networks x {} s, keepalive {keepalive} ms: {:.1} s on one core; \
         {inputs} inputs, {:.2} us each, {:.0} times as fast as life",
        MINUTES.as_secs(),
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / inputs.max(1) as f64,
        MINUTES.as_secs_f64() * clusters as f64 / took.as_secs_f64(),
    );
}
