//! A record told in lines: what the given part of a case file may say, and how a plan is printed.

use hearth_cib::*;
use hearth_scheduler::{Alive, Plan};
use hearth_types::*;
use std::collections::BTreeSet;
use std::fmt::Write;

/// `10.0.0.1` is an address, `/srv` a file system, anything else a script.
fn spec(id: &str) -> ResourceSpec {
    let (kind, key) = match id.chars().next() {
        Some('0'..='9') => {
            let ip = id.split('@').next().and_then(|ip| ip.parse().ok()).expect("an address");
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
        owns: BTreeSet::from([key]),
        timeouts: OpTimeouts::default(),
        monitor: None,
        on_stop_fail: OnStopFail::Block,
        wire_check: true,
    }
}

pub struct Story {
    pub record: Record,
    pub view: Alive,
    model: ResourceModel,
    nodes: Vec<NodeName>,
    configured: bool,
    requests: u64,
    lenient: bool,
    refused: Option<Rejection>,
}

impl Default for Story {
    fn default() -> Story {
        let epoch = EpochName { number: 1, founder: "a".into(), nonce: 1 };
        Story {
            record: Record::found(epoch, Vec::new()),
            view: Alive::default(),
            model: ResourceModel::default(),
            nodes: Vec::new(),
            configured: false,
            requests: 0,
            lenient: false,
            refused: None,
        }
    }
}

impl Story {
    pub fn decide(&mut self, entry: Entry) {
        let index = self.record.applied.next();
        if let Err(why) = self.record.apply(index, &entry) {
            assert!(self.lenient, "{entry:?} refused: {why}");
            self.refused = Some(why);
        }
    }

    /// The same, if the record accepts what it says now.
    #[allow(dead_code, reason = "only random facts may be refused")]
    pub fn try_tell(&mut self, line: &str) -> bool {
        let (record, view, requests) = (self.record.clone(), self.view.clone(), self.requests);
        self.refused = None;
        self.lenient = true;
        self.tell(line);
        self.lenient = false;
        let accepted = self.refused.is_none();
        if !accepted {
            (self.record, self.view, self.requests) = (record, view, requests);
        }
        accepted
    }

    /// One line of the given part. Lines that describe the files come first, and again before a `reload`.
    pub fn tell(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let files = matches!(words[0], "nodes" | "group" | "auto_failback" | "files");
        if !files && !self.configured {
            self.configure();
        }
        match words.as_slice() {
            ["nodes", nodes @ ..] => self.nodes = nodes.iter().map(|node| NodeName::from(*node)).collect(),
            ["auto_failback", on] => {
                self.model.auto_failback = if *on == "on" { AutoFailback::On } else { AutoFailback::Off }
            }
            ["files", "empty"] => self.model.groups.clear(),
            ["group", preferred, members @ ..] => {
                let resources: Vec<ResourceSpec> = members.iter().map(|id| spec(id)).collect();
                let preferred = preferred.split(',').map(NodeName::from).collect();
                self.model.groups.push(GroupSpec { id: members[0].into(), preferred, resources });
            }
            ["reload"] => self.configure(),
            ["alive", nodes @ ..] => self.view.alive = nodes.iter().map(|node| NodeName::from(*node)).collect(),
            ["without-disk", nodes @ ..] => {
                self.view.without_disk = nodes.iter().map(|node| NodeName::from(*node)).collect();
            }
            ["leaving", nodes @ ..] => self.view.leaving = nodes.iter().map(|node| NodeName::from(*node)).collect(),
            ["settle"] => self.settle(),
            _ => self.tell_entry(&words),
        }
    }

    fn configure(&mut self) {
        self.configured = true;
        let (model, nodes) = (self.model.clone(), self.nodes.clone());
        self.decide(Entry::Configure { model, digest: 1, nodes });
    }

    fn tell_entry(&mut self, words: &[&str]) {
        match words {
            ["join", nodes @ ..] => nodes.iter().for_each(|node| self.join(node)),
            ["admit", node] => self.admit(node),
            ["alone", node] => {
                let name = EpochName { number: self.record.epoch.number + 1, founder: (*node).into(), nonce: 1 };
                let voters = vec![Voter { name: (*node).into(), identity: self.identity(node) }];
                self.decide(Entry::Epoch { name, voters, permit: Some(PermitKind::Unfenced) });
            }
            ["forced", node, rest @ ..] => {
                let node_silent = rest.contains(&"silent");
                self.decide(Entry::Forced { node: (*node).into(), permit: PermitKind::Unfenced, node_silent })
            }
            ["lost", node] => {
                let admission = self.record.nodes[&NodeName::from(*node)].admission;
                self.decide(Entry::Lost { node: (*node).into(), admission })
            }
            ["left", node] => self.decide(Entry::Left { node: (*node).into() }),
            ["unclean", node, running @ ..] => {
                let running = running.iter().map(|id| ResourceId::from(*id)).collect();
                self.decide(Entry::Unclean {
                    node: (*node).into(),
                    reason: "it lost a healed split".into(),
                    running,
                    identity: None,
                })
            }
            ["assign", group, node] => {
                let reason = "it is preferred".into();
                self.decide(Entry::Assign { group: (*group).into(), node: (*node).into(), reason })
            }
            ["pings", node, reached] => self.standing(node, None, Some(reached)),
            ["no-carrier", node, resources @ ..] => {
                let unservable = resources.iter().map(|id| ResourceId::from(*id)).collect();
                self.standing(node, Some(unservable), None)
            }
            ["report", node, resource, what, message @ ..] => self.report(node, resource, what, &message.join(" ")),
            _ => self.tell_request(words),
        }
    }

    fn tell_request(&mut self, words: &[&str]) {
        self.requests += 1;
        let origin = NodeName::from("a");
        let incarnation = self.record.nodes[&origin].incarnation;
        let request = RequestId { origin, incarnation, number: self.requests };
        let all = self.record.model.groups.iter().map(|group| group.id.clone());
        let groups: Vec<GroupId> = match words.get(1) {
            Some(group) if *group != "all" => vec![(*group).into()],
            _ => all.collect(),
        };
        match words {
            ["takeover", _, to] => {
                let (to, by) = (Some((*to).into()), "takeover by root".into());
                self.decide(Entry::Move { request, groups, to, away_from: None, by })
            }
            ["standby", _, from] => {
                let (away_from, by) = (Some((*from).into()), "standby by root".into());
                self.decide(Entry::Move { request, groups, to: None, away_from, by })
            }
            ["failback", _] => self.decide(Entry::Failback { request, groups, by: "failback by root".into() }),
            ["clear"] => self.decide(Entry::Clear { request, subject: ClearSubject::All }),
            _ => panic!("what is {words:?}?"),
        }
    }

    fn identity(&self, node: &str) -> NodeIdentity {
        NodeIdentity(u64::from(node.as_bytes()[0]))
    }

    fn admit(&mut self, node: &str) {
        let incarnation = Incarnation(self.record.nodes[&NodeName::from(node)].incarnation.0 + 1);
        self.decide(Entry::Admit { node: node.into(), identity: self.identity(node), incarnation });
        self.view.alive.insert(node.into());
    }

    fn join(&mut self, node: &str) {
        self.admit(node);
        let incarnation = self.record.nodes[&NodeName::from(node)].incarnation;
        self.decide(Entry::Probed { node: node.into(), incarnation });
    }

    fn standing(&mut self, node: &str, unservable: Option<BTreeSet<ResourceId>>, pings: Option<&str>) {
        let known = self.record.nodes[&NodeName::from(node)].clone();
        let parse = |text: &str| {
            let (reached, of) = text.split_once('/').expect("reached/configured");
            (reached.parse().expect("a number"), of.parse().expect("a number"))
        };
        let pings = pings.map_or(known.pings, parse);
        self.decide(Entry::Standing { node: node.into(), unservable: unservable.unwrap_or(known.unservable), pings });
    }

    fn report(&mut self, node: &str, resource: &str, what: &str, message: &str) {
        let (code, message) = (Some(1), message.to_string());
        let what = match what {
            "started" => ReportKind::Started,
            "stopped" => ReportKind::Stopped,
            "running" => ReportKind::Running,
            "start-failed" => ReportKind::StartFailed { code, message },
            "stop-failed" => ReportKind::StopFailed { code, message },
            "monitor-failed" => ReportKind::MonitorFailed { code, message },
            other => panic!("what is {other}?"),
        };
        self.say(node.into(), resource.into(), what);
    }

    fn say(&mut self, node: NodeName, resource: ResourceId, what: ReportKind) {
        let known = &self.record.nodes[&node];
        let (incarnation, number, upto) = (known.incarnation, known.reported + 1, AssignmentId(self.record.applied.0));
        self.decide(Entry::Report(Report { node, incarnation, number, resource, upto, what }));
    }

    /// Every living node does what the record wants of it, and it goes well.
    fn settle(&mut self) {
        for (resource, node) in self.record.may_be_active.keys().cloned().collect::<Vec<_>>() {
            if !self.view.alive.contains(&node) {
                continue;
            }
            let what = match self.record.wants(&resource, &node) {
                Some(_) => ReportKind::Started,
                None => ReportKind::Stopped,
            };
            self.say(node, resource, what);
        }
    }
}

/// The plan, then where everything is.
pub fn print(plan: &Plan, after: &Record) -> String {
    let mut text = String::from("-- plan\n");
    for action in &plan.actions {
        let what = match &action.entry {
            Entry::Assign { group, node, .. } => format!("assign {group} to {node}"),
            Entry::Unassign { group, .. } => format!("unassign {group}"),
            Entry::Confirmed { node } => format!("confirm {node}"),
            other => format!("{other:?}"),
        };
        let cause = format!("{:?}", action.cause).to_lowercase();
        writeln!(text, "{what} [{cause}]: {}", action.reason).unwrap();
    }
    for placement in &plan.placements {
        let node = placement.node.as_ref().map_or("nowhere".to_string(), |node| format!("on {node}"));
        writeln!(text, "{} {node}: {}", placement.group, placement.reason).unwrap();
        for (node, verdict) in &placement.alternatives {
            writeln!(text, "  not {node}: {verdict}").unwrap();
        }
        if let Some(blocked) = &placement.blocked {
            writeln!(text, "  blocked: {blocked}").unwrap();
        }
    }
    text.push_str("-- after\n");
    for group in &after.model.groups {
        let node = after.assignments.get(&group.id).map_or("-", |assignment| assignment.node.as_str());
        let members: Vec<String> = group
            .resources
            .iter()
            .map(|member| {
                let holders: Vec<&str> = after.active_nodes(&member.id).map(NodeName::as_str).collect();
                format!("{}@{}", member.id, if holders.is_empty() { "-".into() } else { holders.join("+") })
            })
            .collect();
        writeln!(text, "{} -> {node}; may be active: {}", group.id, members.join(" ")).unwrap();
    }
    text
}
