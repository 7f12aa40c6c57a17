//! Reading a recording.

use crate::bytes::{crc, take, take_number};
use crate::delta::Seen;
use crate::write::{END, GAP, HEAD, INPUT, WALL};
use crate::{Head, MAGIC};
use hearth_controller::Input;
use hearth_types::Timestamp;

/// One record.
#[derive(Clone, Debug)]
pub enum Item {
    /// The recording, or another part of it, begins.
    Head(Box<Head>),
    /// An input.
    Input {
        /// When the controller was given it.
        at: Timestamp,
        /// What.
        input: Box<Input>,
        /// The bytes that stand for it in the check.
        bytes: Vec<u8>,
        /// Two bytes of the check behind it.
        check: [u8; 2],
    },
    /// That many inputs are missing.
    Gap(u64),
    /// What wall time a moment was, in milliseconds since 1970.
    Wall(Timestamp, u64),
    /// The run ended here in order.
    End,
}

/// Why a recording cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Its first line is another one.
    #[error("it is no recording of hearthd")]
    Foreign,
    /// It is one of another format.
    #[error("it is a recording in format {0}; this version of hearth reads format 1")]
    Format(String),
    /// It ends before the node's beginning.
    #[error("it is cut off before its first input")]
    Empty,
    /// Bytes in the middle of it do not fit their sum or mean nothing.
    #[error("it is damaged at byte {0}")]
    Damaged(usize),
    /// A whole record that this version does not know.
    #[error("it was written by another version of hearth ({0})")]
    Unknown(String),
}

/// Reads record by record. A clone goes on from the same place.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    all: &'a [u8],
    rest: &'a [u8],
    block: &'a [u8],
    seen: Seen,
    last_at: Timestamp,
    cut: bool,
    failed: bool,
}

impl<'a> Reader<'a> {
    /// Begins to read.
    ///
    /// # Errors
    /// [`ReadError::Foreign`], [`ReadError::Format`], [`ReadError::Empty`].
    pub fn new(all: &'a [u8]) -> Result<Reader<'a>, ReadError> {
        let Some(rest) = all.strip_prefix(MAGIC) else { return Err(strange(all)) };
        let this = Reader {
            all,
            rest,
            block: &[],
            seen: Seen::default(),
            last_at: Timestamp::ZERO,
            cut: false,
            failed: false,
        };
        match this.clone().next() {
            Some(Ok(Item::Head(_))) => Ok(this),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) => Err(ReadError::Damaged(MAGIC.len())),
            None => Err(ReadError::Empty),
        }
    }

    /// Whether the last block was cut short; known once everything was read.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// How far it has read, in bytes.
    pub fn offset(&self) -> usize {
        self.all.len() - self.rest.len() - self.block.len()
    }

    fn next_block(&mut self) -> Result<bool, ReadError> {
        loop {
            // Files that follow each other are read as one.
            if let Some(rest) = self.rest.strip_prefix(MAGIC) {
                self.rest = rest;
            }
            if self.rest.is_empty() {
                return Ok(false);
            }
            let mut from = self.rest;
            let block = (|| {
                let length = u32::from_le_bytes(take(&mut from, 4)?.try_into().ok()?);
                let sum = u32::from_le_bytes(take(&mut from, 4)?.try_into().ok()?);
                Some((take(&mut from, length as usize)?, sum))
            })();
            if let Some((block, sum)) = block
                && crc(block) == sum
            {
                (self.block, self.rest) = (block, from);
                return Ok(true);
            }
            // The last write of a daemon that was killed; where more follows, it is another file.
            match self.rest.windows(MAGIC.len()).position(|window| window == MAGIC) {
                Some(next) => self.rest = &self.rest[next..],
                None if block.is_none() || from.is_empty() => self.rest = &[],
                None => return Err(ReadError::Damaged(self.offset())),
            }
            self.cut = true;
        }
    }

    fn record(&mut self) -> Result<Item, ReadError> {
        let damaged = ReadError::Damaged(self.offset());
        let from = &mut self.block;
        let kind = take(from, 1).ok_or_else(|| damaged.clone())?[0];
        let item = match kind {
            HEAD => {
                let length = take_number(from).ok_or_else(|| damaged.clone())?;
                let bytes = take(from, length as usize).ok_or(damaged)?;
                let head: Head = decode(bytes)?;
                self.seen = Seen::default();
                self.last_at = head.at;
                Item::Head(Box::new(head))
            }
            INPUT => {
                let since = take_number(from).ok_or_else(|| damaged.clone())?;
                let bytes = self.seen.take(from).ok_or_else(|| damaged.clone())?;
                let check = take(from, 2).and_then(|check| check.try_into().ok()).ok_or(damaged)?;
                let input = decode(&bytes)?;
                self.last_at = Timestamp(self.last_at.0.wrapping_add(since));
                Item::Input { at: self.last_at, input: Box::new(input), bytes, check }
            }
            GAP => Item::Gap(take_number(from).ok_or(damaged)?),
            WALL => {
                let at = take_number(from).ok_or_else(|| damaged.clone())?;
                Item::Wall(Timestamp(at), take_number(from).ok_or(damaged)?)
            }
            END => Item::End,
            other => return Err(ReadError::Unknown(format!("record {other}"))),
        };
        Ok(item)
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Item, ReadError>;

    fn next(&mut self) -> Option<Result<Item, ReadError>> {
        if self.failed {
            return None;
        }
        while self.block.is_empty() {
            match self.next_block() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        let item = self.record();
        self.failed = item.is_err();
        Some(item)
    }
}

fn strange(all: &[u8]) -> ReadError {
    let Some(version) = all.strip_prefix(b"hearth-recording ") else {
        return if !all.is_empty() && MAGIC.starts_with(all) { ReadError::Empty } else { ReadError::Foreign };
    };
    let line = version.split(|byte| *byte == b'\n').next().unwrap_or_default();
    ReadError::Format(String::from_utf8_lossy(&line[..line.len().min(16)]).into_owned())
}

/// What was written down; nothing that is nested so deep that it takes more stack than there is.
fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    if !hearth_wire::is_shallow(bytes) {
        return Err(ReadError::Unknown("it is nested too deep".to_owned()));
    }
    minicbor_serde::from_slice(bytes).map_err(|error| ReadError::Unknown(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32).to_le_bytes(), &crc(content).to_le_bytes(), content].concat()
    }

    /// Whoever was handed a file reads it as root.
    fn is_read_to_an_end(bytes: &[u8]) {
        if let Ok(reader) = Reader::new(bytes) {
            assert!(reader.take_while(Result::is_ok).count() <= bytes.len());
        }
    }

    proptest! {
        #[test]
        fn anything_with_a_right_sum_is_read_to_an_end(content: Vec<u8>, kind in 0u8..6, more: Vec<u8>) {
            let bytes = [&[kind][..], &content].concat();
            let reader = Reader {
                all: &bytes,
                rest: &[],
                block: &bytes,
                seen: Seen::default(),
                last_at: Timestamp::ZERO,
                cut: false,
                failed: false,
            };
            prop_assert!(reader.take_while(Result::is_ok).count() <= bytes.len());
            is_read_to_an_end(&[MAGIC, &block(&bytes), &block(&more)].concat());
            is_read_to_an_end(&[MAGIC, &bytes, MAGIC, &more].concat());
        }
    }

    #[test]
    fn a_hundred_thousand_files_that_were_cut_are_read_to_an_end() {
        let bytes = [MAGIC, b"cut"].concat().repeat(100_000);
        assert_eq!(Reader::new(&bytes).err(), Some(ReadError::Empty));
    }
}
