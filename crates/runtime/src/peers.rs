//! From which addresses the packets of peers come: each is told to the controller once, so that it can ask there
//! whether a silent peer is still up.

use crate::media::Source;
use hearth_controller::Input;
use hearth_types::NodeName;
use hearth_wire::Message;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Sources remembered. An authentic packet that is sent again from forged addresses must not fill the memory.
const KNOWN: usize = 64;

/// What was told.
pub(crate) struct PeerAddresses {
    local: NodeName,
    told: BTreeSet<(NodeName, IpAddr)>,
}

impl PeerAddresses {
    /// None told yet; packets of `local` itself are no news.
    pub(crate) fn new(local: NodeName) -> PeerAddresses {
        PeerAddresses { local, told: BTreeSet::new() }
    }

    /// This node.
    pub(crate) fn local(&self) -> &NodeName {
        &self.local
    }

    /// The news in an authenticated packet.
    pub(crate) fn of(&mut self, message: &Message, source: &Source) -> Option<Input> {
        let (Message::Heartbeat(heartbeat), Source::Address(source)) = (message, source) else { return None };
        let address = source.ip();
        // A link-local address says nothing without its interface, which a question would need.
        let local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        if local || heartbeat.from == self.local || self.told.len() >= KNOWN {
            return None;
        }
        let key = (heartbeat.from.clone(), address);
        if self.told.contains(&key) {
            return None;
        }
        self.told.insert(key);
        Some(Input::PeerAddress { node: heartbeat.from.clone(), address })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use std::net::SocketAddr;

    fn from(name: &str) -> Message {
        let mut heartbeat = samples::heartbeat();
        heartbeat.from = name.into();
        Message::Heartbeat(heartbeat.into())
    }

    fn told(addresses: &mut PeerAddresses, name: &str, source: &str) -> Option<(String, IpAddr)> {
        let source: SocketAddr = source.parse().unwrap();
        addresses.of(&from(name), &Source::Address(source)).map(|input| match input {
            Input::PeerAddress { node, address } => (node.to_string(), address),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn each_address_of_a_peer_is_told_once() {
        let mut addresses = PeerAddresses::new("a".into());
        let first: IpAddr = [10, 0, 0, 2].into();
        assert_eq!(told(&mut addresses, "b", "10.0.0.2:694"), Some(("b".into(), first)));
        assert_eq!(told(&mut addresses, "b", "10.0.0.2:1024"), None, "another port is no other machine");
        assert!(told(&mut addresses, "b", "10.0.1.2:694").is_some());
        assert!(told(&mut addresses, "b", "[fd77::2]:694").is_some());
        assert_eq!(told(&mut addresses, "b", "[fe80::2%3]:694"), None);
        assert_eq!(told(&mut addresses, "a", "10.0.0.1:694"), None, "our own packet came back");
        assert!(told(&mut addresses, "c", "10.0.0.2:694").is_some());
        assert!(addresses.of(&from("b"), &Source::Device("/dev/ttyS0".into())).is_none());
    }

    #[test]
    fn r_wire_1_a_packet_that_is_sent_again_from_everywhere_takes_bounded_memory() {
        let mut addresses = PeerAddresses::new("a".into());
        let news = (0..10_000_u32).filter(|number| {
            told(&mut addresses, "b", &format!("{}:694", std::net::Ipv4Addr::from(*number))).is_some()
        });
        assert_eq!(news.count(), KNOWN);
    }
}
