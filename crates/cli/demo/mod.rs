//! `hearth demo`: a real cluster of two on this machine, what happens to it, and what a client feels.
//!
//! The machines are namespaces (`hearth-lab`); the daemons are the real ones.  Nothing outside of them is touched, and
//! everything is gone when this program ends, however it ends.

mod scenes;
mod stage;
mod stay;

use crate::page::{Look, Page, Tone, write_out};
use crate::trouble::{Exit, Trouble};
use clap::Args;
use scenes::{Outcome, SCENES};
use stage::Stage;

#[derive(Debug, Default, Args)]
pub(crate) struct DemoOptions {
    /// Leave the cluster up after the last scene, to play with, until ctrl-C
    #[arg(long)]
    pub(crate) stay: bool,
}

/// Plays all scenes. Exits with 1 when one of them failed.
pub(crate) fn run(options: &DemoOptions, look: &Look) -> Result<Exit, Trouble> {
    let failed = |error: anyhow::Error| {
        let mut lines = format!("{error:#}");
        let rest = lines.find('\n').map(|at| lines.split_off(at)).unwrap_or_default();
        rest.lines().filter(|line| !line.is_empty()).fold(Trouble::new(Exit::Error, lines), Trouble::help)
    };
    hearth_lab::as_root_of_own_namespace().map_err(failed)?;
    write_out(&opening(look))?;
    let mut stage = Stage::new().map_err(failed)?;
    let mut outcomes = Vec::new();
    for (number, scene) in SCENES.iter().enumerate() {
        let mut page = Page::new(look);
        page.line(Tone::Head, &format!("{:2}  {}", number + 1, scene.title));
        write_out(page.text())?;
        let outcome = stage.play(scene);
        write_out(&told(&outcome, look))?;
        let over = outcome.broken;
        outcomes.push(outcome);
        if over {
            break;
        }
    }
    write_out(&closing(&outcomes, look))?;
    let good = outcomes.len() == SCENES.len() && outcomes.iter().all(|outcome| outcome.trouble.is_none());
    if options.stay {
        stay::stay(&stage, look).map_err(failed)?;
    }
    Ok(if good { Exit::Done } else { Exit::False })
}

fn opening(look: &Look) -> String {
    let mut page = Page::new(look);
    page.line(
        Tone::Head,
        "Two machines, alder and birch, keep one small web service reachable, whatever happens to them.",
    );
    for line in [
        "",
        "    client ----+------------+--------------  service network    10.77.0.0/24  (eth0)",
        "               |            |",
        "             alder        birch              the service is at  10.77.0.50, on one of them",
        "               |            |",
        "               +------------+--------------  heartbeat network  10.78.0.0/24  (eth1)",
        "",
        "They are network namespaces on this machine and run the real hearthd. A heartbeat goes out every 50 ms; who is",
        "silent for 500 ms (deadtime) is dead. The client asks every 2 ms, and what it feels is the longest time it had to",
        "wait for an answer. An observer asks each machine by itself: two that answer at once would be two owners.",
        "",
    ] {
        page.put(line).end();
    }
    page.text().to_owned()
}

fn told(outcome: &Outcome, look: &Look) -> String {
    let mut page = Page::new(look);
    match &outcome.trouble {
        None => {
            page.put("      client   ").tone(Tone::Good, &format!("waited {}", outcome.waited()));
            page.put(&format!(" ({})", outcome.allowed())).end();
        }
        Some(trouble) => {
            page.put("      FAILED   ").tone(Tone::Bad, trouble).end();
        }
    }
    page.put(&format!("      owner    {}", outcome.owners())).end();
    if let Some(why) = &outcome.why {
        page.put("      why      ").tone(Tone::Dim, why).end();
    }
    if let Some(after) = &outcome.after {
        page.put(&format!("      then     {after}")).end();
    }
    page.text().to_owned() + "\n"
}

fn closing(outcomes: &[Outcome], look: &Look) -> String {
    let mut page = Page::new(look);
    page.line(Tone::Head, "What the client felt");
    page.put("").end();
    let row = |cells: [&str; 6]| {
        format!("  {:52} {:>10} {:>10} {:>10}  {:16} {}", cells[0], cells[1], cells[2], cells[3], cells[4], cells[5])
            .trim_end()
            .to_owned()
    };
    page.line(Tone::Dim, &row(["scene", "waited ms", "allowed ms", "two owners", "owner", ""]));
    for outcome in outcomes {
        let (gap, allowed) = (format!("{:.1}", outcome.gap_ms), format!("{:.0}", outcome.allowed_ms));
        let two = format!("{:.0}", outcome.two_ms);
        let verdict = match (&outcome.trouble, &outcome.unsure) {
            (Some(_), _) => "FAILED",
            (None, Some(_)) => "cannot judge",
            (None, None) => "ok",
        };
        page.put(&row([outcome.title, &gap, &allowed, &two, &outcome.path, verdict])).end();
    }
    page.put("").end();
    let failed = outcomes.iter().filter(|outcome| outcome.trouble.is_some()).count();
    let unplayed = SCENES.len() - outcomes.len();
    match (failed, unplayed) {
        (0, 0) => page.line(Tone::Good, &format!("All {} scenes went as they should.", outcomes.len())),
        (failed, 0) => page.line(Tone::Bad, &format!("{failed} of {} scenes failed.", outcomes.len())),
        (failed, unplayed) => {
            page.line(Tone::Bad, &format!("{failed} scenes failed, and {unplayed} could not be played after that."))
        }
    };
    for line in [
        "allowed: 100 ms to stop the service on one machine and start it on the other; deadtime (500 ms) before that where",
        "the owner cannot be asked; 10 ms where nothing may be felt. docs/decisions/0012 tells how it is measured.",
    ] {
        page.put(line).end();
    }
    page.text().to_owned()
}
