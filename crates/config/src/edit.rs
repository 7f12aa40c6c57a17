//! A machine more, or a machine less, in the text of an ha.cf (decision 0059): every other line stays as it is.

use crate::lex::{lines, uncommented, words};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;
use hearth_types::NodeName;
use serde::{Deserialize, Serialize};

/// A change of the list of nodes, the same for the ha.cf of every machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListChange {
    /// A machine more, behind the others.
    Add {
        /// Its name.
        node: NodeName,
        /// Its addresses, one for each interface that has `ucast` lines.
        ucast: Vec<(String, IpAddr)>,
    },
    /// A machine less.
    Remove {
        /// Its name.
        node: NodeName,
        /// Addresses that its packets came from: `ucast` lines to them go, too.
        addresses: Vec<IpAddr>,
    },
}

impl ListChange {
    /// Whom it is about.
    pub fn node(&self) -> &NodeName {
        match self {
            ListChange::Add { node, .. } | ListChange::Remove { node, .. } => node,
        }
    }

    /// The list after it.
    pub fn applied_to(&self, nodes: &[NodeName]) -> Vec<NodeName> {
        let mut list = nodes.to_vec();
        match self {
            ListChange::Add { node, .. } if list.contains(node) => {}
            ListChange::Add { node, .. } => list.push(node.clone()),
            ListChange::Remove { node, .. } => list.retain(|name| name != node),
        }
        list
    }

    /// The text of an ha.cf with it; the same text where it stands there already.
    ///
    /// # Errors
    /// What cannot be written, or does not fit the media of that file; one line for people.
    pub fn edit(&self, ha_cf: &str) -> Result<String, String> {
        match self {
            ListChange::Add { node, ucast } => add(ha_cf, node, ucast),
            ListChange::Remove { node, addresses } => Ok(remove(ha_cf, node, addresses)),
        }
    }
}

/// Whether a word can stand in a line of ha.cf as one word. What is written comes from another machine.
fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:@".contains(c);
    !word.is_empty() && word.len() <= 64 && word.chars().all(plain)
}

fn names_it(line: &str, node: &NodeName) -> bool {
    let found = words(uncommented(line), 0, false);
    let names = found.first().is_some_and(|first| matches!(first.text, "node" | "witness"));
    names && found.iter().skip(1).any(|word| NodeName::new(word.text) == *node)
}

fn directive(line: &str) -> Option<&str> {
    words(uncommented(line), 0, false).first().map(|word| word.text)
}

fn add(ha_cf: &str, node: &NodeName, ucast: &[(String, IpAddr)]) -> Result<String, String> {
    if lines(ha_cf).any(|(_, line)| names_it(line, node)) {
        return Ok(ha_cf.to_string());
    }
    if !is_plain(node.as_str()) {
        return Err(format!("`{node}` is no name of a machine"));
    }
    let mut interfaces: Vec<&str> = Vec::new();
    for (_, line) in lines(ha_cf) {
        if let [first, interface, ..] = &words(uncommented(line), 0, false)[..]
            && matches!(first.text, "ucast" | "ucast6")
            && !interfaces.contains(&interface.text)
        {
            interfaces.push(interface.text);
        }
    }
    if let Some(missing) = interfaces.iter().find(|name| !ucast.iter().any(|(given, _)| given == *name)) {
        return Err(format!(
            "ha.cf has `ucast {missing}` lines: say the address of {node} there (--ucast {missing}=ADDRESS)"
        ));
    }
    if let Some((stranger, _)) = ucast.iter().find(|(given, _)| !interfaces.contains(&given.as_str())) {
        return Err(format!("ha.cf has no `ucast {stranger}` line: {node} needs no address there"));
    }
    let last =
        |kinds: &[&str]| lines(ha_cf).filter(|(_, line)| directive(line).is_some_and(|it| kinds.contains(&it))).last();
    let Some((after_nodes, _)) = last(&["node", "witness"]) else { return Err("ha.cf has no `node` line".to_string()) };
    let after_ucast = last(&["ucast", "ucast6"]).map(|(at, _)| at);
    let (mut text, mut begins) = (String::new(), 0);
    for piece in ha_cf.split_inclusive('\n') {
        let at = begins;
        begins += piece.len();
        text.push_str(piece);
        let (is_nodes, is_ucast) = (at == after_nodes, Some(at) == after_ucast);
        if (is_nodes || is_ucast) && !piece.ends_with('\n') {
            text.push('\n');
        }
        if is_nodes {
            text.push_str(&format!("node {node}\n"));
        }
        if is_ucast {
            for (interface, address) in ucast {
                let kind = if address.is_ipv6() { "ucast6" } else { "ucast" };
                text.push_str(&format!("{kind} {interface} {address}\n"));
            }
        }
    }
    Ok(text)
}

fn remove(ha_cf: &str, node: &NodeName, addresses: &[IpAddr]) -> String {
    let mut text = String::new();
    for piece in ha_cf.split_inclusive('\n') {
        let line = piece.trim_end_matches(['\n', '\r']);
        let found = words(uncommented(line), 0, false);
        let leads_there = match &found[..] {
            [first, _, peer, ..] if matches!(first.text, "ucast" | "ucast6") => {
                let host = peer.text.split('%').next().unwrap_or(peer.text);
                host.parse::<IpAddr>().is_ok_and(|address| addresses.contains(&address))
            }
            _ => false,
        };
        if leads_there {
            continue;
        }
        if !names_it(line, node) {
            text.push_str(piece);
            continue;
        }
        let stay: Vec<&str> =
            found.iter().skip(1).map(|word| word.text).filter(|word| NodeName::new(word) != *node).collect();
        if stay.is_empty() {
            continue;
        }
        // Whatever stands behind the names, a comment or spaces, is kept.
        let end = found.last().map_or(0, |word| word.span.end);
        text.push_str(&format!("{} {}{}", found[0].text, stay.join(" "), &piece[end..]));
    }
    text
}
