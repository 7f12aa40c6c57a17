//! Whole recordings.

use crate::pair::{KEY, Pair};
use hearth_controller::Input;
use hearth_recording::{Begin, Check, Head, Item, ReadError, Reader, Replay, ReplayError, Step, Writer};
use hearth_types::{Incarnation, NodeName, Timestamp};
use std::time::Duration;

fn live(bytes: &[u8]) -> Vec<Step> {
    let mut replay = Replay::new(bytes).expect("a beginning");
    std::iter::from_fn(|| replay.step().expect("a whole recording")).collect()
}

fn first_difference(bytes: &[u8]) -> Option<u64> {
    live(bytes).iter().find(|step| !step.agrees).map(|step| step.number)
}

fn head_of(bytes: &[u8]) -> Head {
    Replay::new(bytes).expect("a beginning").head().expect("a head").clone()
}

/// The recording with its items changed on the way; `None` drops one.
fn changed(bytes: &[u8], mut how: impl FnMut(usize, Timestamp, Vec<u8>) -> Vec<(Timestamp, Vec<u8>)>) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), &head_of(bytes)).expect("memory");
    let mut number = 0;
    for item in Reader::new(bytes).expect("a beginning") {
        if let Item::Input { at, bytes, check, .. } = item.expect("a whole recording") {
            for (at, bytes) in how(number, at, bytes) {
                writer.copy(at, &bytes, check);
            }
            number += 1;
        }
    }
    writer.flush().expect("memory");
    writer.into_inner()
}

#[test]
fn a_takeover_is_lived_through_again_output_for_output() {
    let mut pair = Pair::takeover();
    for node in [0, 1] {
        let bytes = pair.recording(node);
        let steps = live(&bytes);
        let inputs = &pair.nodes[node].inputs;
        assert_eq!(steps.len(), inputs.len());
        for (step, (at, input, outputs)) in steps.iter().zip(inputs) {
            assert!(step.agrees, "input {}", step.number);
            assert_eq!((step.at, format!("{:?}", step.input)), (*at, format!("{input:?}")));
            assert_eq!(format!("{:?}", step.outputs), format!("{outputs:?}"));
        }
    }
    let story = Pair::story(&pair.nodes[1].inputs).join("\n");
    assert!(story.contains("node-died a") && story.contains("resource-started web"), "{story}");
}

/// Else a story that leaves something out would be told as the truth.
#[test]
fn an_input_that_is_dropped_repeated_or_changed_is_noticed_at_its_place() {
    let mut pair = Pair::takeover();
    let bytes = pair.recording(1);
    let inputs = pair.nodes[1].inputs.len();
    assert_eq!(first_difference(&changed(&bytes, |_, at, input| vec![(at, input)])), None);
    let mut late = 0;
    for place in (0..inputs - 1).step_by(29) {
        let dropped = changed(&bytes, |number, at, input| if number == place { vec![] } else { vec![(at, input)] });
        let twice = changed(&bytes, |number, at, input| vec![(at, input); 1 + usize::from(number == place)]);
        let later = changed(&bytes, |number, at, input| {
            vec![(if number == place { at + Duration::from_nanos(1) } else { at }, input)]
        });
        for (wrong, expected) in [(dropped, place + 1), (twice, place + 2), (later, place + 1)] {
            let found = first_difference(&wrong).expect("a difference") as usize;
            assert!(found == expected || found == expected + 1, "input {place}: {found} instead of {expected}");
            late += usize::from(found != expected);
        }
    }
    assert!(late <= 1, "{late} were found one input late");
}

/// A ring loses its beginning: what is left begins with a node that was written down in the middle.
#[test]
fn parts_agree_alone_together_and_behind_a_gap() {
    let mut pair = Pair::takeover();
    let whole = pair.recording(1);
    let inputs = pair.nodes[1].inputs.clone();
    let mut replay = Replay::new(&whole).expect("a beginning");
    let (mut parts, mut from, mut at) = (Vec::new(), 0, replay.head().expect("a head").clone());
    while let Some(step) = replay.step().expect("a whole recording") {
        let number = step.number as usize;
        let Some(checkpoint) = replay.place().filter(|_| number >= from + 30).map(|place| place.checkpoint().to_vec())
        else {
            continue;
        };
        let mut writer = Writer::begin(Vec::new(), &at).expect("memory");
        for (at, input, outputs) in &inputs[from..number] {
            writer.input(*at, input, outputs).expect("memory");
        }
        writer.flush().expect("memory");
        let (inputs_before, check) = (writer.inputs(), writer.check().number());
        at = Head { inputs_before, check, at: step.at, begin: Begin::checkpoint(checkpoint), ..at };
        parts.push(writer.into_inner());
        from = number;
    }
    assert!(parts.len() > 3);
    let alone: usize = parts.iter().map(|part| live(part).len()).sum();
    assert_eq!(alone, from);
    for bytes in parts.iter().chain([&parts.concat(), &parts[2..].concat()]) {
        assert_eq!(first_difference(bytes), None);
    }
    // Inputs were lost between the first and the third part, and the file of the second one is cut short.
    let mut gap = parts[0].clone();
    gap.extend_from_slice(&parts[1][..parts[1].len() - 9]);
    gap.extend_from_slice(&parts[2]);
    assert_eq!(first_difference(&gap), None);
    assert_eq!(
        live(&gap).last().expect("a step").number as usize,
        from.min(live(&parts[2]).last().unwrap().number as usize)
    );
    // What a file held that is not there is counted, not passed over as if the night had been quiet.
    let mut replay = Replay::new(&gap).expect("a beginning");
    while replay.step().expect("the parts are whole").is_some() {}
    assert_eq!(replay.missing(), live(&parts[1]).len() as u64);
}

#[test]
fn a_gap_is_told_and_nothing_is_made_up_behind_it() {
    let mut pair = Pair::new("200ms");
    pair.run(Duration::from_secs(1));
    pair.nodes[0].writer.gap(17);
    let before = pair.nodes[0].inputs.len();
    pair.run(Duration::from_secs(1));
    let bytes = pair.recording(0);
    let mut replay = Replay::new(&bytes).expect("a beginning");
    let steps = std::iter::from_fn(|| replay.step().expect("a whole recording")).count();
    assert_eq!((steps, replay.missing(), replay.controller().is_none()), (before, 17, true));
}

#[test]
fn going_back_and_forth_says_the_same() {
    let mut pair = Pair::takeover();
    let bytes = pair.recording(1);
    let expected: Vec<String> = live(&bytes).iter().map(|step| format!("{step:?}")).collect();
    let mut replay = Replay::new(&bytes).expect("a beginning");
    for _ in 0..60 {
        let next = replay.next_at();
        assert_eq!(replay.step().expect("a whole recording").map(|step| step.at), next);
    }
    while replay.place().is_none() {
        replay.step().expect("a whole recording");
    }
    let place = replay.place().expect("it is at rest");
    let from = replay.number() as usize;
    for _ in 0..2 {
        for expected in &expected[from..from + 100] {
            assert_eq!(format!("{:?}", replay.step().expect("whole").expect("a step")), *expected);
        }
        replay.return_to(&place).expect("its own place");
    }
}

#[test]
fn keys_are_in_no_recording() {
    let mut pair = Pair::takeover();
    for node in [0, 1] {
        let config = crate::pair::config("a", "200ms");
        pair.feed(node, Input::Reconfigured(Box::new(config)));
        let checkpoint = pair.nodes[node].controller.checkpoint().expect("it is at rest");
        for bytes in [pair.recording(node), checkpoint] {
            assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()));
            assert!(!bytes.windows(4).any(|window| window == b"keys"), "not even their place");
        }
    }
}

/// Half an hour must fit into a few megabytes.
#[test]
fn an_idle_node_takes_little_room() {
    let mut pair = Pair::new("200ms");
    pair.run(Duration::from_secs(60));
    let before = pair.nodes[0].inputs.len();
    pair.nodes[0].writer.flush().expect("memory");
    let size = pair.nodes[0].writer.written();
    pair.run(Duration::from_secs(60));
    pair.nodes[0].writer.flush().expect("memory");
    let (grown, inputs) = (pair.nodes[0].writer.written() - size, pair.nodes[0].inputs.len() - before);
    assert!(grown < 32 * inputs as u64, "{grown} bytes for {inputs} inputs");
}

#[test]
fn what_was_cut_short_is_read_to_its_last_whole_block_and_damage_is_told() {
    let mut pair = Pair::new("200ms");
    for _ in 0..6 {
        pair.run(Duration::from_millis(400));
        pair.nodes[0].writer.flush().expect("memory");
    }
    let bytes = pair.recording(0);
    let all = live(&bytes).len();
    let mut counts = Vec::new();
    for length in (1..bytes.len()).step_by(7) {
        match Replay::new(&bytes[..length]) {
            Ok(mut replay) => {
                let steps = std::iter::from_fn(|| replay.step().expect("no damage")).filter(|step| step.agrees).count();
                counts.push(steps);
            }
            Err(error) => assert_eq!(error, ReplayError::Read(ReadError::Empty), "{length}"),
        }
    }
    assert!(counts.is_sorted() && counts.len() > 100 && counts.iter().all(|count| *count <= all));
    for at in (0..bytes.len()).step_by(31) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let Ok(mut replay) = Replay::new(&damaged) else { continue };
        while let Ok(Some(step)) = replay.step() {
            assert!(step.agrees, "{at}");
        }
    }
}

#[test]
fn another_file_is_no_recording() {
    let of = |bytes: &[u8]| Replay::new(bytes).err();
    assert_eq!(of(b"\x7fELF"), Some(ReadError::Foreign.into()));
    assert_eq!(of(b""), Some(ReadError::Foreign.into()));
    assert_eq!(of(b"hearth-rec"), Some(ReadError::Empty.into()));
    assert_eq!(of(b"hearth-recording 2\nxyz"), Some(ReadError::Format("2".into()).into()));
    let head = Head {
        version: "9.9".into(),
        node: NodeName::new("a"),
        incarnation: Incarnation(1),
        inputs_before: 3,
        at: Timestamp(1),
        wall_ms: 1,
        check: Check::default().number(),
        begin: Begin::checkpoint(vec![0xa0]),
    };
    let bytes = Writer::begin(Vec::new(), &head).expect("memory").into_inner();
    let error = of(&bytes).expect("no node").to_string();
    assert!(error.starts_with("its beginning, written by hearth 9.9, cannot be used by this version: "), "{error}");
}
