//! The scenes: what befalls the owner, what must come of it, and what was measured.

use super::event::{Event, What};
use super::files::{DEADTIME_S, INITDEAD_S, PILL_S, SELF_FENCE_S, Setup, WATCHDOG_S};
use super::kit::Kit;
use super::outcome::{LATE, LIMIT, Row, fenced, find, order, proven, reset, unasked, unharmed, untouched};
use super::stage::Stage;
use anyhow::{Context, bail, ensure};
use std::time::{Duration, Instant};

/// Power switches while the scene plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switch {
    Works,
    Broken,
}

/// One scene.
struct Scene {
    name: &'static str,
    setup: Setup,
    switch: Switch,
    /// Part of the short form.
    short: bool,
    /// Shows what must not be: afterwards the file system is not looked at.
    spoils: bool,
    play: fn(&mut Stage, &mut Row) -> anyhow::Result<()>,
}

const fn scene(
    name: &'static str,
    setup: Setup,
    switch: Switch,
    play: fn(&mut Stage, &mut Row) -> anyhow::Result<()>,
) -> Scene {
    Scene { name, setup, switch, short: false, spoils: false, play }
}

const SCENES: &[Scene] = &[
    Scene { short: true, ..scene("power cut", Setup::USUAL, Switch::Works, power_cut) },
    Scene { short: true, ..scene("kernel crashed", Setup::USUAL, Switch::Broken, kernel_crashed) },
    scene("daemon killed", Setup::USUAL, Switch::Broken, daemon_killed),
    scene("daemon stopped", Setup::USUAL, Switch::Broken, daemon_stopped),
    scene("daemon replaced", Setup::USUAL, Switch::Broken, daemon_replaced),
    scene("orderly stop", Setup::USUAL, Switch::Broken, orderly_stop),
    scene("all frozen", Setup::USUAL, Switch::Broken, all_frozen),
    scene("processor frozen", Setup::USUAL, Switch::Broken, processor_frozen),
    scene("paused", Setup::USUAL, Switch::Works, paused),
    scene("paused, resumed", Setup::USUAL, Switch::Broken, paused_and_resumed),
    scene("networks cut", Setup::USUAL, Switch::Works, networks_cut),
    scene("cable pulled", Setup::USUAL, Switch::Works, cable_pulled),
    scene("all pulled", Setup::USUAL, Switch::Works, all_pulled),
    scene("serial only", Setup::SERIAL, Switch::Works, serial_only),
    scene("power cut, witness", Setup::WITNESSED, Switch::Broken, power_cut_beside_a_witness),
    scene("crashed, witness", Setup::WITNESSED, Switch::Broken, crashed_beside_a_witness),
    scene("muted, witness", Setup::WITNESSED, Switch::Broken, muted_beside_a_witness),
    scene("muted, itself", Setup::SELF_FENCED, Switch::Broken, muted_and_stops),
    scene("hangs, itself", Setup::SELF_FENCED, Switch::Broken, muted_and_hangs),
    scene("split, pill", Setup::PILL, Switch::Broken, split_beside_a_pill),
    scene("crashed, pill", Setup::PILL, Switch::Broken, crashed_beside_a_pill),
    scene("power cut, pill", Setup::PILL, Switch::Broken, power_cut_beside_a_pill),
    scene("frozen, unfenced", Setup::UNFENCED, Switch::Broken, all_frozen),
    Scene { spoils: true, ..scene("resumed, hangs", Setup::UNFENCED, Switch::Broken, resumed_and_hangs) },
    Scene { spoils: true, ..scene("paused, unfenced", Setup::UNFENCED, Switch::Broken, paused_without_fencing) },
];

/// Plays them; whether all went well. Scenes of one setup share a stage.
pub fn play(kit: &Kit, wanted: &[String]) -> anyhow::Result<bool> {
    let is_wanted = |scene: &&Scene| match wanted {
        [] => true,
        [short] if short == "short" => scene.short,
        names => names.iter().any(|name| scene.name.contains(name.as_str())),
    };
    let scenes: Vec<&Scene> = SCENES.iter().filter(is_wanted).collect();
    ensure!(!scenes.is_empty(), "no scene is called so; there are: {}", list());
    let (mut table, mut well, mut stage) = (Vec::new(), true, None::<(Stage, Setup)>);
    for scene in scenes {
        if stage.as_ref().is_some_and(|(_, setup)| *setup != scene.setup) {
            well &= close(stage.take(), &mut table);
        }
        let (mut on, setup) = match stage.take() {
            Some(stage) => stage,
            None => (Stage::new(kit, &scene.setup)?, scene.setup),
        };
        let from = Instant::now();
        match scene_on(scene, &mut on) {
            Ok(line) => {
                if std::env::var_os("HEARTH_VM_STORY").is_some() {
                    println!("{}", on.story(from));
                }
                table.push(line);
                stage = (!scene.spoils).then_some((on, setup));
            }
            Err(error) => {
                eprintln!("{}: {error:#}\n{}", scene.name, on.story(from));
                table.push(format!("{:<16} FAILED: {error:#}", scene.name));
                well = false;
            }
        }
    }
    well &= close(stage.take(), &mut table);
    println!(
        "\n{:<16} {:<8} {:>8} {:>9} {:>16} {:>9} {:>11} {:>7}",
        "scene", "switch", "reset", "fenced", "mounted again", "gap", "two mounts", "lines"
    );
    println!("{}", table.join("\n"));
    Ok(well)
}

fn list() -> String {
    SCENES.iter().map(|scene| scene.name).collect::<Vec<_>>().join(", ")
}

fn close(stage: Option<(Stage, Setup)>, table: &mut Vec<String>) -> bool {
    let Some((mut stage, _)) = stage else { return true };
    match stage.close() {
        Ok(lines) => {
            table.push(format!("{:<16} the file system is whole, its {lines} lines are in order", "in the end"));
            true
        }
        Err(error) => {
            table.push(format!("{:<16} FAILED: {error:#}", "in the end"));
            false
        }
    }
}

fn scene_on(scene: &Scene, stage: &mut Stage) -> anyhow::Result<String> {
    println!("--- {}", scene.name);
    stage.break_switches(false);
    let owner = stage.whole(&scene.setup).context("before anything happens")?;
    stage.break_switches(scene.switch == Switch::Broken);
    let mut row = Row { at: Instant::now(), owner, reset: None, off: None, mounted: None };
    (scene.play)(stage, &mut row)?;
    if !scene.spoils {
        stage.judge.verdict(row.at)?;
        stage.break_switches(false);
        stage.whole(&scene.setup).context("afterwards")?;
        stage.judge.verdict(row.at)?;
    }
    let seconds = |span: Option<Duration>| span.map_or("-".into(), |span| format!("{:.1} s", span.as_secs_f64()));
    let mounted = row.mounted.map_or("-".into(), |(who, span)| {
        format!("{} on {}", seconds(Some(span)), if who == row.owner { "the same" } else { "the other" })
    });
    Ok(format!(
        "{:<16} {:<8} {:>8} {:>9} {:>16} {:>9} {:>8} ms {:>7}",
        scene.name,
        match scene.switch {
            _ if scene.setup.pill => "a pill",
            _ if !scene.setup.stonith => "none",
            Switch::Works => "works",
            Switch::Broken => "broken",
        },
        seconds(row.reset),
        seconds(row.off),
        mounted,
        seconds(Some(stage.judge.gap(row.at))),
        stage.judge.two_mounts(row.at, Instant::now()).as_millis(),
        stage.judge.written(row.at),
    ))
}

// --- scenes ----------------------------------------------------------------------------------------------------------

/// The owner loses its power: it is fenced all the same, since nobody knows, and then the other one has what it had.
fn power_cut(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    stage.machines[row.owner].power_off();
    fenced(stage, row)
}

/// R-LEASE-6, R-LEASE-7: a kernel that does nothing any more is reset by the hardware.
fn kernel_crashed(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    stage.machines[row.owner].tell("echo c >/proc/sysrq-trigger")?;
    reset(stage, row)
}

fn daemon_killed(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    order(stage, row, "kill -9 $(pidof hearthd)")?;
    reset(stage, row)
}

fn daemon_stopped(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    order(stage, row, "kill -STOP $(pidof hearthd)")?;
    reset(stage, row)
}

/// R-LEASE-7: the next daemon goes on with the armed watchdog, and what runs is not touched.
fn daemon_replaced(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    order(stage, row, "kill -9 $(pidof hearthd); hearthd </dev/null >/dev/null 2>&1 &")?;
    stage.watch(Duration::from_secs(WATCHDOG_S) + LATE)?;
    untouched(stage, row)?;
    let gap = stage.judge.gap(row.at);
    ensure!(gap < Duration::from_secs(DEADTIME_S), "nobody wrote for {gap:?}");
    Ok(())
}

/// R-LEAVE-1, R-LEASE-7: everything moves, the watchdog is closed, and a machine without Hearth is not reset.
fn orderly_stop(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    let (owner, other) = (row.owner, 1 - row.owner);
    order(stage, row, "kill $(pidof hearthd)")?;
    let at = row.at;
    let (_, mounted) = stage.until("the other one mounts it", LIMIT, |judge, _| judge.mounted(Some(other), at))?;
    stage.until("and writes", LIMIT, |judge, _| judge.has_written(other, mounted).then_some(()))?;
    row.mounted = Some((other, mounted - at));
    stage.watch(Duration::from_secs(WATCHDOG_S) + LATE)?;
    unharmed(stage, row)?;
    unasked(stage, row)?;
    let (code, said) = stage.machines[owner].order("hearthd </dev/null >/dev/null 2>&1 &", LIMIT)?;
    ensure!(code == 0, "hearthd is not started again: {code} {said}");
    Ok(())
}

/// Every process but the first one, which belongs to the lab.
fn all_frozen(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    order(stage, row, "freeze everything")?;
    reset(stage, row)
}

/// The machine without its processor: what is hardware counts on.
fn processor_frozen(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    let (at, owner) = (row.at, row.owner);
    let frozen = stage.machines[owner].freeze_processor()?;
    stage.until("the watchdog fires while the processor stands still", LIMIT, |_, seen| {
        find(seen, at, |event| event.who == owner && event.what == What::Watchdog).map(drop)
    })?;
    // QEMU resets nothing without it.
    drop(frozen);
    reset(stage, row)
}

/// A hypervisor that stops its guest stops its watchdog too: only a switch helps.
fn paused(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    stage.machines[row.owner].pause(true)?;
    fenced(stage, row)
}

/// With a switch that fails nothing moves, and the guest goes on where it was.
fn paused_and_resumed(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    let (at, owner, other) = (row.at, row.owner, 1 - row.owner);
    stage.machines[owner].pause(true)?;
    stage.until("the other one tries the switch twice", LIMIT, |_, seen| {
        let tries = seen.iter().filter(|event| event.at > at && event.who == other);
        (tries.filter(|event| matches!(&event.what, What::Asked(action, _) if action == "reboot")).count() > 1)
            .then_some(())
    })?;
    stage.machines[owner].pause(false)?;
    let resumed = Instant::now();
    stage.until("it goes on", LIMIT, |judge, _| judge.has_written(owner, resumed).then_some(()))?;
    stage.watch(Duration::from_secs(2 * DEADTIME_S))?;
    untouched(stage, row)
}

/// Frames are lost, carriers stay: the serial line is enough.
fn networks_cut(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    stage.wires.cut_network(true);
    let looked = stage.status(row.owner, "the network is dead and the serial line is not", LIMIT, |status| {
        let nodes = status["nodes"].as_array()?;
        let links = nodes.iter().find(|node| node["local"] == false)?["links"].as_array()?;
        let is = |name: &str, state: &str| {
            links.iter().any(|link| link["name"].as_str().is_some_and(|it| it.contains(name)) && link["state"] == state)
        };
        (is("eth0", "dead") && is("ttyS1", "up")).then_some(())
    });
    let watched = looked.and_then(|()| stage.watch(Duration::from_secs(2 * DEADTIME_S)));
    stage.wires.cut_network(false);
    watched?;
    untouched(stage, row)?;
    let gap = stage.judge.gap(row.at);
    ensure!(gap < Duration::from_secs(DEADTIME_S), "nobody wrote for {gap:?}");
    unasked(stage, row)
}

/// R-MEM-7: the owner's only cable; the serial line carries the agreement to move, and nobody is fenced for it.
fn cable_pulled(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    let (at, owner, other) = (row.at, row.owner, 1 - row.owner);
    stage.machines[owner].carrier(false)?;
    let moved = stage.until("the other one mounts it", LIMIT, |judge, _| judge.mounted(Some(other), at));
    let moved = moved.and_then(|(_, mounted)| {
        row.mounted = Some((other, mounted - at));
        stage.until("and writes", LIMIT, |judge, _| judge.has_written(other, mounted).then_some(()))
    });
    stage.machines[owner].carrier(true)?;
    moved?;
    unharmed(stage, row)
}

/// R-MEM-7: without any carrier the address is withdrawn, and what is no address stays where it is: of a pair with switches
/// only a fence moves it, and nobody fences while the serial line carries.
fn all_pulled(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    let (owner, other) = (row.owner, 1 - row.owner);
    // First the other one's, so that the owner finds nobody who could serve.
    stage.machines[other].carrier(false)?;
    let alone = stage.status(owner, "the other one cannot serve", LIMIT, |status| {
        let nodes = status["nodes"].as_array()?;
        let there = nodes.iter().find(|node| node["local"] == false)?["unservable"].as_array()?;
        (!there.is_empty()).then_some(())
    });
    stage.machines[owner].carrier(false)?;
    let withdrawn = alone.and_then(|()| {
        stage.status(owner, "its address is not served", LIMIT, |status| {
            status["resources"].as_array()?.iter().any(|resource| resource["state"] != "started").then_some(())
        })
    });
    let watched = withdrawn.and_then(|()| stage.watch(Duration::from_secs(2 * DEADTIME_S + WATCHDOG_S)));
    for machine in &stage.machines {
        machine.carrier(true)?;
    }
    watched?;
    untouched(stage, row)?;
    unasked(stage, row)
}

/// A pair without a network. Its watchdog could never be closed, so Hearth says so and leaves it alone (R-LEASE-7).
fn serial_only(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    for who in 0..Setup::SERIAL.guests() {
        stage.status(who, "its watchdog is refused", LIMIT, |status| {
            let notes = status["notes"].as_array()?;
            notes.iter().any(|note| note.as_str().is_some_and(|note| note.contains("nowayout"))).then_some(())
        })?;
    }
    power_cut(stage, row)
}

/// R-TAKE-2: nobody can say that the owner is off; its watchdog must have reset it by then.
fn power_cut_beside_a_witness(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    stage.machines[row.owner].power_off();
    proven(stage, row)?;
    stage.machines[row.owner].power_on()
}

/// R-TAKE-2: and it has. The machine does not come back from its reset, so that nothing but the proof moves anything.
fn crashed_beside_a_witness(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    let (at, owner) = (row.at, row.owner);
    stage.machines[owner].tell("echo c >/proc/sysrq-trigger")?;
    let reset = stage.until("the watchdog resets the owner", LIMIT, |_, seen| {
        find(seen, at, |event| event.who == owner && event.what == What::Reset).map(|event| event.at)
    })?;
    row.reset = Some(reset - at);
    stage.machines[owner].power_off();
    proven(stage, row)?;
    ensure!(row.mounted.is_some_and(|(_, mounted)| at + mounted > reset), "it was mounted before the reset");
    stage.machines[owner].power_on()
}

/// R-MEM-3, R-LEASE-6: it hears everybody and nobody hears it. It stops in time, is not reset, and the others know no better
/// than to wait for its watchdog.
fn muted_beside_a_witness(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    stage.wires.mute(row.owner, true);
    let moved = proven(stage, row);
    stage.wires.mute(row.owner, false);
    moved?;
    unharmed(stage, row)
}

/// R-LEASE-6: who has no watchdog and stops in time is not reset, and its file system waits for its own word.
fn muted_and_stops(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    let (at, owner) = (row.at, row.owner);
    stage.wires.mute(owner, true);
    let stopped = stage.until("the owner gives it up", LIMIT, |_, seen| {
        find(seen, at, |event| event.who == owner && event.what == What::Unmounted).map(drop)
    });
    let watched = stopped.and_then(|()| stage.watch(Duration::from_secs(SELF_FENCE_S) + LATE));
    let early = stage.judge.mounted(None, at);
    stage.wires.mute(owner, false);
    watched?;
    ensure!(early.is_none(), "it was mounted again although nobody had said that it is free");
    mounted_again(stage, row, at)?;
    unharmed(stage, row)
}

/// R-LEASE-6, R-TAKE-2: it resets itself when its time is over. That proves nothing to the others: what it ran moves when it
/// has come back and has said that it runs nothing.
fn muted_and_hangs(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    order(stage, row, "touch /run/hangs")?;
    let (at, owner) = (row.at, row.owner);
    stage.wires.mute(owner, true);
    let reset = stage.until("the owner resets itself", LIMIT, |_, seen| {
        find(seen, at, |event| event.who == owner && event.what == What::Reset).map(|event| event.at)
    });
    stage.wires.mute(owner, false);
    let reset = reset?;
    row.reset = Some(reset - at);
    let least = Duration::from_secs(DEADTIME_S) * 4 / 5 - Duration::from_secs(1) + Duration::from_secs(SELF_FENCE_S);
    ensure!(reset - at >= least, "it was reset after {:?}, when it had time left", reset - at);
    let most = Duration::from_secs(DEADTIME_S + SELF_FENCE_S) + LATE;
    ensure!(reset - at <= most, "it was reset after {:?}", reset - at);
    let up = stage.until("it boots", LIMIT, |_, seen| {
        find(seen, reset, |event| event.who == owner && event.what == What::Up).map(|event| event.at)
    })?;
    let mounted = mounted_again(stage, row, at)?;
    ensure!(mounted > up, "it was mounted before its machine had come back");
    // Nothing was synced but this.
    let replay = "for part in /var/lib/hearth/recording/*.rec; do hearth replay $part; done 2>&1";
    let (_, told) = stage.machines[owner].order(replay, LIMIT)?;
    ensure!(told.contains("this machine resets itself."), "its recording does not say why it was reset: {told}");
    Ok(())
}

fn mounted_again(stage: &mut Stage, row: &mut Row, at: Instant) -> anyhow::Result<Instant> {
    let (who, mounted) = stage.until("one of them mounts it", LIMIT, |judge, _| judge.mounted(None, at))?;
    stage.until("and writes", LIMIT, |judge, _| judge.has_written(who, mounted).then_some(()))?;
    row.mounted = Some((who, mounted - at));
    Ok(mounted)
}

/// R-PAIR-1, R-PAIR-2: nothing is heard any more and the disk is left. One of the two finds a pill, gives up what it holds and
/// is reset; the other one has all of it, and goes on having it when the first has booted and still hears nobody (R-PAIR-3).
fn split_beside_a_pill(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    stage.wires.cut_network(true);
    let played = one_ends_itself(stage, row);
    stage.wires.cut_network(false);
    played
}

fn one_ends_itself(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    let at = row.at;
    let is_reset = |event: &Event| event.what == What::Reset;
    let (loser, reset) = stage.until("a watchdog resets one of them", LIMIT, |_, seen| {
        find(seen, at, is_reset).map(|event| (event.who, event.at))
    })?;
    row.reset = Some(reset - at);
    let winner = 1 - loser;
    if loser == row.owner {
        let (_, mounted) = stage.until("the other one mounts it", LIMIT, |judge, _| judge.mounted(Some(winner), at))?;
        row.mounted = Some((winner, mounted - at));
    }
    stage.until("the other one writes", LIMIT, |judge, _| judge.has_written(winner, reset).then_some(()))?;
    let booted = stage.until("the first one boots", LIMIT, |_, seen| {
        find(seen, reset, |event| event.who == loser && event.what == What::Up).map(|event| event.at)
    })?;
    stage.watch(Duration::from_secs(INITDEAD_S + 2 * DEADTIME_S))?;
    ensure!(
        find(stage.seen(), booted, is_reset).is_none(),
        "the one that had booted ended the other one, or was ended"
    );
    ensure!(stage.judge.owner() == Some(winner), "the other one lost it");
    Ok(())
}

/// R-LEASE-7, R-TAKE-1: its watchdog resets it; that it has booted since, or that the pill is old enough, proves it.
fn crashed_beside_a_pill(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    stage.machines[row.owner].tell("echo c >/proc/sysrq-trigger")?;
    reset(stage, row)
}

/// R-TAKE-1: nobody can say that the owner is off; the times that it stated on the disk prove it.
fn power_cut_beside_a_pill(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    row.at = Instant::now();
    let (at, other) = (row.at, 1 - row.owner);
    stage.machines[row.owner].power_off();
    let (_, mounted) = stage.until("the other one mounts it", LIMIT, |judge, _| judge.mounted(Some(other), at))?;
    row.mounted = Some((other, mounted - at));
    stage.until("the other one writes", LIMIT, |judge, _| judge.has_written(other, mounted).then_some(()))?;
    let least = Duration::from_secs(DEADTIME_S + WATCHDOG_S);
    ensure!(mounted - at >= least, "it was mounted after {:?}, when nothing was proven", mounted - at);
    // The turn of the one that has nothing comes second (R-PAIR-2).
    let most = Duration::from_secs(2 * DEADTIME_S + 2 * PILL_S) + 2 * LATE;
    ensure!(mounted - at <= most, "it took {:?}", mounted - at);
    stage.machines[row.owner].power_on()
}

/// What only a switch covers, without one: two owners, and the judge sees it. Hearth says so afterwards, and for how long.
fn paused_without_fencing(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    two_owners(stage, row)?;
    stage.until("one of them gives way", LIMIT, |judge, _| judge.owner().map(drop))?;
    let two = stage.judge.two_mounts(row.at, Instant::now());
    ensure!(two > Duration::ZERO && stage.judge.verdict(row.at).is_err(), "two owners, and the judge saw nothing");
    let told = [row.owner, 1 - row.owner].map(|who| stage.told(who, "two-owners-possible"));
    let [Ok(mut told), Ok(more)] = told else { bail!("a daemon does not tell its timeline: {told:?}") };
    told.extend(more);
    ensure!(!told.is_empty(), "two owners, and neither tells of it");
    println!("two had it mounted for {two:.1?}; told is: {}", told.join(" / "));
    Ok(())
}

/// R-LEASE-6: who has lost its right and cannot stop what it runs is reset. Stopping may take a minute by the files: that
/// is too long.
fn resumed_and_hangs(stage: &mut Stage, row: &mut Row) -> anyhow::Result<()> {
    order(stage, row, "touch /run/hangs")?;
    let resumed = two_owners(stage, row)?;
    let owner = row.owner;
    let reset = stage.until("the watchdog resets the one that cannot stop", LIMIT, |_, seen| {
        find(seen, resumed, |event| event.who == owner && event.what == What::Reset).map(|event| event.at)
    })?;
    row.reset = Some(reset - resumed);
    let most = Duration::from_secs(WATCHDOG_S) + LATE;
    ensure!(reset - resumed <= most, "it was reset {:?} after it went on", reset - resumed);
    ensure!(stage.judge.owner() == Some(1 - owner), "the other one lost it");
    Ok(())
}

/// The hypervisor stops the owner, the other one takes over, the owner goes on: when that is.
fn two_owners(stage: &mut Stage, row: &mut Row) -> anyhow::Result<Instant> {
    row.at = Instant::now();
    let (at, owner, other) = (row.at, row.owner, 1 - row.owner);
    stage.machines[owner].pause(true)?;
    let (_, mounted) = stage.until("the other one mounts it", LIMIT, |judge, _| judge.mounted(Some(other), at))?;
    stage.until("and writes", LIMIT, |judge, _| judge.has_written(other, mounted).then_some(()))?;
    row.mounted = Some((other, mounted - at));
    let resumed = Instant::now();
    stage.machines[owner].pause(false)?;
    Ok(resumed)
}
