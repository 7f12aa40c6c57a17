//! What a start left behind outlives the process that started it, and the next one finds it.

mod support;

use hearth_agents::process::census;
use hearth_types::{OpAction, OpOutcome};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use support::*;

const SERVICE: &str = r#"case $1 in
start) (trap '' TERM; while :; do sleep 0.02; echo alive; done) & echo $! >"$SITE/pid" ;;
stop) kill -9 $(cat "$SITE/pid"); exit 0 ;;
status) if kill -0 $(cat "$SITE/pid") 2>/dev/null; then echo running; else echo stopped; fi ;;
esac"#;

/// R-LEAVE-2, R-TAKE-4: the daemon dies by kill -9, its services do not even notice, although they hold its pipe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_outlives_kill_9_of_the_daemon_and_is_adopted() {
    if let Some(dir) = std::env::var_os("HEARTH_FIRST_DAEMON") {
        return first_daemon(dir.into()).await;
    }
    let site = Site::new();
    site.script("service", SERVICE);
    let mut daemon = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_service_outlives_kill_9_of_the_daemon_and_is_adopted"])
        .env("HEARTH_FIRST_DAEMON", site.dir.path())
        .stdin(Stdio::null())
        .spawn()
        .expect("a first daemon");
    assert_eq!(daemon.wait().expect("its end").signal(), Some(9));

    let pid: i32 = site.content("pid").trim().parse().expect("a pid");
    let ticks = || std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let before = ticks();
    eventually("it goes on writing", || ticks() != before && census::Stat::of(pid).is_some()).await;
    assert_eq!(site.run(heartbeat(OpAction::Probe, "service", &[])).await, OpOutcome::Ok, "found");
    assert_eq!(site.run(heartbeat(OpAction::Start, "service", &[])).await, OpOutcome::Ok, "not started twice");
    assert_eq!(site.content("pid").trim(), pid.to_string());
    assert!(site.left().iter().any(|stat| stat.pid == pid), "and known by its marks");
    assert_eq!(site.run(heartbeat(OpAction::Stop, "service", &[])).await, OpOutcome::Ok);
}

/// Starts the service of the site in `dir`, then dies.
async fn first_daemon(dir: std::path::PathBuf) {
    let mut scripts = Site::new().scripts.clone();
    for place in &mut scripts.resource_dirs[..1] {
        *place = dir.join("resource.d");
    }
    scripts.ha_dir = dir.clone();
    scripts.env.insert("SITE".into(), dir.join("tmp").display().to_string());
    let agents = hearth_agents::runner::Agents::new(scripts, std::sync::Arc::new(NoAddresses));
    let order = heartbeat(OpAction::Start, "service", &[]);
    let result = agents.run(order, hearth_agents::cancel::Cancel::never()).await;
    assert_eq!(result.outcome, OpOutcome::Ok);
    let us = nix::unistd::getpid();
    nix::sys::signal::kill(us, nix::sys::signal::Signal::SIGKILL).expect("the end");
}
