//! The gate and the addresses behind it, as the heartbeat thread drives them (R-LEASE-8, R-LEASE-11).

use crate::clock;
use hearth_agents::net::{AddressAgent, Gate, Snapshot};
use hearth_controller::Input;
use hearth_types::{ResourceId, ResourceKind, ResourceSpec, Timestamp};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// A tick that came late is tried again with a shorter mark at most so often.
const TRIES: usize = 3;

pub(crate) struct Gatekeeper {
    /// None: `gate no`, or the kernel has none.
    gate: Option<Gate>,
    agent: Arc<AddressAgent>,
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
        let mut unsaid = Vec::new();
        let left = !wanted && Gate::is_left();
        if left {
            tracing::warn!(
                "the gate of an earlier daemon stands: it is used until hearthd stops, though the files ask for none"
            );
        }
        let gate = if wanted || left {
            match Gate::open(lease) {
                Ok(gate) => Some(gate),
                Err(error) => {
                    unsaid.push(Input::GateSeen { whole: false, trouble: Some(error.to_string()) });
                    None
                }
            }
        } else {
            None
        };
        Gatekeeper { gate, agent, resources: BTreeMap::new(), asked: false, unsaid, touched: true }
    }

    /// Has a gate from now on, if there was none. What is held answers again with the next tick.
    pub(crate) fn stand(&mut self, gate: Gate) -> Vec<Input> {
        self.gate.get_or_insert(gate);
        self.build()
    }

    /// Becomes readable when somebody touches the kernel's tables. None while no gate should stand: nothing reads it then,
    /// and whoever waited for it would never wait again.
    pub(crate) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.gate.as_ref().filter(|_| self.asked).map(AsFd::as_fd)
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
            news.push(Input::GateSeen { whole: false, trouble: Some(trouble) });
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
            self.unsaid.push(Input::GateSeen { whole: false, trouble: Some(error.to_string()) });
        }
    }

    fn build(&mut self) -> Vec<Input> {
        let Some(gate) = &mut self.gate else { return Vec::new() };
        if self.resources.is_empty() && !self.asked {
            return Vec::new();
        }
        self.asked = true;
        let addresses: Vec<_> = self.resources.values().filter_map(address).collect();
        let interfaces = match Snapshot::read() {
            Ok(snapshot) => snapshot.gate_interfaces(),
            Err(error) => {
                let trouble = format!("interfaces cannot be read: {error}");
                return vec![Input::GateSeen { whole: false, trouble: Some(trouble) }];
            }
        };
        match gate.guard(&addresses, &interfaces) {
            Ok(report) => {
                let trouble = (!report.notes.is_empty()).then(|| report.notes.join("; "));
                vec![Input::GateSeen { whole: true, trouble }]
            }
            Err(error) => vec![Input::GateSeen { whole: false, trouble: Some(error.to_string()) }],
        }
    }

    /// Lets them answer until `end` at most. The clock is read again behind each mark, and what may outlast its end is
    /// shut before anything else: a machine that slept between decision and mark must not renew a right that is over.
    pub(crate) fn tick(&mut self, resources: &[ResourceId], end: Timestamp) -> Vec<Input> {
        let mut news = self.look();
        let Some(gate) = &self.gate else { return news };
        for ip in resources.iter().filter_map(|id| self.resources.get(id)).filter_map(address) {
            let mut settled = false;
            for _ in 0..TRIES {
                match gate.tick(ip, end.since(clock::now())) {
                    Ok(Some(span)) if clock::now() + span > end => {}
                    Ok(_) => settled = true,
                    Err(error) => {
                        news.push(Input::GateSeen { whole: false, trouble: Some(format!("{ip}: {error}")) });
                        settled = true;
                    }
                }
                if settled {
                    break;
                }
                self.shut_or_withdraw(ip);
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

    /// Takes the gate down: this node holds nothing any more, and an address that somebody sets up here by hand must
    /// answer.
    pub(crate) fn close(self) {
        if let Some(Err(error)) = self.gate.map(Gate::close) {
            tracing::warn!("the gate is left standing, `nft list tables` shows it: {error}");
        }
    }

    fn shut_or_withdraw(&self, ip: std::net::IpAddr) {
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

fn address(spec: &ResourceSpec) -> Option<std::net::IpAddr> {
    match &spec.kind {
        ResourceKind::Address(address) => Some(address.ip),
        _ => None,
    }
}
