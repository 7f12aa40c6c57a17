//! A fence device that lies excuses two owners of what its machine ran, and of nothing else.

use hearth_sim::act::SwitchMode;
use hearth_sim::check::Complaint;
use hearth_sim::layout::{Layout, group, ms, script};
use hearth_sim::{Act, World};
use hearth_types::ResourceId;

const A: usize = 0;
const C: usize = 2;

/// Three machines; c runs `web`, a runs `db`, and the daemon of c was killed: c counts as off by the word of a device that lies.
fn lied_of_c() -> World {
    let mut layout = Layout::new(3);
    layout.stonith = true;
    layout.variants = vec![vec![group(&["c"], vec![script("web")]), group(&["a"], vec![script("db")])]];
    let mut world = World::new(layout, 1, None);
    (A..=C).for_each(|node| world.act(&Act::Start(node)));
    world.run(ms(3000));
    world.act(&Act::Switch(C, SwitchMode::Lies));
    world.act(&Act::Kill(C));
    let twice = |site: &hearth_sim::Site| site.running_on(&"web".into()).len() == 2;
    assert!(world.run_until(world.site.now + ms(5000), twice), "what c runs is taken");
    assert_eq!(texts(&world.complaints), [""; 0]);
    world
}

fn texts(complaints: &[Complaint]) -> Vec<String> {
    complaints.iter().map(|complaint| complaint.text.clone()).collect()
}

/// It runs there too, whoever started it; what is said of that within a moment.
fn doubled(world: &mut World, resource: &str, from: usize, on: usize) -> Vec<String> {
    let id = ResourceId::from(resource);
    let active = world.site.machines[from].kernel.running[&id].clone();
    world.site.machines[on].kernel.running.insert(id, active);
    world.run(ms(10));
    let mut said = texts(&std::mem::take(&mut world.complaints));
    said.dedup();
    said
}

#[test]
fn two_owners_of_what_the_machine_did_not_run_pass_for_the_work_of_the_device() {
    let mut world = lied_of_c();
    assert_eq!(doubled(&mut world, "db", A, C), ["db runs on a and c"]);
}

#[test]
fn two_owners_without_that_machine_pass_for_the_work_of_the_device() {
    let mut world = lied_of_c();
    let b = 1;
    let other = world.site.running_on(&"web".into())[0];
    let complaints = doubled(&mut world, "web", other, if other == A { b } else { A });
    assert_eq!(complaints, ["web runs on a and b"]);
}

#[test]
fn two_owners_long_after_the_machine_is_back_pass_for_the_work_of_the_device() {
    let mut world = lied_of_c();
    world.act(&Act::Start(C));
    world.run(ms(5000));
    let [owner] = world.site.running_on(&"web".into())[..] else { panic!("one runs it") };
    let other = if owner == C { A } else { C };
    assert_eq!(doubled(&mut world, "web", owner, other), ["web runs on a and c"]);
}

#[test]
fn two_owners_after_the_machine_lost_its_power_pass_for_the_work_of_the_device() {
    let mut world = lied_of_c();
    world.act(&Act::PowerOff(C));
    world.run(ms(500));
    world.act(&Act::Start(C));
    world.run(ms(5000));
    let [owner] = world.site.running_on(&"web".into())[..] else { panic!("one runs it") };
    let other = if owner == C { A } else { C };
    assert_eq!(doubled(&mut world, "web", owner, other), ["web runs on a and c"]);
}
