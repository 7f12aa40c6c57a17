//! What each daemon was told, as its own recording would hold it: a failure here and an incident there are the same file.

use hearth_controller::{Input, Output, Start};
use hearth_recording::{Begin, Check, Head, Writer};
use hearth_types::Timestamp;

/// The recording of one run of a daemon, as `hearth replay` and tests/regressions take it.
#[derive(Debug)]
pub struct Recording {
    /// Node and number of its run: `a-1`.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Recordings of all daemons, in the order in which they were started.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    runs: Vec<Run>,
}

#[derive(Debug)]
struct Run {
    node: usize,
    name: String,
    writer: Writer<Vec<u8>>,
    /// Told and not answered: where the program panicked, this is what it was told last.
    under_way: Option<(Timestamp, Input)>,
}

impl Recorder {
    /// A daemon starts.
    pub(crate) fn begin(&mut self, node: usize, start: &Start) {
        let local = &start.config.cluster.local;
        let count = self.runs.iter().filter(|run| run.node == node).count() + 1;
        let head = Head {
            version: start.version.clone(),
            node: local.clone(),
            incarnation: start.incarnation,
            inputs_before: 0,
            at: start.now,
            wall_ms: start.now.0 / 1_000_000,
            check: Check::default().number(),
            begin: Begin::Start(Box::new(start.clone())),
        };
        // Memory takes everything, and a start is made of our own types, which always serialise.
        if let Ok(writer) = Writer::begin(Vec::new(), &head) {
            self.runs.push(Run { node, name: format!("{local}-{count}"), writer, under_way: None });
        }
    }

    /// A daemon is told something.
    pub(crate) fn told(&mut self, node: usize, at: Timestamp, input: &Input) {
        if let Some(run) = self.newest(node) {
            run.under_way = Some((at, input.clone()));
        }
    }

    /// What it ordered.
    pub(crate) fn ordered(&mut self, node: usize, outputs: &[Output]) {
        let Some(run) = self.newest(node) else { return };
        if let Some((at, input)) = run.under_way.take() {
            // As above.
            let _ = run.writer.input(at, &input, outputs);
        }
    }

    fn newest(&mut self, node: usize) -> Option<&mut Run> {
        self.runs.iter_mut().rev().find(|run| run.node == node)
    }

    /// All of them, to the last input.
    pub(crate) fn end(self) -> Vec<Recording> {
        let ended = self.runs.into_iter().map(|run| {
            let Run { name, mut writer, under_way, .. } = run;
            if let Some((at, input)) = under_way {
                let _ = writer.input(at, &input, &[]);
            }
            let _ = writer.flush();
            Recording { name, bytes: writer.into_inner() }
        });
        ended.collect()
    }
}
