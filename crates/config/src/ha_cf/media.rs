//! Lines that name a heartbeat medium or a ping node.

use super::Reader;
use crate::address::holds;
use crate::haresources::interface_missing;
use crate::lex::{Word, whole};
use crate::report::{error, warning};
use crate::{Medium, PingTarget};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use hearth_types::NodeName;

/// Heartbeats name links by the bits of one number.
const MOST_MEDIA: usize = 64;

impl Reader<'_> {
    pub(super) fn medium(&mut self, name: &Word<'_>, list: &[Word<'_>]) {
        let port = self.file.port;
        match name.text {
            "bcast" | "udp" => {
                for word in list {
                    let facts = self.interface(word);
                    if facts.is_some_and(|facts| !facts.has_broadcast) {
                        let wrong = error(
                            "no-broadcast",
                            word.span.clone(),
                            format!("`{}` has no IPv4 broadcast address", word.text),
                        );
                        self.report.push(wrong.help("use ucast, or give the interface an IPv4 address"));
                    }
                    self.add(word, Medium::Bcast { interface: word.text.to_owned(), port });
                }
            }
            "ucast" | "ucast6" => self.ucast(name, list),
            "mcast" | "mcast6" => self.mcast(name, list),
            "serial" => {
                for word in list {
                    if !self.environment.is_character_device(word.text) {
                        let wrong =
                            error("no-device", word.span.clone(), format!("`{}` is not a character device", word.text));
                        self.report.push(wrong.help("write the full path, such as /dev/ttyS0"));
                    }
                    self.add(word, Medium::Serial { device: word.text.to_owned(), baud: self.file.baud });
                }
            }
            "ping_group" => self.ping_group(list),
            _ => {
                for word in list {
                    let addresses = self.ping(name.text, word);
                    self.add_ping(word, addresses);
                }
            }
        }
    }

    /// Each path once: two sockets on one would only take each other's packets.
    fn add(&mut self, word: &Word<'_>, medium: Medium) {
        let media = &mut self.file.cluster.media;
        let same = media.iter().any(|known| match (known, &medium) {
            (Medium::Serial { device, .. }, Medium::Serial { device: other, .. }) => device == other,
            (known, medium) => known == medium,
        });
        if same {
            let wrong = error("duplicate-medium", word.span.clone(), "the same medium stands above already");
            return self.report.push(wrong.label("again").help("remove one of the two"));
        }
        if media.len() == MOST_MEDIA {
            let wrong = error("too-many-media", word.span.clone(), format!("more than {MOST_MEDIA} media"));
            return self.report.push(wrong.help("two or three independent ones are enough: remove the others"));
        }
        if matches!(medium, Medium::Serial { .. }) {
            self.file.serial.push(word.span.clone());
        }
        media.push(medium);
    }

    /// Each target once: two of a name would count twice.
    fn add_ping(&mut self, word: &Word<'_>, addresses: Vec<IpAddr>) {
        let (targets, name) = (&mut self.file.cluster.ping_targets, word.text.to_lowercase());
        if targets.iter().any(|target| target.name == name) {
            let title = format!("the ping node `{name}` stands above already");
            let wrong = error("duplicate-ping", word.span.clone(), title);
            return self.report.push(wrong.label("again").help("remove one of the two"));
        }
        targets.push(PingTarget { name, addresses });
    }

    fn ping_group(&mut self, list: &[Word<'_>]) {
        let addresses: Vec<IpAddr> = list[1..].iter().flat_map(|word| self.resolve(word)).collect();
        if list.len() < 2 {
            let title = format!("the group `{}` has no host", list[0].text);
            let wrong = error("empty-value", list[0].span.clone(), title);
            self.report.push(wrong.help("write: ping_group NAME HOST..."));
        }
        self.add_ping(&list[0], addresses);
    }

    /// Addresses of one host in the family of `ping` or `ping6`.
    fn ping(&mut self, directive: &str, word: &Word<'_>) -> Vec<IpAddr> {
        let found = self.resolve(word);
        let six = directive == "ping6";
        let fit: Vec<IpAddr> = found.iter().copied().filter(|ip| ip.is_ipv6() == six).collect();
        if fit.is_empty()
            && let Some(other) = found.first()
        {
            let (wanted, right) = if six { ("IPv6", "ping") } else { ("IPv4", "ping6") };
            let title = if word.text.parse::<IpAddr>().is_ok() {
                format!("`{}` is not an {wanted} address", word.text)
            } else {
                format!("`{}` has no {wanted} address, only {other}", word.text)
            };
            let wrong = error("wrong-family", word.span.clone(), title);
            self.report.push(wrong.help(format!("write: {right} {}", word.text)));
        }
        fit
    }

    fn interface(&mut self, word: &Word<'_>) -> Option<crate::InterfaceFacts> {
        let facts = self.environment.interface(word.text);
        if facts.is_none() {
            self.report.push(interface_missing(word.span.clone(), word.text, self.environment));
        }
        facts
    }

    fn resolve(&mut self, word: &Word<'_>) -> Vec<IpAddr> {
        let (why, found) = match self.environment.resolve(word.text) {
            Ok(found) if !found.is_empty() => return found,
            Ok(found) => (String::from("no address"), found),
            Err(why) => (why, Vec::new()),
        };
        let wrong = error("unresolvable", word.span.clone(), format!("`{}` cannot be resolved: {why}", word.text));
        self.report.push(wrong.help("write the address itself: names may be gone when they are needed most"));
        found
    }

    fn ucast(&mut self, name: &Word<'_>, list: &[Word<'_>]) {
        if let Some(extra) = list.get(2) {
            let wrong = error("extra-word", extra.span.clone(), format!("`{}` takes two values", name.text));
            self.report.push(wrong.label("one too many").help("one line per peer: ucast eth0 192.168.0.2"));
            return;
        }
        let [interface, host] = list else {
            self.report.push(
                error("bad-ucast", whole(list, name), format!("`{}` needs an interface and a peer", name.text))
                    .help("write: ucast eth0 192.168.0.2"),
            );
            return;
        };
        let facts = self.interface(interface);
        if let Some((_, scope)) = host.text.split_once('%').filter(|(_, scope)| *scope != interface.text) {
            let title = format!("the peer is on `{scope}`, the line is for `{}`", interface.text);
            let wrong = error("wrong-scope", host.span.clone(), title);
            self.report.push(wrong.help("write the same interface twice, or leave out % and what follows"));
        }
        let bare = Word { text: host.text.split('%').next().unwrap_or(""), span: host.span.clone() };
        let found = self.resolve(&bare);
        let Some(peer) = found.iter().find(|ip| ip.is_ipv6() == (name.text == "ucast6")).or(found.first()).copied()
        else {
            return;
        };
        let own = NodeName::new(bare.text) == self.file.cluster.local || self.environment.is_local_address(peer);
        if peer.is_loopback() && NodeName::new(bare.text) != self.file.cluster.local {
            let wrong = error(
                "peer-is-loopback",
                host.span.clone(),
                match bare.text.parse::<IpAddr>() {
                    Ok(_) => format!("{peer} is this machine itself"),
                    Err(_) => format!("`{}` resolves to {peer}, which is this machine itself", host.text),
                },
            );
            self.report.push(wrong.help("write the peer's own address, or mend /etc/hosts"));
        } else if peer.is_loopback() {
            let wrong =
                warning("own-name-loopback", host.span.clone(), format!("this machine's name resolves to {peer}"));
            self.report.push(
                wrong
                    .label("the line carries nothing here")
                    .help("mend /etc/hosts: the name should stand at the address of the interface"),
            );
        } else if let Some(facts) = facts.filter(|facts| !own && !facts.addresses.iter().any(|net| holds(*net, peer))) {
            let nets =
                facts.addresses.iter().map(|(ip, length)| format!("{ip}/{length}")).collect::<Vec<_>>().join(", ");
            let wrong = warning(
                "peer-elsewhere",
                host.span.clone(),
                format!("{peer} is in no network of `{}`", interface.text),
            );
            self.report.push(wrong.help(format!("`{}` has: {nets}", interface.text)));
        }
        let medium = Medium::Ucast { interface: interface.text.to_owned(), peer, port: self.file.port };
        self.add(host, medium);
    }

    fn mcast(&mut self, name: &Word<'_>, list: &[Word<'_>]) {
        let example =
            if name.text == "mcast" { "mcast eth0 239.0.0.1 694 1 0" } else { "mcast6 eth0 ff05::694 694 1 0" };
        let [interface, group, port, ttl, own] = list else {
            self.report.push(
                error("bad-mcast", whole(list, name), format!("`{}` takes five values", name.text))
                    .help(format!("write: {} INTERFACE GROUP PORT TTL LOOP, such as {example}", name.text)),
            );
            return;
        };
        self.interface(interface);
        let Some(port_number) = port.text.parse::<u16>().ok().filter(|port| *port > 0) else {
            return self.bad(port, "a port is 1 to 65535");
        };
        let hops = match ttl.text.parse::<u8>() {
            Ok(hops @ 0..=4) => hops,
            // As Heartbeat: the system's own limit, which is one hop for multicast.
            Err(_) if ttl.text == "-1" && name.text == "mcast6" => 1,
            _ => return self.bad(ttl, "a time to live is 0 to 4"),
        };
        if hops == 0 {
            let wrong = warning("never-leaves", ttl.span.clone(), "packets with 0 hops never leave this machine");
            self.report.push(wrong.label("no other node hears them").help("write 1 for the network itself").fix("1"));
        }
        let loopback = match own.text {
            "0" => false,
            "1" => true,
            _ => return self.bad(own, "whether own packets come back: 0 or 1"),
        };
        let (word, interface, port) = (group, interface.text.to_owned(), port_number);
        let medium = match (name.text, group.text.parse::<Ipv4Addr>(), group.text.parse::<Ipv6Addr>()) {
            ("mcast", Ok(group), _) if group.is_multicast() => {
                Medium::Mcast { interface, group, port, ttl: hops, loopback }
            }
            ("mcast6", _, Ok(group)) if group.is_multicast() => {
                Medium::Mcast6 { interface, group, port, hops, loopback }
            }
            _ => {
                return self.bad(group, "a multicast group is 224.0.0.0 to 239.255.255.255, or ff00::/8 for mcast6");
            }
        };
        self.add(word, medium);
    }
}
