//! The samples parse; faults have their codes; arbitrary text neither panics the parser nor yields a span outside.

use core::net::IpAddr;
use hearth_config::{
    Config, Environment, FileKind, InterfaceFacts, Medium, Parsed, Sources, digest, kept_paths, parse, reload_refusals,
    serial_move, speed_for,
};
use hearth_types::AgentClass;
use proptest::prelude::*;
use std::time::Duration;

struct Machine;

impl Environment for Machine {
    fn host_name(&self) -> String {
        "alpha".into()
    }
    fn interface(&self, name: &str) -> Option<InterfaceFacts> {
        let addresses = vec![("192.0.2.1".parse().unwrap(), 24)];
        (name == "eth0").then_some(InterfaceFacts { addresses, has_broadcast: true, is_up: true })
    }
    fn interfaces(&self) -> Vec<String> {
        vec!["eth0".into(), "lo".into()]
    }
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        match host {
            "beta" => Ok(vec!["192.0.2.2".parse().unwrap()]),
            "alpha" | "gamma" => Ok(vec!["127.0.1.1".parse().unwrap()]),
            other => other.parse().map(|ip| vec![ip]).map_err(|_| "no such host".into()),
        }
    }
    fn script(&self, name: &str) -> Option<(AgentClass, String)> {
        (name == "apache2").then(|| (AgentClass::Lsb, "/etc/init.d/apache2".into()))
    }
    fn scripts(&self) -> Vec<String> {
        vec!["apache2".into()]
    }
    fn is_character_device(&self, path: &str) -> bool {
        path == "/dev/ttyS0"
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
    fn is_local_address(&self, address: IpAddr) -> bool {
        address.is_loopback() || address == "192.0.2.1".parse::<IpAddr>().unwrap()
    }
}

fn read(ha_cf: &str, haresources: &str, authkeys: &str) -> Parsed {
    read_with(ha_cf, haresources, authkeys, None)
}

fn read_with(ha_cf: &str, haresources: &str, authkeys: &str, crm: Option<&str>) -> Parsed {
    let sources = Sources {
        directory: "etc".into(),
        ha_cf: Some(ha_cf.into()),
        haresources: Some(haresources.into()),
        authkeys: Some(authkeys.into()),
        authkeys_mode: Some(0o600),
        crm: crm.map(str::to_owned),
        ..Sources::default()
    };
    parse(&sources, &Machine)
}

const BASE: &str = "node alpha beta\nbcast eth0\n";
const KEYS: &str = "auth 1\n1 sha256 secret\n";

#[test]
fn the_samples_parse() {
    let parsed = read(
        include_str!("../../../etc/ha.cf"),
        include_str!("../../../etc/haresources"),
        include_str!("../../../etc/authkeys"),
    );
    assert!(parsed.complaints.is_empty(), "{:#?}", parsed.complaints);
    assert!(parsed.config.is_some());
}

/// R-LEASE-10: keepalive 2, deadtime 10 is old and good; the keepalive becomes an eighth.
#[test]
fn an_old_ratio_lowers_the_keepalive() {
    let parsed =
        read(&format!("{BASE}keepalive 2\ndeadtime 10 # old\r\n"), "alpha apache2\\\n 192.0.2.9/24 # x\n", KEYS);
    let config = parsed.config.unwrap_or_else(|| panic!("{:#?}", parsed.complaints));
    assert_eq!(config.cluster.timing.keepalive, Duration::from_millis(1250));
    assert_eq!(config.resources.groups[0].resources.len(), 2);
}

#[test]
fn each_fault_has_its_code() {
    let faults: &[(&str, &str, &str, &str)] = &[
        ("undport 694", "", KEYS, "unknown-directive"),
        ("bcats eth0", "", KEYS, "unknown-directive"),
        ("logfacility local10", "", KEYS, "bad-facility"),
        ("keepalive 2s\ndeadtime 20", "", KEYS, "time-unit"),
        ("deadtime 1500 ms", "", KEYS, "time-unit"),
        ("keepalive", "", KEYS, "empty-value"),
        ("deadtime 3\ndeadtime 4", "", KEYS, "duplicate-directive"),
        ("keepalive 2\ndeadtime 3", "", KEYS, "deadtime-too-short"),
        ("deadtime 100ms", "", KEYS, "lease-too-short"),
        ("bcast eth1", "", KEYS, "unknown-interface"),
        ("ucast eth0 gamma", "", KEYS, "peer-is-loopback"),
        ("ucast eth0 alpha", "", KEYS, "own-name-loopback"),
        ("ucast eth0 198.51.100.7", "", KEYS, "peer-elsewhere"),
        ("serial /dev/ttyS0", "", KEYS, "keepalive-raised"),
        ("serial /dev/ttyS0\nkeepalive 200ms", "", KEYS, "serial-busy"),
        ("serial /dev/ttyS0\nkeepalive 100ms", "", KEYS, "serial-too-slow"),
        (
            "node n3 n4 n5 n6 n7 n8 n9 n10 n11 n12 n13 n14 n15 n16 n17 n18 n19 n20 n21 n22 n23 n24 n25 n26 n27 n28 n29 n30 n31 n32 n33",
            "",
            KEYS,
            "too-many-nodes",
        ),
        ("node gamma\nping 192.0.2.1\ntiebreaker ping", "", KEYS, "only-of-two"),
        ("node gamma\ntiebreaker disk /dev/sdb1", "", KEYS, "only-of-two"),
        ("tiebreaker disk sdb1", "", KEYS, "bad-value"),
        ("tiebreaker ping now", "", KEYS, "extra-word"),
        ("tiebreaker disk /dev/sdb1\nunfenced_takeover yes", "", KEYS, "two-permits"),
        ("tiebreaker disk /dev/sdb1\ndeadtime 400ms", "", KEYS, "tiebreaker-too-late"),
        ("node gamma\nunfenced_takeover yes", "", KEYS, "only-of-two"),
        ("node gamma\nserial /dev/ttyS0", "", KEYS, "only-of-two"),
        ("node alpha", "", KEYS, "duplicate-node"),
        ("wire_check no nothing", "", KEYS, "unknown-resource"),
        ("ping 2001:db8::1", "", KEYS, "wrong-family"),
        ("ping6 192.0.2.1", "", KEYS, "wrong-family"),
        ("udpport 695", "", KEYS, "late-setting"),
        ("gate yes no", "", KEYS, "extra-word"),
        ("crm yes", "", KEYS, "later-release"),
        ("respawn hacluster /usr/lib/heartbeat/ipfail", "", KEYS, "replaced"),
        ("respawn hacluster /usr/bin/other", "", KEYS, "no-children"),
        ("", "192.0.2.9 apache2", KEYS, "node-missing"),
        ("", "alpha192.0.2.9 apache2", KEYS, "glued-node"),
        ("", "alpa apache2", KEYS, "unknown-node"),
        ("", "alpha apache", KEYS, "unknown-script"),
        ("", "alpha 192.0.2.9\nbeta IPaddr2::192.0.2.9/24", KEYS, "owned-twice"),
        ("", "alpha,,beta apache2", KEYS, "empty-name"),
        ("", "alpha ipaddr::192.0.2.9", KEYS, "unknown-script"),
        ("", "alpha 198.51.100.9", KEYS, "address-elsewhere"),
        ("", "", "auth 1\n1 sha1secret\n", "glued-key"),
        ("", "", "auth 1\n1 secret\n", "no-method"),
        ("", "", "auth 1\n1 sha256 a\n1 sha256 b\n", "duplicate-key"),
        ("", "", "auth\n1 sha256 a\n", "no-key-number"),
        ("", "", "auth 1\n1 crc\n", "crc"),
    ];
    for (line, haresources, authkeys, code) in faults {
        let parsed = read(&format!("{BASE}{line}\n"), haresources, authkeys);
        assert!(
            parsed.complaints.iter().any(|c| c.code == *code),
            "{line:?} {haresources:?}: {:#?}",
            parsed.complaints
        );
    }
}

/// No complaint may carry a key into a log.
#[test]
fn no_complaint_quotes_a_key() {
    for authkeys in ["auth 1\n1 sha1secret\n", "auth 1\n1 secret\n", "auth 1\n1 md5 secret x\n", "auth 1\nsecret\n"] {
        let said = format!("{:?}", read(BASE, "", authkeys).complaints);
        assert!(!said.contains("secret"), "{said}");
    }
}

/// Mended as Heartbeat read it: -1 is the system's own limit.
#[test]
fn mcast6_takes_minus_one() {
    let config = read("node alpha beta\nmcast6 eth0 ff05::694 694 -1 0\n", "", KEYS).config.unwrap();
    assert!(matches!(config.cluster.media[0], Medium::Mcast6 { hops: 1, .. }), "{:?}", config.cluster.media);
}

const WHOLE: &str =
    "cluster c\nnode alpha beta\nbcast eth0\nmcast eth0 239.0.0.1 694 1 0\nserial /dev/ttyS0\nping 192.0.2.1\n";
const GROUPS: &str = "alpha,beta 192.0.2.9/24/eth0 Filesystem::/dev/sdb1::/srv::ext4 apache2::x\n";

fn config(ha_cf: &str, haresources: &str) -> Config {
    let parsed = read(ha_cf, haresources, KEYS);
    parsed.config.unwrap_or_else(|| panic!("{:#?}", parsed.complaints))
}

/// R-JOIN-4: nodes of different versions compare these numbers, so they never change.
#[test]
fn the_digest_is_pinned() {
    assert_eq!(digest(&config(WHOLE, GROUPS)), (7_595_042_511_279_433_780, 9_838_721_453_099_124_558));
}

#[test]
fn the_digest_leaves_out_what_may_differ() {
    let whole = digest(&config(WHOLE, GROUPS));
    for line in
        ["keepalive 300ms\ndeadtime 5", "initdead 60", "deadping 9", "debug 1", "logfacility local1", "realtime no"]
    {
        assert_eq!(digest(&config(&format!("{WHOLE}{line}\n"), GROUPS)), whole, "{line}");
    }
    let mut elsewhere = config(WHOLE, GROUPS);
    elsewhere.cluster.local = hearth_types::NodeName::new("beta");
    elsewhere.cluster.ping_targets[0].addresses.clear();
    assert_eq!(digest(&elsewhere), whole);
}

#[test]
fn the_digest_tells_what_matters() {
    let whole = digest(&config(WHOLE, GROUPS));
    for line in [
        "tiebreaker ping",
        "tiebreaker disk /dev/sdb1",
        "unfenced_takeover no",
        "gate no",
        "ping 192.0.2.3",
        "ucast eth0 192.0.2.2",
    ] {
        let other = digest(&config(&format!("{WHOLE}{line}\n"), GROUPS));
        assert!(other.0 != whole.0 && other.1 == whole.1, "{line}");
    }
    for line in ["auto_failback on", "monitor 20", "monitor off", "timeout stop 9", "wire_check no"] {
        let other = digest(&config(&format!("{WHOLE}{line}\n"), GROUPS));
        assert!(other.0 == whole.0 && other.1 != whole.1, "{line}");
    }
    for groups in ["", "beta 192.0.2.9/24/eth0\n", "alpha 192.0.2.9/24/eth0\n", "alpha 192.0.2.9/24\n"] {
        let other = digest(&config(WHOLE, groups));
        assert!(other.0 == whole.0 && other.1 != whole.1, "{groups}");
    }
}

#[test]
fn a_reload_refuses_only_what_is_part_of_who_the_cluster_is() {
    let old = config(WHOLE, GROUPS);
    assert!(reload_refusals(&old, &old).is_empty());
    let times = config(&format!("{WHOLE}keepalive 300ms\ndeadtime 5\n"), "");
    assert!(reload_refusals(&old, &times).is_empty());
    let renamed = config(&WHOLE.replace("cluster c", "cluster d"), GROUPS);
    let alone = config(&WHOLE.replace("alpha beta", "alpha"), "");
    let turned = config(&WHOLE.replace("alpha beta", "beta alpha"), GROUPS);
    let mut moved = old.clone();
    moved.cluster.local = hearth_types::NodeName::new("beta");
    let open = config(&format!("{WHOLE}gate no\n"), GROUPS);
    let recorded = config(&format!("{WHOLE}record off\n"), GROUPS);
    let live = "debug 1\nlogfile /var/log/other\nrealtime no\nenv a=b\nucast eth0 192.0.2.2\nping 192.0.2.3\n";
    assert!(reload_refusals(&old, &config(&format!("{WHOLE}{live}"), GROUPS)).is_empty());
    assert!(reload_refusals(&open, &old).is_empty());
    for (new, words) in [(open, "gate"), (recorded, "record")] {
        let refusals = reload_refusals(&old, &new);
        assert!(refusals.len() == 1 && refusals[0].contains(words) && refusals[0].contains("restart"), "{refusals:?}");
    }
    for (new, words) in [
        (renamed, "cluster's name"),
        (alone, "a pair is not made smaller"),
        (turned, "alpha, beta"),
        (moved, "this machine's name"),
    ] {
        let refusals = reload_refusals(&old, &new);
        assert!(refusals.len() == 1 && refusals[0].contains(words), "{refusals:?}");
    }
}

/// R-LEDGER-4: maintenance must not turn three into an unfenced pair; what may change while daemons run is for them to say.
#[test]
fn a_reload_never_makes_a_pair_of_three() {
    let of = |nodes: &str| config(&format!("node {nodes}\nbcast eth0\n"), "");
    for (old, new, words) in [
        ("alpha b c", "alpha b", Some("from three to two")),
        ("alpha b c d", "alpha c", Some("and two stay")),
        ("alpha b", "alpha c", Some("a pair is not made smaller")),
        ("alpha b c", "b alpha c d", Some("keep it over all `node` and `witness` lines: alpha, b, c")),
        ("alpha", "alpha b", None),
        ("alpha b", "alpha b c", None),
        ("alpha b c d", "alpha b d", None),
        ("alpha b c d", "alpha b d e", None),
    ] {
        let refusals = reload_refusals(&of(old), &of(new));
        match words {
            None => assert!(refusals.is_empty(), "{old} -> {new}: {refusals:?}"),
            Some(words) => assert!(refusals.len() == 1 && refusals[0].contains(words), "{old} -> {new}: {refusals:?}"),
        }
    }
}

/// The paths of one file in another, by position.
fn kept(old: &str, new: &str) -> Vec<(usize, usize)> {
    let media = |lines: &str| config(&format!("cluster c\nnode alpha beta\n{lines}"), "").cluster.media;
    kept_paths(&media(old), &media(new), &["192.0.2.9".parse().unwrap()]).into_iter().collect()
}

#[test]
fn a_path_is_kept_only_while_everything_that_it_carries_still_comes() {
    let pair = "ucast eth0 192.0.2.1\nucast eth0 192.0.2.2\nbcast eth0\n";
    assert_eq!(kept(pair, pair), [(0, 0), (2, 2)]);
    assert_eq!(kept(pair, "bcast eth0\nucast eth0 192.0.2.2\n"), [(2, 0)], "the other line is gone");
    let more = "bcast eth0\nucast eth0 192.0.2.3\nucast eth0 192.0.2.2\nucast eth0 192.0.2.1\n";
    assert_eq!(kept(pair, more), [(0, 1), (2, 0)]);
    let left = "ucast eth0 192.0.2.1\nucast eth0 192.0.2.9\n";
    assert_eq!(kept(left, "ucast eth0 192.0.2.1\n"), [(0, 0)], "that machine is taken out of the list");
    assert_eq!(kept(left, "bcast eth0\n"), [], "and the path is another one");
    assert_eq!(kept("bcast eth0\n", "udpport 700\nbcast eth0\n"), []);
    assert_eq!(kept("serial /dev/ttyS0\n", "bcast eth0\nserial /dev/ttyS0\n"), [(0, 1)]);
    assert_eq!(kept("baud 9600\nserial /dev/ttyS0\n", "baud 19200\nserial /dev/ttyS0\n"), [], "the ends disagree");
    let group = |ttl: u8| format!("mcast eth0 239.0.0.1 694 {ttl} 0\n");
    assert_eq!(kept(&group(1), &group(2)), [(0, 0)]);
    assert_eq!(kept(&group(1), &group(0)), [], "nothing leaves the machine any more");
    assert_eq!(kept(&group(1), "mcast eth0 239.0.0.2 694 1 0\n"), []);
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics_and_spans_lie_inside(
        a in "((node|ucast|timeout|wire_check|ping_group|env|keepalive|mcast)?[ ,\t]?\\PC{0,20}[\r\n#]?){0,8}",
        b in "(alpha\\PC{0,12}|IPaddr::|1\\.2\\.3\\.4|[/\\\\\n, ]|\\PC{0,6}){0,12}",
        c in "((auth|1 sha1|2)?[ ]?\\PC{0,10}\n?){0,6}",
        d in "((primitive|location|fencing_topology|property|node|clone|x stonith:fence_x|-inf:|a=|[\"'\\\\])?[ \n]?\\PC{0,8}\n?){0,12}",
    ) {
        for ha_cf in [a.clone(), format!("{BASE}{a}")] {
            for complaint in read_with(&ha_cf, &b, &c, Some(&d)).complaints {
                let text = match complaint.file {
                    FileKind::HaCf => &ha_cf,
                    FileKind::Haresources => &b,
                    FileKind::Crm => &d,
                    FileKind::Authkeys => &c,
                };
                if let Some(span) = complaint.span {
                    prop_assert!(text.get(span.clone()).is_some(), "{} {:?} in {:?}", complaint.code, span, text);
                }
            }
        }
    }
}

/// R-WIRE-8: an administrator must know beforehand what a slow line costs, and which one would do.
#[test]
fn what_a_slow_line_costs_is_reckoned() {
    let ms = Duration::from_millis;
    let costs = |media: &[Medium], keepalive| {
        let timing = config(WHOLE, GROUPS).cluster.timing;
        serial_move(media, &hearth_config::Timing { keepalive, ..timing })
    };
    let line = |baud| Medium::Serial { device: "/dev/ttyS0".into(), baud };
    let network = Medium::Bcast { interface: "eth0".into(), port: 694 };
    assert_eq!(costs(&[line(115_200)], ms(100)).map(|it| it.as_millis()), Some(289));
    assert_eq!(costs(&[line(9600)], ms(1250)).map(|it| it.as_millis()), Some(3419));
    // Of two lines the faster one carries it; heartbeats never take more than half.
    assert_eq!(costs(&[line(9600), line(115_200)], ms(10)).map(|it| it.as_millis()), Some(434));
    assert_eq!(costs(&[line(9600), network], ms(1250)), None);
    assert_eq!(costs(&[], ms(1250)), None);
    assert_eq!(
        [2000, 600, 200, 100, 10].map(|keepalive| speed_for(ms(keepalive))),
        [Some(9600), Some(9600), Some(38400), Some(57600), None]
    );
}
