//! Those who watch, beside others who ask.

use crate::rules::{IP, pair};
use crate::world::*;
use hearth_control::{Reply, Request, Which};
use std::collections::BTreeMap;

fn told(world: &World, token: u64) -> BTreeMap<u64, usize> {
    let mut told = BTreeMap::new();
    for (_, reply) in world.machines[A].replies.iter().filter(|(it, _)| *it == token) {
        let Reply::Timeline { events, .. } = reply else { panic!("{reply:?}") };
        events.iter().for_each(|event| *told.entry(event.id).or_default() += 1);
    }
    told
}

/// Harm: an alert that follows the timeline rings again for what is long over, because somebody else has asked for it.
#[test]
fn who_follows_the_timeline_is_told_each_event_once_whatever_others_ask() {
    let mut world = pair();
    let timeline =
        |subject: Option<&str>, last, follow| Request::Timeline { last, subject: subject.map(str::to_owned), follow };
    let all = world.request(A, timeline(None, Some(0), true));
    let some = world.request(A, timeline(Some(IP), Some(0), true));
    for (from, asked) in [(A, Some(IP)), (B, None), (A, Some("nothing")), (B, Some("eth0"))] {
        world.request(from, Request::Standby { which: Which::All, wait: true });
        world.run(ms(300));
        world.request(A, timeline(asked, Some(1), false));
        world.request(A, timeline(asked, Some(1), true));
        world.run(ms(300));
    }
    for token in [all, some] {
        let told = told(&world, token);
        assert!(told.len() >= 8, "{told:?}\n{}", world.story());
        assert!(told.values().all(|times| *times == 1), "{told:?}\n{}", world.story());
    }
}
