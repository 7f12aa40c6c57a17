//! What the kernel and the wire say about addresses, and what is asked and announced there.

use crate::order::{News, Post};
use hearth_agents::net::{self, AddressAgent, Announcer, AskEvent, Asker, Loss, NetEvent, Question, Snapshot, Watch};
use hearth_controller::{AddressChange, Carrier, Input};
use hearth_types::{AddressSpec, NodeName, ResourceId, ResourceKind, ResourceSpec};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// A watch that failed is started anew after this.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Resource(ResourceId),
    Peer(NodeName, IpAddr),
}

/// The network side of the main thread.
pub(crate) struct Network {
    post: Post,
    agent: Arc<AddressAgent>,
    announcer: Arc<Announcer>,
    asker: Asker<Subject>,
    answers: mpsc::UnboundedReceiver<AskEvent<Subject>>,
    events: mpsc::Receiver<NetEvent>,
    addresses: BTreeMap<ResourceId, AddressSpec>,
    homes: BTreeMap<ResourceId, Option<String>>,
    asked: Vec<ResourceId>,
    probed: BTreeMap<NodeName, Vec<IpAddr>>,
}

impl Network {
    /// Starts to watch. Needs the tokio runtime.
    ///
    /// # Errors
    /// Sockets are refused: CAP_NET_ADMIN or CAP_NET_RAW is missing.
    pub(crate) fn start(post: Post, agent: Arc<AddressAgent>) -> io::Result<Network> {
        let (_, events) = Watch::start(agent.held())?;
        let (asker, answers) = Asker::start()?;
        Ok(Network {
            post,
            agent,
            announcer: Arc::new(Announcer::new()?),
            asker,
            answers,
            events,
            addresses: BTreeMap::new(),
            homes: BTreeMap::new(),
            asked: Vec::new(),
            probed: BTreeMap::new(),
        })
    }

    /// The complete set of addresses; says for each where it would be served.
    pub(crate) fn guard(&mut self, resources: &[ResourceSpec]) {
        let address = |spec: &ResourceSpec| match &spec.kind {
            ResourceKind::Address(address) => Some((spec.id.clone(), address.clone())),
            _ => None,
        };
        self.addresses = resources.iter().filter_map(address).collect();
        self.homes.retain(|id, _| self.addresses.contains_key(id));
        self.look_for_homes();
    }

    /// The complete set of addresses to ask the wire for.
    pub(crate) fn ask(&mut self, resources: Vec<ResourceId>) {
        self.asked = resources;
        self.question();
    }

    /// The complete set of peers to probe.
    pub(crate) fn probe(&mut self, nodes: BTreeMap<NodeName, Vec<IpAddr>>) {
        self.probed = nodes;
        self.question();
    }

    /// Announces. An address that moved meanwhile is not let out by the gate.
    pub(crate) fn announce(&self, resources: &[ResourceId], burst: bool) {
        for address in resources.iter().filter_map(|id| self.addresses.get(id)) {
            let Ok(home) = self.agent.home(address) else { continue };
            let (announcer, ip) = (self.announcer.clone(), address.ip);
            tokio::spawn(async move {
                let result = if burst {
                    announcer.burst(&home.interface, ip).await
                } else {
                    announcer.announce(&home.interface, ip)
                };
                if let Err(error) = result {
                    tracing::warn!("{error}");
                }
            });
        }
    }

    /// Waits for the next event and reports it. To be called again and again.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            event = self.events.recv() => match event {
                Some(event) => self.happened(event).await,
                None => self.watch_again("it ended").await,
            },
            Some(answer) = self.answers.recv() => self.answered(answer),
        }
    }

    async fn happened(&mut self, event: NetEvent) {
        match event {
            NetEvent::Carrier { interface, carrier } => {
                let carrier = match carrier {
                    net::Carrier::Up => Carrier::Up,
                    net::Carrier::Down => Carrier::Down,
                    net::Carrier::Unknown => Carrier::Unknown,
                };
                self.post.input(Input::CarrierChanged { interface, carrier });
            }
            NetEvent::Interfaces => {
                self.post.send(News::Interfaces);
                self.look_for_homes();
                self.question();
            }
            NetEvent::Addresses => self.look_for_homes(),
            NetEvent::Lost { ip, loss } => self.changed(
                ip,
                match loss {
                    Loss::Removed => AddressChange::Removed,
                    Loss::Expired => AddressChange::Expired,
                    Loss::InterfaceGone => AddressChange::InterfaceGone,
                },
            ),
            NetEvent::LifetimeChanged { ip } => self.changed(ip, AddressChange::LifetimeChanged),
            NetEvent::Failed { error } => self.watch_again(&error).await,
        }
    }

    fn changed(&self, ip: IpAddr, change: AddressChange) {
        for resource in self.addresses.iter().filter(|(_, address)| address.ip == ip).map(|(id, _)| id.clone()) {
            self.post.input(Input::AddressChanged { resource, change: change.clone() });
        }
    }

    async fn watch_again(&mut self, why: &str) {
        tracing::warn!("the kernel's network events were lost ({why}); they are followed anew");
        tokio::time::sleep(AGAIN).await;
        match Watch::start(self.agent.held()) {
            Ok((_, events)) => {
                self.events = events;
                self.post.send(News::Interfaces);
                self.look_for_homes();
            }
            Err(error) => tracing::error!("the kernel's network events cannot be followed: {error}"),
        }
    }

    fn answered(&self, answer: AskEvent<Subject>) {
        match answer {
            AskEvent::Asked { key: Subject::Resource(resource) } => self.post.input(Input::WireAsked { resource }),
            AskEvent::Answered { key: Subject::Resource(resource), hardware } => {
                self.post.input(Input::WireAnswered { resource, hardware });
            }
            AskEvent::Trouble { key: Subject::Resource(resource), trouble } => {
                self.post.input(Input::WireTrouble { resource, trouble });
            }
            AskEvent::Answered { key: Subject::Peer(node, _), .. } => self.post.input(Input::PeerAnswered { node }),
            AskEvent::Proxy { hardware, .. } => {
                tracing::warn!("{hardware} answers for addresses that nobody has (proxy ARP); its answers are ignored");
            }
            AskEvent::Asked { key: Subject::Peer(..) } | AskEvent::Trouble { key: Subject::Peer(..), .. } => {}
        }
    }

    fn look_for_homes(&mut self) {
        for (resource, address) in &self.addresses {
            let interface = self.agent.home(address).ok().map(|home| home.interface);
            if self.homes.get(resource) != Some(&interface) {
                self.homes.insert(resource.clone(), interface.clone());
                self.post.input(Input::AddressHome { resource: resource.clone(), interface });
            }
        }
    }

    fn question(&self) {
        let snapshot = match Snapshot::read() {
            Ok(snapshot) => snapshot,
            Err(error) => {
                for resource in &self.asked {
                    self.post.input(Input::WireTrouble { resource: resource.clone(), trouble: error.to_string() });
                }
                return;
            }
        };
        let mut questions = Vec::new();
        for resource in &self.asked {
            let Some(address) = self.addresses.get(resource) else { continue };
            match Question::address(Subject::Resource(resource.clone()), address, &snapshot) {
                Ok(question) => questions.push(question),
                Err(trouble) => self.post.input(Input::WireTrouble { resource: resource.clone(), trouble }),
            }
        }
        for (node, addresses) in &self.probed {
            let peer = |ip: &IpAddr| Question::peer(Subject::Peer(node.clone(), *ip), *ip, &snapshot);
            // ha.cf is the same on both nodes: of its addresses those of this machine are not the peer's.
            questions.extend(addresses.iter().filter(|ip| snapshot.holders(**ip).next().is_none()).map(peer));
        }
        self.asker.set(questions);
    }
}
