//! Which seeds a test of random worlds looks at.

use std::ops::Range;

/// These; where `HEARTH_SEEDS` is set those that it asks for, as FROM..TO or as their number.
pub fn seeds(usual: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("HEARTH_SEEDS") else { return usual };
    let number = |text: &str| text.trim().parse().expect("HEARTH_SEEDS is a number or FROM..TO");
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&text),
    }
}
