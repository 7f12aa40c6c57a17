//! Writing a recording.

use crate::bytes::{Bytes, crc, put_number};
use crate::delta::Seen;
use crate::{Check, MAGIC};
use hearth_controller::{Input, Output, Start};
use hearth_types::{Incarnation, NodeName, Timestamp};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// Kinds of records.
pub(crate) const HEAD: u8 = 0;
pub(crate) const INPUT: u8 = 1;
pub(crate) const GAP: u8 = 2;
pub(crate) const WALL: u8 = 3;
pub(crate) const END: u8 = 4;

/// What a recording, or a part of one, begins with. Files of one run that follow each other are one recording when they
/// are read one behind the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Version of hearthd that wrote it.
    pub version: String,
    /// The node.
    pub node: NodeName,
    /// Its run.
    pub incarnation: Incarnation,
    /// Inputs of this run before it.
    pub inputs_before: u64,
    /// When, on the node's clock.
    pub at: Timestamp,
    /// The same moment as milliseconds since 1970; display only.
    pub wall_ms: u64,
    /// The check over everything before it.
    pub check: u64,
    /// What the controller is made from.
    pub begin: Begin,
}

/// What the controller is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Begin {
    /// The start of the run.
    Start(Box<Start>),
    /// What the node was at that moment: `Controller::checkpoint`.
    Checkpoint(Bytes),
}

impl Begin {
    /// A checkpoint.
    pub fn checkpoint(bytes: Vec<u8>) -> Begin {
        Begin::Checkpoint(Bytes(bytes))
    }
}

/// Writes a recording, block by block. What stands in a block that is not written yet is lost with the writer.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    block: Vec<u8>,
    seen: Seen,
    last_at: Timestamp,
    check: Check,
    inputs: u64,
    written: u64,
    scratch: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a recording and writes its head.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn begin(mut to: W, head: &Head) -> io::Result<Writer<W>> {
        to.write_all(MAGIC)?;
        let mut this = Writer {
            to,
            block: Vec::new(),
            seen: Seen::default(),
            last_at: head.at,
            check: Check::from_number(head.check),
            inputs: head.inputs_before,
            written: MAGIC.len() as u64,
            scratch: Vec::new(),
        };
        let bytes = minicbor_serde::to_vec(head).map_err(|error| io::Error::other(error.to_string()))?;
        this.block.push(HEAD);
        put_number(bytes.len() as u64, &mut this.block);
        this.block.extend_from_slice(&bytes);
        this.flush()?;
        Ok(this)
    }

    /// Adds an input with the time at which the controller was given it, and what it ordered.
    ///
    /// # Errors
    /// The input cannot be written, which is a bug of ours; nothing was added.
    pub fn input(&mut self, at: Timestamp, input: &Input, outputs: &[Output]) -> io::Result<()> {
        let bytes = minicbor_serde::to_vec(input).map_err(|error| io::Error::other(error.to_string()))?;
        self.check.add(at, &bytes, outputs, &mut self.scratch);
        self.copy(at, &bytes, self.check.short());
        Ok(())
    }

    /// Adds an input as it was read from another recording, with the check that it has there: for tools that shorten.
    pub fn copy(&mut self, at: Timestamp, bytes: &[u8], check: [u8; 2]) {
        self.inputs += 1;
        self.block.push(INPUT);
        // Time does not go backwards on a node's clock; where it did, the number wraps around and back again.
        put_number(at.0.wrapping_sub(self.last_at.0), &mut self.block);
        self.last_at = at;
        self.seen.put(bytes, &mut self.block);
        self.block.extend_from_slice(&check);
    }

    /// Says that inputs are missing from here on, up to the next head.
    pub fn gap(&mut self, inputs: u64) {
        self.inputs += inputs;
        self.block.push(GAP);
        put_number(inputs, &mut self.block);
    }

    /// Says what wall time a moment was, after a step of the wall clock.
    pub fn wall(&mut self, at: Timestamp, wall_ms: u64) {
        self.block.push(WALL);
        put_number(at.0, &mut self.block);
        put_number(wall_ms, &mut self.block);
    }

    /// Says that the run ended here in order.
    pub fn end(&mut self) {
        self.block.push(END);
    }

    /// Writes the block; without content nothing.
    ///
    /// # Errors
    /// Those of the writer; the block may be there in part, which a reader leaves out.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(self.block.len() + 8);
        bytes.extend_from_slice(&(self.block.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc(&self.block).to_le_bytes());
        bytes.append(&mut self.block);
        self.written += bytes.len() as u64;
        self.to.write_all(&bytes)?;
        self.to.flush()
    }

    /// Bytes written so far, the first line included.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Inputs of this run so far.
    pub fn inputs(&self) -> u64 {
        self.inputs
    }

    /// The check so far.
    pub fn check(&self) -> Check {
        self.check
    }

    /// Goes on to write to something else, with the block that is not written yet.
    pub fn with<V: Write>(self, to: V) -> Writer<V> {
        let Writer { block, seen, last_at, check, inputs, written, scratch, .. } = self;
        Writer { to, block, seen, last_at, check, inputs, written, scratch }
    }

    /// What it writes to.
    pub fn written_to(&self) -> &W {
        &self.to
    }

    /// What it wrote to; a block that is not written is lost.
    pub fn into_inner(self) -> W {
        self.to
    }
}
