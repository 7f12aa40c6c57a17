//! resources.crm: fence devices as crmsh prints them (`crm configure show`). What is of Pacemaker and means the same here is
//! taken, what is not is refused with its place; nothing is dropped without a word.

mod words;

use crate::ha_cf::{File, Param, WrittenDevice, fence_device, fence_program};
use crate::lex::Word;
use crate::report::{Report, error, note, unreadable};
use crate::{Environment, FenceDevice, FileKind, span};
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use hearth_types::NodeName;
use words::{Token, definitions};

/// What crmsh has besides, and stands elsewhere here.
const RESOURCES: [&str; 16] = [
    "group",
    "ms",
    "master",
    "bundle",
    "colocation",
    "collocation",
    "order",
    "rsc_template",
    "rsc_ticket",
    "rsc_defaults",
    "op_defaults",
    "tag",
    "role",
    "user",
    "acl_target",
    "acl_group",
];
const TAKEN: [&str; 6] = ["primitive", "location", "clone", "fencing_topology", "property", "node"];
/// What Pacemaker writes there itself.
const OWN_PROPERTIES: [&str; 5] =
    ["cluster-infrastructure", "cluster-name", "dc-version", "have-watchdog", "last-lrm-refresh"];

struct Crm<'a> {
    environment: &'a dyn Environment,
    file: &'a mut File,
    report: &'a mut Report,
    /// Position of each device among those of all files, by its name.
    devices: BTreeMap<String, usize>,
    /// Devices that say themselves whether they leave a machine off.
    decided: BTreeSet<usize>,
}

/// Reads the file behind ha.cf: its devices come after those of the `stonith` lines.
pub(crate) fn parse(text: &str, environment: &dyn Environment, file: &mut File, report: &mut Report) {
    let mut crm = Crm { environment, file, report, devices: BTreeMap::new(), decided: BTreeSet::new() };
    let mut later = Vec::new();
    for definition in definitions(text) {
        let plain: Vec<Word<'_>> =
            definition.iter().map(|token| Word { text: &token.text, span: token.span.clone() }).collect();
        if unreadable(&plain, crm.report) {
            continue;
        }
        // Constraints may stand above what they name.
        if definition[0].text == "primitive" { crm.primitive(&definition) } else { later.push(definition) }
    }
    for definition in &later {
        crm.constraint(definition);
    }
}

impl Crm<'_> {
    fn refuse(&mut self, code: &'static str, at: &Token, title: String, help: &str) {
        self.report.push(error(code, at.span.clone(), title).help(help));
    }

    fn constraint(&mut self, definition: &[Token]) {
        let (name, rest) = (&definition[0], &definition[1..]);
        match name.text.as_str() {
            "location" => self.location(name, rest),
            "clone" => self.clone_of(name, rest),
            "fencing_topology" => self.topology(name, rest),
            "property" => self.properties(rest),
            "node" => self.node(name, rest),
            "alert" => {
                let help = "write into ha.cf of every node: alert PATH RECIPIENT";
                self.refuse("crm-elsewhere", name, "alerts stand in ha.cf".to_owned(), help);
            }
            known if RESOURCES.contains(&known) => self.resource(name, known),
            unknown => {
                let wrong = error("crm-unknown", name.span.clone(), format!("`{unknown}` is nothing of crm syntax"));
                let wrong = wrong.help("remove the line, or put a # before it");
                let wrong = wrong.nearest(unknown, TAKEN.into_iter().chain(RESOURCES));
                self.report.push(wrong);
            }
        }
    }

    fn resource(&mut self, at: &Token, what: &str) {
        let help = "hearth takes from resources.crm what says how to fence: primitives of class stonith, fencing_topology, \
                    location, property";
        self.refuse("crm-elsewhere", at, format!("`{what}`: what is to run stands in haresources"), help);
    }

    /// `primitive ID stonith:TYPE params NAME=VALUE... op ... meta ...`
    fn primitive(&mut self, definition: &[Token]) {
        let [name, id, class, rest @ ..] = definition else {
            let help = "write: primitive ID stonith:fence_ipmilan params ip=10.0.0.9 pcmk_host_list=NODE";
            return self.refuse("bad-crm", &definition[0], "`primitive` needs a name and a type".to_owned(), help);
        };
        let Some(kind) = class.behind("stonith:") else { return self.resource(class, &class.text) };
        if self.devices.contains_key(&id.text) || self.file.stonith.iter().any(|it| it.device.name == id.text) {
            let title = format!("there is a fence device `{}` already", id.text);
            return self.refuse("duplicate-crm", id, title, "give one of the two another name");
        }
        let Some((list, decided)) = self.sections(rest) else { return };
        let word = Word { text: &kind.text, span: kind.span.clone() };
        let Some(program) = fence_program(self.environment, &word, self.report) else { return };
        let Some((device, targets)) = fence_device(&word, id.text.clone(), program, list, self.report) else { return };
        let position = self.file.stonith.len();
        self.devices.insert(id.text.clone(), position);
        if decided {
            self.decided.insert(position);
        }
        let (file, kind) = (FileKind::Crm, name.span.start..class.span.end);
        self.file.stonith.push(WrittenDevice { device, file, host: None, kind, targets });
    }

    /// The parameters of a device, and whether `action` is among them; none: something else was refused.
    fn sections(&mut self, tokens: &[Token]) -> Option<(Vec<Param>, bool)> {
        let (mut list, mut section, mut operations) = (Vec::new(), "params", None);
        for token in tokens {
            match token.text.as_str() {
                "params" | "meta" | "op" | "operations" => {
                    section = match token.text.as_str() {
                        "params" => "params",
                        "meta" => "meta",
                        _ => "op",
                    };
                    if section == "op" {
                        operations.get_or_insert(token);
                    }
                    continue;
                }
                text if text.starts_with("$id=") || section == "op" => continue,
                _ => {}
            }
            let Some((key, value)) = token.text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                let title = format!("`{}` is no parameter", token.text);
                self.refuse("bad-stonith", token, title, "write NAME=VALUE, with quotes around a value with blanks");
                return None;
            };
            match (section, key, value) {
                ("meta", "target-role", "Started" | "started") => {}
                ("meta", ..) => {
                    let title = format!("`{key}={value}` means nothing for a fence device here");
                    self.refuse("unsupported-crm", token, title, "a device that is not to be used: remove it");
                    return None;
                }
                // Said by the list itself.
                (_, "pcmk_host_check", "static-list") => {}
                _ => list.push((key.to_owned(), value.to_owned(), token.span.clone())),
            }
        }
        if let Some(at) = operations {
            let title =
                "`op` of a fence device: each is asked at the start and every hour, for `timeout fence` at most";
            self.report.push(note("replaced", at.span.clone(), title));
        }
        let decided = list.iter().any(|(key, ..)| matches!(key.as_str(), "action" | "pcmk_reboot_action"));
        Some((list, decided))
    }

    fn device(&mut self, named: &Token) -> Option<usize> {
        let known = self.devices.get(&named.text).copied();
        if known.is_none() {
            let wrong = format!("there is no fence device `{}`", named.text);
            let wrong = error("crm-unknown-device", named.span.clone(), wrong);
            let wrong = wrong.help("write: primitive ID stonith:TYPE params ...");
            self.report.push(wrong.nearest(&named.text, self.devices.keys().map(String::as_str)));
        }
        known
    }

    fn is_node(&mut self, named: &Token, name: &str) -> bool {
        let nodes = &self.file.cluster.nodes;
        let known = nodes.iter().any(|node| node.as_str() == name);
        if !known {
            let wrong = error("unknown-node", named.span.clone(), format!("no `node` line of ha.cf names `{name}`"));
            let names = nodes.iter().map(NodeName::as_str);
            let all = names.clone().collect::<Vec<_>>().join(" ");
            self.report.push(wrong.help(format!("nodes are: {all}")).nearest(name, names));
        }
        known
    }

    /// `location ID DEVICE -inf: NODE`: that machine cannot use it.
    fn location(&mut self, at: &Token, rest: &[Token]) {
        let [_, device, score, node] = rest else {
            let help = "write: location ID DEVICE -inf: NODE, for a machine that cannot use the device";
            return self.refuse("unsupported-crm", at, "of `location` only the short form is taken".to_owned(), help);
        };
        let Some(position) = self.device(device) else { return };
        if !self.is_node(node, &node.text) {
            return;
        }
        match score.text.trim_end_matches(':').to_lowercase().as_str() {
            "-inf" | "-infinity" => {
                self.file.stonith[position].device.barred.insert(NodeName::new(&node.text));
            }
            number if number == "inf" || number == "infinity" || number.parse::<i64>().is_ok() => {
                let title = format!("`location`: whoever needs `{}` uses it, wherever it would be", device.text);
                self.report.push(note("replaced", score.span.clone(), title));
            }
            _ => self.refuse("bad-crm", score, format!("`{}` is no score", score.text), "write -inf: and the machine"),
        }
    }

    /// A device that runs everywhere: so does each.
    fn clone_of(&mut self, at: &Token, rest: &[Token]) {
        let Some(of) = rest.get(1).filter(|of| self.devices.contains_key(&of.text)) else {
            return self.resource(at, "clone");
        };
        let title = format!("`clone`: every machine can use `{}` already", of.text);
        self.report.push(note("replaced", at.span.clone(), title));
    }

    /// The devices of one level, `DEVICE` or `DEVICE,DEVICE`, which must all work.
    fn level(&mut self, token: &Token) -> Option<Vec<usize>> {
        let mut level = Vec::new();
        let mut at = token.span.start;
        for name in token.text.split(',') {
            // Of a word in quotes only the whole is known to stand there.
            let span = if token.span.len() == token.text.len() { at..at + name.len() } else { token.span.clone() };
            at += name.len() + 1;
            if name.is_empty() {
                let title = format!("`{}`: a name is missing", token.text);
                self.refuse("bad-crm", token, title, "devices that must all work: DEVICE,DEVICE without blanks");
                return None;
            }
            let position = self.device(&Token { text: name.to_owned(), span })?;
            if level.contains(&position) {
                let title = format!("`{name}` stands twice in `{}`", token.text);
                self.refuse("bad-crm", token, title, "name each device once: every power supply has one of its own");
                return None;
            }
            level.push(position);
        }
        Some(level)
    }

    /// `fencing_topology NODE: LEVEL LEVEL ...`, or the levels alone for every machine.
    fn topology(&mut self, at: &Token, rest: &[Token]) {
        let mut target: Option<NodeName> = None;
        let mut order: BTreeMap<NodeName, Vec<Vec<usize>>> = BTreeMap::new();
        for token in rest {
            if let Some(name) = token.text.strip_suffix(':') {
                if !self.is_node(token, name) {
                    return;
                }
                target = Some(NodeName::new(name));
                continue;
            }
            let Some(level) = self.level(token) else { return };
            let devices = || level.iter().map(|position| &self.file.stonith[*position].device);
            let covered = devices().flat_map(|device| device.targets.keys().cloned());
            let nodes: BTreeSet<NodeName> = target.clone().map_or_else(|| covered.collect(), |node| [node].into());
            let missing = devices().find_map(|device| {
                let node = nodes.iter().find(|node| !device.targets.contains_key(*node))?;
                Some(format!("`{}` does not turn `{node}` off", device.name))
            });
            if let Some(title) = missing {
                return self.refuse("no-target", token, title, "add the machine to its pcmk_host_list");
            }
            nodes.into_iter().for_each(|node| order.entry(node).or_default().push(level.clone()));
        }
        if order.is_empty() {
            let help = "write: fencing_topology NODE: DEVICE DEVICE,DEVICE";
            return self.refuse("bad-crm", at, "`fencing_topology` names no device".to_owned(), help);
        }
        self.file.cluster.fencing.topology.extend(order);
    }

    fn properties(&mut self, rest: &[Token]) {
        for token in rest.iter().filter(|token| !token.text.ends_with(':') && !token.text.starts_with("$id=")) {
            let (key, value) = token.text.split_once('=').unwrap_or((&token.text, ""));
            let yes = matches!(value, "true" | "yes" | "on" | "1");
            match (key, value) {
                ("stonith-enabled", _) if yes => {}
                ("stonith-enabled", _) if self.devices.is_empty() => {}
                ("stonith-enabled", _) => {
                    let title = "`stonith-enabled=false` beside fence devices".to_owned();
                    self.refuse("unsupported-crm", token, title, "remove the devices, or the property");
                }
                ("stonith-action", "reboot") => {}
                ("stonith-action", "off") => self.all_stay_off(),
                ("stonith-timeout", text) => self.timeout(token, text),
                ("no-quorum-policy", "stop") => {}
                _ if OWN_PROPERTIES.contains(&key) => {
                    self.report.push(note("replaced", token.span.clone(), format!("`{key}` is of Pacemaker itself")));
                }
                _ => {
                    let title = format!("the property `{}` is not supported", token.text);
                    let help = "known are stonith-enabled, stonith-action, stonith-timeout and no-quorum-policy=stop";
                    self.refuse("unsupported-crm", token, title, help);
                }
            }
        }
    }

    fn all_stay_off(&mut self) {
        for position in self.devices.values().filter(|position| !self.decided.contains(position)) {
            let device: &mut FenceDevice = &mut self.file.stonith[*position].device;
            device.stays_off = true;
        }
    }

    fn timeout(&mut self, at: &Token, text: &str) {
        match span::parse(text).filter(|(value, _)| !value.is_zero()) {
            Some(_) if self.file.fence_timeout => {
                let title = "`timeout fence` of ha.cf says the same".to_owned();
                self.refuse("two-timeouts", at, title, "remove one of the two");
            }
            Some((value, _)) => self.file.cluster.fencing.timeout = value,
            None => self.refuse("bad-time", at, format!("`{text}` is not a span of time"), "write 20s"),
        }
    }

    /// `node NAME attributes standby=off`
    fn node(&mut self, at: &Token, rest: &[Token]) {
        let plain = |token: &&Token| {
            !token.text.starts_with("$id=") && !token.text.trim_end_matches(':').bytes().all(|b| b.is_ascii_digit())
        };
        let mut words = rest.iter().filter(plain);
        let Some(name) = words.next() else {
            return self.refuse("bad-crm", at, "`node` names none".to_owned(), "nodes stand in ha.cf: remove the line");
        };
        let bare = name.text.split(':').next().unwrap_or("").to_owned();
        self.is_node(name, &bare);
        for word in words.filter(|word| !matches!(word.text.as_str(), "attributes" | "standby=off" | "maintenance=off"))
        {
            let title = format!("`{}`: attributes of nodes are not supported", word.text);
            self.refuse("unsupported-crm", word, title, "`hearth standby NODE` sets a node aside");
        }
    }
}
