//! A record of two machines, driven entry by entry.
#![allow(dead_code, reason = "each test file uses its own part")]

use hearth_cib::*;
use hearth_types::*;
use std::collections::BTreeSet;

/// `10.0.0.1` is an address, `10.0.0.1@2` the same under another name, `/srv` a file system, anything else a script;
/// `mail` owns nothing.
pub fn spec(id: &str) -> ResourceSpec {
    let (kind, key) = match id.chars().next() {
        Some('0'..='9') => {
            let ip = id.split('@').next().unwrap().parse().expect("an address");
            let spec = AddressSpec { ip, prefix: None, interface: None, label: None, broadcast: None };
            (ResourceKind::Address(spec), format!("address:{ip}"))
        }
        Some('/') => {
            let (device, fstype, options) = (format!("/dev{id}"), "ext4".to_string(), String::new());
            (ResourceKind::Filesystem { device, directory: id.into(), fstype, options }, format!("mount:{id}"))
        }
        _ => (ResourceKind::Script, format!("script:{id}")),
    };
    ResourceSpec {
        id: id.into(),
        class: AgentClass::Lsb,
        agent: id.into(),
        args: Vec::new(),
        kind,
        owns: if id.starts_with("mail") { BTreeSet::new() } else { BTreeSet::from([key]) },
        timeouts: OpTimeouts::default(),
        monitor: None,
        on_stop_fail: if id.starts_with("mail") { OnStopFail::Ignore } else { OnStopFail::Block },
        wire_check: true,
    }
}

pub fn model(groups: &[&str]) -> ResourceModel {
    let group = |members: &&str| {
        let resources: Vec<ResourceSpec> = members.split_whitespace().map(spec).collect();
        GroupSpec { id: resources[0].id.as_str().into(), preferred: vec!["a".into()], resources }
    };
    ResourceModel {
        groups: groups.iter().map(group).collect(),
        auto_failback: AutoFailback::Off,
        witnesses: Vec::new(),
    }
}

pub fn epoch(number: u64) -> EpochName {
    EpochName { number, founder: "a".into(), nonce: number }
}

pub fn voter(name: &str, identity: u64) -> Voter {
    Voter { name: name.into(), identity: NodeIdentity(identity) }
}

pub struct Cluster(pub Record);

impl Cluster {
    pub fn new(groups: &[&str]) -> Cluster {
        let mut it = Cluster(Record::found(epoch(1), vec![voter("a", 1), voter("b", 2)]));
        it.ok(Entry::Configure { model: model(groups), digest: 1, nodes: vec!["a".into(), "b".into()] });
        it.join("a", 1);
        it.join("b", 2);
        it
    }

    pub fn join(&mut self, node: &str, number: u64) {
        let (identity, incarnation) = (NodeIdentity(number), Incarnation(number * 10));
        self.ok(Entry::Admit { node: node.into(), identity, incarnation });
        self.ok(Entry::Probed { node: node.into(), incarnation });
    }

    pub fn apply(&mut self, entry: Entry) -> Result<(), Rejection> {
        let before = self.0.clone();
        let index = self.0.applied.next();
        let result = self.0.apply(index, &entry);
        assert_eq!(self.0.applied, index);
        if result.is_err() {
            let unchanged = Record { applied: before.applied, ..self.0.clone() };
            assert_eq!(unchanged, before, "a refused entry changes nothing");
        }
        result
    }

    #[track_caller]
    pub fn ok(&mut self, entry: Entry) {
        let words = format!("{entry:?}");
        if let Err(why) = self.apply(entry) {
            panic!("{words} refused: {why}");
        }
    }

    /// Refused, and by which rule.
    #[track_caller]
    pub fn refused(&mut self, rule: &str, entry: Entry) {
        let words = format!("{entry:?}");
        let why = self.apply(entry).expect_err(&words).to_string();
        assert!(why.ends_with(&format!("({rule})")), "{why}");
    }

    pub fn assign(group: &str, node: &str) -> Entry {
        Entry::Assign { group: group.into(), node: node.into(), reason: "test".into() }
    }

    pub fn unassign(group: &str) -> Entry {
        Entry::Unassign { group: group.into(), reason: "test".into() }
    }

    pub fn report(&self, node: &str, resource: &str, upto: u64, what: ReportKind) -> Entry {
        let known = &self.0.nodes[&NodeName::from(node)];
        Entry::Report(Report {
            node: node.into(),
            incarnation: known.incarnation,
            number: known.reported + 1,
            resource: resource.into(),
            upto: AssignmentId(upto),
            what,
        })
    }

    pub fn says(&mut self, node: &str, resource: &str, what: ReportKind) {
        let upto = self.0.applied.0;
        let entry = self.report(node, resource, upto, what);
        self.ok(entry);
    }

    pub fn flagged(&self, resource: &str, node: &str) -> bool {
        self.0.flag(&resource.into(), &node.into()).is_some()
    }

    pub fn request(&self, number: u64) -> RequestId {
        RequestId { origin: "a".into(), incarnation: Incarnation(10), number }
    }

    pub fn alone(&mut self) {
        self.ok(Entry::Epoch { name: epoch(2), voters: vec![voter("a", 1)], permit: Some(PermitKind::Unfenced) });
    }
}

pub fn failed(what: fn(Option<i32>, String) -> ReportKind) -> ReportKind {
    what(Some(1), "no".into())
}

pub fn start_failed() -> ReportKind {
    failed(|code, message| ReportKind::StartFailed { code, message })
}

pub fn stop_failed() -> ReportKind {
    failed(|code, message| ReportKind::StopFailed { code, message })
}

pub fn monitor_failed() -> ReportKind {
    failed(|code, message| ReportKind::MonitorFailed { code, message })
}
