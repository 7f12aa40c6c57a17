//! Links between machines: who hears whom, how late, how often, and what an eavesdropper repeats.

use crate::layout::{LinkKind, ms, us};
use crate::queue::Parcel;
use crate::rng::Rng;
use hearth_types::{LinkId, Timestamp};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Old packets that an eavesdropper keeps, per receiver.
const REPLAYS_MAX: usize = 64;
/// A sender stops queueing on a line that is so far behind: heartbeats go first, the rest is repeated by its channel.
const LINE_BEHIND_MAX: Duration = ms(2000);

/// Bytes of the longest frame on a line.
const FRAME_BYTES: usize = 256;

/// What a packet is on a line.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Its bytes.
    pub bytes: usize,
    /// Whether it goes first.
    pub heartbeat: bool,
}

/// How a link treats packets. All chances in a thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Lost.
    pub loss: u64,
    /// Delivered twice.
    pub duplicate: u64,
    /// Damaged on the way.
    pub corrupt: u64,
    /// Held back by up to 20 ms, so that later ones overtake it.
    pub reorder: u64,
    /// Added to every packet's way.
    pub delay: Duration,
}

impl Quality {
    /// As a good network is.
    pub const GOOD: Quality = Quality { loss: 0, duplicate: 0, corrupt: 0, reorder: 0, delay: Duration::ZERO };
}

/// All links.
#[derive(Clone, Debug)]
pub struct Network {
    kinds: Vec<LinkKind>,
    /// By link.
    pub quality: Vec<Quality>,
    /// Silently dropped: from, to, link.
    pub cut: BTreeSet<(usize, usize, usize)>,
    /// Chance in a thousand that an eavesdropper repeats something when something is sent.
    pub replay: u64,
    /// By receiver.
    kept: Vec<VecDeque<Repeat>>,
    /// When a line is free again, by sender.
    busy_until: Vec<Timestamp>,
    rng: Rng,
}

/// A packet that came to its receiver before.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// When.
    pub came_at: Timestamp,
    /// Its sender.
    pub from: usize,
    /// Its link.
    pub link: LinkId,
    /// Its content.
    pub parcel: Parcel,
}

/// One delivery of a packet.
pub struct Delivery {
    /// After which span.
    pub after: Duration,
    /// Whether it arrives damaged.
    pub damaged: bool,
}

impl Network {
    /// Good links between `nodes` machines.
    pub fn new(kinds: Vec<LinkKind>, nodes: usize, seed: u64) -> Network {
        Network {
            quality: vec![Quality::GOOD; kinds.len()],
            kinds,
            cut: BTreeSet::new(),
            replay: 0,
            kept: (0..nodes).map(|_| VecDeque::new()).collect(),
            busy_until: vec![Timestamp::ZERO; nodes],
            rng: Rng::new(seed, "network"),
        }
    }

    /// Whether nothing drops what one machine sends another on a link.
    pub fn passes(&self, from: usize, to: usize, link: usize) -> bool {
        self.cut.is_empty() || !self.cut.contains(&(from, to, link))
    }

    /// Every cut is mended, every link is good.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.quality.fill(Quality::GOOD);
        self.replay = 0;
    }

    /// What becomes of a packet: none, one or two deliveries.
    pub fn carry(&mut self, now: Timestamp, from: usize, link: usize, size: Size) -> [Option<Delivery>; 2] {
        let quality = self.quality[link];
        if self.rng.chance(quality.loss) {
            return [None, None];
        }
        let Some(line) = self.line_time(now, from, link, size) else { return [None, None] };
        let first = self.delivery(quality, line);
        let second = self.rng.chance(quality.duplicate).then(|| self.delivery(quality, line));
        [Some(first), second]
    }

    fn delivery(&mut self, quality: Quality, line: Duration) -> Delivery {
        let own = match self.rng.below(100) {
            _ if self.rng.chance(quality.reorder) => self.rng.span(ms(1), ms(20)),
            0 => self.rng.span(us(200), ms(2)),
            _ => self.rng.span(us(50), us(150)),
        };
        Delivery { after: line + quality.delay + own, damaged: self.rng.chance(quality.corrupt) }
    }

    /// How long a packet waits for its line and is on it; none: the line is too far behind. Heartbeats go first
    /// (R-WIRE-8): one waits for the frame under way and no longer.
    fn line_time(&mut self, now: Timestamp, from: usize, link: usize, size: Size) -> Option<Duration> {
        let LinkKind::Serial { baud } = self.kinds[link] else { return Some(Duration::ZERO) };
        // Ten bits a byte: start, eight, stop.
        let time = |bytes: usize| Duration::from_nanos(bytes as u64 * 10 * 1_000_000_000 / u64::from(baud.max(1)));
        let span = time(size.bytes);
        let free = self.busy_until[from].max(now);
        if size.heartbeat {
            self.busy_until[from] = free + span;
            return Some(free.since(now).min(time(FRAME_BYTES)) + span);
        }
        if free.since(now) > LINE_BEHIND_MAX {
            return None;
        }
        self.busy_until[from] = free + span;
        Some((free + span).since(now))
    }

    /// An eavesdropper beside machine `to` may keep a packet that it took just now, and may repeat an older one soon:
    /// returns that one, with its sender and its delay.
    pub fn overhear(
        &mut self,
        now: Timestamp,
        to: usize,
        from: usize,
        link: LinkId,
        parcel: &Parcel,
    ) -> Option<(Repeat, Duration)> {
        if self.replay == 0 {
            return None;
        }
        if self.rng.chance(20) {
            let old = &mut self.kept[to];
            if old.len() == REPLAYS_MAX {
                let at = self.rng.index(REPLAYS_MAX);
                old.remove(at);
            }
            old.push_back(Repeat { came_at: now, from, link, parcel: parcel.clone() });
        }
        if !self.rng.chance(self.replay) || self.kept[to].is_empty() {
            return None;
        }
        let at = self.rng.index(self.kept[to].len());
        Some((self.kept[to][at].clone(), self.rng.span(us(50), ms(400))))
    }

    /// True so many times in a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.rng.chance(permille)
    }
}
