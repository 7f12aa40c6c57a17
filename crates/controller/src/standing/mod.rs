//! What this machine can do for its clients: carriers (R-MEM-7) and ping targets (R-MEM-9).

#[cfg(test)]
mod table;

use crate::Carrier;
use hearth_config::{ClusterConfig, Medium};
use hearth_types::{ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a carrier must stay before it counts as back; doubled with each flap within [`FLAP_WINDOW`].
const BACK_AFTER: Duration = Duration::from_secs(1);
/// Longest such wait.
const BACK_AFTER_MAX: Duration = Duration::from_secs(300);
/// Span in which flaps add up.
const FLAP_WINDOW: Duration = Duration::from_secs(600);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Port {
    carrier: Carrier,
    since: Timestamp,
    /// Returns after a loss, within the window, oldest first.
    flaps: Vec<Timestamp>,
    /// It counted as there when it was lost.
    #[serde(default)]
    was_back: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Target {
    name: String,
    /// Send time of the newest answered echo.
    answered: Option<Timestamp>,
}

/// Facts of this machine's own network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Standing {
    ports: BTreeMap<String, Port>,
    homes: BTreeMap<ResourceId, Option<String>>,
    /// Addresses that were here when their carrier came back, and have not left since.
    #[serde(default)]
    stayed: BTreeSet<ResourceId>,
    targets: Vec<Target>,
    /// Since when more than half of the targets have answered without a break of a lease.
    majority_since: Option<Timestamp>,
    media: BTreeSet<String>,
}

impl Standing {
    pub(crate) fn new(config: &ClusterConfig) -> Standing {
        let mut standing = Standing {
            ports: BTreeMap::new(),
            homes: BTreeMap::new(),
            stayed: BTreeSet::new(),
            targets: Vec::new(),
            majority_since: None,
            media: BTreeSet::new(),
        };
        standing.reconfigure(config);
        standing
    }

    pub(crate) fn reconfigure(&mut self, config: &ClusterConfig) {
        self.media = config.media.iter().filter_map(interface_of).collect();
        let old = std::mem::take(&mut self.targets);
        for target in &config.ping_targets {
            let answered = old.iter().find(|known| known.name == target.name).and_then(|known| known.answered);
            self.targets.push(Target { name: target.name.clone(), answered });
        }
    }

    /// True if it is news. A loss shorter than `grace` is none.
    pub(crate) fn carrier_changed(
        &mut self,
        now: Timestamp,
        interface: &str,
        carrier: Carrier,
        grace: Duration,
    ) -> bool {
        let Some(port) = self.ports.get_mut(interface) else {
            // The first word on an interface says how it is; only its absence is something that has to settle.
            let since = if carrier == Carrier::Down { now } else { Timestamp::ZERO };
            self.ports.insert(interface.to_owned(), Port { carrier, since, flaps: Vec::new(), was_back: false });
            return true;
        };
        if port.carrier == carrier {
            return false;
        }
        if port.carrier == Carrier::Down && now.since(port.since) >= grace {
            port.flaps.retain(|at| now.since(*at) < FLAP_WINDOW);
            if port.flaps.len() < 16 {
                port.flaps.push(now);
            }
        }
        if carrier == Carrier::Down {
            port.was_back = Self::is_back(port, now);
        }
        port.since = now;
        port.carrier = carrier;
        true
    }

    /// An interface has carrier again: what is here may stay. Only that: if whatever came here counted, an address would be
    /// wanted here while it is elsewhere, and not any more when it has come.
    pub(crate) fn carrier_is_back(&mut self, interface: &str, is_here: impl Fn(&ResourceId) -> bool) {
        let at_home = self.homes.iter().filter(|(_, home)| home.as_deref() == Some(interface));
        self.stayed.extend(at_home.map(|(resource, _)| resource).filter(|resource| is_here(resource)).cloned());
    }

    /// Whether anything was here when its carrier came back, and is here still.
    pub(crate) fn has_stayed(&self) -> bool {
        !self.stayed.is_empty()
    }

    /// What has left since comes back only to a carrier that has been there long enough.
    pub(crate) fn let_go(&mut self, now: Timestamp, is_here: impl Fn(&ResourceId) -> bool) {
        let mut stayed = std::mem::take(&mut self.stayed);
        let port = |resource: &ResourceId| self.ports.get(self.home(resource)?);
        stayed.retain(|resource| is_here(resource) && port(resource).is_some_and(|port| !Self::is_back(port, now)));
        self.stayed = stayed;
    }

    pub(crate) fn home_changed(&mut self, resource: ResourceId, interface: Option<String>) -> bool {
        self.homes.insert(resource, interface.clone()) != Some(interface)
    }

    pub(crate) fn home(&self, resource: &ResourceId) -> Option<&str> {
        self.homes.get(resource)?.as_deref()
    }

    pub(crate) fn ping_answered(&mut self, now: Timestamp, target: &str, sent_at: Timestamp, lease: Duration) {
        let before = self.favoured_until(lease).is_some_and(|end| now < end);
        for known in self.targets.iter_mut().filter(|known| known.name == target) {
            known.answered = known.answered.max(Some(sent_at));
        }
        let after = self.favoured_until(lease).is_some_and(|end| now < end);
        if after && !before {
            self.majority_since = Some(now);
        }
    }

    /// For how long more than half of the targets have answered without a break of `lease`.
    pub(crate) fn favoured_for(&self, now: Timestamp, lease: Duration) -> Duration {
        let favoured = self.favoured_until(lease).is_some_and(|end| now < end);
        self.majority_since.filter(|_| favoured).map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Whether any interface of the links has carrier, or gives no evidence.
    pub(crate) fn links_have_carrier(&self) -> bool {
        self.any_carrier(&self.media)
    }

    /// Whether no interface of the links is known to have lost its carrier.
    pub(crate) fn all_links_have_carrier(&self) -> bool {
        let mut ports = self.media.iter().filter_map(|name| self.ports.get(name));
        ports.all(|port| port.carrier != Carrier::Down)
    }

    /// The same with the media of other files.
    pub(crate) fn would_have_carrier(&self, config: &ClusterConfig) -> bool {
        self.any_carrier(&config.media.iter().filter_map(interface_of).collect())
    }

    fn any_carrier(&self, interfaces: &BTreeSet<String>) -> bool {
        let mut ports = interfaces.iter().map(|name| self.ports.get(name));
        interfaces.is_empty() || ports.any(|port| port.is_none_or(|port| port.carrier != Carrier::Down))
    }

    /// Whether a port has carrier and has had it long enough to count as back.
    fn is_back(port: &Port, now: Timestamp) -> bool {
        let settled = port.flaps.last().is_none_or(|back_at| now.since(*back_at) >= Self::back_after(port));
        port.carrier != Carrier::Down && settled
    }

    fn back_after(port: &Port) -> Duration {
        let doubled = BACK_AFTER * (1 << port.flaps.len().saturating_sub(1).min(9));
        doubled.min(BACK_AFTER_MAX)
    }

    /// Whether an interface is without carrier for `span`, without a break.
    fn is_dark(&self, interface: &str, now: Timestamp, span: Duration) -> bool {
        self.ports.get(interface).is_some_and(|port| port.carrier == Carrier::Down && now.since(port.since) >= span)
    }

    /// Addresses that this machine could not serve: no interface for them, without carrier for the grace, or not back
    /// long enough (R-MEM-7).
    pub(crate) fn unservable(&self, now: Timestamp, grace: Duration) -> BTreeSet<ResourceId> {
        let mut unservable = BTreeSet::new();
        for (resource, home) in &self.homes {
            let servable = match home.as_deref().and_then(|interface| self.ports.get(interface)) {
                // A loss that may be over in a moment moves nothing away, and nothing here: one that had not settled yet
                // is no better for having been lost again.
                Some(port) if port.carrier == Carrier::Down => {
                    now.since(port.since) < grace && (port.was_back || self.stayed.contains(resource))
                }
                // Nothing moves towards a carrier that has just come back; what is there already stays.
                Some(port) => Self::is_back(port, now) || self.stayed.contains(resource),
                None => home.is_some(),
            };
            if !servable {
                unservable.insert(resource.clone());
            }
        }
        unservable
    }

    /// Addresses whose interface has been dark for `span`: they are withdrawn.
    pub(crate) fn dark_addresses(&self, now: Timestamp, span: Duration) -> BTreeSet<ResourceId> {
        if self.ports.values().all(|port| port.carrier != Carrier::Down) {
            return BTreeSet::new();
        }
        let dark = |home: &Option<String>| home.as_deref().is_some_and(|home| self.is_dark(home, now, span));
        self.homes.iter().filter(|(_, home)| dark(home)).map(|(resource, _)| resource.clone()).collect()
    }

    /// Ports of links and of held addresses; one that is both comes twice.
    fn own_ports<'a>(&'a self, held: &'a BTreeSet<ResourceId>) -> impl Iterator<Item = &'a Port> {
        let homes = held.iter().filter_map(|resource| self.home(resource));
        self.media.iter().map(String::as_str).chain(homes).filter_map(|name| self.ports.get(name))
    }

    /// Whether none of the interfaces of links and of held addresses has had carrier for `span` (R-MEM-7). An
    /// interface that gives no evidence neither proves nor disproves it.
    pub(crate) fn is_isolated(&self, now: Timestamp, held: &BTreeSet<ResourceId>, span: Duration) -> bool {
        let mut dark = false;
        for port in self.own_ports(held) {
            match port.carrier {
                Carrier::Up => return false,
                Carrier::Down if now.since(port.since) >= span => dark = true,
                Carrier::Down => return false,
                Carrier::Unknown => {}
            }
        }
        dark
    }

    /// Whether any of those interfaces has carrier.
    pub(crate) fn has_carrier(&self, held: &BTreeSet<ResourceId>) -> bool {
        self.own_ports(held).any(|port| port.carrier != Carrier::Down)
    }

    /// How many of those interfaces have carrier.
    pub(crate) fn carriers(&self) -> u32 {
        self.own_ports(&BTreeSet::new()).filter(|port| port.carrier == Carrier::Up).count() as u32
    }

    /// Targets that answered an echo sent within `span`, and how many there are.
    pub(crate) fn pings(&self, now: Timestamp, span: Duration) -> (u16, u16) {
        let reached = self.targets.iter().filter(|target| Self::is_reached(target, now, span)).count();
        (reached as u16, self.targets.len() as u16)
    }

    /// Until when more than half of the targets favour this machine, judged by the send times of answered echoes.
    pub(crate) fn favoured_until(&self, span: Duration) -> Option<Timestamp> {
        let mut answered: Vec<Timestamp> = self.targets.iter().filter_map(|target| target.answered).collect();
        answered.sort_unstable_by(|a, b| b.cmp(a));
        // The (n/2 + 1)-th newest answer decides until when a majority answers.
        answered.get(self.targets.len() / 2).map(|at| *at + span)
    }

    /// Every target: name, whether it is reached, age of its newest answered echo.
    pub(crate) fn targets(&self, now: Timestamp, span: Duration) -> Vec<(String, bool, Option<Duration>)> {
        let view = |target: &Target| {
            (target.name.clone(), Self::is_reached(target, now, span), target.answered.map(|at| now.since(at)))
        };
        self.targets.iter().map(view).collect()
    }

    fn is_reached(target: &Target, now: Timestamp, span: Duration) -> bool {
        target.answered.is_some_and(|at| now.since(at) < span)
    }

    /// The next moment at which one of these judgements could change by time alone.
    pub(crate) fn next_deadline(
        &self,
        now: Timestamp,
        grace: Duration,
        lease: Duration,
        deadping: Duration,
    ) -> Option<Timestamp> {
        let ports = self.ports.values().flat_map(|port| {
            let back = port.flaps.last().map(|at| *at + Self::back_after(port));
            [Some(port.since + grace), Some(port.since + lease), back]
        });
        let answers = self.targets.iter().filter_map(|target| target.answered);
        let targets = answers.flat_map(|at| [Some(at + deadping), Some(at + lease)]);
        ports.chain(targets).flatten().filter(|at| *at > now).min()
    }
}

/// The interface of a medium; none for a serial line.
pub(crate) fn interface_of(medium: &Medium) -> Option<String> {
    match medium {
        Medium::Ucast { interface, .. }
        | Medium::Bcast { interface, .. }
        | Medium::Mcast { interface, .. }
        | Medium::Mcast6 { interface, .. } => Some(interface.clone()),
        Medium::Serial { .. } => None,
    }
}
