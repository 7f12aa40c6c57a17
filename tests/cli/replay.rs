//! `hearth replay` on recordings that are made here: what it prints, and how it ends.

use hearth_config::{Config, Environment, InterfaceFacts, Sources};
use hearth_controller::{Carrier, Controller, Input, Start};
use hearth_recording::{Begin, Check, Head, Item, Reader, Writer};
use hearth_types::{AgentClass, Incarnation, NodeIdentity, Timestamp};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

struct Machine;

impl Environment for Machine {
    fn host_name(&self) -> String {
        "a".into()
    }
    fn interface(&self, _: &str) -> Option<InterfaceFacts> {
        let addresses = vec![("10.0.0.1".parse().ok()?, 24)];
        Some(InterfaceFacts { addresses, has_broadcast: true, is_up: true })
    }
    fn interfaces(&self) -> Vec<String> {
        vec!["eth0".into()]
    }
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        host.parse().map(|address| vec![address]).map_err(|_| "no such host".to_owned())
    }
    fn script(&self, _: &str) -> Option<(AgentClass, String)> {
        None
    }
    fn scripts(&self) -> Vec<String> {
        Vec::new()
    }
    fn is_character_device(&self, _: &str) -> bool {
        false
    }
    fn not_a_program(&self, _: &str) -> Option<String> {
        Some("does not exist".into())
    }

    fn fence_program(&self, _: &str) -> Option<String> {
        None
    }
    fn text(&self, _: &str) -> Result<String, String> {
        Err("no such file".into())
    }
    fn is_local_address(&self, _: IpAddr) -> bool {
        false
    }
}

fn config() -> Config {
    let sources = Sources {
        ha_cf: Some("keepalive 500ms\ndeadtime 2\ninitdead 4\nbcast eth0\nnode a b\n".into()),
        haresources: Some("a 10.0.0.9/24/eth0\n".into()),
        authkeys: Some("auth 1\n1 sha256 hidden-from-everybody\n".into()),
        authkeys_mode: Some(0o600),
        ..Sources::default()
    };
    hearth_config::parse(&sources, &Machine).config.expect("good files")
}

/// A node that starts and hears nobody for six seconds.
fn recording() -> Vec<u8> {
    let mut now = Timestamp(5_000_000_000);
    let start = Start {
        config: config(),
        fresh_identity: NodeIdentity(1),
        incarnation: Incarnation(2),
        seed: 3,
        state: None,
        log: Vec::new(),
        volatile: None,
        volatile_lease: None,
        now,
        version: "0.0.1".into(),
    };
    let head = Head {
        version: "0.0.1".into(),
        node: "a".into(),
        incarnation: start.incarnation,
        inputs_before: 0,
        at: now,
        wall_ms: 1_795_230_000_000,
        check: Check::default().number(),
        begin: Begin::Start(Box::new(start.clone())),
    };
    let mut controller = Controller::new(start).expect("no state");
    let mut writer = Writer::begin(Vec::new(), &head).expect("memory");
    let mut next = VecDeque::from([Input::CarrierChanged { interface: "eth0".into(), carrier: Carrier::Up }]);
    let mut written_at = now;
    while now < Timestamp(11_000_000_000) {
        let input = next.pop_front().unwrap_or(Input::Deadline);
        let mut outputs = Vec::new();
        controller.handle(now, input.clone(), &mut outputs);
        writer.input(now, &input, &outputs).expect("memory");
        // A disk that takes everything at once.
        next.extend(outputs.iter().filter_map(|output| match output {
            hearth_controller::Output::Persist { ticket, .. } => Some(Input::Persisted { ticket: *ticket }),
            _ => None,
        }));
        if now.since(written_at).as_secs() >= 1 {
            writer.flush().expect("memory");
            written_at = now;
        }
        if next.is_empty() {
            now = controller.next_deadline().expect("a deadline").0.max(now);
        }
    }
    writer.end();
    writer.flush().expect("memory");
    writer.into_inner()
}

/// The recording without one of its inputs.
fn without(bytes: &[u8], lost: u64) -> Vec<u8> {
    let mut items = Reader::new(bytes).expect("a beginning");
    let Some(Ok(Item::Head(head))) = items.next() else { panic!("no head") };
    let mut writer = Writer::begin(Vec::new(), &head).expect("memory");
    let mut number = 0;
    for item in items {
        if let Item::Input { at, bytes, check, .. } = item.expect("a whole recording") {
            number += 1;
            if number != lost {
                writer.copy(at, &bytes, check);
            }
        }
    }
    writer.flush().expect("memory");
    writer.into_inner()
}

/// Only what it begins with.
fn began(bytes: &[u8]) -> Vec<u8> {
    let Some(Ok(Item::Head(head))) = Reader::new(bytes).expect("a beginning").next() else { panic!("no head") };
    Writer::begin(Vec::new(), &head).expect("memory").into_inner()
}

fn hearth(folder: &Path, words: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
    command.env_clear().env("TZ", "UTC0").current_dir(folder).arg("replay").args(words);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("hearth runs");
    // It may end before it has read everything.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    child.wait_with_output().expect("hearth ends")
}

#[test]
fn replay_prints_and_exits_as_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let whole = recording();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("whole.rec", &whole);
    write("cut.rec", &whole[..whole.len() - 3]);
    write("head.rec", &whole[..40]);
    write("dropped.rec", &without(&whole, 3));
    write("began.rec", &began(&whole));
    write("text", b"keepalive 2\n");
    write("newer.rec", b"hearth-recording 2\nxyz");
    std::fs::create_dir(folder.path().join("none")).unwrap();
    std::fs::create_dir(folder.path().join("ring")).unwrap();
    write("ring/00000001.rec", &whole);
    write("ring/00000002.rec", b"hearth-recor");
    let script =
        "next 2\n\nevent\nback\ndiff\nwhy 10.0.0.9/24/eth0\nuntil 03:00:04\nstate version\nbogus\nnext 1000\nquit\n";
    let cases: &[(&[&str], &str)] = &[
        (&["whole.rec"], ""),
        (&["whole.rec", "--until", "2"], ""),
        (&["whole.rec", "--until", "03:00:00.100"], ""),
        (&["whole.rec", "--until", "soon"], ""),
        (&["whole.rec", "--until", "99"], ""),
        (&["whole.rec", "--json", "--until", "1"], ""),
        (&["whole.rec", "--compare"], ""),
        (&["whole.rec", "--compare", "--json"], ""),
        (&["dropped.rec", "--compare"], ""),
        (&["dropped.rec", "--until", "1"], ""),
        (&["cut.rec", "--compare"], ""),
        (&["ring", "--compare"], ""),
        (&["head.rec"], ""),
        (&["began.rec", "--compare"], ""),
        (&["text"], ""),
        (&["newer.rec"], ""),
        (&["none"], ""),
        (&["absent.rec"], ""),
        (&["whole.rec", "--step"], script),
        (
            &["dropped.rec", "--step", "--until", "03:00:00.300"],
            "next 2\nstatus\ndiff 1 2\ngoto 3\ngoto 0\ngoto 99\nback x\n",
        ),
        (&["whole.rec", "--step", "--json"], ""),
    ];
    let mut actual = String::new();
    for (words, stdin) in cases {
        let output = hearth(folder.path(), words, stdin);
        let _ = writeln!(actual, "$ hearth replay {}", words.join(" "));
        for line in stdin.lines() {
            let _ = writeln!(actual, "< {line}");
        }
        let _ = writeln!(actual, "----\n{}", String::from_utf8_lossy(&output.stdout).trim_end());
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            let _ = writeln!(actual, "! {line}");
        }
        let _ = writeln!(actual, "exit {}\n", output.status.code().expect("no signal"));
    }
    assert!(!actual.contains("hidden-from-everybody"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/replay.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(actual == expected, "{actual}\nUPDATE_GOLDEN=1 rewrites {}", golden.display());
}
