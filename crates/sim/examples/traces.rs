//! What every output, every deadline and the state at the end of each seed come to, one line a seed: two builds that print
//! the same decide the same. `cargo run -p hearth-sim --example traces FROM TO [NODES] > before`

use hearth_sim::swarm::{draw, run};

fn main() {
    let mut words = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    let (from, to) = (words.next().unwrap_or(0), words.next().unwrap_or(100));
    let nodes = words.next().map(|nodes| nodes as usize);
    for seed in from..to {
        let verdict = run(&draw(seed, nodes), None, true);
        println!("{seed} {:016x} {}", verdict.trace.unwrap_or_default(), verdict.complaints.len());
    }
}
