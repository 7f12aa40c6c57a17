//! The gate and the addresses behind it, as the heartbeat thread drives them (R-LEASE-8, R-LEASE-11).

#[cfg(test)]
mod table;

use crate::clock;
use hearth_agents::net::{AddressAgent, Gate, Snapshot, Ticked};
use hearth_controller::Input;
use hearth_types::{AddressSpec, ResourceId, ResourceKind, ResourceSpec, Timestamp};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// A mark that comes late opens nothing, and is tried at most so often.
const TRIES: usize = 3;

/// The gate in the kernel. Errors are for people.
pub(crate) trait Door {
    /// As [`Gate::seen_whole`].
    fn seen_whole(&mut self) -> Result<(), String>;
    /// Holds exactly these, on every interface that there is; what could not be done although it stands.
    fn guard(&mut self, addresses: &[IpAddr]) -> Result<Vec<String>, String>;
    /// As [`Gate::tick`].
    fn tick(&self, ip: IpAddr, left: &dyn Fn() -> Duration) -> Result<Ticked, String>;
    /// As [`Gate::shut`].
    fn shut(&self, ip: IpAddr) -> Result<(), String>;
    /// As [`Gate::set_lease`].
    fn set_lease(&mut self, lease: Duration) -> Result<(), String>;
}

impl Door for Gate {
    fn seen_whole(&mut self) -> Result<(), String> {
        Gate::seen_whole(self)
    }

    fn guard(&mut self, addresses: &[IpAddr]) -> Result<Vec<String>, String> {
        let snapshot = Snapshot::read().map_err(|error| format!("interfaces cannot be read: {error}"))?;
        let report = Gate::guard(self, addresses, &snapshot.gate_interfaces());
        report.map(|report| report.notes).map_err(|error| error.to_string())
    }

    fn tick(&self, ip: IpAddr, left: &dyn Fn() -> Duration) -> Result<Ticked, String> {
        Gate::tick(self, ip, left).map_err(|error| error.to_string())
    }

    fn shut(&self, ip: IpAddr) -> Result<(), String> {
        Gate::shut(self, ip).map_err(|error| error.to_string())
    }

    fn set_lease(&mut self, lease: Duration) -> Result<(), String> {
        Gate::set_lease(self, lease).map_err(|error| error.to_string())
    }
}

/// The addresses of this machine. Errors are for people.
pub(crate) trait Addresses {
    /// As [`AddressAgent::withdraw`].
    fn withdraw(&self, ip: IpAddr) -> Result<(), String>;
    /// As [`AddressAgent::renew`].
    fn renew(&self, address: &AddressSpec, lifetime: Duration, not_after: Timestamp) -> Result<(), String>;
}

impl Addresses for AddressAgent {
    fn withdraw(&self, ip: IpAddr) -> Result<(), String> {
        AddressAgent::withdraw(self, ip).map(drop)
    }

    fn renew(&self, address: &AddressSpec, lifetime: Duration, not_after: Timestamp) -> Result<(), String> {
        AddressAgent::renew(self, address, lifetime, not_after)
    }
}

pub(crate) struct Gatekeeper<D = Gate, A = AddressAgent> {
    /// None: `gate no`, or the kernel has none.
    gate: Option<D>,
    agent: Arc<A>,
    clock: fn() -> Timestamp,
    resources: BTreeMap<ResourceId, ResourceSpec>,
    /// Addresses were given to it, so it should stand.
    asked: bool,
    /// To be told at the first look.
    unsaid: Vec<Input>,
    /// Somebody may have touched the kernel's tables since the last look.
    touched: bool,
}

impl Gatekeeper {
    /// Opens the gate if it is `wanted`; a kernel without one is reported as an input. One that a killed daemon left is
    /// used in any case until this one stops: it shuts what nobody ticks, and what it shuts now may be served elsewhere.
    pub(crate) fn open(wanted: bool, lease: Duration, agent: Arc<AddressAgent>) -> Gatekeeper {
        let left = !wanted && Gate::is_left();
        if left {
            tracing::warn!(
                "the gate of an earlier daemon stands: it is used until hearthd stops, though the files ask for none"
            );
        }
        let mut keeper = Gatekeeper::new(None, agent, clock::now);
        if wanted || left {
            match Gate::open(lease) {
                Ok(gate) => keeper.gate = Some(gate),
                Err(error) => keeper.unsaid.push(missing(error.to_string())),
            }
        }
        keeper
    }

    /// Becomes readable when somebody touches the kernel's tables. None while no gate should stand: nothing reads it then,
    /// and whoever waited for it would never wait again.
    pub(crate) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.gate.as_ref().filter(|_| self.asked).map(AsFd::as_fd)
    }

    /// Takes the gate down: this node holds nothing any more, and an address that somebody sets up here by hand must
    /// answer.
    pub(crate) fn close(self) {
        if let Some(Err(error)) = self.gate.map(Gate::close) {
            tracing::warn!("the gate is left standing, `nft list tables` shows it: {error}");
        }
    }
}

impl<D: Door, A: Addresses> Gatekeeper<D, A> {
    fn new(gate: Option<D>, agent: Arc<A>, clock: fn() -> Timestamp) -> Self {
        let (resources, unsaid) = (BTreeMap::new(), Vec::new());
        Gatekeeper { gate, agent, clock, resources, asked: false, unsaid, touched: true }
    }

    /// Has a gate from now on, if there was none. What is held answers again with the next tick.
    pub(crate) fn stand(&mut self, gate: D) -> Vec<Input> {
        self.gate.get_or_insert(gate);
        self.build()
    }

    /// [`Gatekeeper::as_fd`] is readable.
    pub(crate) fn set_touched(&mut self) {
        self.touched = true;
    }

    /// Whether the gate is whole, if somebody touched the kernel's tables; it is put back if not.
    pub(crate) fn look(&mut self) -> Vec<Input> {
        let mut news = std::mem::take(&mut self.unsaid);
        if self.asked
            && std::mem::take(&mut self.touched)
            && let Some(gate) = &mut self.gate
            && let Err(trouble) = gate.seen_whole()
        {
            news.push(missing(trouble));
            if gate.seen_whole().is_ok() {
                news.push(Input::GateSeen { whole: true, trouble: None });
            }
        }
        news
    }

    /// Holds exactly these addresses.
    pub(crate) fn guard(&mut self, resources: &[ResourceSpec]) -> Vec<Input> {
        self.resources = resources.iter().map(|spec| (spec.id.clone(), spec.clone())).collect();
        self.build()
    }

    /// Interfaces came or went: the gate stands on all that there are.
    pub(crate) fn interfaces_changed(&mut self) {
        let news = self.build();
        self.unsaid.extend(news);
    }

    /// The length of a lease changed.
    pub(crate) fn set_lease(&mut self, lease: Duration) {
        if let Some(Err(error)) = self.gate.as_mut().map(|gate| gate.set_lease(lease)) {
            self.unsaid.push(missing(error));
        }
    }

    fn build(&mut self) -> Vec<Input> {
        let Some(gate) = &mut self.gate else { return Vec::new() };
        if self.resources.is_empty() && !self.asked {
            return Vec::new();
        }
        self.asked = true;
        let addresses: Vec<_> = self.resources.values().filter_map(address).collect();
        match gate.guard(&addresses) {
            Ok(notes) => {
                let trouble = (!notes.is_empty()).then(|| notes.join("; "));
                vec![Input::GateSeen { whole: true, trouble }]
            }
            Err(trouble) => vec![missing(trouble)],
        }
    }

    /// Lets them answer until `end` at most, however long this machine sleeps on the way to the mark.
    pub(crate) fn tick(&mut self, resources: &[ResourceId], end: Timestamp) -> Vec<Input> {
        let mut news = self.look();
        let Some(gate) = &self.gate else { return news };
        let left = || end.since((self.clock)());
        for ip in resources.iter().filter_map(|id| self.resources.get(id)).filter_map(address) {
            let mut tries = (0..TRIES).map(|_| gate.tick(ip, &left));
            if let Some(Err(error)) = tries.find(|ticked| *ticked != Ok(Ticked::Late)) {
                news.push(missing(format!("{ip}: {error}")));
            }
        }
        news
    }

    /// Shuts, and takes the addresses away.
    pub(crate) fn shut(&self, resources: &[ResourceId]) {
        for ip in resources.iter().filter_map(|id| self.resources.get(id)).filter_map(address) {
            self.shut_or_withdraw(ip);
            if let Err(error) = self.agent.withdraw(ip) {
                tracing::error!("{error}");
            }
        }
    }

    fn shut_or_withdraw(&self, ip: IpAddr) {
        if let Some(Err(error)) = self.gate.as_ref().map(|gate| gate.shut(ip)) {
            tracing::error!("{ip} cannot be shut and is taken away: {error}");
            if let Err(error) = self.agent.withdraw(ip) {
                tracing::error!("{error}");
            }
        }
    }

    /// Renews kernel lifetimes (R-LEASE-11).
    pub(crate) fn renew(&self, resources: &[ResourceId], lifetime: Duration, not_after: Timestamp) {
        for spec in resources.iter().filter_map(|id| self.resources.get(id)) {
            if let ResourceKind::Address(address) = &spec.kind
                && let Err(error) = self.agent.renew(address, lifetime, not_after)
            {
                tracing::warn!("{error}");
            }
        }
    }
}

fn missing(trouble: String) -> Input {
    Input::GateSeen { whole: false, trouble: Some(trouble) }
}

fn address(spec: &ResourceSpec) -> Option<IpAddr> {
    match &spec.kind {
        ResourceKind::Address(address) => Some(address.ip),
        _ => None,
    }
}
