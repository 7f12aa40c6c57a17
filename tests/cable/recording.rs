//! What real daemons recorded, lived through again: the same decisions, event for event.

use crate::bench::{Bench, PATIENCE};
use hearth_lab::wait_until;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

const KEY: &[u8] = b"a-key-that-only-this-lab-knows";

fn folder(bench: &Bench, name: &str) -> PathBuf {
    bench.cluster.lab.room(name).join("state/recording")
}

fn replay(bench: &Bench, name: &str, words: &[&str]) -> Output {
    let folder = folder(bench, name);
    Command::new(env!("CARGO_BIN_EXE_hearth")).arg("replay").arg(folder).args(words).output().unwrap()
}

/// Events as the daemon tells them or as replay does: number, moment, cause, name, subject, sentence.
fn events(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let members = ["id", "at_ns", "cause", "severity", "name", "subject", "text"];
    let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.map(|value| members.map(|member| value[member].to_string()).join(" ")).collect()
}

fn same(bench: &Bench, name: &str, told: &[String]) {
    // What the daemon was told in its last second may still be on the way to its disk.
    let mut again = Vec::new();
    let all = wait_until(PATIENCE, Duration::from_millis(100), || {
        again = events(&replay(bench, name, &["--json"]));
        (again.len() >= told.len()).then_some(())
    });
    if all.is_none() || again[..told.len()] != *told {
        bench.fail(&format!("{name} told\n{}\nand its recording tells\n{}", told.join("\n"), again.join("\n")));
    }
    let verdict = replay(bench, name, &["--compare"]);
    if verdict.status.code() != Some(0) {
        bench.fail(&format!("the recording of {name} does not agree: {verdict:?}"));
    }
}

#[test]
fn both_sides_of_a_takeover_are_lived_through_again_event_for_event() {
    let mut bench = Bench::group("");
    let timeline = |bench: &Bench, name: &str| events(&bench.cluster.hearth(name, &["timeline", "--json"]).unwrap());
    let of_a = timeline(&bench, "a");
    same(&bench, "a", &of_a);
    let from = bench.cluster.lab.power_off("a").unwrap();
    bench.served_by("b", from);
    bench.wait("b", "b runs everything", |status| {
        status.groups.iter().all(|group| group.state == "started" && group.node.as_deref() == Some("b"))
    });
    // a lost its power in the middle of whatever it wrote.
    same(&bench, "a", &of_a);
    let of_b = timeline(&bench, "b");
    assert!(of_b.iter().any(|event| event.contains("node-died")), "{of_b:?}");
    same(&bench, "b", &of_b);

    bench.cluster.lab.power_on("a").unwrap();
    bench.cluster.start("a").unwrap();
    bench.wait("b", "both take part again", |status| status.nodes.iter().all(|node| node.online));
    for name in ["a", "b"] {
        let told = timeline(&bench, name);
        same(&bench, name, &told);
        for file in std::fs::read_dir(folder(&bench, name)).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(KEY.len()).any(|window| window == KEY), "the recording of {name} holds the key");
        }
    }
}
