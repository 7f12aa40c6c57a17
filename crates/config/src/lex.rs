//! Lines and words with their byte spans.

use alloc::vec::Vec;
use core::ops::Range;

/// One word and where it stands in its file.
#[derive(Clone, Debug)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) span: Range<usize>,
}

/// Every line without its end (LF or CRLF), with its offset.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = start;
        start += line.len();
        (at, line.trim_end_matches(['\n', '\r']))
    })
}

/// The line up to its comment.
pub(crate) fn uncommented(line: &str) -> &str {
    line.split('#').next().unwrap_or("")
}

/// Words of a line that begins at `start`; commas part them too where `commas`.
pub(crate) fn words(line: &str, start: usize, commas: bool) -> Vec<Word<'_>> {
    let mut offset = 0;
    line.split_inclusive(|c: char| c.is_whitespace() || (commas && c == ','))
        .filter_map(|piece| {
            let at = start + offset;
            offset += piece.len();
            let text = piece.trim_end_matches(|c: char| c.is_whitespace() || (commas && c == ','));
            (!text.is_empty()).then(|| Word { text, span: at..at + text.len() })
        })
        .collect()
}

/// From the first word's begin to the last one's end; `fallback` where there is none.
pub(crate) fn whole(words: &[Word<'_>], fallback: &Word<'_>) -> Range<usize> {
    match (words.first(), words.last()) {
        (Some(first), Some(last)) => first.span.start..last.span.end,
        _ => fallback.span.clone(),
    }
}

/// Line and column, both from 1, of an offset.
pub(crate) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().unwrap_or("").chars().count() + 1)
}
