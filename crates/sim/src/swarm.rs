//! Swarm: a seed draws a cluster, its files and the mix of faults. First anything goes, then all heals and must come to
//! rest within a bound.

use crate::act::{Act, SwitchMode};
use crate::agent::Flaw;
use crate::blind;
use crate::check::{self, Complaint};
use crate::disk::DiskMode;
use crate::flapping;
use crate::layout::{Layout, LinkKind, address, filesystem, group, ms, script};
use crate::lists;
use crate::mutant::Mutant;
use crate::rare;
use crate::record::Recording;
use crate::restores;
use crate::rng::Rng;
use crate::shared::PathMode;
use crate::site::Site;
use crate::story;
use crate::stuck;
use crate::world::World;
use hearth_types::{GroupSpec, NodeName, ResourceKind, ResourceSpec, Timestamp};
use hearth_wire::{NEWEST_VERSION, OLDEST_VERSION};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Within this span after the last fault everything runs exactly once again. The longest chain: a stop that failed is
/// tried again after 5 s and may take 1 s, a carrier that flapped counts as back after 4 s, a lone start waits initdead
/// (1.5 s), a comparison of rivals takes some round trips, and a person clears failures once a second.
pub const HEALED_WITHIN: Duration = ms(30_000);
/// For how long that must hold before it is believed.
const HOLDS_FOR: Duration = ms(1_500);
/// Carriers that come back, per machine: each doubles the time until the next counts as back.
const FLAPS_MAX: u32 = 2;

/// Timeout of the watchdogs: with a lease less than four seconds, so that a run sees their resets.
pub(crate) const WATCHDOG: Duration = ms(3000);

/// One thing to do, and how long to wait after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What.
    pub act: Act,
    /// Then time passes.
    pub then: Duration,
}

/// Everything that a run depends on besides the program.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where chance of networks, disks and agents comes from.
    pub seed: u64,
    /// The cluster.
    pub layout: Layout,
    /// What befalls it.
    pub steps: Vec<Step>,
    /// Machines that stay off when all heals: the rest is the core that must go on.
    pub lost: Vec<usize>,
    /// The machines that somebody sees to it that all files name when all heals, where the list of nodes changes.
    pub list: Option<Vec<usize>>,
}

/// How a run ended.
pub struct Verdict {
    /// What was wrong, if anything.
    pub complaints: Vec<Complaint>,
    /// Hash of all outputs, if it was wanted.
    pub trace: Option<u64>,
    /// The run for a person.
    pub story: String,
}

/// What a seed draws.
pub fn draw(seed: u64, nodes: Option<usize>) -> Run {
    let mut rng = Rng::new(seed, "layout");
    let mut layout = draw_layout(&mut rng, seed, nodes);
    // Most pairs that may not go on by anything else have fence devices, and one in three of the larger clusters.
    let share = match (layout.names.len(), layout.unfenced || layout.tiebreaker) {
        (2, false) => 800,
        (1 | 2, _) => 0,
        _ => 333,
    };
    layout.stonith = Rng::new(seed, "stonith").chance(share);
    rare::claimed_disk(&mut Rng::new(seed, "claims"), &mut layout);
    // A reset by the watchdog and one by the power switch may meet.
    if layout.stonith && Rng::new(seed, "watchdogs").chance(400) {
        layout.watchdog = Some(WATCHDOG);
    }
    lists::lay_out(&mut Rng::new(seed, "lists"), &mut layout);
    let mut rng = Rng::new(seed, "faults");
    let first = layout.names.len() - usize::from(layout.is_to_come);
    let mut steps: Vec<Step> =
        (0..first).map(|node| Step { act: Act::Start(node), then: rng.span(ms(0), ms(300)) }).collect();
    if let Some(last) = steps.last_mut() {
        last.then = if rng.chance(800) { ms(2500) } else { ms(200) };
    }
    if flapping::draw(&mut Rng::new(seed, "flapping"), &mut layout, &mut steps) {
        return Run { seed, layout, steps, lost: Vec::new(), list: None };
    }
    let mut flaps = vec![0; layout.names.len()];
    for _ in 0..4 + rng.below(14) {
        let longest = [ms(30), ms(300), ms(1500)][rng.index(3)];
        for act in draw_acts(&mut rng, &layout, &mut flaps) {
            steps.push(Step { act, then: Duration::ZERO });
        }
        if let Some(last) = steps.last_mut() {
            last.then = rng.span(ms(0), longest);
        }
    }
    // A list of nodes changes while all of its machines are there.
    let lost = if layout.moving.is_some() { Vec::new() } else { draw_lost(&mut rng, &layout) };
    draw_packages(&mut Rng::new(seed, "packages"), &layout, &mut steps);
    draw_forced(&mut Rng::new(seed, "forced"), &mut steps);
    stuck::draw(&mut Rng::new(seed, "stuck"), &layout, &mut steps);
    blind::draw(&mut Rng::new(seed, "blind"), &layout, &mut steps);
    rare::clones(&mut Rng::new(seed, "clones"), &layout, &mut steps);
    rare::hanging_disks(&mut Rng::new(seed, "hanging disks"), &layout, &mut steps);
    rare::paths_to_a_claim(&mut Rng::new(seed, "paths"), &layout, &mut steps);
    rare::late_words(&mut Rng::new(seed, "late words"), &mut layout, &mut steps);
    rare::releases(&mut Rng::new(seed, "releases"), &layout, &mut steps);
    let list = lists::draw(&mut Rng::new(seed, "changes of the list"), &layout, &mut steps);
    // The last: whoever knows what a disk has forgotten is there when it comes back, with its cables in.
    restores::draw(&mut Rng::new(seed, "restores"), &layout, &mut steps);
    Run { seed, layout, steps, lost, list }
}

/// One run in three has programs of two wire versions in it, upgraded and taken back between the other faults (R-WIRE-6).
fn draw_packages(rng: &mut Rng, layout: &Layout, steps: &mut Vec<Step>) {
    if !rng.chance(333) {
        return;
    }
    let versions = u64::from(NEWEST_VERSION - OLDEST_VERSION) + 1;
    let version = |rng: &mut Rng| OLDEST_VERSION + rng.below(versions) as u8;
    for _ in 0..1 + rng.below(5) {
        let (at, node) = (rng.index(steps.len() + 1), rng.index(layout.names.len()));
        let replaced =
            [(Act::Package(node, version(rng)), ms(0)), (Act::Kill(node), ms(60)), (Act::Start(node), ms(0))];
        // A package may also be put in and come into force with whatever restarts the daemon next.
        let count = if rng.chance(700) { 3 } else { 1 };
        let then = rng.span(ms(0), ms(1500));
        let mut replaced: Vec<Step> = replaced.into_iter().take(count).map(|(act, then)| Step { act, then }).collect();
        if let Some(last) = replaced.last_mut() {
            last.then = then;
        }
        steps.splice(at..at, replaced);
    }
    for node in 0..layout.names.len() {
        let act = Act::Package(node, version(rng));
        steps.insert(0, Step { act, then: Duration::ZERO });
    }
}

/// Some of the agents that are slow have to be killed to stop (R-TAKE-8).
fn draw_forced(rng: &mut Rng, steps: &mut [Step]) {
    for step in steps {
        if let Act::Agent { flaw: flaw @ Some(Flaw::Slow), .. } = &mut step.act
            && rng.chance(500)
        {
            *flaw = Some(Flaw::KillStop);
        }
    }
}

/// A pair that may go on alone sometimes has to; more than two need a majority.
fn draw_lost(rng: &mut Rng, layout: &Layout) -> Vec<usize> {
    let nodes = layout.names.len();
    // A file system stays with a lost machine whose addresses nobody knows: that is a person's matter (section 5).
    let mounts = layout.resources().iter().any(|spec| matches!(spec.kind, ResourceKind::Filesystem { .. }));
    let spare = if nodes == 2 {
        // Nor does one give its claim back.
        usize::from(layout.stonith || (layout.unfenced && !layout.tiebreaker && !layout.tiebreaker_disk && !mounts))
    } else {
        (nodes - 1) / 2
    };
    if spare == 0 || !rng.chance(150) {
        return Vec::new();
    }
    let first = rng.index(nodes);
    (0..1 + rng.index(spare)).map(|step| (first + step) % nodes).collect()
}

fn draw_layout(rng: &mut Rng, seed: u64, nodes: Option<usize>) -> Layout {
    // One in five has three machines, one in 40 four or five, one in 200 six to nine, of which seven vote; some have one.
    let more = match seed {
        _ if seed % 200 == 199 => [9, 6, 8, 7][(seed / 200 % 4) as usize],
        _ if seed % 40 == 39 => [5, 4][(seed / 40 % 2) as usize],
        _ if seed % 5 == 4 => 3,
        _ => 2,
    };
    let nodes = nodes.unwrap_or_else(|| if rng.chance(60) { 1 } else { more });
    let mut layout = Layout::new(nodes);
    layout.tiebreaker = nodes == 2 && seed % 3 == 1;
    layout.unfenced = nodes <= 2 && seed % 5 != 3;
    layout.auto_failback = rng.chance(250);
    layout.ucast = nodes == 2 && rng.chance(600);
    layout.drift = rng.chance(800);
    layout.sealed = seed.is_multiple_of(10);
    layout.alerts = seed.is_multiple_of(4);
    layout.watchdog = rng.chance(150).then_some(WATCHDOG);
    let mut aging = Rng::new(seed, "aging");
    layout.timing.failure_timeout = aging.chance(300).then(|| aging.span(ms(1000), ms(6000)));
    match rng.below(10) {
        0 if nodes == 2 => layout.links.push(LinkKind::Serial { baud: 115_200 }),
        1 if !layout.tiebreaker => layout.links.truncate(1),
        _ => {}
    }
    layout.variants = draw_variants(rng, &layout);
    draw_witness(seed, &mut layout);
    layout
}

/// Machines that vote from the beginning (R-LEDGER-2).
const VOTERS: usize = 7;

/// Of three and more, one in four has a machine that votes and runs nothing.
fn draw_witness(seed: u64, layout: &mut Layout) {
    let mut rng = Rng::new(seed, "witness");
    if layout.names.len() < 3 || !rng.chance(250) {
        return;
    }
    let witness = rng.index(layout.names.len().min(VOTERS));
    layout.witness = Some(witness);
    let (name, other) = (&layout.names[witness], &layout.names[(witness + 1) % layout.names.len()]);
    for group in layout.variants.iter_mut().flatten() {
        group.preferred.retain(|preferred| preferred != name);
        if group.preferred.is_empty() {
            group.preferred.push(other.clone());
        }
    }
}

fn draw_variants(rng: &mut Rng, layout: &Layout) -> Vec<Vec<GroupSpec>> {
    let names: Vec<&str> = layout.names.iter().map(|name| name.as_str()).collect();
    let preferred = |rng: &mut Rng| -> Vec<&str> {
        let first = rng.index(names.len());
        (0..1 + rng.index(2.min(names.len()))).map(|step| names[(first + step) % names.len()]).collect()
    };
    let mut lists: Vec<Vec<ResourceSpec>> = vec![vec![address("10.0.0.50"), script("web"), script("log")]];
    for (chance, list) in [
        (700, vec![address("10.0.0.51")]),
        (500, vec![script("db")]),
        (400, vec![filesystem("/srv"), script("nfs"), address("10.0.0.53")]),
    ] {
        if rng.chance(chance) {
            lists.push(list);
        }
    }
    let first: Vec<GroupSpec> = lists.into_iter().map(|list| group(&preferred(rng), list)).collect();
    let mut more = first.clone();
    more.push(group(&preferred(rng), vec![script("mail"), address("10.0.0.52")]));
    let mut fewer = first.clone();
    if fewer.len() > 1 {
        fewer.pop();
    }
    vec![first, more, fewer]
}

/// One random thing, or two that belong together.
fn draw_acts(rng: &mut Rng, layout: &Layout, flaps: &mut [u32]) -> Vec<Act> {
    let node = rng.index(layout.names.len());
    let link = rng.index(layout.links.len());
    let resources = layout.resources();
    let resource = |rng: &mut Rng| rng.pick(&resources).id.as_str().to_owned();
    match rng.below(52) {
        0..3 => vec![Act::PowerOff(node)],
        3..7 => vec![Act::Kill(node)],
        7..13 => vec![Act::Start(node)],
        13..16 => vec![Act::Freeze(node)],
        16..19 => vec![Act::Thaw(node)],
        19..22 => cut(rng, layout, node, link),
        22..25 => vec![Act::Heal],
        25..28 => pull(rng, layout, node, link, flaps),
        28 => vec![Act::Ping(node, rng.chance(400))],
        29 => vec![Act::Disk(node, [DiskMode::Slow, DiskMode::Slow, DiskMode::Full][rng.index(3)])],
        30 => vec![Act::Disk(node, DiskMode::Fast)],
        31 => vec![Act::Trouble(node, 300)],
        32 => vec![Act::Trouble(node, 0)],
        33..38 => vec![order(rng, node)],
        38 => reload(rng, layout, node),
        39 => vec![network(rng, link)],
        40 => vec![Act::Replay(20)],
        41 => vec![Act::Dies { node, resource: resource(rng) }],
        42 => {
            let flaw = [Flaw::FailStart, Flaw::FailStop, Flaw::HangStart, Flaw::HangStop, Flaw::Slow][rng.index(5)];
            vec![Act::Agent { node, resource: resource(rng), flaw: Some(flaw) }]
        }
        43 => vec![Act::StepClock(node, [-3600, 7200, 60][rng.index(3)])],
        44 => vec![Act::Switch(node, [SwitchMode::Works, SwitchMode::Slow][rng.index(2)]), Act::PowerCycle(node)],
        45 => vec![Act::LoseState(node)],
        46 => vec![Act::Pause(node)],
        47 => vec![Act::Resume(node)],
        48 => vec![Act::WrongKey(node, rng.chance(500)), Act::Kill(node), Act::Start(node)],
        49 => {
            let flaw = [Flaw::SaysRunning, Flaw::SaysStopped][rng.index(2)];
            vec![Act::Agent { node, resource: resource(rng), flaw: Some(flaw) }]
        }
        50 => vec![Act::ByHand { node, resource: resource(rng) }],
        _ => vec![Act::Switch(node, [SwitchMode::Fails, SwitchMode::Lies][rng.index(2)]), Act::PowerCycle(node)],
    }
}

fn cut(rng: &mut Rng, layout: &Layout, node: usize, link: usize) -> Vec<Act> {
    let nodes = layout.names.len();
    if nodes == 1 {
        return vec![Act::Heal];
    }
    let other = (node + 1 + rng.index(nodes - 1)) % nodes;
    match rng.below(5) {
        0 => vec![Act::Cut { from: node, to: other, link }, Act::Cut { from: other, to: node, link }],
        1 => (0..layout.links.len()).map(|link| Act::Cut { from: node, to: other, link }).collect(),
        2 => vec![Act::Cut { from: node, to: other, link }],
        _ => {
            let side = 1 + rng.index(nodes / 2);
            vec![Act::Split((0..side).map(|step| (node + step) % nodes).collect())]
        }
    }
}

fn pull(rng: &mut Rng, layout: &Layout, node: usize, link: usize, flaps: &mut [u32]) -> Vec<Act> {
    let networks: Vec<usize> = (0..layout.links.len()).filter(|link| layout.interface(*link).is_some()).collect();
    let links = if rng.chance(400) || !networks.contains(&link) { networks } else { vec![link] };
    if rng.chance(500) {
        return links.into_iter().map(|link| Act::Pull { node, link }).collect();
    }
    flaps[node] += 1;
    if flaps[node] > FLAPS_MAX {
        return vec![Act::Heal];
    }
    links.into_iter().map(|link| Act::Plug { node, link }).collect()
}

fn network(rng: &mut Rng, link: usize) -> Act {
    match rng.below(3) {
        0 => Act::Loss { link, permille: [10, 50, 300][rng.index(3)] },
        1 => Act::Delay { link, span: [ms(2), ms(10), ms(40)][rng.index(3)] },
        _ => Act::Disorder { link, permille: 30 },
    }
}

fn order(rng: &mut Rng, node: usize) -> Act {
    match rng.below(12) {
        0..4 => Act::Standby(node),
        4..7 => Act::Takeover(node),
        7..9 => Act::Failback(node),
        9 | 10 => Act::Clear(node),
        _ => Act::Stop(node),
    }
}

fn reload(rng: &mut Rng, layout: &Layout, node: usize) -> Vec<Act> {
    let variant = rng.index(layout.variants.len());
    if rng.chance(300) {
        return vec![Act::Reload(node, variant)];
    }
    (0..layout.names.len()).map(|node| Act::Reload(node, variant)).collect()
}

/// Runs it; a panic of the program is a complaint like any other.
pub fn judge(run: &Run, mutant: Option<Mutant>) -> Verdict {
    let ended = std::panic::catch_unwind(|| self::run(run, mutant, false));
    ended.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap_or_else(|| "without a word".to_owned());
        let complaint = Complaint { at: Timestamp::ZERO, checker: "panic", text };
        Verdict { complaints: vec![complaint], trace: None, story: String::new() }
    })
}

/// Runs it. With a mutant, something in it is broken on purpose.
pub fn run(run: &Run, mutant: Option<Mutant>, trace: bool) -> Verdict {
    let mut world = World::new(run.layout.clone(), run.seed, mutant);
    if trace {
        world.hash_outputs();
    }
    live(&mut world, run);
    let mut told = String::new();
    if !world.complaints.is_empty() {
        told = story::told(&world.site, Timestamp::ZERO, false);
        told.push_str(&story::now(&world.site));
    }
    Verdict { complaints: world.complaints, trace: world.trace, story: told }
}

/// Runs it, and hashes what [`World::hash_outputs`] says; restless: no daemon leaves out what it need not judge again
/// (decision 0054), and nothing may come of that. With every line that the hash is made of, if wanted.
pub fn traced(run: &Run, restless: bool, lines: bool) -> (u64, Vec<String>) {
    let mut world = World::new(run.layout.clone(), run.seed, None);
    world.restless = restless;
    world.lines = lines.then(Vec::new);
    world.hash_outputs();
    live(&mut world, run);
    (world.trace.unwrap_or_default(), world.lines.unwrap_or_default())
}

/// Runs it once more and records every daemon; where the program panics, to that moment.
pub fn recordings(run: &Run) -> Vec<Recording> {
    let mut world = World::new(run.layout.clone(), run.seed, None);
    world.record();
    // What is left of the world after a panic is only asked for what was recorded before it.
    let _ = std::panic::catch_unwind(AssertUnwindSafe(|| live(&mut world, run)));
    world.recordings()
}

fn live(world: &mut World, run: &Run) {
    for step in &run.steps {
        world.act(&step.act);
        world.run(step.then);
    }
    conclude(world, run, None);
}

/// What follows the steps of a run: all heals and must come to rest, and what is only known at the end is judged. With
/// `quiet`, all that has been well for that long, while nothing happened but keepalives and looks at what runs, is
/// believed to stay so.
pub fn conclude(world: &mut World, run: &Run, quiet: Option<Duration>) {
    world.site.list.clone_from(&run.list);
    if let Err(pending) = heal(world, &run.lost, quiet)
        && !beyond_help(world, run)
    {
        let at = world.site.now;
        let text = format!("not healed within {HEALED_WITHIN:?}: {pending}");
        world.complaints.push(Complaint { at, checker: "liveness", text });
    }
    world.close();
}

/// More than two can be beyond help: the voters of the newest epoch that are left, and remember it, are no majority, and
/// nobody may decide for those that are lost or forgot (by losing their state, by an older copy of it, or with a program
/// that cannot read it).
fn beyond_help(world: &World, run: &Run) -> bool {
    let machines = &world.site.machines;
    let records = || machines.iter().filter_map(|machine| machine.controller.as_ref()?.record());
    if world.site.is_pair() {
        return false;
    }
    let forgets = world.site.excuse.forgot;
    let Some(newest) = records().max_by_key(|record| record.epoch.number) else { return forgets };
    let remembers = |node: &usize| {
        let record = machines[*node].controller.as_ref().and_then(|controller| controller.record());
        !run.lost.contains(node) && (!forgets || record.is_some_and(|record| record.epoch == newest.epoch))
    };
    let voters = newest.voters.iter().filter_map(|voter| world.site.layout.node(voter.name.as_str()));
    voters.filter(remembers).count() * 2 <= newest.voters.len()
}

/// When something other than the beat of keepalives happens while the steps of a run are played, since its beginning.
pub fn moments(run: &Run) -> Vec<Duration> {
    let mut world = World::new(run.layout.clone(), run.seed, None);
    let began = world.site.now;
    world.moments = Some(Vec::new());
    for step in &run.steps {
        world.act(&step.act);
        world.run(step.then);
    }
    world.moments.unwrap_or_default().into_iter().map(|at| at.since(began)).collect()
}

/// Everything heals; a person starts what does not run and clears failures. Then it must come to rest. The error is the
/// obligation that is still open.
fn heal(world: &mut World, lost: &[usize], quiet: Option<Duration>) -> Result<(), String> {
    repair(world, lost);
    let end = world.site.now + HEALED_WITHIN;
    let (mut round, mut well_since) = (0, None);
    while world.site.now < end {
        world.run(ms(100));
        round += 1;
        for node in world.site.all().into_iter().filter(|node| !lost.contains(node)) {
            // An orderly stop that was ordered before ends now.
            if world.site.machines[node].halted {
                world.start(node);
            }
        }
        if round % 10 == 3 {
            lists::see_to(world, round / 10);
        }
        if pending(&world.site).is_none() {
            let since = *well_since.get_or_insert(world.site.now);
            let (held, still) = (world.site.now.since(since), world.site.now.since(world.stirred_at));
            if held >= HOLDS_FOR || quiet.is_some_and(|quiet| held.min(still) >= quiet) {
                return Ok(());
            }
            continue;
        }
        well_since = None;
        if round % 10 == 5 {
            end_what_nobody_knows(world);
        }
        if round % 10 == 7 {
            say_who_is_off(world, lost, round / 10);
        }
        let node = round / 10 % world.site.machines.len();
        if round % 10 == 0 {
            world.site.cleared_at = Some(world.site.now);
            world.request(node, hearth_control::Request::Clear { resource: None });
        }
        if round % 40 == 0 {
            // Its files may be newer than the record that it found; status says so, and a person reads it.
            let variant = world.site.machines[node].variant;
            world.reload(node, variant);
        }
    }
    Err(pending(&world.site).unwrap_or_else(|| "it was well only for a moment".to_owned()))
}

/// What is still to be done; a disk that hung ends what it has begun in its own time.
fn pending(site: &Site) -> Option<String> {
    let writes = || site.nodes().find(|node| site.machines[*node].disk.writing);
    check::unwell(site).or_else(|| writes().map(|node| format!("a write of {} is under way", site.name(node))))
}

/// A person who stands before machines that are off says so where fence devices are waited for: on one node after the
/// other, every second.
fn say_who_is_off(world: &mut World, lost: &[usize], turn: usize) {
    let machines = &world.site.machines;
    let on = turn % machines.len();
    let off = |node: &&usize| !machines[**node].powered && machines[**node].switching == 0;
    let off: Vec<usize> = lost.iter().filter(off).copied().collect();
    for node in off {
        if world.site.layout.stonith && world.site.machines[on].awake() {
            world.act(&Act::ConfirmOff(on, node));
        }
    }
}

/// A person ends by hand what was started by hand, or what an agent denied: no node has it on record where it runs.
fn end_what_nobody_knows(world: &mut World) {
    let now = world.site.now;
    let site = &mut world.site;
    for resource in site.excuse.resources.clone() {
        let wants = |name: &NodeName| {
            let records = site.machines.iter().filter_map(|machine| machine.controller.as_ref()?.record());
            records.into_iter().any(|record| record.flag(&resource, name).is_some())
        };
        let unknown: Vec<usize> = site.nodes().filter(|node| !wants(&site.layout.names[*node])).collect();
        for node in unknown {
            site.machines[node].kernel.remove(now, &resource);
        }
    }
}

fn repair(world: &mut World, lost: &[usize]) {
    world.tell("everything heals");
    world.act(&Act::Heal);
    let variant = world.site.machines.iter().map(|machine| machine.variant).max().unwrap_or(0);
    for node in world.site.nodes() {
        let machine = &mut world.site.machines[node];
        machine.disk.mode = DiskMode::Fast;
        machine.agents.trouble = 0;
        machine.agents.flaws.clear();
        machine.pingable = true;
        machine.switch = SwitchMode::Works;
        machine.slot.path = PathMode::Works;
        let wrong_key = std::mem::take(&mut machine.wrong_key);
        for link in 0..world.site.layout.links.len() {
            world.act(&Act::Plug { node, link });
        }
        world.act(&Act::Clone(node, false));
        world.act(&Act::Resume(node));
        world.act(&Act::Thaw(node));
        world.act(&Act::Package(node, NEWEST_VERSION));
        let is_old = world.site.machines[node].config.cluster.wire_version < NEWEST_VERSION;
        if world.site.machines[node].disk.failed || is_old || wrong_key {
            world.act(&Act::Kill(node));
        }
        if world.site.machines[node].variant != variant {
            world.act(&Act::Reload(node, variant));
        }
        if lost.contains(&node) {
            world.act(&Act::PowerOff(node));
        } else if world.site.machines[node].controller.is_none() {
            world.act(&Act::Start(node));
        }
    }
}
