//! haresources: one logical line is one group.

use crate::address::reachable;
use crate::lex::{Word, lines, place, uncommented, words};
use crate::report::{Report, error, unreadable, warning};
use crate::{Environment, Sources};
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::ops::Range;
use core::time::Duration;
use hearth_types::{
    AddressSpec, AgentClass, GroupId, GroupSpec, NodeName, OnStopFail, OpTimeouts, ResourceId, ResourceKind,
    ResourceSpec,
};

/// What ha.cf says about every resource.
pub(crate) struct Defaults {
    pub(crate) timeouts: OpTimeouts,
    pub(crate) monitor: Option<Duration>,
    pub(crate) wire_check: bool,
}

/// Nodes of ha.cf.
#[derive(Clone, Copy)]
pub(crate) struct Nodes<'a> {
    pub(crate) all: &'a [NodeName],
    /// Those that run nothing.
    pub(crate) witnesses: &'a [NodeName],
}

/// Agents of the daemon itself.
const NATIVE: &[&str] = &["IPaddr", "IPaddr2", "IPv6addr", "Filesystem"];

struct Reader<'a> {
    text: &'a str,
    nodes: Nodes<'a>,
    defaults: &'a Defaults,
    environment: &'a dyn Environment,
    report: &'a mut Report,
    owners: BTreeMap<String, Range<usize>>,
    ids: BTreeSet<String>,
}

/// Reads the file.
pub(crate) fn parse(
    sources: &Sources,
    nodes: Nodes<'_>,
    defaults: &Defaults,
    environment: &dyn Environment,
    report: &mut Report,
) -> Vec<GroupSpec> {
    let Some(text) = &sources.haresources else {
        let title = format!("{} does not exist", sources.path("haresources"));
        report.push(
            error("missing-file", None, title)
                .help("write one line per group: NODE ADDRESS SCRIPT...; an empty file runs nothing"),
        );
        return Vec::new();
    };
    let (owners, ids) = (BTreeMap::new(), BTreeSet::new());
    let mut reader = Reader { text, nodes, defaults, environment, report, owners, ids };
    let (mut groups, mut logical) = (Vec::new(), Vec::new());
    for (start, line) in lines(text) {
        let line = uncommented(line).trim_end();
        let joined = line.strip_suffix('\\');
        logical.extend(words(joined.unwrap_or(line), start, false));
        if joined.is_none() {
            groups.extend(reader.group(&logical));
            logical.clear();
        }
    }
    groups.extend(reader.group(&logical));
    groups
}

fn is_ipv4ish(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && word.split('/').next().unwrap_or("").matches('.').count() == 3
}

impl Reader<'_> {
    fn group(&mut self, line: &[Word<'_>]) -> Option<GroupSpec> {
        let (first, rest) = line.split_first()?;
        if unreadable(line, self.report) {
            return None;
        }
        let preferred = self.preferred(first)?;
        if rest.is_empty() {
            self.report.push(
                error("empty-value", first.span.clone(), format!("nothing stands behind `{}`", first.text))
                    .label("no resource")
                    .help("write what runs there: an address, a script; or remove the line"),
            );
        }
        let resources: Vec<ResourceSpec> = rest.iter().filter_map(|word| self.resource(word)).collect();
        let id = GroupId::from(resources.first()?.id.as_str());
        Some(GroupSpec { id, preferred, resources })
    }

    fn preferred(&mut self, first: &Word<'_>) -> Option<Vec<NodeName>> {
        let mut preferred = Vec::new();
        let mut at = first.span.start;
        for part in first.text.split(',') {
            let span = at..at + part.len();
            at = span.end + 1;
            if part.is_empty() {
                let wrong = error("empty-name", first.span.clone(), format!("`{}` has an empty name", first.text));
                let names: Vec<&str> = first.text.split(',').filter(|name| !name.is_empty()).collect();
                self.report.push(wrong.help("write one comma between two nodes, and no blank").fix(names.join(",")));
                return None;
            }
            let node = NodeName::new(part);
            // Without any node in ha.cf that could run something, that is what is said, once.
            if self.nodes.witnesses.contains(&node) && self.nodes.witnesses.len() < self.nodes.all.len() {
                let wrong = error("witness-preferred", span, format!("`{part}` is a witness and runs nothing"));
                let able = self.nodes.all.iter().filter(|node| !self.nodes.witnesses.contains(node));
                let able = able.map(|node| node.as_str()).collect::<Vec<_>>().join(", ");
                self.report.push(wrong.label("votes only").help(format!("name one of: {able}")));
                return None;
            }
            let unknowable = self.nodes.all.is_empty() && !is_ipv4ish(part) && !part.contains("::");
            if unknowable || self.nodes.all.contains(&node) {
                preferred.push(node);
                continue;
            }
            let glued = self.nodes.all.iter().find(|n| {
                part.to_lowercase().starts_with(n.as_str()) && part.get(n.as_str().len()..).is_some_and(is_ipv4ish)
            });
            let known = self.nodes.all.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ");
            self.report.push(match glued {
                Some(node) => error("glued-node", span, "node and address are one word")
                    .label("a blank is missing")
                    .help(format!("write a blank behind `{node}`"))
                    .fix(format!("{node} {}", part.get(node.as_str().len()..).unwrap_or(""))),
                None if is_ipv4ish(part) || part.contains("::") || self.environment.script(part).is_some() => {
                    error("node-missing", span, format!("the line begins with the resource `{part}`, not with a node"))
                        .label("a node belongs in front")
                        .help(format!("nodes of ha.cf: {known}"))
                }
                None => error("unknown-node", span, format!("`{part}` is not a `node` of ha.cf"))
                    .help(format!("nodes of ha.cf: {known}"))
                    .nearest(part, self.nodes.all.iter().map(|n| n.as_str())),
            });
            return None;
        }
        Some(preferred)
    }

    fn resource(&mut self, word: &Word<'_>) -> Option<ResourceSpec> {
        let (agent, rest) = if is_ipv4ish(word.text) {
            ("IPaddr", word.text)
        } else {
            word.text.split_once("::").unwrap_or((word.text, ""))
        };
        let address = matches!(agent, "IPaddr" | "IPaddr2" | "IPv6addr");
        // An IPv6 address contains `::` itself.
        let args: Vec<String> = match rest {
            "" => Vec::new(),
            rest if address => alloc::vec![rest.to_owned()],
            rest => rest.split("::").map(str::to_owned).collect(),
        };
        let mut owns = BTreeSet::new();
        let (class, kind) = if address {
            (AgentClass::Native, self.address(word, rest, &mut owns)?)
        } else if agent == "Filesystem" {
            (AgentClass::Native, self.filesystem(word, &args, &mut owns)?)
        } else {
            (self.script(word, agent, &mut owns)?, ResourceKind::Script)
        };
        self.claim(&owns, word);
        Some(ResourceSpec {
            id: self.unique(word.text),
            class,
            agent: agent.to_owned(),
            args,
            kind,
            owns,
            timeouts: self.defaults.timeouts,
            monitor: self.defaults.monitor,
            on_stop_fail: OnStopFail::Block,
            wire_check: self.defaults.wire_check,
        })
    }

    fn address(&mut self, word: &Word<'_>, text: &str, owns: &mut BTreeSet<String>) -> Option<ResourceKind> {
        let spec = match address_spec(text) {
            Ok(spec) => spec,
            Err(why) => {
                let wrong = error("bad-address", word.span.clone(), why);
                let forms = "forms: IP, IP/PREFIX, IP/PREFIX/INTERFACE, IP/PREFIX/INTERFACE/BROADCAST";
                self.report.push(wrong.help(forms));
                return None;
            }
        };
        owns.insert(format!("address:{}", spec.ip));
        match spec.interface.as_deref() {
            Some(name) if self.environment.interface(name).is_none() => {
                let at = word.span.start + word.text.rfind(name).unwrap_or(0);
                self.report.push(interface_missing(at..at + name.len(), name, self.environment));
            }
            None if !reachable(spec.ip, self.environment) => {
                let title = format!("no interface of this machine has a network with {}", spec.ip);
                let wrong = warning("address-elsewhere", word.span.clone(), title).label("could not start here now");
                self.report.push(wrong.help(format!("name the interface: {}/PREFIX/INTERFACE", spec.ip)));
            }
            _ => {}
        }
        Some(ResourceKind::Address(spec))
    }

    fn filesystem(&mut self, word: &Word<'_>, args: &[String], owns: &mut BTreeSet<String>) -> Option<ResourceKind> {
        let [device, directory, ..] = args else {
            let wrong = error("bad-filesystem", word.span.clone(), "Filesystem needs a device and a directory");
            self.report.push(wrong.help("write: Filesystem::/dev/sdb1::/srv::ext4"));
            return None;
        };
        // A share of a server, or tmpfs, may be mounted in two places; a disk may not.
        if device.contains('=') || (device.starts_with('/') && !device.starts_with("//")) {
            owns.insert(format!("device:{device}"));
        }
        owns.insert(format!("mount:{directory}"));
        let more = |index: usize| args.get(index).cloned().unwrap_or_default();
        let (device, directory) = (device.clone(), directory.clone());
        Some(ResourceKind::Filesystem { device, directory, fstype: more(2), options: more(3) })
    }

    fn script(&mut self, word: &Word<'_>, agent: &str, owns: &mut BTreeSet<String>) -> Option<AgentClass> {
        let Some((class, _)) = self.environment.script(agent) else {
            let names = self.environment.scripts();
            let span = word.span.start..word.span.start + agent.len();
            let title = format!("there is no executable script `{agent}` in resource.d or init.d");
            let help = format!("put it into resource.d; if it is there: chmod +x resource.d/{agent}");
            let known = NATIVE.iter().copied().chain(names.iter().map(String::as_str));
            self.report.push(error("unknown-script", span, title).help(help).nearest(agent, known));
            return None;
        };
        // These only tell somebody; two of them do not disturb each other.
        if !matches!(agent, "MailTo" | "AudibleAlarm" | "Delay") {
            owns.insert(format!("script:{}", word.text));
        }
        Some(class)
    }

    /// R-TAKE-9: what is exclusive stands once.
    fn claim(&mut self, owns: &BTreeSet<String>, word: &Word<'_>) {
        for key in owns {
            match self.owners.get(key) {
                Some(first) => {
                    let (line, column) = place(self.text, first.start);
                    let (kind, what) = key.split_once(':').unwrap_or(("resource", key));
                    let wrong = error("owned-twice", word.span.clone(), format!("the {kind} `{what}` stands twice"));
                    self.report.push(
                        wrong
                            .label(format!("the first is in line {line}, column {column}"))
                            .help("it can be on one node only, in one group: remove one of the two"),
                    );
                    return;
                }
                None => {
                    self.owners.insert(key.clone(), word.span.clone());
                }
            }
        }
    }

    fn unique(&mut self, text: &str) -> ResourceId {
        let mut id = text.to_owned();
        let mut count = 1;
        while !self.ids.insert(id.clone()) {
            count += 1;
            id = format!("{text}#{count}");
        }
        ResourceId::from(id)
    }
}

/// The complaint about an interface that this machine does not have.
pub(crate) fn interface_missing(span: Range<usize>, name: &str, environment: &dyn Environment) -> crate::Complaint {
    let names = environment.interfaces();
    error("unknown-interface", span, format!("this machine has no interface `{name}`"))
        .help(format!("it has: {}", names.join(", ")))
        .nearest(name, names.iter().map(String::as_str))
}

fn address_spec(text: &str) -> Result<AddressSpec, String> {
    let parts: Vec<&str> = text.split('/').collect();
    if text.is_empty() {
        return Err("there is no address".to_string());
    }
    let ip: IpAddr = parts[0].parse().map_err(|_| format!("`{}` is not an address", parts[0]))?;
    let prefix = match parts.get(1) {
        None | Some(&"") => None,
        Some(mask) => Some(prefix(mask, ip).ok_or_else(|| format!("`{mask}` is not a prefix length or mask"))?),
    };
    let mut spec = AddressSpec { ip, prefix, interface: None, label: None, broadcast: None };
    let mut broadcast = parts.get(3).copied();
    match parts.get(2) {
        None | Some(&"") => {}
        Some(part) if part.starts_with(|c: char| c.is_ascii_digit()) => broadcast = Some(part),
        Some(part) => {
            let (name, label) = part.split_once(':').map_or((*part, None), |(name, label)| (name, Some(label)));
            (spec.interface, spec.label) = (Some(name.to_owned()), label.map(str::to_owned));
        }
    }
    if parts.len() > 4 {
        return Err("too many `/` parts".to_string());
    }
    if let Some(part) = broadcast.filter(|part| !part.is_empty()) {
        spec.broadcast = Some(part.parse().map_err(|_| format!("`{part}` is not a broadcast address"))?);
    }
    Ok(spec)
}

fn prefix(mask: &str, ip: IpAddr) -> Option<u8> {
    if let Ok(dotted) = mask.parse::<Ipv4Addr>() {
        let bits = u32::from(dotted);
        return (ip.is_ipv4() && bits.count_ones() == bits.leading_ones()).then(|| bits.count_ones() as u8);
    }
    mask.parse().ok().filter(|length| *length <= if ip.is_ipv4() { 32 } else { 128 })
}

/// `wire_check no RESOURCE` of ha.cf, applied to what haresources says.
/// `text` is that file: a resource that stands in it and was refused needs no second complaint.
pub(crate) fn unchecked(
    groups: &mut [GroupSpec],
    names: &[(String, bool, Range<usize>)],
    text: &str,
    report: &mut Report,
) {
    for (name, check, span) in names {
        let mut found = false;
        for resource in groups.iter_mut().flat_map(|group| &mut group.resources) {
            if resource.id.as_str() == name {
                resource.wire_check = *check;
                found = true;
            }
        }
        if !found && !text.split_whitespace().any(|word| word == name) {
            let ids: Vec<&str> = groups.iter().flat_map(|group| &group.resources).map(|r| r.id.as_str()).collect();
            report.push(
                error("unknown-resource", span.clone(), format!("haresources has no resource `{name}`"))
                    .help(format!("write it as there; it has: {}", ids.join(", ")))
                    .nearest(name, ids.into_iter()),
            );
        }
    }
}
