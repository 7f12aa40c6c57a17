//! Lines and words of crm syntax with their byte spans: `\` at the end goes on in the next line, quotes hold blanks.

use crate::lex::lines;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// One word without its quotes, and where it stands with them.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) span: Range<usize>,
}

impl Token {
    /// The word behind a prefix that holds no quotes, and where that stands.
    pub(crate) fn behind(&self, prefix: &str) -> Option<Token> {
        let text = self.text.strip_prefix(prefix)?;
        let quoted = self.span.len() != self.text.len();
        let start = if quoted { self.span.start } else { self.span.start + prefix.len() };
        Some(Token { text: text.into(), span: start..self.span.end })
    }
}

/// Every definition of the file, in words. Lines that begin with `#` are none.
pub(crate) fn definitions(text: &str) -> Vec<Vec<Token>> {
    let (mut all, mut goes_on) = (Vec::new(), false);
    for (start, line) in lines(text) {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let trimmed = line.trim_end();
        let ends = trimmed.strip_suffix('\\');
        let words = words(ends.unwrap_or(trimmed), start);
        match all.last_mut().filter(|_| goes_on) {
            Some(definition) => Vec::extend(definition, words),
            None => all.push(words),
        }
        goes_on = ends.is_some();
    }
    all.retain(|definition| !definition.is_empty());
    all
}

fn words(line: &str, start: usize) -> Vec<Token> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<Token>, None);
    let mut letters = line.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if quote.is_none() && letter.is_whitespace() {
            all.extend(word.take());
            continue;
        }
        let end = start + at + letter.len_utf8();
        let open = word.get_or_insert_with(|| Token { text: String::new(), span: start + at..end });
        open.span.end = end;
        match (quote, letter) {
            (None, '"' | '\'') => quote = Some(letter),
            (Some(mark), _) if mark == letter => quote = None,
            (Some('"'), '\\') if letters.peek().is_some_and(|(_, next)| matches!(next, '"' | '\\')) => {
                let (at, next) = letters.next().unwrap_or((at, letter));
                open.text.push(next);
                open.span.end = start + at + next.len_utf8();
            }
            _ => open.text.push(letter),
        }
    }
    all.extend(word);
    all
}
