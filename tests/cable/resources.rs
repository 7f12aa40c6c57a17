//! A member of a group does not do what it should (R-TAKE-8).

use crate::bench::{Bench, UDP, WEB_UDP, ms, programs, row};
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

/// The script's stop fails; its processes get TERM, then KILL, and once nothing runs there the other node has it.
#[test]
fn stop_fails() {
    row("25 a member fails to stop: its processes are ended, the next node has it", ms(5000), || {
        let bench = bench("stop");
        let_it_fail(&bench);
        let service = service_of_a(&bench).unwrap();
        let from = bench.order("a", &["standby"]);
        bench.settled("b");
        if service_of_a(&bench) == Some(service) {
            bench.fail("the service still runs on a");
        }
        let sample = bench.sample(from, now());
        (bench, sample)
    });
}

/// Process id of the service on a.
fn service_of_a(bench: &Bench) -> Option<i32> {
    let all = bench.cluster.lab.machine("a").unwrap().processes();
    all.iter().find(|process| process.command.contains("serve")).map(|process| process.pid)
}

/// Nothing helps: its status goes on saying that it runs. The other node must not have it, and everybody is told.
#[test]
fn stop_fails_whatever_is_done() {
    let script = "#!/bin/sh\ncase $1 in\nstart) touch /run/stuck ;;\nstop) exit 1 ;;\n\
                  status) if [ -e /run/stuck ]; then echo running; else echo stopped; exit 3; fi ;;\nesac\n";
    let files = Files {
        haresources: "a 10.77.0.50/24/eth0 stuck\n".into(),
        scripts: vec![("stuck".into(), script.into())],
        ..Files::default()
    };
    let bench = Bench::cold(files, UDP).warm();
    let from = now();
    let said = bench.cluster.hearth("a", &["standby", "--no-wait"]).unwrap();
    println!("standby: {} {}", said.status, String::from_utf8_lossy(&said.stderr).trim());
    bench.wait("b", "the failed stop is shown, and the member may be active on a", |status| {
        let stuck = status.resources.iter().find(|resource| resource.id.contains("stuck"));
        status.failures.iter().any(|failure| failure.node == "a" && failure.action == "stop")
            && stuck.is_some_and(|stuck| stuck.may_be_active == ["a"])
    });
    let to = bench.watch(ms(1000));
    let here = bench.cluster.lab.machine("b").unwrap().run(&["sh", "-c", "[ ! -e /run/stuck ]"]);
    let owners = bench.observer.owners(from, to);
    if here.is_err() || owners.two > 0 {
        bench.fail(&format!("b started what may be active on a: {owners:?}"));
    }
}
