//! Recordings of what went wrong once, or must not: every file of tests/regressions is lived through again.
//!
//! A recording is put there as hearthd wrote it, named for the harm. Beside it stands what came of it: what was started
//! and stopped, for which addresses the node answered from when until when, and what it warned of. That is compared.
//! That every order is still the one of the version that recorded it is not asked, since messages and words change;
//! where it is not, it is said. UPDATE_GOLDEN=1 writes what comes of it now.

use hearth_controller::{Output, Severity};
use hearth_recording::{Item, Reader, Replay, Step, Writer};
use hearth_types::{ResourceId, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions")
}

/// What came of a recording.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lived {
    outcome: String,
    /// The first input at which something else was ordered than by the version that recorded it.
    differs: Option<u64>,
    version: String,
    /// Everything, to the last output.
    orders: Vec<String>,
}

#[derive(Default)]
struct Outcome {
    text: String,
    began: Timestamp,
    /// Until when the node answers for an address.
    held: BTreeMap<ResourceId, Timestamp>,
}

impl Outcome {
    fn line(&mut self, at: Timestamp, what: &str) {
        let _ = writeln!(self.text, "{:>8} ms  {what}", at.since(self.began).as_millis());
    }

    fn lapse(&mut self, now: Timestamp) {
        let over: Vec<_> =
            self.held.iter().filter(|(_, until)| **until < now).map(|(id, at)| (id.clone(), *at)).collect();
        for (resource, at) in over {
            self.held.remove(&resource);
            self.line(at, &format!("no longer answers for {resource}: the lease ended"));
        }
    }

    fn add(&mut self, at: Timestamp, output: &Output) {
        match output {
            Output::StartOp(request) => {
                let action = format!("{:?}", request.action).to_lowercase();
                if action != "monitor" {
                    self.line(at, &format!("{action} {}", request.resource.id));
                }
            }
            Output::CancelOp(_) => self.line(at, "an operation is cancelled"),
            Output::GateTick { resources, decided_at, hold } => {
                for resource in resources {
                    if self.held.insert(resource.clone(), *decided_at + *hold).is_none() {
                        self.line(at, &format!("answers for {resource}"));
                    }
                }
            }
            Output::GateShut { resources } => {
                for resource in resources {
                    if self.held.remove(resource).is_some() {
                        self.line(at, &format!("no longer answers for {resource}: shut"));
                    }
                }
            }
            Output::Announce { resources, burst: true } => {
                let names: Vec<&str> = resources.iter().map(|resource| resource.as_str()).collect();
                self.line(at, &format!("announces {}", names.join(" ")));
            }
            Output::Event(event) if event.severity >= Severity::Warning => {
                self.line(at, &format!("warns: {} {}", event.name, event.subject));
            }
            Output::Halt { .. } => self.line(at, "ends"),
            _ => {}
        }
    }
}

fn live(bytes: &[u8]) -> Result<Lived, String> {
    let mut replay = Replay::new(bytes).map_err(|error| error.to_string())?;
    let mut lived = Lived::default();
    let mut outcome = Outcome { began: replay.now(), ..Outcome::default() };
    while let Some(Step { at, outputs, agrees, number, .. }) = replay.step().map_err(|error| error.to_string())? {
        outcome.lapse(at);
        outputs.iter().for_each(|output| outcome.add(at, output));
        if !agrees {
            lived.differs.get_or_insert(number);
        }
        lived.orders.push(format!("{outputs:?}"));
    }
    if let Some(head) = replay.head() {
        let _ = writeln!(lived.outcome, "{}, hearth {}, {} inputs", head.node, head.version, lived.orders.len());
        lived.version = head.version.clone();
    }
    if replay.missing() > 0 {
        let _ = writeln!(lived.outcome, "{} inputs are missing", replay.missing());
    }
    lived.outcome.push_str(&outcome.text);
    Ok(lived)
}

fn recordings() -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rec"));
    files.sort();
    files
}

/// What is wrong with a recording, if anything is.
fn judge(name: &str, bytes: &[u8], expected: Option<&str>) -> Result<Lived, String> {
    let lived = live(bytes).map_err(|error| {
        format!(
            "{name} cannot be lived through: {error}\n  A member that was added to an input, to `Start` or to the \
             configuration needs #[serde(default)].\n  A recording that begins with a checkpoint is read by the \
             version that wrote it alone: record it anew, from a start, or delete it.\n"
        )
    })?;
    if live(bytes).as_ref() != Ok(&lived) {
        return Err(format!("{name} is not repeatable: two runs through it differ\n"));
    }
    let age = match lived.differs {
        None => "orders all that the node ordered".to_owned(),
        Some(input) => format!("orders something else than hearth {} did, from input {input} on", lived.version),
    };
    println!("{name}: {age}");
    match expected {
        Some(expected) if *expected == lived.outcome => Ok(lived),
        Some(expected) => Err(format!(
            "{name}: other things come of it than before ({age})\nbefore:\n{expected}now:\n{}\n  `hearth replay` tells \
             the story. Where it is meant, UPDATE_GOLDEN=1 rewrites what comes of it.\n",
            lived.outcome
        )),
        None => Err(format!("{name}: UPDATE_GOLDEN=1 writes what comes of it beside it; read that\n")),
    }
}

#[test]
fn of_every_recording_comes_what_came_of_it() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let (mut wrong, files) = (String::new(), recordings());
    assert!(!files.is_empty());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let golden = file.with_extension("txt");
        if let (true, Ok(lived)) = (update, live(&bytes)) {
            std::fs::write(&golden, lived.outcome).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).ok();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Err(why) = judge(&name, &bytes, expected.as_deref()) {
            wrong.push_str(&why);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The same inputs, with what is ordered now as what was ordered then.
fn retaken(bytes: &[u8]) -> Vec<u8> {
    let mut replay = Replay::new(bytes).unwrap();
    let mut writer = Writer::begin(Vec::new(), replay.head().unwrap()).unwrap();
    while let Some(step) = replay.step().unwrap() {
        writer.input(step.at, &step.input, &step.outputs).unwrap();
    }
    writer.flush().unwrap();
    writer.into_inner()
}

/// The same run without some of its inputs.
fn without(bytes: &[u8], lost: Range<u64>) -> Vec<u8> {
    let mut items = Reader::new(bytes).unwrap();
    let Some(Ok(Item::Head(head))) = items.next() else { panic!("no head") };
    let mut writer = Writer::begin(Vec::new(), &head).unwrap();
    for (item, number) in items.zip(1..) {
        let Item::Input { at, bytes, check, .. } = item.unwrap() else { panic!("not an input") };
        if !lost.contains(&number) {
            writer.copy(at, &bytes, check);
        }
    }
    writer.flush().unwrap();
    writer.into_inner()
}

#[test]
fn a_recording_of_which_something_else_comes_is_noticed() {
    let whole = retaken(&std::fs::read(folder().join("takeover-after-power-loss.rec")).unwrap());
    let before = live(&whole).unwrap();
    assert_eq!(before.differs, None);
    judge("whole.rec", &whole, Some(&before.outcome)).unwrap();
    // Without what it heard of its peer for half a second it goes on alone too early.
    let deaf = without(&whole, 150..300);
    let now = live(&deaf).unwrap();
    assert_eq!(now.differs, Some(150));
    let told = judge("deaf.rec", &deaf, Some(&before.outcome)).unwrap_err();
    assert!(told.contains("other things come of it") && told.contains("from input 150 on"), "{told}");
}

#[test]
fn a_recording_that_cannot_be_used_says_why() {
    let whole = std::fs::read(folder().join("owner-until-power-loss.rec")).unwrap();
    let mut damaged = whole.clone();
    damaged[40] ^= 1;
    for (bytes, why) in [
        (&b"hearth-recording 0\nwhatever"[..], "a recording in format 0; this version of hearth reads format 1"),
        (b"a log\n", "it is no recording of hearthd"),
        (&whole[..40], "cut off before its first input"),
        (&damaged, "it is damaged at byte"),
    ] {
        let told = judge("x.rec", bytes, None).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
    assert!(judge("x.rec", &whole, None).unwrap_err().contains("UPDATE_GOLDEN=1"));
}
