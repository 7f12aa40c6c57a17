//! A member of a group does not do what it should (R-TAKE-8).

use crate::bench::{Bench, WEB_UDP, ms, programs, row};
use hearth_lab::{Cluster, Files, now};

/// The group with a service that fails `operation` where the machine has a file of that name.
fn bench(operation: &str) -> Bench {
    let script = Cluster::service_script(&programs().helper, WEB_UDP, 80);
    let fails = format!("#!/bin/sh\n[ \"$1\" != {operation} ] || [ ! -e /run/fails ] || exit 1\n");
    let script = script.replacen("#!/bin/sh\n", &fails, 1);
    let files = Files {
        haresources: "a 10.77.0.50/24/eth0 web\n".into(),
        scripts: vec![("web".into(), script)],
        ..Files::default()
    };
    Bench::cold(files, WEB_UDP).warm()
}

fn let_it_fail(bench: &Bench) {
    bench.cluster.lab.machine("a").unwrap().run(&["touch", "/run/fails"]).unwrap();
}

#[test]
fn start_fails() {
    row("24 a member fails to start: the next node has it", ms(1000), || {
        let bench = bench("start");
        let_it_fail(&bench);
        bench.order("a", &["standby"]);
        bench.settled("b");
        let from = now();
        // It says that it went wrong; what is asked here is who serves afterwards.
        let said = bench.cluster.hearth("b", &["failback"]).unwrap();
        println!("failback: {} {}", said.status, String::from_utf8_lossy(&said.stderr).trim());
        bench.wait("b", "the failure is shown, and b serves", |status| {
            status.failures.iter().any(|failure| failure.node == "a" && failure.action == "start")
                && status.groups.iter().all(|group| group.state == "started" && group.node.as_deref() == Some("b"))
        });
        let to = bench.watch(ms(500));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}

/// Agent, TERM, KILL; only when nothing runs there any more may the other node have it.
#[test]
fn stop_fails() {
    row("25 a member fails to stop: escalation", ms(10_000), || {
        let bench = bench("stop");
        let_it_fail(&bench);
        let from = now();
        let said = bench.cluster.hearth("a", &["standby", "--timeout", "15"]).unwrap();
        println!("standby: {} {}", said.status, String::from_utf8_lossy(&said.stderr).trim());
        bench.wait("b", "the failure is shown", |status| {
            status.failures.iter().any(|failure| failure.node == "a" && failure.action == "stop")
        });
        let to = bench.watch(ms(1000));
        let sample = bench.sample(from, to);
        (bench, sample)
    });
}
