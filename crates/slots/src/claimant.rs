//! One machine's part in the rounds: Disk Paxos of two machines over one disk, one access at a time.
//!
//! A round is: promise (write the own block with a number above all that were seen, read the other's), vote (write what
//! the highest vote that was read proposes, else oneself, and read the other's again). If the other one has not promised
//! a higher number by then, what was voted for is decided, for the whole term.

use crate::claim::{Claim, Favour};
use crate::keeper::Device;
use crate::layout::{claim_at, get, heart_at, put, say};
use crate::record::{Header, Heart};
use crate::{Id, SLOTS_MAX};
use alloc::format;
use alloc::string::{String, ToString};
use hearth_types::{NodeName, Timestamp};

/// Rounds that one attempt begins before it lets the other machine have its turn.
const ROUNDS: u32 = 3;

/// What is wanted of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing but to see that it works.
    Idle,
    /// To hold nothing: what this machine holds it gives back, by opening the next term.
    Rest,
    /// To hold the claim.
    Hold {
        /// Number of the epoch that this machine would found.
        epoch: u64,
        /// Beyond doubt the other machine is off: what it holds is void.
        other_is_off: bool,
    },
}

/// Who holds the claim of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody, as far as this machine knows.
    Nobody,
    /// This machine.
    Ours,
    /// The other one.
    Theirs,
}

/// What an attempt has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Read the clock before the last read began: what was written later is not known.
    pub began_at: Timestamp,
    /// Of which term.
    pub term: u64,
    /// Who.
    pub holder: Holder,
}

/// Which disk, and where the two machines have their slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Places {
    disk: Id,
    own: u16,
    other: u16,
}

/// The half of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Promise,
    Vote,
}

/// The access that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Find,
    Look,
    Write(Half),
    Read(Half),
    /// The next term is opened.
    Open,
    /// The own block is written as it is, to see that it can be.
    Try(Timestamp),
}

/// The rounds of one machine.
#[derive(Clone)]
pub struct Claimant {
    local: NodeName,
    other: NodeName,
    places: Option<Places>,
    /// The own block as it was last written, whether or not that is known to be durable; none: not read yet in this run.
    own: Option<Claim>,
    /// What this run has learnt to be decided, and of which term.
    decided: Option<(u64, Favour)>,
    next: Next,
    rounds: u32,
}

impl Claimant {
    /// Of the machine `local`, beside `other`.
    pub fn new(local: NodeName, other: NodeName) -> Claimant {
        Claimant { local, other, places: None, own: None, decided: None, next: Next::Find, rounds: 0 }
    }

    /// Does the next access of an attempt, which waits for the disk. None: the attempt is not over yet.
    ///
    /// # Errors
    /// The attempt has ended without knowing anything; for people.
    pub fn step(
        &mut self,
        disk: &mut impl Device,
        want: &Want,
        wall_ms: u64,
        clock: impl Fn() -> Timestamp,
    ) -> Result<Option<Known>, String> {
        let done = self.access(disk, want, wall_ms, &clock);
        if !matches!(done, Ok(None)) {
            (self.next, self.rounds) = (Next::Find, 0);
        }
        if done.is_err() {
            self.places = None;
        }
        done
    }

    fn access(
        &mut self,
        disk: &mut impl Device,
        want: &Want,
        wall_ms: u64,
        clock: &impl Fn() -> Timestamp,
    ) -> Result<Option<Known>, String> {
        if let (Next::Find, _) | (_, None) = (self.next, self.places) {
            self.find(disk)?;
            self.next = Next::Look;
            return Ok(None);
        }
        let Some(places) = self.places else { return Ok(None) };
        match self.next {
            Next::Find => Ok(None),
            Next::Look => {
                let began_at = clock();
                let (there, other) = read(disk, places)?;
                self.looked(began_at, there, other, want)
            }
            Next::Write(half) => {
                self.write(disk, places, wall_ms)?;
                self.next = Next::Read(half);
                Ok(None)
            }
            Next::Read(half) => {
                let began_at = clock();
                let (there, other) = read(disk, places)?;
                self.read_round(began_at, half, &there, &other, want)
            }
            Next::Open => {
                let term = self.own.as_ref().map_or(0, |own| own.term) + 1;
                self.own = Some(Claim::none(places.disk, places.own, term));
                self.decided = None;
                self.write(disk, places, wall_ms)?;
                if matches!(want, Want::Hold { .. }) {
                    self.next = Next::Look;
                    return Ok(None);
                }
                Ok(Some(Known { began_at: clock(), term, holder: Holder::Nobody }))
            }
            Next::Try(began_at) => {
                self.write(disk, places, wall_ms)?;
                Ok(Some(self.known(began_at)))
            }
        }
    }

    /// Reads which disk it is, and once where the slots are.
    fn find(&mut self, disk: &mut impl Device) -> Result<(), String> {
        let header = Header::decode(&get(disk, 0, 1)?).map_err(|damage| say(&damage))?;
        if self.own.as_ref().is_some_and(|own| own.disk != header.disk) {
            // Whatever was claimed on another one, or before it was initialised anew, is no claim.
            (self.own, self.decided, self.places) = (None, None, None);
        }
        if self.places.is_some_and(|places| places.disk == header.disk) {
            return Ok(());
        }
        let (mut own, mut other) = (None, None);
        for slot in 0..header.slots {
            let bytes = get(disk, heart_at(slot), 1)?;
            let Ok(heart) = Heart::decode(&bytes, header.disk, slot) else { continue };
            match heart.owner {
                Some(owner) if owner == self.local => own = Some(slot),
                Some(owner) if owner == self.other => other = Some(slot),
                _ => {}
            }
        }
        let missing = |name: &NodeName| format!("it has no slot for {name}; `hearth disk add` on it makes one");
        let own = own.ok_or_else(|| missing(&self.local))?;
        let other = other.ok_or_else(|| missing(&self.other))?;
        self.places = Some(Places { disk: header.disk, own, other });
        Ok(())
    }

    fn write(&mut self, disk: &mut impl Device, places: Places, wall_ms: u64) -> Result<(), String> {
        let Some(own) = self.own.as_mut() else { return Ok(()) };
        own.wall_ms = wall_ms;
        put(disk, claim_at(places.own), &own.encode())
    }

    /// The begin of an attempt: what stands there, and what is to be done about it.
    fn looked(
        &mut self,
        began_at: Timestamp,
        there: Claim,
        other: Claim,
        want: &Want,
    ) -> Result<Option<Known>, String> {
        let known = self.own.take().unwrap_or_else(|| there.clone());
        if there.place() > known.place() {
            // Another machine under this name.
            return Err(format!("the claim of {} says more than was written there", self.local));
        }
        let is_there = there.place() == known.place();
        // Who reads a higher term takes part in no lower one any more.
        let own = if other.term > known.term { Claim::none(known.disk, known.slot, other.term) } else { known };
        let term = own.term;
        let voted = own.voted > 0 || (other.term == term && other.voted > 0);
        self.own = Some(own);
        let decided = self.decided.take().filter(|(of, _)| *of == term && is_there);
        self.decided = decided;
        let holder = self.known(began_at).holder;
        self.next = match (want, &holder) {
            _ if ends(want, &holder) => Next::Open,
            (Want::Hold { .. }, Holder::Ours | Holder::Theirs) => return Ok(Some(self.known(began_at))),
            (Want::Hold { .. }, Holder::Nobody) => self.begin_round(&other),
            // Who began to claim, and does not know what came of that, finds out, or nobody could give it back.
            (Want::Rest, Holder::Nobody) if voted => self.begin_round(&other),
            _ => Next::Try(began_at),
        };
        Ok(None)
    }

    /// Promises a round above all that were seen.
    fn begin_round(&mut self, other: &Claim) -> Next {
        let Some(own) = self.own.as_mut() else { return Next::Look };
        let seen = if other.term == own.term { own.promised.max(other.promised) } else { own.promised };
        let machines = u64::from(SLOTS_MAX);
        own.promised = (seen / machines + 1) * machines + u64::from(own.slot);
        self.rounds += 1;
        Next::Write(Half::Promise)
    }

    fn read_round(
        &mut self,
        began_at: Timestamp,
        half: Half,
        there: &Claim,
        other: &Claim,
        want: &Want,
    ) -> Result<Option<Known>, String> {
        let Some(own) = self.own.as_mut().filter(|own| *own == there) else {
            return Err(format!("the claim of {} holds something else than what was just written there", self.local));
        };
        let ahead = other.term > own.term;
        if ahead || (other.term == own.term && other.promised > own.promised) {
            if self.rounds >= ROUNDS {
                return Ok(Some(Known { began_at, term: own.term, holder: Holder::Nobody }));
            }
            self.next = if ahead { Next::Look } else { self.begin_round(other) };
            return Ok(None);
        }
        let theirs = (other.term == own.term).then_some((other.voted, other.favour.as_ref()));
        let newest = theirs.into_iter().chain([(own.voted, own.favour.as_ref())]).max_by_key(|(voted, _)| *voted);
        match (half, newest.and_then(|(_, favour)| favour).cloned()) {
            (Half::Promise, found) => {
                let favour = match (found, want) {
                    (Some(favour), _) => favour,
                    (None, Want::Hold { epoch, .. }) => Favour { node: self.local.clone(), epoch: *epoch },
                    (None, _) => return Ok(Some(Known { began_at, term: own.term, holder: Holder::Nobody })),
                };
                (own.voted, own.favour) = (own.promised, Some(favour));
                self.next = Next::Write(Half::Vote);
                Ok(None)
            }
            (Half::Vote, _) => {
                self.decided = own.favour.clone().map(|favour| (own.term, favour));
                let known = self.known(began_at);
                if ends(want, &known.holder) {
                    self.next = Next::Open;
                    return Ok(None);
                }
                Ok(Some(known))
            }
        }
    }

    fn known(&self, began_at: Timestamp) -> Known {
        let holder = match &self.decided {
            Some((_, favour)) if favour.node == self.local => Holder::Ours,
            Some(_) => Holder::Theirs,
            None => Holder::Nobody,
        };
        Known { began_at, term: self.own.as_ref().map_or(0, |own| own.term), holder }
    }
}

/// Whether this term is over by what is wanted: only who holds it ends it, unless it is beyond doubt that the holder is off.
fn ends(want: &Want, holder: &Holder) -> bool {
    matches!((want, holder), (Want::Rest, Holder::Ours) | (Want::Hold { other_is_off: true, .. }, Holder::Theirs))
}

/// The blocks of both machines.
fn read(disk: &mut impl Device, places: Places) -> Result<(Claim, Claim), String> {
    let own = get(disk, claim_at(places.own), 1)?;
    let other = get(disk, claim_at(places.other), 1)?;
    let decode = |bytes: &[u8], slot| Claim::decode(bytes, places.disk, slot).map_err(|damage| damage.to_string());
    Ok((decode(&own, places.own)?, decode(&other, places.other)?))
}
