//! What flaps, and what does not stop where a fence device could end it, while nothing else befalls the cluster: only then
//! it shows how long something is left out (decision 0045), and that a machine is turned off for it (decision 0044).

use crate::act::Act;
use crate::agent::Flaw;
use crate::layout::{Layout, ms};
use crate::rng::Rng;
use crate::swarm::Step;
use hearth_types::ResourceKind;

/// Behind how many starts that failed the spans are looked at: the last one is four times as long as the first.
const FAILURES: u32 = 3;
/// Losses of one machine; with the third it is left out.
const LOSSES: usize = 4;

/// In one run of 30 of two to five machines, and in one of eight with power switches: all of it. True if it is drawn; then
/// nothing else is.
pub(crate) fn draw(rng: &mut Rng, layout: &mut Layout, steps: &mut Vec<Step>) -> bool {
    let share = if layout.stonith { 125 } else { 33 };
    if !(2..=5).contains(&layout.names.len()) || layout.moving.is_some() || !rng.chance(share) {
        return false;
    }
    let group = layout.variants[0][0].clone();
    let Some(node) = group.preferred.first().and_then(|name| layout.node(name.as_str())) else { return false };
    let other = (0..layout.names.len()).find(|other| *other != node && layout.witness != Some(*other));
    let script = group.resources.iter().find(|spec| matches!(spec.kind, ResourceKind::Script));
    let (Some(other), Some(script)) = (other, script) else { return false };
    if let Some(last) = steps.last_mut() {
        last.then = ms(3000);
    }
    let resource = script.id.as_str().to_owned();
    if layout.stonith && rng.chance(700) {
        let flaw = Act::Agent { node, resource, flaw: Some([Flaw::FailStop, Flaw::HangStop][rng.index(2)]) };
        steps.extend([(flaw, ms(0)), (Act::Standby(node), ms(9000))].map(|(act, then)| Step { act, then }));
        return true;
    }
    layout.auto_failback = true;
    if rng.chance(500) {
        let timeout = rng.span(ms(900), ms(1500));
        layout.timing.failure_timeout = Some(timeout);
        let flaw = Act::Agent { node, resource, flaw: Some(Flaw::FailStart) };
        let all = timeout * ((1 << FAILURES) + 1) + ms(4000);
        let acts = [(flaw, ms(0)), (Act::Standby(node), ms(1500)), (Act::Failback(other), all)];
        steps.extend(acts.map(|(act, then)| Step { act, then }));
        return true;
    }
    for _ in 0..LOSSES {
        steps.push(Step { act: Act::PowerOff(node), then: rng.span(ms(1000), ms(2500)) });
        steps.push(Step { act: Act::Start(node), then: rng.span(ms(2500), ms(4000)) });
    }
    true
}
