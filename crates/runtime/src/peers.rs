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
