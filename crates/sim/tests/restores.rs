//! What nobody can recognise of a disk that was put back among three (R-LEDGER-3, decision 0027): nobody who knows of more is
//! heard, and the two who are there have what two would have who must go on.

use hearth_sim::check::Complaint;
use hearth_sim::layout::{Layout, LinkKind, address, group, ms};
use hearth_sim::{Act, World};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const IP: &str = "10.0.0.50";

/// What a machine that boots has of its past: its state file and the log behind it, and the notes in /run.
type Left = (Option<String>, Vec<String>, Option<String>);

/// c is off; then a and b decide something, or a loses its power at once. All lose their power, `a`'s disk is what it was
/// when c was off, and a and c come up.
fn come_up(decided: bool) -> (World, [Left; 2]) {
    let mut layout = Layout::new(3);
    layout.links = vec![LinkKind::Network];
    layout.variants = vec![vec![group(&["a"], vec![address(IP)])]];
    let mut world = World::new(layout, 1, None);
    (A..=C).for_each(|node| world.act(&Act::Start(node)));
    world.run(ms(3000));
    world.act(&Act::PowerOff(C));
    world.run(ms(1000));
    world.act(&Act::Backup(A));
    if decided {
        world.act(&Act::Standby(A));
        world.run(ms(600));
        assert_eq!(world.site.running_on(&IP.into()), [B], "it was decided");
    }
    (A..=B).for_each(|node| world.act(&Act::PowerOff(node)));
    world.act(&Act::Restore(A));
    world.run(ms(100));
    let left = [A, C].map(|node| {
        let machine = &world.site.machines[node];
        (machine.disk.state.clone(), machine.disk.log.clone(), machine.volatile.clone())
    });
    [A, C].iter().for_each(|node| world.act(&Act::Start(*node)));
    (world, left)
}

fn checkers(complaints: &[Complaint]) -> Vec<&str> {
    let mut checkers: Vec<&str> = complaints.iter().map(|complaint| complaint.checker).collect();
    checkers.sort_unstable();
    checkers.dedup();
    checkers
}

/// Why no program can do better: of what a and c have, and of what they can hear, nothing tells the two histories apart, and
/// in the one where nothing was forgotten they must go on, or three machines could not lose one.
#[test]
fn three_machines_could_not_lose_one_if_two_waited_for_who_may_know_of_more() {
    let ((mut forgot, left), (mut lost_one, same)) = (come_up(true), come_up(false));
    assert_eq!(left, same);
    for world in [&mut forgot, &mut lost_one] {
        // One that is cut off is as silent as one that is off.
        world.act(&Act::Pull { node: B, link: 0 });
        world.act(&Act::Start(B));
        assert!(world.run_until(world.site.now + ms(3000), |site| site.running_on(&IP.into()) == [A]));
        // The two decide on.
        world.run(ms(2000));
        world.act(&Act::Standby(A));
        assert!(world.run_until(world.site.now + ms(3000), |site| site.running_on(&IP.into()) == [C]));
    }
    assert_eq!(checkers(&lost_one.complaints), [""; 0]);
    // Whoever looks from outside sees that what was decided is undone.
    assert!(checkers(&forgot.complaints).contains(&"agreement"), "{:?}", forgot.complaints);
}

/// The sibling: the one who knows is there within warntime, and has its cable.
#[test]
fn what_was_decided_is_undone_though_the_one_who_knows_came_within_warntime() {
    let (mut world, _) = come_up(true);
    let warntime = world.site.layout.timing.warntime;
    world.run(warntime * 3 / 4);
    world.act(&Act::Start(B));
    world.run(ms(8000));
    assert_eq!(checkers(&world.complaints), [""; 0], "{:?}", world.complaints);
    let rolled_back = |told: &hearth_sim::machine::Told| told.event.name == "state-rolled-back";
    assert!(world.site.machines[A].events.iter().any(rolled_back), "a was told");
}
