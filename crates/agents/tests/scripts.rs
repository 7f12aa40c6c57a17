//! Scripts as sites have them: odd, hanging, forking, stubborn.

mod support;

use hearth_agents::cancel::Cancel;
use hearth_agents::process::census;
use hearth_types::{OpAction, OpOutcome, ResourceKind, Timestamp};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::*;

/// A script with a state file: start makes it, stop removes it, status tells.
const PLAIN: &str = r#"
for action; do :; done
case $action in
start) echo "$*" >>"$SITE/calls"; : >"$SITE/state" ;;
stop) echo "$*" >>"$SITE/calls"; rm -f "$SITE/state" ;;
status) if [ -f "$SITE/state" ]; then echo "is running"; else echo "is stopped"; fi ;;
esac"#;

#[tokio::test]
async fn a_heartbeat_script_is_called_with_its_arguments_and_the_action_last() {
    let site = Site::new();
    site.script("plain", PLAIN);
    let args = ["one two", "*", "$HOME"];
    assert_eq!(site.run(heartbeat(OpAction::Probe, "plain", &args)).await, OpOutcome::NotRunning);
    assert_eq!(site.run(heartbeat(OpAction::Start, "plain", &args)).await, OpOutcome::Ok);
    assert_eq!(site.run(heartbeat(OpAction::Monitor, "plain", &args)).await, OpOutcome::Ok);
    assert_eq!(
        site.run(heartbeat(OpAction::Start, "plain", &args)).await,
        OpOutcome::Ok,
        "what runs is not started again"
    );
    assert_eq!(site.run(heartbeat(OpAction::Stop, "plain", &args)).await, OpOutcome::Ok);
    assert_eq!(site.content("calls"), "one two * $HOME start\none two * $HOME stop\n");
}

#[tokio::test]
async fn status_is_judged_by_its_text_whatever_its_exit_code() {
    let site = Site::new();
    site.script("says", "case $2 in status) echo \"$1\"; echo 'running' >&2; exit 1 ;; esac");
    for (text, outcome) in [
        ("stopped, not OK", OpOutcome::Ok),
        ("Running", OpOutcome::Ok),
        ("Not Running OK", OpOutcome::NotRunning),
        ("stopped", OpOutcome::NotRunning),
        ("", OpOutcome::NotRunning),
    ] {
        assert_eq!(site.run(heartbeat(OpAction::Probe, "says", &[text])).await, outcome, "{text:?}");
    }
}

#[tokio::test]
async fn an_lsb_script_is_judged_by_its_exit_code() {
    let site = Site::new();
    site.init("coded", "echo 'apache2 is running'; exit $(cat \"$SITE/code\")");
    for (code, running) in
        [(0, Some(true)), (1, Some(false)), (2, Some(false)), (3, Some(false)), (4, None), (150, None)]
    {
        std::fs::write(site.file("code"), code.to_string()).expect("a code");
        match (site.run(lsb(OpAction::Probe, "coded")).await, running) {
            (OpOutcome::Ok, Some(true)) | (OpOutcome::NotRunning, Some(false)) => {}
            (OpOutcome::Failed { code: Some(got), .. }, None) => assert_eq!(got, code),
            (other, _) => panic!("{code}: {other:?}"),
        }
    }
    // Asked for as heartbeat-class and found in init.d: by exit code, too.
    std::fs::write(site.file("code"), "3").expect("a code");
    assert_eq!(site.run(heartbeat(OpAction::Probe, "coded", &[])).await, OpOutcome::NotRunning);
}

#[tokio::test]
async fn scripts_are_found_in_order_and_named_when_they_are_not() {
    let site = Site::new();
    site.init("both", "exit 0");
    site.script("both", "echo running");
    site.script("Delay", "echo running from the site");
    assert_eq!(site.run(heartbeat(OpAction::Probe, "Delay", &[])).await, OpOutcome::Ok, "the site's own comes first");
    assert_eq!(site.run(heartbeat(OpAction::Probe, "both", &[])).await, OpOutcome::Ok);
    assert_eq!(site.run(heartbeat(OpAction::Probe, "nowhere", &[])).await, OpOutcome::NotRunning);
    let said = message(site.run(heartbeat(OpAction::Start, "nowhere", &[])).await);
    assert!(said.contains("no script nowhere in ") && said.contains("resource.d") && said.contains("init.d"), "{said}");
    std::fs::write(site.dir.path().join("resource.d/plain.txt"), "text").expect("a file");
    let said = message(site.run(heartbeat(OpAction::Start, "plain.txt", &[])).await);
    assert!(said.contains("chmod +x"), "{said}");
    let said = message(site.run(heartbeat(OpAction::Start, "../resource.d/both", &[])).await);
    assert!(said.contains("not the name of a script"), "{said}");
}

#[tokio::test]
async fn the_environment_is_clean_and_has_the_names_of_heartbeat() {
    let mut site = Site::new();
    site.scripts = site
        .scripts
        .clone()
        .with_env(&[("COLOUR".to_string(), "blue sky".to_string())].into())
        .with_logging(1, None, None, Some("local0"));
    site.script("environment", "env >\"$SITE/env\"; . \"$HA_FUNCS\" && ocf_log info sourced; echo OK");
    site.run(heartbeat(OpAction::Probe, "environment", &[])).await;
    let env = site.content("env");
    let dir = site.dir.path().display();
    for line in [
        &format!("HA_DIR={dir}"),
        &format!("HA_RESOURCEDIR={dir}/resource.d"),
        "HA_CURHOST=nodea",
        "HA_LOGFACILITY=local0",
        "HA_debug=1",
        "HA_COLOUR=blue sky",
        "OCF_ROOT=/usr/lib/ocf",
        "HEARTH_RESOURCE=environment",
    ] {
        assert!(env.lines().any(|found| found == line), "{line} is missing in {env}");
    }
    assert!(!env.contains("CARGO"), "the daemon's own environment is not handed on: {env}");
}

#[tokio::test]
async fn a_site_script_in_the_manner_of_drbddisk_works_unchanged() {
    let mut site = Site::new();
    let fixtures = repository().join("tests/agents");
    site.scripts.resource_dirs.push(fixtures.join("resource.d"));
    site.scripts.env.insert("DRBDADM".into(), fixtures.join("drbdadm").display().to_string());
    site.scripts.env.insert("DRBD_STATE".into(), site.file("drbd").display().to_string());
    assert_eq!(site.run(heartbeat(OpAction::Probe, "drbddisk", &["r0"])).await, OpOutcome::NotRunning);
    assert_eq!(site.run(heartbeat(OpAction::Start, "drbddisk", &["r0"])).await, OpOutcome::Ok);
    assert_eq!(site.run(heartbeat(OpAction::Monitor, "drbddisk", &["r0"])).await, OpOutcome::Ok);
    assert_eq!(site.content("drbd.r0"), "Primary/Secondary\n");
    assert_eq!(site.run(heartbeat(OpAction::Stop, "drbddisk", &["r0"])).await, OpOutcome::Ok);
    assert_eq!(site.run(heartbeat(OpAction::Probe, "drbddisk", &["r0"])).await, OpOutcome::NotRunning);
}

#[tokio::test]
async fn a_failed_start_shows_its_code_and_its_last_lines() {
    let site = Site::new();
    site.script("broken", "[ $1 = status ] && exit; echo first; echo 'disk is full' >&2; exit 7");
    match site.run(heartbeat(OpAction::Start, "broken", &[])).await {
        OpOutcome::Failed { code: Some(7), message } => {
            assert!(
                message.contains("broken start exited with 7; it said:") && message.contains("disk is full"),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// R-TAKE-8: every operation has a timeout, and nothing of the script is left after it.
#[tokio::test]
async fn a_hanging_start_is_ended_with_all_its_children() {
    let site = Site::new();
    site.script("hangs", "[ $1 = status ] && exit; echo waiting for the moon; sleep 600 & (sleep 600; :) ; wait");
    let began = Instant::now();
    let said = message(site.run(within(heartbeat(OpAction::Start, "hangs", &[]), Duration::from_millis(300))).await);
    assert!(said.contains("did not end within") && said.contains("waiting for the moon"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(3), "TERM was enough: {:?}", began.elapsed());
    assert_eq!(site.left(), []);
}

#[tokio::test]
async fn a_script_that_ignores_term_gets_kill() {
    let site = Site::new();
    site.script("deaf", "[ $1 = status ] && exit; trap '' TERM; while :; do sleep 600; done");
    let began = Instant::now();
    message(site.run(within(heartbeat(OpAction::Start, "deaf", &[]), Duration::from_millis(200))).await);
    assert!(
        began.elapsed() > Duration::from_secs(3) && began.elapsed() < Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(site.left(), []);
}

#[tokio::test]
async fn a_cancelled_operation_leaves_nothing() {
    let site = Site::new();
    site.script("slow", "[ $1 = status ] && exit; : >\"$SITE/began\"; sleep 600");
    let (handle, cancel) = Cancel::pair();
    let agents = site.agents();
    let running = tokio::spawn(async move { agents.run(heartbeat(OpAction::Start, "slow", &[]), cancel).await });
    eventually("it began", || site.file("began").exists()).await;
    handle.cancel();
    assert_eq!(running.await.expect("no panic").outcome, OpOutcome::Cancelled);
    assert_eq!(site.left(), []);
}

#[tokio::test]
async fn a_dropped_operation_leaves_nothing() {
    let site = Site::new();
    site.script("slow", "[ $1 = status ] && exit; : >\"$SITE/began\"; sleep 600");
    let agents = site.agents();
    let running =
        tokio::spawn(async move { agents.run(heartbeat(OpAction::Start, "slow", &[]), Cancel::never()).await });
    eventually("it began", || site.file("began").exists()).await;
    running.abort();
    eventually("its processes are gone", || site.left().is_empty()).await;
}

/// R-LEAVE-2: a service that holds the script's output open neither delays the start nor dies of its next line.
#[tokio::test]
async fn a_daemon_that_holds_the_output_does_not_hang_the_start_and_lives_on() {
    let site = Site::new();
    let body = r#"case $1 in
start) (while [ ! -e "$SITE/go" ]; do sleep 0.01; done
        i=0; while [ $i -lt 3000 ]; do echo "a line of seventy bytes, again and again, until any pipe is full: $i"; i=$((i+1)); done
        : >"$SITE/wrote"; exec sleep 600) & echo started ;;
status) ;;
esac"#;
    site.script("forks", body);
    let began = Instant::now();
    assert_eq!(site.run(heartbeat(OpAction::Start, "forks", &[])).await, OpOutcome::Ok);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    std::fs::write(site.file("go"), "").expect("a file");
    eventually("it wrote more than a pipe holds", || site.file("wrote").exists()).await;
    assert_eq!(site.left().len(), 1, "it lives");
}

/// R-TAKE-8: agent, TERM, KILL; then the status decides. All stages are told.
#[tokio::test]
async fn a_failing_stop_ends_the_processes_that_the_start_left() {
    let site = Site::new();
    let body = r#"case $1 in
start) setsid sleep 600 >/dev/null 2>&1 & ;;
stop) echo x >>"$SITE/tries"; exit 1 ;;
status) pid=$(pgrep -x -f 'sleep 600' | while read p; do grep -qs "HEARTH_DIR=$HEARTH_DIR" /proc/$p/environ && echo $p; done)
        [ -n "$pid" ] && echo running || echo stopped ;;
esac"#;
    site.script("clings", body);
    assert_eq!(site.run(heartbeat(OpAction::Start, "clings", &[])).await, OpOutcome::Ok);
    eventually("it runs", || site.left().len() == 1).await;
    let stopped = site.result(heartbeat(OpAction::Stop, "clings", &[])).await;
    assert_eq!(stopped.outcome, OpOutcome::Ok);
    let remark = stopped.remark.expect("it is told what its stop did not do");
    assert!(remark.contains("asked 4 times") && remark.contains("SIGTERM sent to sleep"), "{remark}");
    assert_eq!(site.content("tries").lines().count(), 4, "a few tries, with pauses");
    assert_eq!(site.left(), []);
}

#[tokio::test]
async fn a_stop_that_cannot_be_confirmed_fails_and_tells_every_stage() {
    let site = Site::new();
    let body = r#"case $1 in
start) (trap '' TERM; exec sleep 600) >/dev/null 2>&1 & ;;
stop) echo 'the disk is busy' >&2; exit 5 ;;
status) [ -e "$SITE/asked" ] && echo running; : >"$SITE/asked" ;;
esac"#;
    site.script("sticks", body);
    assert_eq!(site.run(heartbeat(OpAction::Start, "sticks", &[])).await, OpOutcome::Ok);
    eventually("it runs", || site.left().iter().any(|stat| stat.name == "sleep")).await;
    let stop = within(heartbeat(OpAction::Stop, "sticks", &[]), Duration::from_secs(1));
    let said = message(site.run(stop).await);
    for part in [
        "may still be active",
        "times within 1 s",
        "the disk is busy",
        "SIGTERM sent to sleep",
        "not all ended within 5 s",
        "SIGKILL sent to sleep",
        "they ended",
        "status still says running",
    ] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    assert_eq!(site.left(), []);
}

#[tokio::test]
async fn a_stop_that_fails_for_what_does_not_run_is_done() {
    let site = Site::new();
    site.script("refuses", "case $1 in stop) exit 1 ;; status) echo not running ;; esac");
    assert_eq!(site.run(heartbeat(OpAction::Stop, "refuses", &[])).await, OpOutcome::Ok);
}

#[tokio::test]
async fn only_marked_processes_of_the_same_resource_are_ended() {
    let site = Site::new();
    let body = "case $2 in start) setsid sleep 600 >/dev/null 2>&1 & ;; stop) exit 1 ;; status) ;; esac";
    site.script("twins", body);
    for name in ["a", "b"] {
        assert_eq!(site.run(heartbeat(OpAction::Start, "twins", &[name])).await, OpOutcome::Ok);
    }
    eventually("both run", || site.left().iter().filter(|stat| stat.name == "sleep").count() == 2).await;
    let stop = within(heartbeat(OpAction::Stop, "twins", &["a"]), Duration::from_millis(500));
    assert_eq!(site.run(stop).await, OpOutcome::Ok);
    assert_eq!(site.left().len(), 1, "the other one lives");
    assert!(census::marked(&["HEARTH_RESOURCE=twins::a".to_string()]).is_empty());
}

#[tokio::test]
async fn a_flood_of_output_is_bounded() {
    let site = Site::new();
    site.script("floods", "[ $1 = status ] && exit; yes 0123456789012345678901234567890123456789 & yes flood >&2");
    let said = message(site.run(within(heartbeat(OpAction::Start, "floods", &[]), Duration::from_millis(500))).await);
    assert!(said.len() < 5000, "{} bytes", said.len());
    assert_eq!(site.left(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_operations_run_side_by_side() {
    let site = Site::new();
    // Each waits for all the others: one after the other would never end.
    site.script("meets", "[ $2 = status ] && exit; : >\"$SITE/m$1\"; until [ -e \"$SITE/all\" ]; do sleep 0.1; done");
    let agents = Arc::new(site.agents());
    let mut running = tokio::task::JoinSet::new();
    for number in 0..100 {
        let agents = agents.clone();
        running.spawn(async move {
            let order = within(heartbeat(OpAction::Start, "meets", &[&number.to_string()]), Duration::from_secs(60));
            agents.run(order, Cancel::never()).await.outcome
        });
    }
    let deadline = Instant::now() + Duration::from_secs(40);
    while !(0..100).all(|number| site.file(&format!("m{number}")).exists()) {
        assert!(Instant::now() < deadline, "they do not run side by side");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::fs::write(site.file("all"), "").expect("a file");
    while let Some(outcome) = running.join_next().await {
        assert_eq!(outcome.expect("no panic"), OpOutcome::Ok);
    }
}

/// R-LEASE-5: an agent that would act later than its right lasts must not.
#[tokio::test]
async fn a_start_after_the_end_of_its_right_does_nothing() {
    let site = Site::new();
    site.script("plain", PLAIN);
    let mut start = heartbeat(OpAction::Start, "plain", &[]);
    start.not_after = Some(Timestamp(1));
    let said = message(site.run(start).await);
    assert!(said.contains("the right to start it ended"), "{said}");
    assert_eq!(site.content("calls"), "");
}

#[tokio::test]
async fn an_address_operation_ends_at_its_timeout() {
    let site = Site::new();
    let address = hearth_types::AddressSpec {
        ip: "10.0.0.50".parse().expect("an address"),
        prefix: None,
        interface: None,
        label: None,
        broadcast: None,
    };
    let spec = resource(hearth_types::AgentClass::Native, "IPaddr", &["10.0.0.50"], ResourceKind::Address(address));
    let said = message(site.run(within(order(OpAction::Probe, spec), Duration::from_millis(50))).await);
    assert!(said.contains("probe of 10.0.0.50 took longer than 50 ms"), "{said}");
}
