//! Inputs repeat themselves: of each, only what differs from the last one of the same length is stored.

use crate::bytes::{put_number, take, take_number};
use std::collections::BTreeMap;

/// Longest input that later ones are compared with: longer ones are rare and do not repeat.
const KEPT_MAX: usize = 4096;
/// Equal bytes between two differences from which on it is shorter to store two.
const APART: usize = 3;

/// What was seen last, by length. The same on both sides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(BTreeMap<usize, Vec<u8>>);

impl Seen {
    /// Appends `input` as length, then differences as (equal bytes before, count, bytes), ended by a count of zero; all
    /// of it is one difference where nothing of that length was seen.
    pub(crate) fn put(&mut self, input: &[u8], out: &mut Vec<u8>) {
        put_number(input.len() as u64, out);
        match self.0.get(&input.len()) {
            None => {
                put_difference(0, input, out);
            }
            Some(last) => {
                let (mut at, mut done) = (0, 0);
                while at < input.len() {
                    if input[at] == last[at] {
                        at += 1;
                        continue;
                    }
                    let from = at;
                    let mut equal = 0;
                    while at < input.len() && equal < APART {
                        equal = if input[at] == last[at] { equal + 1 } else { 0 };
                        at += 1;
                    }
                    put_difference(from - done, &input[from..at - equal], out);
                    done = at - equal;
                }
            }
        }
        put_number(0, out);
        put_number(0, out);
        self.keep(input);
    }

    /// Takes one from the front; none if it is not whole or cannot be.
    pub(crate) fn take(&mut self, from: &mut &[u8]) -> Option<Vec<u8>> {
        let length = usize::try_from(take_number(from)?).ok()?;
        let seen = self.0.get(&length);
        // What was not seen is stored whole, so no more is believed than is there.
        let mut input = match seen {
            Some(seen) => seen.clone(),
            None => vec![0; if length <= from.len() { length } else { return None }],
        };
        let mut at = 0_usize;
        loop {
            let skip = usize::try_from(take_number(from)?).ok()?;
            let count = usize::try_from(take_number(from)?).ok()?;
            if count == 0 {
                break;
            }
            let bytes = take(from, count)?;
            at = at.checked_add(skip)?;
            let end = at.checked_add(count)?;
            input.get_mut(at..end)?.copy_from_slice(bytes);
            at = end;
        }
        self.keep(&input);
        Some(input)
    }

    fn keep(&mut self, input: &[u8]) {
        if input.len() > KEPT_MAX {
            return;
        }
        let kept = self.0.entry(input.len()).or_default();
        kept.clear();
        kept.extend_from_slice(input);
    }
}

fn put_difference(skip: usize, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        put_number(skip as u64, out);
        put_number(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
}
