//! `hearth check` over real folders: the interface `lo` is on every machine, and `nodeinfo` names the node.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const HA_CF: &str = "keepalive 200ms\ndeadtime 2\ninitdead 10\nmcast lo 239.0.0.1 694 1 0\nnode h1\nnode h2\n";

fn folder(ha_cf: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    };
    write("ha.cf", ha_cf, 0o644);
    write("haresources", "h1 IPaddr2::127.0.0.50/8/lo\n", 0o644);
    write("authkeys", "auth 1\n1 sha256 a-key-that-is-long-enough-to-be-one\n", 0o600);
    write("nodeinfo", "h1\n", 0o644);
    folder
}

fn check(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hearth")).env_clear().args(["check", "-d"]).arg(folder).output().unwrap()
}

#[test]
fn files_in_order_are_said_to_be_with_what_they_promise() {
    let folder = folder(HA_CF);
    let output = check(folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for words in ["is in order", "Not fenced: ", "deadtime                 2s", "= 1.1s to spare", "at most 2.1 s"] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    assert!(!said.contains("a-key-that-is-long"), "{said}");
}

/// Harm: a line of ha.cf makes another machine the witness than the one that is meant, and nobody sees it.
#[test]
fn which_machine_is_the_witness_is_said() {
    let folder = folder(&format!("{HA_CF}witness h3\nalert /bin/true night@example.org\n"));
    let output = check(folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("this is h1: [ h1 h2 ], and h3 as the witness: it votes and runs nothing"), "{said}");
    assert!(said.contains("alerts are told to: /bin/true night@example.org"), "{said}");
}

#[test]
fn what_a_takeover_takes_is_told_step_by_step_and_the_pause_that_was_asked_for_is_borne() {
    // R-LEASE-10, R-LEASE-6: of these 1.5 s the takeover itself has 0.1 s.
    let two = HA_CF.replace("keepalive 200ms\n", "").replace("deadtime 2\n", "max_outage 1500ms\nworst_pause 600ms\n");
    let folder = folder(&format!("{two}watchdog /dev/watchdog 5s\n"));
    let output = check(folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for words in [
        "takeover: 1.4 s to detect (deadtime) + at most 100 ms to agree + nothing to fence with + ",
        "pause: 600 ms: a machine that stands still",
        "self-fence: /dev/watchdog resets this machine 5.0 s after its last pet",
        "has 4.5 s to stop",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
}

/// Decision 0071: who is turned off by what is told level by level, and a takeover is reckoned with every order of them.
#[test]
fn devices_that_must_all_work_are_named_together() {
    let folder = folder(&format!("{HA_CF}timeout fence 3\n"));
    let program = folder.path().join("fence_test");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let device =
        |name: &str| format!("primitive {name} stonith:{} params pcmk_host_list=\"h1 h2\"\n", program.display());
    let levels = "fencing_topology h1: left,right board h2: board\n";
    let crm = format!("{}{}{}{levels}", device("left"), device("right"), device("board"));
    std::fs::write(folder.path().join("resources.crm"), crm).unwrap();
    let output = check(folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for words in [
        "h1: left and right (all of them: off, then on again), then board\n",
        "h2: board\n",
        // Three orders of 3 s, twice, and a deadtime more.
        "at most 20.0 s to fence",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
}

#[test]
fn what_a_self_fence_is_for_and_what_not_is_said() {
    // R-LEASE-6
    let said = said_with(HA_CF, "self_fence reboot\n");
    for words in [
        "self-fence: this machine resets itself 10.0 s (nothing but addresses is to stop) after it has lost the right",
        "that is for a stop that fails. If the kernel crashes, or hearthd dies, hangs or is frozen, nothing is reset",
        "no other machine takes anything over because of it",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    // Whether it could be done depends on the machine on which this test runs.
    let refused = hearth_runtime::self_fence_refusal();
    assert_eq!(said.contains("NOT on the machine where this check runs"), refused.is_some(), "{refused:?}: {said}");
    assert!(!said_with(HA_CF, "").contains("self-fence"));
}

fn said_with(ha_cf: &str, more: &str) -> String {
    let folder = folder(&format!("{ha_cf}{more}"));
    let output = check(folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn every_error_is_shown_and_the_exit_code_is_6() {
    let folder = folder(&HA_CF.replace("keepalive", "keepalvie").replace("deadtime 2", "deadtime soon"));
    let output = check(folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    for words in ["keepalvie", "soon", "ha.cf:1:1", "ha.cf:2:10"] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    assert!(String::from_utf8_lossy(&output.stderr).contains("2 errors in "), "{output:?}");
}

#[test]
fn a_folder_without_files_is_a_configuration_error() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(check(&folder.path().join("nowhere")).status.code(), Some(6));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = folder(HA_CF);
    let path = folder.path().join("haresources");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let output = check(folder.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains(&format!("cannot read {}", path.display())) && said.contains("-d DIR"), "{said}");
}
