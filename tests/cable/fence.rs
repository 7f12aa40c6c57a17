//! A pair with fence devices: the test itself is the power switch, a program in the machines asks it.

use crate::bench::{Bench, PATIENCE, WEB_UDP, ms, programs};
use hearth_lab::{Cluster, Direction, Files, Net, wait_until};
use std::path::PathBuf;
use std::time::Duration;

/// A fence agent as those of fence-agents: options on standard input. It asks the test, which stands outside of all
/// machines, by a file in its machine's folder, and says what the test says.
const AGENT: &str = r#"#!/bin/sh
while read -r line; do
    case $line in action=*) action=${line#action=} ;; esac
done
case $action in monitor | status) exit 0 ;; esac
mkdir -p /mnt/switch
echo "$action" >/mnt/switch/order
while [ ! -s /mnt/switch/answer ]; do sleep 0.01; done
read -r word </mnt/switch/answer
[ "$word" = ok ] && exit 0
echo "the switch says $word" >&2
exit 1
"#;

const DEVICES: &str = "timeout fence 2s\n\
    stonith_host a /mnt/ha.d/resource.d/fence_lab pcmk_host_list=b\n\
    stonith_host b /mnt/ha.d/resource.d/fence_lab pcmk_host_list=a\n";

/// The address and a service as one group on `a`, with a device for each machine.
fn bench() -> Bench {
    let script = Cluster::service_script(&programs().helper, WEB_UDP, 80);
    let mut files = Files { haresources: "a 10.77.0.50/24/eth0 web\n".into(), ..Files::default() };
    files.ha_cf.push_str(DEVICES);
    files.scripts = vec![("web".into(), script), ("fence_lab".into(), AGENT.into())];
    Bench::cold(files, WEB_UDP).warm()
}

fn switch(bench: &Bench, user: &str, file: &str) -> PathBuf {
    let folder = bench.cluster.lab.room(user).join("switch");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(file)
}

/// What the switch that `user` orders will answer from now on.
fn answer(bench: &Bench, user: &str, word: &str) {
    let (new, file) = (switch(bench, user, "new"), switch(bench, user, "answer"));
    std::fs::write(&new, word).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// Waits until `user` orders its switch; what it ordered.
fn ordered(bench: &Bench, user: &str) -> String {
    let file = switch(bench, user, "order");
    let found = wait_until(PATIENCE, Duration::from_millis(5), || {
        std::fs::read_to_string(&file).ok().filter(|text| text.ends_with('\n'))
    });
    found.unwrap_or_else(|| bench.fail(&format!("{user} orders no fence"))).trim().to_owned()
}

/// R-PAIR-1, R-TAKE-1: the owner lives, hears nobody and reaches no switch; it is off before anything starts elsewhere.
#[test]
fn an_owner_that_is_cut_off_is_fenced_before_its_service_moves() {
    let mut bench = bench();
    answer(&bench, "a", "unreachable");
    let from = bench.cluster.lab.silence("a", &Net::ALL, &Direction::BOTH).unwrap();
    assert_eq!(ordered(&bench, "b"), "reboot");
    assert!(bench.observer.answering() != ["b"], "b serves before the switch has answered");
    bench.cluster.lab.power_off("a").unwrap();
    answer(&bench, "b", "ok");
    bench.served_by("b", from);
    let to = bench.watch(ms(500));
    let sample = bench.sample(from, to);
    assert_eq!(sample.owners.two, 0, "two owners");
    let status = bench.wait("b", "it says what it fenced", |status| {
        status.fencing.as_ref().is_some_and(|fencing| fencing.history.iter().any(|past| past.done))
    });
    assert!(status.protection.starts_with("Fenced: "), "{}", status.protection);
    let why = bench.cluster.hearth("b", &["why", "web"]).unwrap();
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("says that a is off, or was"), "{why}");
}

/// R-PAIR-1: a device that fails moves nothing; a person's word does.
#[test]
fn a_fence_that_failed_moves_nothing_until_a_person_says_that_the_machine_is_off() {
    let mut bench = bench();
    answer(&bench, "b", "no");
    let from = bench.cluster.lab.power_off("a").unwrap();
    assert_eq!(ordered(&bench, "b"), "reboot");
    let status = bench.wait("b", "it says that the fence failed, and the way out", |status| {
        status.summary.contains("the switch says no") && status.summary.contains("hearth node confirm-off a")
    });
    assert_eq!(status.health, "failed");
    assert!(bench.observer.answering().is_empty(), "something moved: {:?}", bench.observer.answering());
    let asked = bench.cluster.hearth("b", &["node", "confirm-off", "b", "--yes"]).unwrap();
    assert!(!asked.status.success(), "a node said of itself that it is off");
    bench.order("b", &["node", "confirm-off", "a", "--yes"]);
    bench.served_by("b", from);
    let to = bench.watch(ms(500));
    assert_eq!(bench.sample(from, to).owners.two, 0, "two owners");
    let timeline = bench.cluster.hearth("b", &["timeline", "a"]).unwrap();
    let timeline = String::from_utf8_lossy(&timeline.stdout).into_owned();
    assert!(timeline.contains("says that it is off"), "{timeline}");
}

/// R-PAIR-4: a rehearsal harms nobody and says what each device says.
#[test]
fn a_rehearsal_asks_the_devices_and_turns_nothing_off() {
    let bench = bench();
    let said = bench.cluster.hearth("a", &["fence", "test", "b"]).unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.contains("monitor is confirmed"), "{said:?}");
    let refused = bench.cluster.hearth("a", &["fence", "b"]).unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("b is heard: it is not off"), "{refused:?}");
    assert!(!switch(&bench, "a", "order").exists(), "a machine was turned off by a rehearsal");
    bench.settled("a");
}

/// The strips of two power supplies, as one program: `off` is done when the test says so, and what each was told stands in a file.
const STRIP: &str = r#"#!/bin/sh
while read -r line; do
    case $line in action=*) action=${line#action=} ;; ip=*) side=${line#ip=} ;; esac
done
case $action in monitor) exit 0 ;; status) exit 2 ;; esac
mkdir -p /mnt/switch
echo "$side $action" >>/mnt/switch/told
[ "$action" = on ] && exit 0
while [ ! -s "/mnt/switch/$side" ]; do sleep 0.01; done
read -r word <"/mnt/switch/$side"
[ "$word" = ok ] && exit 0
echo "the strip says $word" >&2
exit 1
"#;

const STRIPS: &str = "primitive left stonith:/mnt/ha.d/resource.d/fence_strip params ip=left pcmk_host_list=\"a b\"\n\
    primitive right stonith:/mnt/ha.d/resource.d/fence_strip params ip=right pcmk_host_list=\"a b\"\n\
    fencing_topology a: left,right b: left,right\n";

/// Waits until the strips have been told so much by `user`.
fn told(bench: &Bench, user: &str, words: &[&str]) {
    let file = switch(bench, user, "told");
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    let found = wait_until(PATIENCE, Duration::from_millis(5), || (text().lines().count() >= words.len()).then(text));
    let found = found.unwrap_or_else(|| bench.fail(&format!("{user} told its strips only {:?}", text())));
    assert_eq!(found.lines().collect::<Vec<_>>(), words);
}

/// R-PAIR-1, decision 0071: an owner with two power supplies lives on one of them; nothing moves until both are off, and both
/// are switched on again.
#[test]
fn an_owner_with_two_supplies_is_off_when_both_are() {
    let script = Cluster::service_script(&programs().helper, WEB_UDP, 80);
    let mut files = Files { haresources: "a 10.77.0.50/24/eth0 web\n".into(), ..Files::default() };
    files.ha_cf.push_str("timeout fence 3s\n");
    files.crm = Some(STRIPS.into());
    files.scripts = vec![("web".into(), script), ("fence_strip".into(), STRIP.into())];
    let mut bench = Bench::cold(files, WEB_UDP).warm();
    let rehearsed = bench.cluster.hearth("b", &["fence", "test", "a"]).unwrap();
    let text = String::from_utf8_lossy(&rehearsed.stdout).into_owned();
    assert!(rehearsed.status.success() && text.contains("left: ") && text.contains("right: "), "{rehearsed:?}");

    std::fs::write(switch(&bench, "a", "left"), "unreachable\n").unwrap();
    let from = bench.cluster.lab.silence("a", &Net::ALL, &Direction::BOTH).unwrap();
    told(&bench, "b", &["left off"]);
    std::fs::write(switch(&bench, "b", "left"), "ok\n").unwrap();
    told(&bench, "b", &["left off", "right off"]);
    bench.watch(ms(300));
    assert!(bench.observer.answering() != ["b"], "b serves while one supply of a has power");
    let status = bench.wait("b", "it says how far that is", |status| status.summary.contains("left did, and all must"));
    assert!(!status.fencing.unwrap().history.iter().any(|past| past.fenced), "one supply of two counts");
    bench.cluster.lab.power_off("a").unwrap();
    std::fs::write(switch(&bench, "b", "right"), "ok\n").unwrap();
    bench.served_by("b", from);
    told(&bench, "b", &["left off", "right off", "left on", "right on"]);
    let to = bench.watch(ms(500));
    assert_eq!(bench.sample(from, to).owners.two, 0, "two owners");
    let told = |status: &hearth_control::Status| {
        let fencing = status.fencing.clone().unwrap();
        fencing.history.into_iter().map(|past| (past.device, past.task, past.fenced)).collect::<Vec<_>>()
    };
    let step = |device: &str, task: &str, fenced: bool| (device.to_owned(), task.to_owned(), fenced);
    let history =
        [step("right", "on", false), step("left", "on", false), step("right", "off", true), step("left", "off", false)];
    bench.wait("b", "its history says which device did what", |status| told(status) == history);
    let shown = bench.cluster.hearth("b", &["status"]).unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for words in
        ["a: is switched on again (by right of left,right", "a: is switched off in part (by left of left,right"]
    {
        assert!(shown.contains(words), "no `{words}` in {shown}");
    }
}
