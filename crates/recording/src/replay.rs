//! Living through a recording again.

use crate::{Begin, Check, Head, Item, ReadError, Reader};
use hearth_controller::{Controller, Input, Output};
use hearth_types::Timestamp;

/// One input that was lived through.
#[derive(Debug)]
pub struct Step {
    /// Its number in the node's run, from one.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What the node was told.
    pub input: Box<Input>,
    /// What the controller orders now.
    pub outputs: Vec<Output>,
    /// Whether input and outputs, and all before them, are what the node had: false once it is not so.
    pub agrees: bool,
}

/// Why a recording cannot be lived through further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What the node began with is refused.
    #[error("its beginning, written by hearth {version}, cannot be used by this version: {error}")]
    Begin {
        /// Version that wrote it.
        version: String,
        /// Why.
        error: String,
    },
}

/// Runs a recording through the controller.
pub struct Replay<'a> {
    reader: Reader<'a>,
    /// What was read and not yet lived through.
    ahead: Option<Result<Item, ReadError>>,
    controller: Option<Controller>,
    head: Option<Box<Head>>,
    check: Check,
    number: u64,
    now: Timestamp,
    wall: (Timestamp, u64),
    missing: u64,
    ended: bool,
    scratch: Vec<u8>,
}

/// A place in a recording to which [`Replay::return_to`] goes back.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    reader: Reader<'a>,
    ahead: Option<Result<Item, ReadError>>,
    checkpoint: Vec<u8>,
    head: Option<Box<Head>>,
    check: Check,
    number: u64,
    now: Timestamp,
    wall: (Timestamp, u64),
    missing: u64,
}

impl Place<'_> {
    /// The node as it is there.
    pub fn checkpoint(&self) -> &[u8] {
        &self.checkpoint
    }

    /// Number of the last input there.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl<'a> Replay<'a> {
    /// Makes the node that the recording begins with.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub fn new(bytes: &'a [u8]) -> Result<Replay<'a>, ReplayError> {
        let mut this = Replay {
            reader: Reader::new(bytes)?,
            ahead: None,
            controller: None,
            head: None,
            check: Check::default(),
            number: 0,
            now: Timestamp::ZERO,
            wall: (Timestamp::ZERO, 0),
            missing: 0,
            ended: false,
            scratch: Vec::new(),
        };
        this.ahead = this.reader.next();
        if let Some(Item::Head(head)) = this.read()? {
            this.take_head(head)?;
        }
        Ok(this)
    }

    fn read(&mut self) -> Result<Option<Item>, ReadError> {
        let item = self.ahead.take();
        self.ahead = self.reader.next();
        item.transpose()
    }

    /// When the next input comes, or the next part begins; none at the end and where something else comes first.
    pub fn next_at(&self) -> Option<Timestamp> {
        match &self.ahead {
            Some(Ok(Item::Input { at, .. })) => Some(*at),
            Some(Ok(Item::Head(head))) => Some(head.at),
            _ => None,
        }
    }

    /// Gives the controller the next input; none at the end.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub fn step(&mut self) -> Result<Option<Step>, ReplayError> {
        loop {
            let Some(item) = self.read()? else { return Ok(None) };
            match item {
                Item::Head(head) => self.take_head(head)?,
                Item::Gap(inputs) => {
                    self.missing += inputs;
                    self.number += inputs;
                    self.controller = None;
                }
                Item::Wall(at, wall_ms) => self.wall = (at, wall_ms),
                Item::End => self.ended = true,
                Item::Input { at, input, bytes, check } => {
                    self.number += 1;
                    self.now = at;
                    let Some(controller) = &mut self.controller else { continue };
                    let mut outputs = Vec::new();
                    controller.handle(at, (*input).clone(), &mut outputs);
                    self.check.add(at, &bytes, &outputs, &mut self.scratch);
                    let agrees = self.check.short() == check;
                    return Ok(Some(Step { number: self.number, at, input, outputs, agrees }));
                }
            }
        }
    }

    fn take_head(&mut self, head: Box<Head>) -> Result<(), ReplayError> {
        let same_run = self.head.as_ref().is_some_and(|last| last.incarnation == head.incarnation);
        let follows = same_run && self.number == head.inputs_before;
        if same_run {
            // A file between this part and the last one is not there, or the last one was cut.
            self.missing += head.inputs_before.saturating_sub(self.number);
        }
        self.wall = (head.at, head.wall_ms);
        self.ended = false;
        if !follows || self.controller.is_none() {
            let refused = |error| ReplayError::Begin { version: head.version.clone(), error };
            self.controller = Some(match &head.begin {
                Begin::Start(start) => {
                    Controller::new((**start).clone()).map_err(|error| refused(format!("{error:?}")))?
                }
                Begin::Checkpoint(bytes) => Controller::resume(&bytes.0).map_err(refused)?,
            });
            self.check = Check::from_number(head.check);
            self.number = head.inputs_before;
            self.now = head.at;
        }
        self.head = Some(head);
        Ok(())
    }

    /// The place where it is, if the node can be written down there.
    pub fn place(&self) -> Option<Place<'a>> {
        let checkpoint = self.controller.as_ref()?.checkpoint().ok()?;
        let Replay { head, check, number, now, wall, missing, .. } = self;
        Some(Place {
            reader: self.reader.clone(),
            ahead: self.ahead.clone(),
            checkpoint,
            head: head.clone(),
            check: *check,
            number: *number,
            now: *now,
            wall: *wall,
            missing: *missing,
        })
    }

    /// Goes back to a place of the same recording.
    ///
    /// # Errors
    /// The node cannot be read back, which is a bug of ours.
    pub fn return_to(&mut self, place: &Place<'a>) -> Result<(), ReplayError> {
        let version = self.head.as_ref().map_or_else(String::new, |head| head.version.clone());
        let controller =
            Controller::resume(&place.checkpoint).map_err(|error| ReplayError::Begin { version, error })?;
        let Place { reader, ahead, head, check, number, now, wall, missing, .. } = place.clone();
        let scratch = std::mem::take(&mut self.scratch);
        *self = Replay {
            reader,
            ahead,
            controller: Some(controller),
            head,
            check,
            number,
            now,
            wall,
            missing,
            ended: false,
            scratch,
        };
        Ok(())
    }

    /// The node as it is now; none inside of a gap.
    pub fn controller(&self) -> Option<&Controller> {
        self.controller.as_ref()
    }

    /// What this part of the recording began with.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_deref()
    }

    /// Number of the last input, counted from the node's start.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Time of the last input.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Wall time of a moment, in milliseconds since 1970; display only.
    pub fn wall_ms(&self, at: Timestamp) -> u64 {
        let (known, wall) = self.wall;
        if at >= known {
            wall.saturating_add(at.since(known).as_millis() as u64)
        } else {
            wall.saturating_sub(known.since(at).as_millis() as u64)
        }
    }

    /// Inputs that are missing: the recording says so, or a part begins behind where the one before it ends.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Whether the run ended in order at the end of what was read.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the recording was cut short, as when the daemon was killed; known at its end.
    pub fn is_cut(&self) -> bool {
        self.reader.is_cut()
    }
}
