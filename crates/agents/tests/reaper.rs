//! Orphans. A program of its own: it makes the whole test process a subreaper.

use hearth_agents::cancel::Cancel;
use hearth_agents::process::{self, Ending, Invocation, Reaper, census};
use std::time::{Duration, Instant};

fn shell(script: &str) -> Invocation {
    Invocation {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        stdin: None,
        timeout: Duration::from_secs(20),
        grace: Duration::from_secs(1),
    }
}

fn zombies() -> usize {
    let us = std::process::id() as i32;
    census::all().filter(|stat| stat.parent == us && stat.state == 'Z').count()
}

async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Orphans become ours and are reaped; no exit code of a child that is waited for is lost, whether this crate started it
/// or somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_are_reaped_and_nobody_elses_children() {
    process::become_subreaper().expect("prctl");
    let mut reaper = Reaper::new();

    // An orphan that ends: adopted, noted at the first look, reaped at the second.
    let orphan = process::run(&shell("(exit 3) & sleep 0.05 & echo $!"), Cancel::never()).await.expect("a shell");
    let pid: i32 = orphan.stdout.parse().expect("a pid");
    eventually("the orphan is a zombie of ours", || {
        census::Stat::of(pid).is_some_and(|stat| stat.state == 'Z' && stat.parent == std::process::id() as i32)
    })
    .await;
    assert!(reaper.sweep() >= 1, "noted");
    assert!(census::Stat::of(pid).is_some(), "but not yet reaped");
    reaper.sweep();
    assert!(census::Stat::of(pid).is_none(), "reaped");

    // A child of somebody else in this process, waited for at once.
    let reaping = tokio::spawn(Reaper::new().run());
    let mut others = tokio::process::Command::new("sh").args(["-c", "exit 9"]).spawn().expect("a shell");
    assert_eq!(others.wait().await.expect("its code is not lost").code(), Some(9));

    // Many of our own, with a reaper that looks all the time.
    let looking = std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < until {
            reaper.sweep();
        }
    });
    let mut running = tokio::task::JoinSet::new();
    for number in 0..100 {
        running.spawn(async move {
            let done =
                process::run(&shell(&format!("(true) & exit {number}")), Cancel::never()).await.expect("a shell");
            assert_eq!(done.ending, Ending::Exited(number), "no exit code is lost");
        });
    }
    while let Some(done) = running.join_next().await {
        done.expect("no panic");
    }
    looking.join().expect("no panic");
    eventually("no zombie is left", || zombies() == 0).await;
    reaping.abort();

    // A stop that waits until its process is gone, as most scripts do, waits for the script's work and not for us.
    let reaping = tokio::spawn(Reaper::prompt().run());
    let script = "(sleep 60 >/dev/null 2>&1 </dev/null & echo $!)";
    let service = process::run(&shell(script), Cancel::never()).await.expect("a shell");
    let stop = format!("kill {0}; while kill -0 {0} 2>/dev/null; do sleep 0.005; done", service.stdout.trim());
    let began = Instant::now();
    process::run(&shell(&stop), Cancel::never()).await.expect("a shell");
    assert!(began.elapsed() < Duration::from_millis(800), "a dead process stood for {:?}", began.elapsed());
    reaping.abort();
}
