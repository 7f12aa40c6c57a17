//! Programs of fence devices: what they are told, and what of what they say is believed.

use hearth_agents::fence::{Device, Way, run};
use hearth_types::FenceTask;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(20);

/// A device whose program is this script; `$SITE` is its folder.
fn device(way: Way, script: &str, params: &[(&str, &str)], port: Option<&str>) -> (TempDir, Device) {
    let site = tempfile::tempdir().unwrap();
    let program = site.path().join("fence_test");
    let text = format!("#!/bin/sh\nSITE={}\n{script}\n", site.path().display());
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    (site, Device { program, way, params, port: port.map(str::to_owned) })
}

fn content(site: &TempDir, name: &str) -> String {
    std::fs::read_to_string(site.path().join(name)).unwrap_or_default()
}

#[tokio::test]
async fn an_agent_reads_its_options_on_standard_input_and_none_as_arguments() {
    let params = [("ip", "10.0.0.9"), ("password", "a b#c")];
    let (site, agent) = device(Way::Agent, "cat >$SITE/told; echo $# >$SITE/words", &params, Some("7"));
    assert_eq!(run(&agent, FenceTask::Reboot, "b", LONG).await, Ok("reboot is confirmed".into()));
    assert_eq!(content(&site, "told"), "ip=10.0.0.9\npassword=a b#c\nport=7\naction=reboot\n");
    assert_eq!(content(&site, "words"), "0\n", "passwords would show in the list of processes");
}

/// Decision 0071: what was switched off is switched on again by the word `on`, and its port is the one that was off.
#[tokio::test]
async fn an_agent_is_told_to_switch_on_again() {
    let (site, agent) = device(Way::Agent, "cat >>$SITE/told; exit $(cat $SITE/code)", &[], Some("7"));
    std::fs::write(site.path().join("code"), "0").unwrap();
    assert_eq!(run(&agent, FenceTask::On, "b", LONG).await, Ok("on is confirmed".into()));
    assert_eq!(content(&site, "told"), "port=7\naction=on\n");
    std::fs::write(site.path().join("code"), "3").unwrap();
    assert_eq!(run(&agent, FenceTask::On, "b", LONG).await, Err("on exited with 3".into()));
}

#[tokio::test]
async fn two_owners_because_an_agent_that_failed_was_believed() {
    // R-PAIR-1
    let (_site, failing) = device(Way::Agent, "echo 'Unable to connect' >&2; exit 1", &[], None);
    let said = run(&failing, FenceTask::Reboot, "b", LONG).await.unwrap_err();
    assert_eq!(said, "reboot exited with 1; it said: Unable to connect");
    let (_site, killed) = device(Way::Agent, "kill -9 $$", &[], None);
    assert!(run(&killed, FenceTask::Off, "b", LONG).await.is_err());
    let (_site, mut gone) = device(Way::Agent, "", &[], None);
    gone.program = "/nowhere/fence_test".into();
    assert!(run(&gone, FenceTask::Off, "b", LONG).await.unwrap_err().contains("cannot run"));
}

#[tokio::test]
async fn two_owners_because_an_agent_said_off_of_a_machine_that_it_calls_on() {
    let script = "while read l; do case $l in action=status) exit $(cat $SITE/status) ;; esac; done";
    let (site, agent) = device(Way::Agent, script, &[], None);
    for (status, believed) in [("2", true), ("0", false), ("1", true)] {
        std::fs::write(site.path().join("status"), status).unwrap();
        assert_eq!(run(&agent, FenceTask::Off, "b", LONG).await.is_ok(), believed, "its status exits with {status}");
    }
}

#[tokio::test]
async fn a_device_that_hangs_is_given_up_and_its_processes_are_ended() {
    let (_site, agent) = device(Way::Agent, "sleep 1000", &[], None);
    let began = Instant::now();
    let said = run(&agent, FenceTask::Reboot, "b", Duration::from_millis(300)).await.unwrap_err();
    assert!(said.contains("did not end within 300 ms"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_plugin_is_told_by_its_environment_and_two_words() {
    let script = "echo \"$1 $2 $# $hostlist\" >>$SITE/told; [ $1 = gethosts ] && echo a b; exit 0";
    let (site, plugin) = device(Way::Plugin, script, &[("hostlist", "a,b")], None);
    assert!(run(&plugin, FenceTask::Reboot, "b", LONG).await.is_ok());
    assert!(run(&plugin, FenceTask::Off, "b", LONG).await.is_ok());
    assert!(run(&plugin, FenceTask::Check, "b", LONG).await.is_ok());
    assert_eq!(content(&site, "told"), "reset b 2 a,b\noff b 2 a,b\nstatus  1 a,b\ngethosts  1 a,b\n");
    assert!(run(&plugin, FenceTask::On, "b", LONG).await.is_ok());
    assert_eq!(content(&site, "told").lines().last(), Some("on b 2 a,b"));
    let said = run(&plugin, FenceTask::Check, "c", LONG).await.unwrap_err();
    assert!(said.contains("gethosts does not name c"), "{said}");
}
