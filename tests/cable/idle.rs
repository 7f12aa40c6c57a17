//! What a node costs while nothing happens.

use crate::bench::{ADDRESS_LINE, Bench, UDP, ms};
use crate::figures::record_cost;
use hearth_lab::{Client, Files, Observer, now};
use serde_json::json;

const WINDOW: u64 = ms(8000);

/// What the issue aims at: at most 2 ms of processor time a second, 16 MB, one process beside its supervisor.
#[test]
fn cost() {
    let bench = Bench::cold(Files { haresources: ADDRESS_LINE.into(), ..Files::default() }, UDP).warm();
    // Questions cost too: client and observer are gone meanwhile, and so is the stall meter.
    let Bench { cluster, client, observer, stalls, .. } = bench;
    drop::<(Client, Observer, hearth_lab::StallMeter)>((client, observer, stalls));
    let read = |name: &str| {
        let machine = cluster.lab.machine(name).unwrap();
        let processes: Vec<_> = machine.processes().into_iter().filter(|process| process.name == "hearthd").collect();
        let cpu: u64 = processes.iter().map(|process| cpu_ns(process.pid)).sum();
        let resident: u64 = processes.iter().map(|process| resident_kb(process.pid)).sum();
        let counter = |word: &str| -> u64 {
            let count = |card| machine.run(&["cat", &format!("/sys/class/net/{card}/statistics/{word}")]).unwrap();
            ["eth0", "eth1"].map(|card| count(card).trim().parse::<u64>().unwrap()).iter().sum()
        };
        (now(), cpu, resident, processes.len(), counter("tx_packets"), counter("tx_bytes"))
    };
    let before = ["a", "b"].map(read);
    hearth_lab::wait_until(std::time::Duration::from_nanos(WINDOW), std::time::Duration::from_secs(1), || None::<()>);
    for (name, before) in ["a", "b"].iter().zip(before) {
        let after = read(name);
        let seconds = (after.0 - before.0) as f64 / 1e9;
        let each = |from: u64, to: u64| (to - from) as f64 / seconds;
        let cpu = each(before.1, after.1) / 1e6;
        let resident = after.2 as f64 / 1024.0;
        println!("{name}: {cpu:.2} ms/s, {resident:.1} MB, {} processes", after.3);
        let role = if *name == "a" { "owner" } else { "standby" };
        record_cost(
            role,
            json!({
                "cpu_ms_per_s": cpu, "resident_mb": resident, "processes": after.3,
                "packets_per_s": each(before.4, after.4), "bytes_per_s": each(before.5, after.5),
            }),
        );
        assert_eq!(after.3, 2, "one process beside its supervisor");
    }
}

/// Time on a processor of all threads, in nanoseconds.
fn cpu_ns(pid: i32) -> u64 {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let time = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    threads.flatten().filter_map(time).sum()
}

fn resident_kb(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
