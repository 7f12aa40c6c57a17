//! How many clusters a second one core simulates (`hearth_sim::pace`), by its processor time and by the clock.
//! `cargo run -p hearth-sim --example speed [CLUSTERS] [KEEPALIVE_MS]`

use hearth_sim::pace::{LIFE, live};
use std::time::{Duration, Instant};

fn main() {
    let mut words = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let clusters = words.next().unwrap_or(1000);
    let keepalive = words.next().unwrap_or(200);
    let (began, worked) = (Instant::now(), on_processor());
    let inputs: u64 = (0..clusters).map(|seed| live(seed, keepalive)).sum();
    let (took, worked) = (began.elapsed(), on_processor() - worked);
    println!(
        "{clusters} clusters of 3 machines x 2 networks x {} s, keepalive {keepalive} ms: {:.1} s of one core, {:.1} s by the \
         clock; {inputs} inputs, {:.2} us each, {:.0} times as fast as life",
        LIFE.as_secs(),
        worked.as_secs_f64(),
        took.as_secs_f64(),
        worked.as_secs_f64() * 1e6 / inputs.max(1) as f64,
        LIFE.as_secs_f64() * clusters as f64 / worked.as_secs_f64(),
    );
}

/// Processor time of this thread. Where the kernel does not say it: none, and the figures by it mean nothing.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0))
}
