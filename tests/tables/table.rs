//! The printer of the tables in this folder: it asks the code for every combination, prints what a person can read, and
//! compares. Included by the tests of several crates, some of which do without the standard library.
#![allow(dead_code, reason = "each table uses its own part")]

extern crate std;

use std::borrow::ToOwned;
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// One input of a decision: its name, and its values in words.
pub struct Input {
    name: &'static str,
    values: Vec<String>,
}

/// An input with these values.
pub fn input<T: ToString>(name: &'static str, values: &[T]) -> Input {
    Input { name, values: values.iter().map(ToString::to_string).collect() }
}

/// No, yes.
pub fn flag(name: &'static str) -> Input {
    input(name, &["no", "yes"])
}

/// Every combination of the inputs with what `ask` makes of it, told in as few lines as the order of the inputs allows:
/// `-` stands where an input decides nothing, several values stand in one line where they decide the same. `ask` is given
/// the position of each value.
pub fn decisions(inputs: &[Input], outcome: &str, mut ask: impl FnMut(&[usize]) -> String) -> String {
    let total: usize = inputs.iter().map(|input| input.values.len()).product();
    let answers: Vec<String> = (0..total)
        .map(|number| {
            let mut rest = number;
            let mut at: Vec<usize> = inputs
                .iter()
                .rev()
                .map(|input| {
                    let position = rest % input.values.len();
                    rest /= input.values.len();
                    position
                })
                .collect();
            at.reverse();
            ask(&at)
        })
        .collect();
    let mut rows = Vec::new();
    rows.push(inputs.iter().map(|input| input.name.to_owned()).chain([outcome.to_owned()]).collect());
    merge(inputs, &answers, &mut Vec::new(), &mut rows);
    format!("{total} combinations, {} lines\n\n{}", rows.len() - 1, aligned(&rows))
}

fn merge(inputs: &[Input], answers: &[String], said: &mut Vec<String>, rows: &mut Vec<Vec<String>>) {
    let Some((first, rest)) = inputs.split_first() else {
        rows.push(said.iter().cloned().chain([answers[0].clone()]).collect());
        return;
    };
    let each = answers.len() / first.values.len();
    let mut parts: Vec<(Vec<&str>, &[String])> = Vec::new();
    for (value, part) in first.values.iter().zip(answers.chunks(each)) {
        match parts.iter_mut().find(|(_, known)| *known == part) {
            Some((values, _)) => values.push(value),
            None => parts.push(([value.as_str()].to_vec(), part)),
        }
    }
    for (values, part) in parts {
        let any = values.len() == first.values.len() && values.len() > 1;
        said.push(if any { "-".to_owned() } else { values.join(", ") });
        merge(rest, part, said, rows);
        said.pop();
    }
}

/// Rows under each other, the first one as the head.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|it| it.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
        if number == 0 {
            text += widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("  ").as_str();
            text.push('\n');
        }
    }
    text
}

/// What came of every event in every state: several outcomes where something else than the state decides.
#[derive(Default)]
pub struct Cells(BTreeMap<String, BTreeMap<String, Vec<String>>>);

impl Cells {
    /// Notes one outcome.
    pub fn note(&mut self, state: &str, event: &str, outcome: String) {
        let outcomes = self.0.entry(state.to_owned()).or_default().entry(event.to_owned()).or_default();
        if let Err(at) = outcomes.binary_search(&outcome) {
            outcomes.insert(at, outcome);
        }
    }

    /// States that were seen.
    pub fn states(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Whether an event was seen in any state.
    pub fn has_event(&self, event: &str) -> bool {
        self.0.values().any(|events| events.contains_key(event))
    }

    /// A paragraph for each state. `nothing` is the outcome that is not worth a line: such events stand together.
    pub fn print(&self, nothing: &str) -> String {
        let cells: usize = self.0.values().map(BTreeMap::len).sum();
        let mut text = format!("{} states, {cells} cells\n", self.0.len());
        for (state, events) in &self.0 {
            text += &format!("\n{state}\n");
            let mut lines: Vec<(Vec<&str>, &Vec<String>)> = Vec::new();
            let mut idle = Vec::new();
            for (event, outcomes) in events {
                if outcomes.len() == 1 && outcomes[0] == nothing {
                    idle.push(event.as_str());
                    continue;
                }
                match lines.iter_mut().find(|(_, known)| *known == outcomes) {
                    Some((same, _)) => same.push(event),
                    None => lines.push(([event.as_str()].to_vec(), outcomes)),
                }
            }
            for (events, outcomes) in lines {
                text += &wrapped(&format!("{}:  {}", events.join(", "), outcomes.join("  or  ")));
            }
            if !idle.is_empty() {
                text += &wrapped(&format!("nothing comes of: {}", idle.join(", ")));
            }
        }
        text
    }
}

/// A paragraph of at most 120 columns, set in by four.
fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && line.len() + word.len() + 5 > 120 {
            lines += &format!("    {line}\n");
            line = "  ".to_owned();
        }
        if !line.trim().is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines + &format!("    {line}\n")
}

/// Holds a table against its file in tests/tables; `UPDATE_GOLDEN=1` writes it. `head` says what it shows.
///
/// # Panics
/// When they differ.
pub fn compare(file: &str, head: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/tables").join(file);
    let head: String = head.lines().map(|line| format!("# {}\n", line.trim())).collect();
    let text = format!("{head}\n{text}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).expect("a table that can be written");
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some((number, (old, new))) =
        written.lines().chain([""]).zip(text.lines().chain([""])).enumerate().find(|(_, (old, new))| old != new)
    {
        panic!(
            "tests/tables/{file}:{}\n  written: {old}\n  decided: {new}\nUPDATE_GOLDEN=1 writes it anew.",
            number + 1
        );
    }
    assert!(
        written == text,
        "tests/tables/{file} is longer or shorter than what is decided; UPDATE_GOLDEN=1 writes it"
    );
}
