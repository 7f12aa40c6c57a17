//! Every kind of input comes back as it was.

use hearth_control::Request;
use hearth_controller::{AddressChange, Carrier, ClaimHolder, Input, SlotSeen, TiebreakerSeen};
use hearth_recording::{Begin, Check, Head, Item, Reader, Writer};
use hearth_types::{AlertId, FenceId, Incarnation, LinkId, NodeName, OpId, OpOutcome, OpResult, ResourceId, Timestamp};
use hearth_wire::{Message, Segment};
use proptest::prelude::*;
use std::time::Duration;

const KINDS: usize = 27;

/// The place of each kind in [`kinds`]; a new one has to be added to both.
fn place(input: &Input) -> usize {
    match input {
        Input::Packet { .. } => 0,
        Input::Refused { .. } => 1,
        Input::LinkChanged { .. } => 2,
        Input::CarrierChanged { .. } => 3,
        Input::AddressHome { .. } => 4,
        Input::PingAnswered { .. } => 5,
        Input::OpFinished(_) => 6,
        Input::WireAsked { .. } => 7,
        Input::WireAnswered { .. } => 8,
        Input::WireTrouble { .. } => 9,
        Input::PeerAnswered { .. } => 10,
        Input::AddressChanged { .. } => 11,
        Input::GateSeen { .. } => 12,
        Input::Persisted { .. } => 13,
        Input::PersistFailed { .. } => 14,
        Input::Request { .. } => 15,
        Input::PeerAddress { .. } => 16,
        Input::RequestEnded { .. } => 17,
        Input::Reconfigured(_) => 18,
        Input::Deadline => 19,
        Input::Shutdown { .. } => 20,
        Input::FenceFinished { .. } => 21,
        Input::WatchdogSeen(_) => 22,
        Input::AlertFinished { .. } => 23,
        Input::ListChanged { .. } => 24,
        Input::SlotSeen(_) => 25,
        Input::TiebreakerSeen(_) => 26,
        Input::SelfFenceSeen(_) => 27,
    }
}

fn kinds(text: String, number: u64, bytes: Vec<u8>, flag: bool) -> Vec<Input> {
    let (resource, node) = (ResourceId::from(text.as_str()), NodeName::new(&text));
    let some = flag.then(|| text.clone());
    let segment = Segment {
        from: node.clone(),
        incarnation: Incarnation(number),
        to: "b".into(),
        to_incarnation: Incarnation(2),
        number,
        acknowledged: 0,
        last: flag,
        bytes,
        session: number,
        to_session: flag.then_some(number),
        ask: flag,
        mark: flag.then_some(number),
    };
    let at = Timestamp(number);
    let some_pill = some.clone();
    let outcome = if flag {
        OpOutcome::Failed { code: Some(number as i32), message: text.clone() }
    } else {
        OpOutcome::NotRunning
    };
    vec![
        Input::Packet {
            link: LinkId(number as u8),
            message: Message::Segment(segment.into()),
            size: 9,
            received_at: at,
        },
        Input::Refused { link: LinkId(3), reason: text.clone(), source: text.clone(), count: number },
        Input::LinkChanged { link: LinkId(0), trouble: some.clone() },
        Input::CarrierChanged { interface: text.clone(), carrier: if flag { Carrier::Up } else { Carrier::Unknown } },
        Input::AddressHome { resource: resource.clone(), interface: some.clone() },
        Input::PingAnswered { target: text.clone(), sent_at: at },
        Input::OpFinished(OpResult {
            id: OpId(number),
            outcome,
            took: Duration::from_nanos(number),
            remark: number.is_multiple_of(2).then(|| "SIGKILL sent to web".into()),
        }),
        Input::WireAsked { resource: resource.clone() },
        Input::WireAnswered { resource: resource.clone(), hardware: text.clone() },
        Input::WireTrouble { resource: resource.clone(), trouble: text.clone() },
        Input::PeerAnswered { node: node.clone() },
        Input::AddressChanged {
            resource,
            change: if flag { AddressChange::Expired } else { AddressChange::InterfaceGone },
        },
        Input::GateSeen { whole: flag, trouble: some },
        Input::Persisted { ticket: number },
        Input::PersistFailed { ticket: number, error: text.clone() },
        Input::Request { token: number, request: Request::Why { resource: text.clone() }, by: text.clone() },
        Input::PeerAddress { node, address: if flag { [10, 0, 0, 1].into() } else { [number as u16; 8].into() } },
        Input::RequestEnded { token: number },
        Input::Reconfigured(Box::new(crate::pair::config("a", "200ms"))),
        Input::Deadline,
        Input::Shutdown { by: text.clone() },
        Input::FenceFinished {
            id: FenceId(number),
            result: if flag { Ok(text.clone()) } else { Err(text.clone()) },
            took: Duration::from_nanos(number),
        },
        Input::WatchdogSeen(if flag {
            Ok(hearth_wire::Watchdog { driver: text.clone(), timeout_ms: number as u32, nowayout: flag })
        } else {
            Err(text.clone())
        }),
        Input::AlertFinished {
            id: AlertId(number),
            result: if flag { Ok(text.clone()) } else { Err(text.clone()) },
            took: Duration::from_nanos(number),
        },
        Input::ListChanged { id: number, result: if flag { Ok(number) } else { Err(text.clone()) } },
        Input::SlotSeen(if flag {
            let pill = some_pill;
            Ok(SlotSeen { began_at: at, patience: Duration::from_nanos(number), pill })
        } else {
            Err(text.clone())
        }),
        Input::TiebreakerSeen(if flag {
            Ok(TiebreakerSeen { number, began_at: at, holder: ClaimHolder::Theirs })
        } else {
            Err(text.clone())
        }),
        Input::SelfFenceSeen(if flag { Ok(()) } else { Err(text) }),
    ]
}

proptest! {
    #[test]
    fn every_kind_of_input_comes_back_as_it_was(
        values in proptest::collection::vec((".{0,40}", any::<u64>(), proptest::collection::vec(any::<u8>(), 0..200),
            any::<bool>()), 1..6),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..60),
    ) {
        let head = Head {
            version: "test".into(),
            node: "a".into(),
            incarnation: Incarnation(1),
            inputs_before: 0,
            at: Timestamp(7),
            wall_ms: 0,
            check: Check::default().number(),
            begin: Begin::checkpoint(vec![1, 2, 3]),
        };
        let mut all: Vec<Input> = values.into_iter().flat_map(|(text, number, bytes, flag)| {
            let mut kinds = kinds(text, number, bytes, flag);
            if let Some(Input::Reconfigured(config)) = kinds.get_mut(18) {
                // Keys do not come back.
                config.keys = Default::default();
            }
            kinds
        }).collect();
        prop_assert_eq!(all.iter().take(KINDS + 1).map(place).collect::<Vec<_>>(), (0..=KINDS).collect::<Vec<_>>());
        all.extend(order.iter().map(|index| index.get(&all).clone()).collect::<Vec<_>>());
        let mut writer = Writer::begin(Vec::new(), &head).expect("memory");
        let mut at = Timestamp(9);
        for (number, input) in all.iter().enumerate() {
            at = Timestamp(at.0 + number as u64 * 977);
            writer.input(at, input, &[]).expect("memory");
            if number % 5 == 0 {
                writer.flush().expect("memory");
            }
        }
        writer.flush().expect("memory");
        let bytes = writer.into_inner();
        let read: Vec<String> = Reader::new(&bytes).expect("a beginning").skip(1).map(|item| match item {
            Ok(Item::Input { input, .. }) => format!("{input:?}"),
            other => format!("{other:?}"),
        }).collect();
        let written: Vec<String> = all.iter().map(|input| format!("{input:?}")).collect();
        prop_assert_eq!(read, written);
    }
}
