//! Every file of tests/scenarios is played and must answer as it is written there; `UPDATE_GOLDEN=1` writes the answers.
//! What a file expects, and what the checkers forbid, holds whether or not the answers are rewritten.

use hearth_sim::Mutant;
use hearth_sim::scenario::play;
use std::path::{Path, PathBuf};

/// A file that is longer is no small story any more.
const LINES_MAX: usize = 150;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("tests/scenarios").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// The first line that differs, with both readings.
fn difference(old: &str, new: &str) -> String {
    let (mut olds, mut news) = (old.lines(), new.lines());
    for number in 1.. {
        match (olds.next(), news.next()) {
            (None, None) => break,
            (old, new) if old == new => {}
            (old, new) => {
                let (old, new) = (old.unwrap_or("(end)"), new.unwrap_or("(end)"));
                return format!("line {number}\n  written: {old}\n  now:     {new}");
            }
        }
    }
    "line ends".to_owned()
}

#[test]
fn every_scenario_tells_its_story() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for file in files() {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let written = std::fs::read_to_string(&file).expect("a scenario");
        if !written.starts_with("# ") {
            wrong.push(format!("{name}: begins with no comment that names the harm"));
        }
        let played = play(&written, None);
        wrong.extend(played.failures.iter().map(|failure| format!("{name}: {failure}")));
        if played.text.lines().count() > LINES_MAX {
            wrong.push(format!("{name}: {} lines, more than {LINES_MAX}", played.text.lines().count()));
        }
        if played.text != written {
            if update {
                std::fs::write(&file, &played.text).expect("a scenario that can be written");
            } else {
                wrong.push(format!("{name}: tells another story, {}", difference(&written, &played.text)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n\nUPDATE_GOLDEN=1 writes the answers anew.", wrong.join("\n"));
}

/// A file that lies about what must be is refused: the expectations are looked at.
#[test]
fn an_expectation_that_does_not_hold_fails_the_file() {
    let begin = "cluster a b\ngroup a 10.0.0.50 web\nbegin\n";
    for (line, answer) in [
        ("expect 10.0.0.50 on b", "10.0.0.50 is on a"),
        ("expect web nowhere", "web is on a"),
        ("expect event node-died", "nobody told `node-died`"),
        ("run until node-died within 1s", "did not come about"),
        ("expect web started 2 on a", "web was started 1 times on a"),
        ("expect gap at most 1s", "first comes `watch ADDRESS`"),
        ("watch 10.0.0.50\nstandby a\nrun 1s\nexpect gap at most 0ms", "the longest gap is"),
        ("watch 10.0.0.50\nrun 1s\nexpect gap at least 1ms", "the longest gap is 0ns"),
        ("split a\nrun 2s\nexpect no overlap", "two machines answered for"),
        ("dance", "`dance` is no act"),
    ] {
        let played = play(&format!("{begin}{line}\n"), None);
        assert!(played.failures.iter().any(|failure| failure.contains(answer)), "{line}: {:?}", played.failures);
    }
    assert_eq!(play(begin, None).failures, Vec::<String>::new());
}

/// Two owners that nothing permits fail the file by themselves: nobody needs to expect it.
#[test]
fn a_checker_that_complains_fails_the_file() {
    let source = "cluster a b\ngroup a 10.0.0.50 web\nbegin\nstandby a\nrun 3s\n";
    assert_eq!(play(source, None).failures, Vec::<String>::new());
    let played = play(source, Some(Mutant::StopLies));
    assert!(played.failures.iter().any(|failure| failure.contains("web runs on a and b")), "{:?}", played.failures);
    assert!(played.text.contains("!! one owner: web runs on a and b"), "{}", played.text);
}

/// R-LEDGER-3: nodes that ignore how far a disk has come let one that was put back vote, and what was decided is undone.
#[test]
fn what_was_decided_is_undone_by_a_disk_that_was_put_back_if_nobody_minds_its_mark() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let file = folder.join("disk-put-back-beside-one-that-was-away.txt");
    let source = std::fs::read_to_string(file).expect("a scenario");
    let ignored = std::panic::catch_unwind(|| play(&source, Some(Mutant::IgnoresMarks)));
    let words = match ignored {
        Ok(played) => played.failures.join("; "),
        Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
    };
    assert!(words.contains("different records") || words.contains("overwrite decided entries"), "{words}");
}

/// R-PAIR-1, decision 0071: files in which each of two supplies counts alone give two owners; the level prevents just that.
#[test]
fn two_owners_because_one_device_of_two_supplies_was_believed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let source = std::fs::read_to_string(folder.join("fence-two-supplies.txt")).expect("a scenario");
    let both = "\nsupplies both\n";
    assert!(source.contains(both));
    let played = play(&source.replace(both, "\nsupplies each\n"), None);
    assert!(played.failures.iter().any(|failure| failure.contains("/srv runs on a and b")), "{:?}", played.failures);
}

/// Decision 0058, R-LEASE-1: daemons that go over to another list whoever still serves cost the gap that the question prevents.
#[test]
fn a_machine_that_serves_is_taken_out_if_nobody_asks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let source = std::fs::read_to_string(folder.join("machine-less-that-serves.txt")).expect("a scenario");
    let played = play(&source, Some(Mutant::TakesOutUnasked));
    assert!(played.failures.iter().any(|failure| failure.contains("the longest gap is")), "{:?}", played.failures);
}
