//! Runs the cases.

use crate::daemon::{Daemon, Script, replies};
use std::fmt::Write as _;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// One command of a case file, as written above its rule.
struct Block {
    /// Lines before the rule.
    head: Vec<String>,
    /// Lines after it.
    golden: String,
}

#[test]
fn commands_print_and_exit_as_the_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/cases");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = String::new();
    let mut commands = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let (story, blocks) = parse(&text);
        let mut fresh = story;
        for block in &blocks {
            commands += 1;
            let actual = perform(&block.head);
            if actual != block.golden && !update {
                let name = file.file_name().unwrap().display();
                let _ = writeln!(wrong, "{name}: {}\nexpected:\n{}actual:\n{actual}", block.head[0], block.golden);
            }
            let _ = write!(fresh, "\n{}\n----\n{actual}", block.head.join("\n"));
        }
        if update {
            std::fs::write(&file, fresh).unwrap();
        }
    }
    println!("{commands} commands");
    assert!(wrong.is_empty(), "{wrong}\nUPDATE_GOLDEN=1 rewrites the cases");
}

fn parse(text: &str) -> (String, Vec<Block>) {
    let mut story = String::new();
    let mut blocks: Vec<Block> = Vec::new();
    let mut in_golden = false;
    for line in text.lines() {
        if line.starts_with("$ ") {
            blocks.push(Block { head: vec![line.to_owned()], golden: String::new() });
            in_golden = false;
        } else if let Some(block) = blocks.last_mut() {
            match (in_golden, line) {
                (false, "----") => in_golden = true,
                (_, "") => {}
                (false, line) => block.head.push(line.to_owned()),
                (true, line) => {
                    let _ = writeln!(block.golden, "{line}");
                }
            }
        } else if !line.is_empty() {
            let _ = writeln!(story, "{line}");
        }
    }
    (story, blocks)
}

/// Performs a block and returns what belongs under its rule.
fn perform(head: &[String]) -> String {
    let mut answers = Vec::new();
    let mut script = Script::Absent;
    for line in &head[1..] {
        match line.strip_prefix("< ").unwrap_or_else(|| panic!("what is `{line}`?")) {
            "(absent)" => script = Script::Absent,
            "(dead)" => script = Script::Dead,
            "(closes)" => script = Script::Closes,
            name => {
                answers.extend(replies(name));
                script = Script::Answers(answers.clone());
            }
        }
    }
    let daemon = Daemon::start(script);
    let socket = daemon.socket();
    let folder = socket.parent().unwrap().to_string_lossy().into_owned();
    let mut words = head[0]["$ ".len()..].split_whitespace().peekable();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    // A zone without a name needs no zone files.
    command.env_clear().env("TZ", "UTC0").env("HEARTH_SOCKET", &socket);
    while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
        command.env(name, value);
        words.next();
    }
    command.arg0(words.next().expect("a command"));
    command.args(words.map(|word| word.replace("'", "").replace('~', " ")));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli"));
    let output = command.output().expect("hearth runs");
    let requests = daemon.requests();
    let mut text = String::new();
    for request in requests {
        let _ = writeln!(text, "> {request}");
    }
    for (mark, bytes) in [('|', output.stdout), ('!', output.stderr)] {
        let words = String::from_utf8(bytes).expect("UTF-8").replace(&folder, "/run/hearth");
        for line in words.lines() {
            let _ = writeln!(text, "{}", format!("{mark} {line}").trim_end());
        }
    }
    let _ = writeln!(text, "exit {}", output.status.code().expect("an exit code, not a signal"));
    text
}
