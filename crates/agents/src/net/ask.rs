//! Asking the wire who has an address: ARP probes and neighbour solicitations from nobody, every 20 ms (R-TAKE-6), and
//! ICMP echo where the addresses of a peer are asked.

use super::carrier::Carrier;
use super::icmp::Pinger;
use super::link::{Link, Snapshot};
use super::netlink::Netlink;
use super::packet::{self, ARP, ARP_REQUEST, IPV6};
use hearth_types::AddressSpec;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::SockProtocol;
use socket2::{SockFilter, Socket};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Period of the questions.
const PERIOD: Duration = Duration::from_millis(20);
/// Unused addresses that are asked too once somebody answers: who answers for all of them answers for everything.
const DECOYS: usize = 3;
/// For how many rounds they are asked after an answer.
const DECOY_ROUNDS: u32 = 10;
/// Echo requests whose answer still counts.
const PINGS: usize = 256;

/// One address to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<K> {
    /// Returned with every event: the resource, or the peer.
    pub key: K,
    /// The address.
    pub ip: IpAddr,
    /// On which interface to ask by ARP or ND; none: not at all.
    pub interface: Option<String>,
    /// Prefix of the network there, from which unused addresses are drawn.
    pub prefix: u8,
    /// Whether to ask by ICMP echo as well.
    pub icmp: bool,
}

impl<K> Question<K> {
    /// A service address on the interface where it would be served. The error is for people.
    pub fn address(key: K, spec: &AddressSpec, snapshot: &Snapshot) -> Result<Question<K>, String> {
        let (link, prefix) = snapshot.home(spec)?;
        Ok(Question { key, ip: spec.ip, interface: Some(link.name.clone()), prefix, icmp: false })
    }

    /// An address of a peer: by ICMP, and by ARP or ND if it is in a network of this machine.
    pub fn peer(key: K, ip: IpAddr, snapshot: &Snapshot) -> Question<K> {
        let spec = AddressSpec { ip, prefix: None, interface: None, label: None, broadcast: None };
        let home = snapshot.home(&spec).ok().filter(|(link, _)| link.mac().is_some());
        Question {
            key,
            ip,
            interface: home.map(|(link, _)| link.name.clone()),
            prefix: home.map_or(0, |(_, prefix)| prefix),
            icmp: true,
        }
    }
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AskEvent<K> {
    /// A question went out.
    Asked {
        /// Whose.
        key: K,
    },
    /// Somebody else has the address; at most once per round and hardware address.
    Answered {
        /// Whose.
        key: K,
        /// Hardware address, or `ICMP echo`.
        hardware: String,
    },
    /// That hardware address also answers for unused addresses (proxy ARP, cloud fabric): its answers are ignored from
    /// now on. Said once.
    Proxy {
        /// Whose.
        key: K,
        /// Hardware address.
        hardware: String,
    },
    /// The question could not be asked.
    Trouble {
        /// Whose.
        key: K,
        /// Why not, for people.
        trouble: String,
    },
}

struct Order<K> {
    questions: Option<Vec<Question<K>>>,
    stop: bool,
}

/// Asks until told otherwise, on a thread of its own that sleeps while there is nothing to ask.
pub struct Asker<K> {
    order: Arc<Mutex<Order<K>>>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl<K: Clone + Ord + Send + 'static> Asker<K> {
    /// Starts the thread; needs CAP_NET_RAW once it asks.
    pub fn start() -> io::Result<(Asker<K>, mpsc::UnboundedReceiver<AskEvent<K>>)> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let order = Arc::new(Mutex::new(Order { questions: None, stop: false }));
        let (events, receiver) = mpsc::unbounded_channel();
        let inquiry = Inquiry {
            netlink: Netlink::open(SockProtocol::NetlinkRoute, 0)?,
            sender: packet::sender()?,
            random: File::open("/dev/urandom")?,
            pinger: None,
            pings: VecDeque::new(),
            listeners: BTreeMap::new(),
            own: BTreeSet::new(),
            subjects: Vec::new(),
            events,
        };
        let for_thread = order.clone();
        let thread = std::thread::Builder::new()
            .name("ask-wire".into())
            .stack_size(256 << 10)
            .spawn(move || inquiry.run(&for_thread, &woken))?;
        Ok((Asker { order, wake, thread: Some(thread) }, receiver))
    }

    /// The complete set of questions from now on. One that stays keeps what is known of proxies; a new one is asked at
    /// once.
    pub fn set(&self, questions: Vec<Question<K>>) {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).questions = Some(questions);
        self.wake();
    }
}

impl<K> Asker<K> {
    fn wake(&self) {
        // Fails only when thousands of wakes are pending, and then it wakes anyway.
        let _ = (&self.wake).write(&[0]);
    }
}

impl<K> Drop for Asker<K> {
    fn drop(&mut self) {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed by the thread itself.
            let _ = thread.join();
        }
    }
}

/// A question with what its answers have shown.
struct Subject<K> {
    question: Question<K>,
    decoys: Vec<IpAddr>,
    decoy_rounds: u32,
    /// Who answered for the address, and for which decoys too.
    answered: BTreeMap<[u8; 6], BTreeSet<IpAddr>>,
    proxies: BTreeSet<[u8; 6]>,
    reported: BTreeSet<[u8; 6]>,
}

struct Inquiry<K> {
    netlink: Netlink,
    sender: Socket,
    random: File,
    pinger: Option<Pinger>,
    pings: VecDeque<(IpAddr, u64)>,
    listeners: BTreeMap<(u32, u16), Socket>,
    own: BTreeSet<[u8; 6]>,
    subjects: Vec<Subject<K>>,
    events: mpsc::UnboundedSender<AskEvent<K>>,
}

impl<K: Clone + Ord> Inquiry<K> {
    fn run(mut self, order: &Mutex<Order<K>>, woken: &UnixStream) {
        let mut next = Instant::now();
        loop {
            self.wait(woken, (!self.subjects.is_empty()).then_some(next));
            let _ = (&*woken).read(&mut [0; 64]); // Only empties it; what was ordered stands in `order`.
            {
                let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
                if order.stop || self.events.is_closed() {
                    return;
                }
                if let Some(questions) = order.questions.take() {
                    self.replace(questions);
                    next = Instant::now();
                }
            }
            self.read_answers();
            let now = Instant::now();
            if now >= next && !self.subjects.is_empty() {
                self.round();
                next = (next + PERIOD).max(now);
            }
        }
    }

    fn wait(&self, woken: &UnixStream, until: Option<Instant>) {
        let mut fds = vec![PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.listeners.values().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        if let Some(pinger) = &self.pinger {
            fds.extend(pinger.sockets().map(|socket| PollFd::new(socket, PollFlags::POLLIN)));
        }
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            // One more millisecond, because poll rounds down and would spin.
            let left = until.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
            PollTimeout::try_from(left as u32).unwrap_or(PollTimeout::MAX)
        });
        // An interrupted or refused wait only makes this round come early.
        let _ = poll(&mut fds, timeout);
    }

    fn replace(&mut self, questions: Vec<Question<K>>) {
        let mut old = std::mem::take(&mut self.subjects);
        let asked: BTreeSet<IpAddr> = questions.iter().map(|question| question.ip).collect();
        for question in questions {
            let known = old.iter().position(|subject| subject.question == question);
            let subject = known.map(|at| old.swap_remove(at)).unwrap_or_else(|| Subject {
                decoys: self.unused(&question, &asked),
                question,
                decoy_rounds: 0,
                answered: BTreeMap::new(),
                proxies: BTreeSet::new(),
                reported: BTreeSet::new(),
            });
            self.subjects.push(subject);
        }
        if self.subjects.is_empty() {
            self.listeners.clear();
            self.pings.clear();
            self.pinger = None;
        }
    }

    /// Random addresses of the same network; none if it is too small to hold addresses that are surely unused.
    fn unused(&mut self, question: &Question<K>, asked: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
        const SMALLEST: u8 = 28;
        let mut found = BTreeSet::new();
        if question.prefix > if question.ip.is_ipv4() { SMALLEST } else { 120 } {
            return Vec::new();
        }
        for _ in 0..4 * DECOYS {
            let mut random = [0; 16];
            if self.random.read_exact(&mut random).is_err() {
                return Vec::new();
            }
            let candidate: IpAddr = match question.ip {
                IpAddr::V4(ip) => {
                    let hosts = u32::MAX.checked_shr(question.prefix.into()).unwrap_or(0);
                    let host = u32::from_ne_bytes([random[0], random[1], random[2], random[3]]) % (hosts - 1) + 1;
                    Ipv4Addr::from_bits(ip.to_bits() & !hosts | host).into()
                }
                IpAddr::V6(ip) => {
                    let hosts = u128::MAX.checked_shr(question.prefix.into()).unwrap_or(0);
                    Ipv6Addr::from_bits(ip.to_bits() & !hosts | u128::from_ne_bytes(random) & hosts).into()
                }
            };
            if !asked.contains(&candidate) {
                found.insert(candidate);
            }
        }
        found.into_iter().take(DECOYS).collect()
    }

    fn round(&mut self) {
        let snapshot = match Snapshot::read_through(&self.netlink) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let trouble = format!("the list of interfaces cannot be read: {error}");
                for subject in &self.subjects {
                    let key = subject.question.key.clone();
                    self.say(AskEvent::Trouble { key, trouble: trouble.clone() });
                }
                return;
            }
        };
        self.own = snapshot.links.values().filter_map(Link::mac).collect();
        let mut used = BTreeSet::new();
        for at in 0..self.subjects.len() {
            self.subjects[at].reported.clear();
            let question = self.subjects[at].question.clone();
            let asked = self.ask(&question, at, &snapshot, &mut used);
            let pinged = if question.icmp { self.ping(question.ip) } else { Ok(false) };
            let event = match (asked, pinged) {
                (Ok(true), _) | (_, Ok(true)) => AskEvent::Asked { key: question.key },
                (Err(trouble), _) | (_, Err(trouble)) => AskEvent::Trouble { key: question.key, trouble },
                (Ok(false), Ok(false)) => continue,
            };
            self.say(event);
        }
        self.listeners.retain(|listener, _| used.contains(listener));
    }

    fn ask(
        &mut self,
        question: &Question<K>,
        at: usize,
        snapshot: &Snapshot,
        used: &mut BTreeSet<(u32, u16)>,
    ) -> Result<bool, String> {
        let Some(name) = &question.interface else { return Ok(false) };
        let (ip, link) = (question.ip, snapshot.link(name).ok_or_else(|| format!("there is no interface {name}"))?);
        if !link.is_up() || snapshot.carrier(name) == Carrier::Down {
            return Err(format!("{name} has no carrier, so nobody can be asked for {ip} there"));
        }
        let hardware = link.mac().ok_or_else(|| {
            format!("{name} is not Ethernet, so nobody can be asked for {ip} there (wire_check no takes it unasked)")
        })?;
        let place = (link.index, if ip.is_ipv4() { ARP } else { IPV6 });
        let failed = |error: io::Error| format!("{ip} cannot be asked for on {name}: {error}");
        if let Entry::Vacant(free) = self.listeners.entry(place) {
            free.insert(listen(place).map_err(failed)?);
        }
        used.insert(place);
        let mut targets = vec![ip];
        let subject = &mut self.subjects[at];
        if subject.decoy_rounds > 0 {
            subject.decoy_rounds -= 1;
            targets.extend(&subject.decoys);
        }
        for target in targets {
            let frame = match target {
                IpAddr::V4(target) => packet::arp(ARP_REQUEST, hardware, Ipv4Addr::UNSPECIFIED, target),
                IpAddr::V6(target) => packet::solicitation(hardware, target),
            };
            self.sender.send_to(&frame, &packet::exit(place.0, place.1)).map_err(failed)?;
        }
        Ok(true)
    }

    fn ping(&mut self, ip: IpAddr) -> Result<bool, String> {
        let failed = |error: io::Error| format!("{ip} cannot be asked by ICMP: {error}");
        let pinger = match self.pinger.take() {
            Some(pinger) => pinger,
            None => Pinger::new().map_err(failed)?,
        };
        let sent = self.pinger.insert(pinger).send(ip).map_err(failed)?;
        self.pings.push_back((ip, sent));
        if self.pings.len() > PINGS {
            self.pings.pop_front();
        }
        Ok(true)
    }

    fn read_answers(&mut self) {
        let mut answers = Vec::new();
        for ((index, protocol), socket) in &self.listeners {
            let mut frame = [0; 1514];
            loop {
                match (&*socket).read(&mut frame) {
                    Ok(length) => {
                        let parse = if *protocol == ARP { packet::arp_reply } else { packet::advertised };
                        answers.extend(parse(&frame[..length]).map(|(ip, hardware)| (*index, ip, hardware)));
                    }
                    Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => {}
                    Err(_) => break,
                }
            }
        }
        for (_, ip, hardware) in answers {
            if !self.own.contains(&hardware) {
                self.answer(ip, hardware);
            }
        }
        let echoes = self.pinger.as_ref().map(Pinger::receive).unwrap_or_default();
        for echo in echoes.into_iter().filter(|echo| self.pings.contains(echo)) {
            let asked = self.subjects.iter().filter(|subject| subject.question.icmp && subject.question.ip == echo.0);
            for subject in asked {
                let key = subject.question.key.clone();
                self.say(AskEvent::Answered { key, hardware: "ICMP echo".into() });
            }
        }
    }

    fn answer(&mut self, ip: IpAddr, hardware: [u8; 6]) {
        let mut news = Vec::new();
        let name = hardware.map(|byte| format!("{byte:02x}")).join(":");
        for subject in &mut self.subjects {
            let key = &subject.question.key;
            if subject.proxies.contains(&hardware) {
                continue;
            }
            if subject.question.ip == ip {
                if let Entry::Vacant(free) = subject.answered.entry(hardware) {
                    free.insert(BTreeSet::new());
                    subject.decoy_rounds = DECOY_ROUNDS;
                }
                if subject.reported.insert(hardware) {
                    news.push(AskEvent::Answered { key: key.clone(), hardware: name.clone() });
                }
            } else if subject.decoys.contains(&ip)
                && let Some(decoys) = subject.answered.get_mut(&hardware)
            {
                decoys.insert(ip);
                if decoys.len() == subject.decoys.len() {
                    subject.proxies.insert(hardware);
                    news.push(AskEvent::Proxy { key: key.clone(), hardware: name.clone() });
                }
            }
        }
        for event in news {
            self.say(event);
        }
    }

    fn say(&self, event: AskEvent<K>) {
        // Refused only when the reader is gone; the loop sees that and ends.
        let _ = self.events.send(event);
    }
}

/// A socket for answers. Of IPv6 only neighbour advertisements are let through, so that a busy interface costs nothing.
fn listen((index, protocol): (u32, u16)) -> io::Result<Socket> {
    let socket = packet::listener(index, protocol)?;
    if protocol == IPV6 {
        const LOAD_BYTE: u16 = 0x30;
        const JUMP_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        socket.attach_filter(&[
            SockFilter::new(LOAD_BYTE, 0, 0, 20),
            SockFilter::new(JUMP_EQUAL, 0, 3, libc::IPPROTO_ICMPV6 as u32),
            SockFilter::new(LOAD_BYTE, 0, 0, 54),
            SockFilter::new(JUMP_EQUAL, 0, 1, 136),
            SockFilter::new(RETURN, 0, 0, 0xffff),
            SockFilter::new(RETURN, 0, 0, 0),
        ])?;
    }
    Ok(socket)
}
