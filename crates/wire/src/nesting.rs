//! How deep an item of CBOR is nested (RFC 8949, 3), found without recursion: what decodes it recurses, and a stack ends.

use alloc::vec::Vec;

/// Levels of arrays, maps and tags that anything said here needs at most, several times over.
pub const DEEPEST: usize = 64;

/// Whether no item in `bytes` is nested deeper than [`DEEPEST`]. Of bytes that are cut short, or no CBOR, as far as they
/// can be read: what decodes them gets no further.
pub fn is_shallow(bytes: &[u8]) -> bool {
    // Items that are still to come on each level that is open; none: until its end is said.
    let mut open: Vec<Option<u64>> = Vec::new();
    let mut rest = bytes;
    while let Some((kind, argument, behind)) = head(rest) {
        rest = behind;
        let inside = match (kind, argument) {
            (2 | 3, Some(length)) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let Some(behind) = rest.get(length..) else { return true };
                rest = behind;
                Some(0)
            }
            (2..=5, None) => None,
            (4, Some(count)) => Some(count),
            (5, Some(count)) => Some(count.saturating_mul(2)),
            (6, _) => Some(1),
            (7, None) => {
                open.pop();
                Some(0)
            }
            _ => Some(0),
        };
        if inside == Some(0) {
            close(&mut open);
        } else if open.len() == DEEPEST {
            return false;
        } else {
            open.push(inside);
        }
    }
    true
}

/// An item is complete, and so is what it was the last of.
fn close(open: &mut Vec<Option<u64>>) {
    while let Some(Some(left)) = open.last_mut() {
        *left -= 1;
        if *left > 0 {
            return;
        }
        open.pop();
    }
}

/// Major type, argument (none: of indefinite length, or the end of that), and what stands behind; none: the bytes end.
fn head(bytes: &[u8]) -> Option<(u8, Option<u64>, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (kind, short) = (first >> 5, first & 31);
    let length = match short {
        0..=23 => return Some((kind, Some(u64::from(short)), rest)),
        24..=27 => 1_usize << (short - 24),
        31 => return Some((kind, None, rest)),
        _ => return None,
    };
    let (argument, behind) = rest.split_at_checked(length)?;
    let argument = argument.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some((kind, Some(argument), behind))
}
