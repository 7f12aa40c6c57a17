//! The recording of this run (decision 0025): a ring of files beside the state, written by a thread of its own.
//!
//! The heartbeat thread hands over what it was told in bounded batches and waits for nothing; what finds no room is
//! counted and stands in the file as a gap. A disk that does not take it ends the recording and nothing else.

use crate::clock;
use hearth_controller::{Controller, Input, Output, Start};
use hearth_recording::{Begin, Check, Head, Writer};
use hearth_types::Timestamp;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

/// Parts of the ring: the oldest one is deleted whole.
const PARTS: u64 = 8;
/// Inputs handed over at once.
const BATCH: usize = 256;
/// Batches under way: with the outputs about 4 MB, which a disk that hangs costs.
const QUEUE: usize = 16;
/// Span after which a batch is handed over at the next opportunity, and at the latest: a killed daemon loses no more.
const OLD: Duration = Duration::from_millis(500);
const TOO_OLD: Duration = Duration::from_millis(900);
/// A wall clock that is that far from where it should be was stepped.
const STEPPED_MS: u64 = 1000;
/// A checkpoint is made at most so often: in a hundredth of the time, as far as it was measured.
const SHARE: u32 = 100;
/// How long an orderly end waits for the last batch.
const LAST: Duration = Duration::from_secs(1);

struct Told {
    at: Timestamp,
    input: Input,
    outputs: Vec<Output>,
}

enum Note {
    Told(Vec<Told>),
    Lost(u64),
    /// Begins the next part.
    Checkpoint(Timestamp, Vec<u8>),
    /// Drops it, when everything before is on the disk.
    Settle(mpsc::Sender<()>),
    End,
}

/// The heartbeat thread's end.
pub(crate) struct Recorder {
    batch: Vec<Told>,
    lost: u64,
    to: SyncSender<Note>,
    /// Notes that the other end has not taken yet.
    under_way: Arc<AtomicUsize>,
    /// The other end wants to begin the next part.
    next_part: Arc<AtomicBool>,
    /// No checkpoint before that moment.
    pause_until: Timestamp,
    ended: Receiver<()>,
}

impl Recorder {
    /// Begins to record into a folder that is made if absent, with at most that many bytes.
    ///
    /// # Errors
    /// The folder or its first file cannot be made, or no thread can be started.
    pub(crate) fn start(folder: &Path, size: u64, start: &Start) -> io::Result<Recorder> {
        let head = Head {
            version: start.version.clone(),
            node: start.config.cluster.local.clone(),
            incarnation: start.incarnation,
            inputs_before: 0,
            at: start.now,
            wall_ms: clock::wall_ms(start.now),
            check: Check::default().number(),
            begin: Begin::Start(Box::new(start.clone())),
        };
        let (next_part, under_way) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let keeper = Keeper::open(folder, size, head, next_part.clone())?;
        let (to, from) = mpsc::sync_channel(QUEUE);
        let taken = under_way.clone();
        let (done, ended) = mpsc::channel();
        std::thread::Builder::new().name("recorder".into()).stack_size(crate::daemon::STACK).spawn(move || {
            keeper.run(from, &taken);
            // Nobody waits where the daemon ends otherwise.
            let _ = done.send(());
        })?;
        let pause_until = Timestamp::ZERO;
        Ok(Recorder { batch: Vec::new(), lost: 0, to, under_way, next_part, pause_until, ended })
    }

    /// To be called before the controller is given an input.
    pub(crate) fn before(&mut self, now: Timestamp, controller: &Controller) {
        if !self.wants_checkpoint(now) {
            return;
        }
        let begun = Instant::now();
        if let Ok(checkpoint) = controller.checkpoint() {
            self.pause_until = now + begun.elapsed() * SHARE;
            self.next_part.store(false, Ordering::Relaxed);
            if !self.is_sent(Note::Checkpoint(now, checkpoint)) {
                self.next_part.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether a checkpoint would be taken: where the other end is behind it would be made for nothing, and again with the
    /// next input, on a machine that has no time for it.
    fn wants_checkpoint(&mut self, now: Timestamp) -> bool {
        if !self.next_part.load(Ordering::Relaxed) || now < self.pause_until || self.is_full() {
            return false;
        }
        self.hand_over();
        self.lost == 0 && !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) >= QUEUE
    }

    /// Hands a note over, if there is room.
    fn is_sent(&self, note: Note) -> bool {
        // Counted first: the other end takes it off again at any moment.
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let sent = self.to.try_send(note);
        if sent.is_err() {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
        }
        // Where the other end is gone nobody waits for it any more.
        !matches!(sent, Err(TrySendError::Full(_)))
    }

    /// Notes an input and what was ordered.
    pub(crate) fn note(&mut self, at: Timestamp, input: Input, outputs: &[Output]) {
        self.batch.push(Told { at, input, outputs: outputs.to_vec() });
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
    }

    /// Hands over what is old enough.
    pub(crate) fn look(&mut self, now: Timestamp) {
        if self.batch.first().is_some_and(|first| now.since(first.at) >= OLD) {
            self.hand_over();
        }
    }

    /// When [`Recorder::look`] is wanted at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.batch.first().map(|first| first.at + TOO_OLD)
    }

    /// Hands over everything, to be written through to the disk; then `done` is dropped, at once where there is no room for it.
    pub(crate) fn settle(&mut self, done: mpsc::Sender<()>) {
        self.hand_over();
        self.is_sent(Note::Settle(done));
    }

    /// Writes the rest and waits a moment for it, also when all batches are under way just now.
    pub(crate) fn finish(self) {
        let Recorder { batch, lost, to, under_way, ended, .. } = self;
        let lost = (lost > 0).then_some(Note::Lost(lost));
        let notes = lost.into_iter().chain([Note::Told(batch), Note::End]);
        // Of its own: a disk that hangs must not keep the daemon from its end.
        let rest = move || {
            notes.into_iter().try_for_each(|note| {
                under_way.fetch_add(1, Ordering::Relaxed);
                to.send(note)
            })
        };
        if std::thread::Builder::new().name("recorder-end".into()).stack_size(crate::daemon::STACK).spawn(rest).is_ok()
        {
            let _ = ended.recv_timeout(LAST);
        }
    }

    fn hand_over(&mut self) {
        if self.lost > 0 && self.is_sent(Note::Lost(self.lost)) {
            self.lost = 0;
        }
        let batch = std::mem::take(&mut self.batch);
        let count = batch.len() as u64;
        if self.lost > 0 || !self.is_sent(Note::Told(batch)) {
            self.lost += count;
        }
    }
}

/// The thread's end: the ring of files.
struct Keeper {
    folder: PathBuf,
    size: u64,
    head: Head,
    writer: Writer<File>,
    begun: u64,
    number: u64,
    /// Inputs left out since the part was full and the next one could not begin.
    left_out: u64,
    next_part: Arc<AtomicBool>,
    /// The next part was asked for: its checkpoint may be under way behind batches of this one.
    asked: bool,
}

impl Keeper {
    fn open(folder: &Path, size: u64, head: Head, next_part: Arc<AtomicBool>) -> io::Result<Keeper> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let number = parts(folder)?.last().map_or(1, |(number, _)| number + 1);
        let writer = begin(folder, size, number, &head)?;
        let begun = writer.written();
        let folder = folder.to_owned();
        Ok(Keeper { folder, size, head, writer, begun, number, left_out: 0, next_part, asked: false })
    }

    /// Writes what comes, and counts it off.
    fn run(mut self, from: Receiver<Note>, under_way: &AtomicUsize) {
        for note in from {
            under_way.fetch_sub(1, Ordering::Relaxed);
            let last = matches!(note, Note::End);
            if let Err(error) = self.take(note) {
                tracing::warn!(
                    "the recording of this run ends here: {} cannot be written: {error}. Nothing else depends on it",
                    self.folder.display()
                );
                return;
            }
            if last {
                return;
            }
        }
    }

    fn take(&mut self, note: Note) -> io::Result<()> {
        match note {
            Note::Told(batch) => {
                self.look_at_wall(batch.first().map(|told| told.at));
                for told in &batch {
                    self.told(told)?;
                }
            }
            Note::Lost(inputs) => {
                self.writer.gap(inputs);
                self.ask();
            }
            Note::Checkpoint(at, checkpoint) => self.begin_part(at, checkpoint)?,
            Note::Settle(done) => {
                self.writer.flush()?;
                self.writer.written_to().sync_data()?;
                drop(done);
            }
            Note::End => self.writer.end(),
        }
        self.writer.flush()?;
        if self.grown() >= self.size / PARTS {
            self.ask();
        }
        Ok(())
    }

    /// Asks for the next part, once for each: a second checkpoint would make a part of nothing.
    fn ask(&mut self) {
        if !std::mem::replace(&mut self.asked, true) {
            self.next_part.store(true, Ordering::Relaxed);
        }
    }

    fn grown(&self) -> u64 {
        self.writer.written() - self.begun
    }

    fn told(&mut self, told: &Told) -> io::Result<()> {
        if self.left_out > 0 || self.grown() >= 2 * self.size / PARTS {
            self.left_out += 1;
            return Ok(());
        }
        self.writer.input(told.at, &told.input, &told.outputs)
    }

    fn begin_part(&mut self, at: Timestamp, checkpoint: Vec<u8>) -> io::Result<()> {
        if self.left_out > 0 {
            self.writer.gap(std::mem::take(&mut self.left_out));
        }
        self.writer.flush()?;
        self.head.at = at;
        self.head.wall_ms = clock::wall_ms(at);
        self.head.inputs_before = self.writer.inputs();
        self.head.check = self.writer.check().number();
        self.head.begin = Begin::checkpoint(checkpoint);
        self.number += 1;
        self.writer = begin(&self.folder, self.size, self.number, &self.head)?;
        self.begun = self.writer.written();
        self.asked = false;
        Ok(())
    }

    /// A wall clock that was stepped is noted, so that replay shows the times that the log shows.
    fn look_at_wall(&mut self, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        let expected = self.head.wall_ms.saturating_add(at.since(self.head.at).as_millis() as u64);
        let wall = clock::wall_ms(at);
        if wall.abs_diff(expected) > STEPPED_MS {
            self.writer.wall(at, wall);
            (self.head.at, self.head.wall_ms) = (at, wall);
        }
    }
}

/// Makes room for a part and begins it.
fn begin(folder: &Path, size: u64, number: u64, head: &Head) -> io::Result<Writer<File>> {
    let mut old = parts(folder)?;
    let mut held: u64 = old.iter().map(|(_, bytes)| bytes).sum();
    old.reverse();
    while held > size - 2 * (size / PARTS)
        && let Some((oldest, bytes)) = old.pop()
    {
        std::fs::remove_file(path(folder, oldest))?;
        held -= bytes;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path(folder, number))?;
    Writer::begin(file, head)
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.rec"))
}

/// Numbers and sizes of the files, oldest first.
fn parts(folder: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".rec")?.parse().ok());
        if let Some(number) = number {
            found.push((number, entry.metadata()?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_recording::Replay;
    use hearth_types::{Incarnation, NodeIdentity};

    const SIZE: u64 = 64 << 10;

    fn start() -> Start {
        let sources = hearth_config::Sources {
            ha_cf: Some("ucast lo 203.0.113.7\nnode a b\nrealtime no\n".into()),
            haresources: Some(String::new()),
            authkeys: Some("auth 1\n1 sha256 hidden-from-everybody\n".into()),
            authkeys_mode: Some(0o600),
            nodeinfo: Some("a".into()),
            ..Default::default()
        };
        let parsed = hearth_config::parse(&sources, &crate::files::System::new(Path::new("/nonexistent")));
        Start {
            config: parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.complaints)),
            fresh_identity: NodeIdentity(1),
            incarnation: Incarnation(2),
            seed: 3,
            state: None,
            log: Vec::new(),
            volatile: None,
            volatile_lease: None,
            now: clock::now(),
            version: "test".into(),
        }
    }

    /// Runs a node that hears nobody for that many inputs. The recorder is given time: a test feeds faster than any network.
    fn live(recorder: &mut Recorder, controller: &mut Controller, mut now: Timestamp, inputs: usize) -> Timestamp {
        for _ in 0..inputs {
            now = controller.next_deadline().map_or(now, |(at, _)| at.max(now));
            let mut out = Vec::new();
            recorder.before(now, controller);
            let input = Input::Deadline;
            controller.handle(now, input.clone(), &mut out);
            recorder.note(now, input, &out);
            recorder.look(now);
            while recorder.lost > 0 {
                std::thread::yield_now();
                recorder.hand_over();
            }
        }
        now
    }

    fn files(folder: &Path) -> Vec<Vec<u8>> {
        let parts = parts(folder).unwrap();
        parts.iter().map(|(number, _)| std::fs::read(path(folder, *number)).unwrap()).collect()
    }

    /// Inputs that agree, whether all do, inputs that are missing.
    fn told(bytes: &[u8]) -> (u64, bool, u64) {
        let mut replay = Replay::new(bytes).unwrap();
        let (mut count, mut agrees) = (0, true);
        while let Some(step) = replay.step().unwrap() {
            (count, agrees) = (count + 1, agrees && step.agrees);
        }
        (count, agrees, replay.missing())
    }

    #[test]
    fn a_ring_keeps_to_its_size_and_every_part_of_it_can_be_lived_through() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("recording");
        let start = start();
        let now = start.now;
        let mut controller = Controller::new(start.clone()).unwrap();
        let mut recorder = Recorder::start(&folder, SIZE, &start).unwrap();
        live(&mut recorder, &mut controller, now, 20_000);
        recorder.finish();
        let numbers: Vec<u64> = parts(&folder).unwrap().into_iter().map(|(number, _)| number).collect();
        assert!(numbers.len() > 2 && numbers[0] > 3, "{numbers:?}");
        let files = files(&folder);
        assert!(files.iter().map(Vec::len).sum::<usize>() < SIZE as usize);
        for file in &files {
            let (count, agrees, missing) = told(file);
            // A part can consist of a gap: the writer was behind when it began.
            assert!(count + missing > 0 && agrees, "{count} inputs, {missing} missing, agrees: {agrees}");
            assert!(!file.windows(6).any(|window| window == b"hidden"));
        }
        assert!(told(&files.concat()).1);
        let whole = files.concat();
        let mut replay = Replay::new(&whole).unwrap();
        while replay.step().unwrap().is_some() {}
        assert!(replay.has_ended() && !replay.is_cut());
        assert_eq!(replay.number(), 20_000);
        // The next run goes on beside it.
        Recorder::start(&folder, SIZE, &start).unwrap().finish();
        assert_eq!(parts(&folder).unwrap().last().unwrap().0, numbers.last().unwrap() + 1);
    }

    #[test]
    fn what_a_killed_daemon_was_told_a_second_ago_is_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let start = start();
        let now = start.now;
        let mut controller = Controller::new(start.clone()).unwrap();
        let mut recorder = Recorder::start(folder.path(), SIZE, &start).unwrap();
        let end = live(&mut recorder, &mut controller, now, 50);
        recorder.look(end + TOO_OLD);
        // What a kill takes away: everything but the thread's last write, which it is given time for here.
        assert!(recorder.batch.is_empty());
        recorder.finish();
        assert_eq!(told(&files(folder.path()).concat()), (50, true, 0));
    }

    #[test]
    fn a_machine_that_resets_itself_has_written_down_why_or_does_not_wait_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let start = start();
        let mut controller = Controller::new(start.clone()).unwrap();
        let mut recorder = Recorder::start(folder.path(), SIZE, &start).unwrap();
        let now = live(&mut recorder, &mut controller, start.now, 50);
        let (done, all_done) = mpsc::channel();
        recorder.settle(done);
        assert_eq!(all_done.recv_timeout(LAST * 10), Err(mpsc::RecvTimeoutError::Disconnected), "it was never written");
        assert_eq!(told(&files(folder.path()).concat()), (50, true, 0));
        // Its thread hangs with the disk: there is room for no more.
        let (to, from) = mpsc::sync_channel(QUEUE);
        recorder.to = to;
        for _ in 0..QUEUE {
            live(&mut recorder, &mut controller, now, 1);
            recorder.hand_over();
        }
        let (done, all_done) = mpsc::channel();
        recorder.settle(done);
        assert_eq!(all_done.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        drop(from);
    }

    #[test]
    fn inputs_that_found_no_room_are_a_gap_and_the_next_part_begins_whole() {
        let folder = tempfile::tempdir().unwrap();
        let start = start();
        let mut controller = Controller::new(start.clone()).unwrap();
        let mut recorder = Recorder::start(folder.path(), SIZE, &start).unwrap();
        let now = live(&mut recorder, &mut controller, start.now, 10);
        recorder.hand_over();
        for _ in 0..7 {
            controller.handle(now, Input::Deadline, &mut Vec::new());
        }
        recorder.lost = 7;
        recorder.hand_over();
        while !recorder.next_part.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        live(&mut recorder, &mut controller, now, 10);
        recorder.finish();
        let files = files(folder.path());
        assert_eq!(files.len(), 2);
        assert_eq!(told(&files.concat()), (20, true, 7));
    }

    #[test]
    fn a_writer_that_is_behind_does_not_make_every_input_as_dear_as_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let start = start();
        let controller = Controller::new(start.clone()).unwrap();
        let mut recorder = Recorder::start(folder.path(), SIZE, &start).unwrap();
        let (to, from) = mpsc::sync_channel(QUEUE);
        (recorder.to, recorder.under_way) = (to, Arc::default());
        recorder.next_part.store(true, Ordering::Relaxed);
        for _ in 0..QUEUE {
            recorder.hand_over();
        }
        let take = |recorder: &Recorder| {
            recorder.under_way.fetch_sub(1, Ordering::Relaxed);
            from.recv().unwrap()
        };
        assert!(!recorder.wants_checkpoint(start.now), "it finds no room");
        take(&recorder);
        // What it was told before goes first.
        assert!(!recorder.wants_checkpoint(start.now), "it finds no room behind that batch");
        take(&recorder);
        take(&recorder);
        recorder.before(start.now, &controller);
        assert!(!recorder.next_part.load(Ordering::Relaxed));
        assert!(
            std::iter::repeat_with(|| take(&recorder)).take(QUEUE).any(|note| matches!(note, Note::Checkpoint(..)))
        );
        // The next one waits until a hundred times as long has passed as this one took.
        recorder.next_part.store(true, Ordering::Relaxed);
        assert!(!recorder.wants_checkpoint(start.now));
        assert!(recorder.pause_until > start.now && recorder.wants_checkpoint(recorder.pause_until));
    }

    #[test]
    fn a_full_disk_ends_the_recording_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let start = start();
        let mut controller = Controller::new(start.clone()).unwrap();
        let mut recorder = Recorder::start(folder.path(), SIZE, &start).unwrap();
        let head = Head {
            version: String::new(),
            node: "a".into(),
            incarnation: Incarnation(2),
            inputs_before: 0,
            at: start.now,
            wall_ms: 0,
            check: 0,
            begin: Begin::checkpoint(Vec::new()),
        };
        let mut keeper = Keeper::open(folder.path(), SIZE, head, Arc::default()).unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        keeper.writer = keeper.writer.with(full);
        let (to, from) = mpsc::sync_channel(QUEUE);
        let under_way = Arc::new(AtomicUsize::new(0));
        recorder.under_way = under_way.clone();
        let thread = std::thread::spawn(move || keeper.run(from, &under_way));
        recorder.to = to;
        let now = live(&mut recorder, &mut controller, start.now, 20);
        recorder.hand_over();
        thread.join().unwrap();
        live(&mut recorder, &mut controller, now, 2000);
        assert!(recorder.batch.len() < BATCH);
        recorder.finish();
    }
}
