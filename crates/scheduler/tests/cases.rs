//! Every file of tests/scheduler: facts, the plan with its reasons, and the record after it.
//!
//! `UPDATE_GOLDEN=1` writes the plans anew; what changes is to be read before it is committed. Each plan is also checked
//! for what every plan must be: accepted by the record entry by entry, and final (planning again gives nothing).

mod story;

use hearth_scheduler::plan;
use std::fs;
use std::path::PathBuf;
use story::{Story, print};

/// The comment and the given parts, in order, as they were written.
fn parts(text: &str) -> (String, Vec<(String, Vec<String>)>) {
    let mut comment = String::new();
    let mut given: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line.strip_prefix("-- ") {
            Some(title @ ("given" | "then")) => {
                given.push((title.to_string(), Vec::new()));
                inside = true;
            }
            Some(_) => inside = false,
            None if given.is_empty() => comment.push_str(&format!("{line}\n")),
            None if inside => given.last_mut().expect("inside one").1.push(line.to_string()),
            None => {}
        }
    }
    (comment, given)
}

fn play(text: &str) -> String {
    let (comment, given) = parts(text);
    let mut printed = comment;
    let mut story = Story::default();
    for (title, lines) in given {
        printed.push_str(&format!("-- {title}\n"));
        for line in lines {
            printed.push_str(&format!("{line}\n"));
            if !line.trim().is_empty() {
                story.tell(&line);
            }
        }
        let plan = plan(&story.record, &story.view);
        for action in &plan.actions {
            story.decide(action.entry.clone());
        }
        let again = hearth_scheduler::plan(&story.record, &story.view);
        assert!(again.actions.is_empty(), "planning again gives {:?}", again.actions);
        printed.push_str(&print(&plan, &story.record));
    }
    printed
}

#[test]
fn every_case_is_planned_as_written() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/scheduler"));
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).expect("tests/scheduler").map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() >= 15, "cases are missing: {}", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let written = fs::read_to_string(&path).expect("readable");
        let played = play(&written);
        if played == written {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &played).expect("writable");
        } else {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            wrong.push(format!("=== {name}: planned now\n{played}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_GOLDEN=1 writes them", wrong.join("\n"));
}
