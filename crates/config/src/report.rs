//! Complaints while they are collected, and "did you mean".

use crate::lex::Word;
use crate::{Complaint, FileKind, Level};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

/// Complaints of one file.
pub(crate) struct Report {
    pub(crate) file: FileKind,
    pub(crate) complaints: Vec<Complaint>,
}

impl Report {
    pub(crate) fn new(file: FileKind) -> Self {
        Report { file, complaints: Vec::new() }
    }

    pub(crate) fn push(&mut self, complaint: Complaint) {
        self.push_of(self.file, complaint);
    }

    /// What turned out to be wrong with another file.
    pub(crate) fn push_of(&mut self, file: FileKind, mut complaint: Complaint) {
        complaint.file = file;
        self.complaints.push(complaint);
    }
}

/// Complains about words that were not UTF-8; true if there is one.
pub(crate) fn unreadable(words: &[Word<'_>], report: &mut Report) -> bool {
    let mut bad = words.iter().filter(|word| word.text.contains(char::REPLACEMENT_CHARACTER)).peekable();
    let found = bad.peek().is_some();
    for word in bad {
        let wrong = error("not-utf8", word.span.clone(), "this word is not UTF-8 text");
        report.push(wrong.help("write it anew; bytes of other encodings may stand in comments only"));
    }
    found
}

fn complaint(level: Level, code: &'static str, span: Option<Range<usize>>, title: String) -> Complaint {
    Complaint { level, code, file: FileKind::HaCf, span, title, label: String::new(), help: None, fix: None }
}

pub(crate) fn error(code: &'static str, span: impl Into<Option<Range<usize>>>, title: impl ToString) -> Complaint {
    complaint(Level::Error, code, span.into(), title.to_string())
}

pub(crate) fn warning(code: &'static str, span: impl Into<Option<Range<usize>>>, title: impl ToString) -> Complaint {
    complaint(Level::Warning, code, span.into(), title.to_string())
}

pub(crate) fn note(code: &'static str, span: impl Into<Option<Range<usize>>>, title: impl ToString) -> Complaint {
    complaint(Level::Note, code, span.into(), title.to_string())
}

impl Complaint {
    pub(crate) fn label(mut self, text: impl ToString) -> Self {
        self.label = text.to_string();
        self
    }

    pub(crate) fn help(mut self, text: impl ToString) -> Self {
        self.help = Some(text.to_string());
        self
    }

    pub(crate) fn fix(mut self, text: impl ToString) -> Self {
        self.fix = Some(text.to_string());
        self
    }

    /// Offers the nearest of `names` to `wrong` as the fix of the span, before the help that stands already.
    pub(crate) fn nearest<'a>(self, wrong: &str, names: impl Iterator<Item = &'a str>) -> Self {
        match nearest(wrong, names) {
            Some(name) => {
                let more = self.help.as_ref().map_or(String::new(), |help| alloc::format!(" ({help})"));
                self.help(alloc::format!("did you mean `{name}`?{more}")).fix(name)
            }
            None => self,
        }
    }
}

/// The name with the fewest edits, if those are few enough to be a slip.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.len() > 64 {
        return None;
    }
    let allowed = (wrong.chars().count() / 3).clamp(1, 3);
    let near = names.map(|name| (edits(wrong, name), name)).filter(|(count, _)| *count <= allowed);
    near.min_by_key(|(count, _)| *count).map(|(_, name)| name)
}

/// Optimal string alignment distance: insert, delete, replace, swap of neighbours.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = alloc::vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = alloc::vec![i];
        for j in 1..=b.len() {
            let other = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + other);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
