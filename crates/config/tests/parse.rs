//! The samples parse; faults have their codes; arbitrary text neither panics the parser nor yields a span outside.

use core::net::IpAddr;
use hearth_config::{Environment, FileKind, InterfaceFacts, Parsed, Sources, parse};
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
    fn is_local_address(&self, address: IpAddr) -> bool {
        address.is_loopback() || address == "192.0.2.1".parse::<IpAddr>().unwrap()
    }
}

fn read(ha_cf: &str, haresources: &str, authkeys: &str) -> Parsed {
    let sources = Sources {
        directory: "etc".into(),
        ha_cf: Some(ha_cf.into()),
        haresources: Some(haresources.into()),
        authkeys: Some(authkeys.into()),
        authkeys_mode: Some(0o600),
        nodeinfo: None,
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
        ("serial /dev/ttyS0", "", KEYS, "serial-too-slow"),
        ("node gamma", "", KEYS, "later-release"),
        ("crm yes", "", KEYS, "later-release"),
        ("respawn hacluster /usr/lib/heartbeat/ipfail", "", KEYS, "replaced"),
        ("respawn hacluster /usr/bin/other", "", KEYS, "no-children"),
        ("", "192.0.2.9 apache2", KEYS, "node-missing"),
        ("", "alpha192.0.2.9 apache2", KEYS, "glued-node"),
        ("", "alpa apache2", KEYS, "unknown-node"),
        ("", "alpha apache", KEYS, "unknown-script"),
        ("", "alpha 192.0.2.9\nbeta IPaddr2::192.0.2.9/24", KEYS, "owned-twice"),
        ("", "", "auth 1\n1 sha1secret\n", "glued-key"),
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

proptest! {
    #[test]
    fn arbitrary_text_never_panics_and_spans_lie_inside(
        a in "((node|ucast|timeout|wire_check|ping_group|env|keepalive|mcast)?[ ,\t]?\\PC{0,20}[\r\n#]?){0,8}",
        b in "(alpha\\PC{0,12}|IPaddr::|1\\.2\\.3\\.4|[/\\\\\n, ]|\\PC{0,6}){0,12}",
        c in "((auth|1 sha1|2)?[ ]?\\PC{0,10}\n?){0,6}",
    ) {
        for ha_cf in [a.clone(), format!("{BASE}{a}")] {
            for complaint in read(&ha_cf, &b, &c).complaints {
                let text = match complaint.file { FileKind::HaCf => &ha_cf, FileKind::Haresources => &b, FileKind::Authkeys => &c };
                if let Some(span) = complaint.span {
                    prop_assert!(text.get(span.clone()).is_some(), "{} {:?} in {:?}", complaint.code, span, text);
                }
            }
        }
    }
}
