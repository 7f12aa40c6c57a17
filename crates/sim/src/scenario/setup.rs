//! What a cluster is made of, in words, before anything befalls it.

use crate::act::{self, NotAnAct};
use crate::layout::{Layout, LinkKind, Supplies, address, filesystem, group, script};
use hearth_types::{GroupSpec, NodeName, ResourceKind, ResourceSpec};
use std::net::IpAddr;

/// A cluster that is being described.
#[derive(Default)]
pub struct Setup {
    /// As far as it is known.
    pub layout: Option<Layout>,
    /// Where chance comes from.
    pub seed: u64,
}

fn refused(text: impl Into<String>) -> NotAnAct {
    NotAnAct(text.into())
}

fn yes(word: &str) -> Result<bool, NotAnAct> {
    match word {
        "yes" | "on" | "ping" => Ok(true),
        "no" | "off" | "none" => Ok(false),
        _ => Err(refused(format!("`{word}` is neither yes nor no"))),
    }
}

impl Setup {
    /// Takes a line that describes the cluster; false if it is none of those.
    ///
    /// # Errors
    /// When it is one, and wrong.
    pub fn read(&mut self, line: &str) -> Result<bool, NotAnAct> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (first, rest) = (words[0], &words[1..]);
        if first == "seed" {
            self.seed = rest.first().and_then(|word| word.parse().ok()).ok_or_else(|| refused("seed NUMBER"))?;
            return Ok(true);
        }
        if first == "cluster" {
            if rest.is_empty() {
                return Err(refused("cluster NAMES"));
            }
            let mut layout = Layout::new(rest.len());
            layout.names = rest.iter().map(|name| NodeName::new(name)).collect();
            self.layout = Some(layout);
            return Ok(true);
        }
        let Some(layout) = self.layout.as_mut() else { return Ok(false) };
        let word = || rest.first().copied().ok_or_else(|| refused(format!("{first} what?")));
        match first {
            "links" => layout.links = links(rest)?,
            "timing" => timing(layout, rest)?,
            "group" => {
                let group = read_group(layout, rest)?;
                layout.variants.last_mut().ok_or_else(|| refused("no files"))?.push(group);
            }
            // The groups that follow are those of the next files, for `reload NODE NUMBER`.
            "files" => layout.variants.push(Vec::new()),
            "witness" => {
                let node = layout.node(word()?).ok_or_else(|| refused("witness: no such machine"))?;
                layout.witness = Some(node);
            }
            // In the beginning no file but its own names the last machine.
            "to_come" => {
                let last = layout.names.len() - 1;
                layout.moving = layout.node(word()?).filter(|node| *node == last && last > 0);
                layout.is_to_come = layout.moving.is_some();
                if !layout.is_to_come {
                    return Err(refused("to_come: the last machine"));
                }
            }
            "ucast" => layout.ucast = yes(word()?)?,
            "tiebreaker" if rest == ["disk"] => layout.tiebreaker_disk = true,
            "tiebreaker" => layout.tiebreaker = yes(word()?)?,
            "shared_disk" => layout.shared_disk = yes(word()?)?,
            "stonith" => layout.stonith = yes(word()?)?,
            "supplies" => {
                layout.supplies = match word()? {
                    "both" => Supplies::BothCount,
                    "each" => Supplies::EachCounts,
                    _ => return Err(refused("supplies: both must work, or each counts")),
                }
            }
            "unfenced_takeover" => layout.unfenced = yes(word()?)?,
            "auto_failback" => layout.auto_failback = yes(word()?)?,
            "gate" => layout.gate = yes(word()?)?,
            "sealed" => layout.sealed = yes(word()?)?,
            "drift" => layout.drift = yes(word()?)?,
            "failure_timeout" => layout.timing.failure_timeout = Some(act::span(word()?)?),
            "fence_timeout" => layout.fence_timeout = act::span(word()?)?,
            "alert" => layout.alerts = yes(word()?)?,
            "watchdog" => layout.watchdog = Some(act::span(word()?)?),
            "self_fence" => layout.self_fence = Some(act::span(word()?)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// `network`, or `serial` with its bits per second.
fn links(words: &[&str]) -> Result<Vec<LinkKind>, NotAnAct> {
    let mut links = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        links.push(match *word {
            "network" => LinkKind::Network,
            "serial" => {
                let baud = words.next().and_then(|word| word.parse().ok());
                LinkKind::Serial { baud: baud.ok_or_else(|| refused("serial BAUD"))? }
            }
            _ => return Err(refused(format!("`{word}` is no link: network, serial BAUD"))),
        });
    }
    Ok(links)
}

/// Pairs of a directive and its span.
fn timing(layout: &mut Layout, words: &[&str]) -> Result<(), NotAnAct> {
    for pair in words.chunks(2) {
        let [name, span] = pair else { return Err(refused("timing NAME SPAN ...")) };
        let span = act::span(span)?;
        let timing = &mut layout.timing;
        *match *name {
            "keepalive" => &mut timing.keepalive,
            "deadtime" => &mut timing.deadtime,
            "warntime" => &mut timing.warntime,
            "initdead" => &mut timing.initdead,
            "deadping" => &mut timing.deadping,
            "carrier_grace" => &mut timing.carrier_grace,
            _ => return Err(refused(format!("`{name}` is no time"))),
        } = span;
    }
    Ok(())
}

/// A line as in haresources: the nodes that are preferred, with commas, then the resources.
fn read_group(layout: &Layout, words: &[&str]) -> Result<GroupSpec, NotAnAct> {
    let [nodes, resources @ ..] = words else { return Err(refused("group NODES RESOURCES")) };
    let preferred: Vec<&str> = nodes.split(',').collect();
    if let Some(stranger) = preferred.iter().find(|name| layout.node(name).is_none()) {
        return Err(refused(format!("no machine `{stranger}`")));
    }
    if resources.is_empty() {
        return Err(refused("a group without resources"));
    }
    let resources = resources.iter().map(|word| read_resource(word)).collect::<Result<Vec<_>, _>>()?;
    Ok(group(&preferred, resources))
}

/// `10.0.0.50`, `IPaddr::10.0.0.50`, `Filesystem::DEVICE::DIRECTORY::TYPE` (known by its directory), or a script.
fn read_resource(word: &str) -> Result<ResourceSpec, NotAnAct> {
    let parts: Vec<&str> = word.split("::").collect();
    match parts[..] {
        ["IPaddr" | "IPaddr2", ip] => known_address(ip),
        ["Filesystem", device, directory, fstype] => {
            let mut spec = filesystem(directory);
            let owns = [format!("device:{device}"), format!("mount:{directory}")];
            let (device, directory) = (device.into(), directory.into());
            spec.kind = ResourceKind::Filesystem { device, directory, fstype: fstype.into(), options: String::new() };
            spec.owns = owns.into();
            Ok(spec)
        }
        [one] if one.parse::<IpAddr>().is_ok() => known_address(one),
        [one] => Ok(script(one)),
        _ => Err(refused(format!("`{word}` is no resource of a scenario"))),
    }
}

fn known_address(ip: &str) -> Result<ResourceSpec, NotAnAct> {
    ip.parse::<IpAddr>().map_err(|_| refused(format!("`{ip}` is no address")))?;
    Ok(address(ip))
}
