//! The claim on a disk that both machines of a pair share (`tiebreaker disk`): each access by itself, so that anything may
//! come between two of them.
//!
//! What a daemon does there is the real thing, `hearth_slots::Claimant`.

use crate::layout::ms;
use crate::mutant::Mutant;
use crate::queue::What;
use crate::shared::PathMode;
use crate::world::World;
use hearth_controller::{ClaimHolder, ClaimWant, Input, TiebreakerOrder, TiebreakerSeen};
use hearth_slots::{Claim, Claimant, Device, Favour, Holder, Known, RECORD, SECTOR, Want};
use hearth_types::{NodeName, Timestamp};
use std::time::Duration;

/// What one access takes.
const ACCESS: Duration = ms(5);
/// The same over a slow path.
const SLOW_ACCESS: Duration = ms(60);
/// How soon what hangs, or stands still, is looked at again.
const AGAIN: Duration = ms(20);

/// A daemon's thread for it.
#[derive(Clone)]
pub(crate) struct Claims {
    run: u64,
    claimant: Claimant,
    order: TiebreakerOrder,
    /// The attempt under way: under which order, and for what.
    attempt: Option<(u64, Want)>,
    /// The newest plan for the next one.
    wake: u64,
    /// Of the mutant that reads once: nobody had claimed.
    found_free: bool,
}

fn meant(want: &ClaimWant) -> Want {
    match want {
        ClaimWant::Idle => Want::Idle,
        ClaimWant::Rest => Want::Rest,
        ClaimWant::Hold { epoch, other_is_off } => Want::Hold { epoch: *epoch, other_is_off: *other_is_off },
    }
}

impl World {
    pub(crate) fn tiebreaker_order(&mut self, node: usize, order: Option<TiebreakerOrder>) {
        let machine = &mut self.site.machines[node];
        let run = machine.run;
        let Some(order) = order else {
            machine.slot.claims = None;
            return;
        };
        let local = machine.config.cluster.local.clone();
        let claims = machine.slot.claims.get_or_insert_with(|| Claims {
            run,
            claimant: Claimant::new(local, order.other.clone()),
            order: order.clone(),
            attempt: None,
            wake: 0,
            found_free: false,
        });
        claims.order = order;
        claims.wake += 1;
        let wake = claims.wake;
        self.push(ms(1), What::ClaimBegins { node, run, wake });
    }

    /// The thread of that run, while its daemon lives.
    fn claims(&mut self, node: usize, run: u64) -> Option<&mut Claims> {
        let machine = &mut self.site.machines[node];
        let lives = machine.run == run && machine.controller.is_some();
        machine.slot.claims.as_mut().filter(|claims| lives && claims.run == run)
    }

    pub(crate) fn claim_begins(&mut self, node: usize, run: u64, wake: u64) {
        let Some(claims) = self.claims(node, run) else { return };
        if claims.attempt.is_none() && claims.wake == wake {
            claims.attempt = Some((claims.order.number, meant(&claims.order.want)));
            self.push(ACCESS, What::ClaimGoesOn { node, run });
        }
    }

    pub(crate) fn claim_goes_on(&mut self, node: usize, run: u64) {
        let machine = &self.site.machines[node];
        let (path, stands, now) = (machine.slot.path, machine.stands(), machine.local(self.site.now));
        if self.claims(node, run).is_none() {
            return;
        }
        if path == PathMode::Hangs || !stands {
            return self.push(AGAIN, What::ClaimGoesOn { node, run });
        }
        let took = if path == PathMode::Slow { SLOW_ACCESS } else { ACCESS };
        match self.access(node, path, now) {
            Some((_, Ok(None))) => self.push(took, What::ClaimGoesOn { node, run }),
            Some((number, known)) => {
                let seen = known.map(|known| known.map(|known| said(number, &known)));
                let Some(seen) = seen.transpose() else { return };
                self.push(took, What::ClaimSaid { node, run, seen });
                let Some(claims) = self.claims(node, run) else { return };
                claims.attempt = None;
                claims.wake += 1;
                let (wake, changed) = (claims.wake, claims.order.number != number);
                let after = if changed { ACCESS } else { claims.order.every };
                self.push(after, What::ClaimBegins { node, run, wake });
            }
            None => {}
        }
    }

    /// One access of the attempt under way, and under which order that began.
    fn access(&mut self, node: usize, path: PathMode, now: Timestamp) -> Option<(u64, Result<Option<Known>, String>)> {
        let one_read = self.site.mutant == Some(Mutant::ClaimsByOneRead);
        let claims = self.site.machines[node].slot.claims.as_mut()?;
        let (number, want) = claims.attempt.clone()?;
        let wall_ms = now.0 / 1_000_000;
        let disk = &mut self.site.shared;
        let done = match path {
            PathMode::Broken => claims.claimant.step(&mut Broken, &want, wall_ms, || now),
            _ if one_read && matches!(want, Want::Hold { .. }) => {
                let found = claim_by_one_read(disk, node, &self.site.layout.names[node], claims.found_free);
                claims.found_free = found == Ok(None);
                found.map(|found| found.map(|holder| Known { began_at: now, term: 0, holder }))
            }
            _ => claims.claimant.step(disk, &want, wall_ms, || now),
        };
        Some((number, done))
    }

    pub(crate) fn claim_said(&mut self, node: usize, run: u64, seen: Result<TiebreakerSeen, String>) {
        if self.claims(node, run).is_some() && self.site.machines[node].stands() {
            self.feed(node, Input::TiebreakerSeen(seen));
        }
    }
}

fn said(number: u64, known: &Known) -> TiebreakerSeen {
    let holder = match known.holder {
        Holder::Nobody => ClaimHolder::Nobody,
        Holder::Ours => ClaimHolder::Ours,
        Holder::Theirs => ClaimHolder::Theirs,
    };
    TiebreakerSeen { number, began_at: known.began_at, holder }
}

/// A path on which every access fails.
struct Broken;

impl Device for Broken {
    fn read(&mut self, _: u64, _: &mut [u8]) -> Result<(), String> {
        Err("input/output error".to_owned())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), String> {
        Err("input/output error".to_owned())
    }
}

/// What is read is taken for what still is when the own claim is written.
fn claim_by_one_read(
    disk: &mut impl Device,
    node: usize,
    name: &NodeName,
    wrote: bool,
) -> Result<Option<Holder>, String> {
    let at = |slot: usize| ((1 + slot * 4 + 2) * SECTOR) as u64;
    let mut sector = [0; SECTOR];
    if wrote {
        let favour = Some(Favour { node: name.clone(), epoch: 0 });
        let own = Claim { promised: 1, voted: 1, favour, ..Claim::none([1; 16], node as u16, 0) };
        sector[..RECORD].copy_from_slice(&own.encode());
        disk.write(at(node), &sector)?;
        return Ok(Some(Holder::Ours));
    }
    for (slot, holder) in [(node, Holder::Ours), (1 - node, Holder::Theirs)] {
        disk.read(at(slot), &mut sector)?;
        let claim = Claim::decode(&sector, [1; 16], slot as u16).map_err(|damage| damage.to_string())?;
        if claim.voted > 0 {
            return Ok(Some(holder));
        }
    }
    Ok(None)
}
