//! Outputs that wait until what stands before them is durable (R-LEDGER-3).

use hearth_control::Reply;
use hearth_controller::Output;
use hearth_wire::Message;
use std::collections::VecDeque;

/// The queue behind the persists under way.
#[derive(Default)]
pub(crate) struct HeldBack {
    /// Each persist with the outputs behind it, up to the next one.
    batches: VecDeque<(u64, Vec<Output>)>,
}

impl HeldBack {
    /// A persist is under way.
    pub(crate) fn barrier(&mut self, ticket: u64) {
        self.batches.push_back((ticket, Vec::new()));
    }

    /// Gives the output back if it may be done now, else keeps it.
    pub(crate) fn offer(&mut self, output: Output) -> Option<Output> {
        match self.batches.back_mut() {
            Some((_, batch)) if !overtakes(&output) => {
                batch.push(output);
                None
            }
            _ => Some(output),
        }
    }

    /// What may be done once `ticket` is durable. If it was `lost`, what depends on it is never done; whoever waits for a
    /// reply is told.
    pub(crate) fn release(&mut self, ticket: u64, lost: bool) -> Vec<Output> {
        let mut released = Vec::new();
        while self.batches.front().is_some_and(|(front, _)| *front <= ticket) {
            let Some((_, batch)) = self.batches.pop_front() else { break };
            released.extend(if lost { batch.into_iter().filter_map(refused).collect() } else { batch });
        }
        released
    }
}

fn overtakes(output: &Output) -> bool {
    matches!(
        output,
        Output::Send { message: Message::Heartbeat(_), .. }
            | Output::GateTick { .. }
            | Output::GateShut { .. }
            | Output::RenewLifetime { .. }
            | Output::VolatileLease { .. }
    )
}

fn refused(output: Output) -> Option<Output> {
    let Output::Reply { token, .. } = output else { return None };
    let reply = Reply::Failed {
        reason: "the state of this node cannot be written to its disk, so nothing was decided".into(),
        help: Some("see the daemon's log, mend the disk, restart hearthd".into()),
    };
    Some(Output::Reply { token, reply: Box::new(reply), more: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_types::Timestamp;

    fn note(text: &str) -> Output {
        Output::Volatile { text: text.into() }
    }

    fn texts(outputs: Vec<Output>) -> Vec<String> {
        let text = |output| match output {
            Output::Volatile { text } => text,
            other => format!("{other:?}"),
        };
        outputs.into_iter().map(text).collect()
    }

    #[test]
    fn r_ledger_3_what_stands_behind_a_persist_waits_and_the_gate_overtakes() {
        let mut held = HeldBack::default();
        assert!(held.offer(note("before")).is_some());
        held.barrier(1);
        assert!(held.offer(note("a")).is_none());
        held.barrier(2);
        assert!(held.offer(note("b")).is_none());
        assert!(held.offer(Output::VolatileLease { until: Timestamp(1) }).is_some());
        assert_eq!(texts(held.release(1, false)), ["a"]);
        assert_eq!(texts(held.release(2, false)), ["b"]);
        assert!(held.offer(note("after")).is_some());
    }

    #[test]
    fn r_ledger_3_what_stands_behind_a_failed_write_is_never_done() {
        let mut held = HeldBack::default();
        held.barrier(1);
        assert!(held.offer(note("a")).is_none());
        let reply = Box::new(Reply::Done { text: String::new(), took_ms: 0, notes: Vec::new() });
        assert!(held.offer(Output::Reply { token: 7, reply, more: true }).is_none());
        let released = held.release(1, true);
        assert!(matches!(&released[..], [Output::Reply { token: 7, more: false, .. }]));
    }
}
