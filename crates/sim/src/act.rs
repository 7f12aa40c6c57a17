//! What can befall a cluster, as words: swarm, scenario files, shrunk failures and regressions all speak this language.

use crate::agent::Flaw;
use crate::disk::DiskMode;
use crate::layout::{Layout, SIDES};
use crate::shared::PathMode;
use std::fmt;
use std::time::Duration;

/// One thing that somebody or something does to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Power on if it is off, then the daemon starts.
    Start(usize),
    /// kill -9 of the daemon; what it started runs on.
    Kill(usize),
    /// The plug is pulled.
    PowerOff(usize),
    /// Somebody turns the machine off and on again by its power switch.
    PowerCycle(usize),
    /// How a power strip of a machine is from now on, the left (0) or the right one.
    Supply(usize, usize, SwitchMode),
    /// How the power switch of a machine is from now on.
    Switch(usize, SwitchMode),
    /// All processes stop; the kernel goes on.
    Freeze(usize),
    /// They go on.
    Thaw(usize),
    /// The hypervisor stops the whole guest, its clocks included.
    Pause(usize),
    /// The guest goes on.
    Resume(usize),
    /// A silent cut of one direction of one link.
    Cut {
        /// Sender.
        from: usize,
        /// Receiver.
        to: usize,
        /// Which link.
        link: usize,
    },
    /// All links between two sides are cut silently.
    Split(Vec<usize>),
    /// All cuts are mended, all links are good.
    Heal,
    /// A cable is pulled: no carrier.
    Pull {
        /// Which machine.
        node: usize,
        /// Which link.
        link: usize,
    },
    /// It is put back.
    Plug {
        /// Which machine.
        node: usize,
        /// Which link.
        link: usize,
    },
    /// So many packets in a thousand are lost on a link.
    Loss {
        /// Which link.
        link: usize,
        /// So many in a thousand.
        permille: u64,
    },
    /// Packets of a link come late.
    Delay {
        /// Which link.
        link: usize,
        /// By how much.
        span: Duration,
    },
    /// So many in a thousand arrive twice, damaged, out of order.
    Disorder {
        /// Which link.
        link: usize,
        /// So many in a thousand.
        permille: u64,
    },
    /// An eavesdropper repeats old packets: so many for a thousand sent.
    Replay(u64),
    /// How a disk is.
    Disk(usize, DiskMode),
    /// How a machine's path to the shared disk is.
    Path(usize, PathMode),
    /// State file and log are gone when the daemon starts next.
    LoseState(usize),
    /// Somebody saves the disk ...
    Backup(usize),
    /// ... and puts that back; the daemon is killed for it.
    Restore(usize),
    /// Agents of a machine fail so often in a thousand.
    Trouble(usize, u64),
    /// One agent of a machine is broken in a certain way; none: it is well.
    Agent {
        /// Which machine.
        node: usize,
        /// Its name.
        resource: String,
        /// What is wrong; none: nothing.
        flaw: Option<Flaw>,
    },
    /// A resource dies by itself.
    Dies {
        /// Which machine.
        node: usize,
        /// Its name.
        resource: String,
    },
    /// Somebody starts a resource by hand.
    ByHand {
        /// Which machine.
        node: usize,
        /// Its name.
        resource: String,
    },
    /// Whether a machine reaches the ping target.
    Ping(usize, bool),
    /// Wall time of a machine jumps by so many seconds.
    StepClock(usize, i64),
    /// `hearth standby`.
    Standby(usize),
    /// `hearth takeover`.
    Takeover(usize),
    /// `hearth failback`.
    Failback(usize),
    /// `hearth clear`.
    Clear(usize),
    /// `hearth release` on a machine, of what that names.
    Release(usize, String),
    /// `hearth fence` on the first machine, of the second.
    Fence(usize, usize),
    /// `hearth node confirm-off` on the first machine, of the second.
    ConfirmOff(usize, usize),
    /// `hearth stop`.
    Stop(usize),
    /// The files of a machine become those of a variant, and are reloaded.
    Reload(usize, usize),
    /// The files of a machine name just these machines; a daemon that runs reads them if it has nothing against that.
    List(usize, Vec<usize>),
    /// `hearth node add` on the first machine, of the second.
    NodeAdd(usize, usize),
    /// `hearth node remove` on the first machine, of the second.
    NodeRemove(usize, usize),
    /// The key of a machine is wrong from its next start (true), or right again.
    WrongKey(usize, bool),
    /// A program is installed that speaks wire versions up to this one; the daemon is it from its next start (R-WIRE-6).
    Package(usize, u8),
    /// A second machine with the name of this one talks on the network.
    Clone(usize, bool),
}

/// How a power switch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchMode {
    /// Off within 100 ms, on again after a boot.
    Works,
    /// The same, after 5 s.
    Slow,
    /// Off within 100 ms, on again after a boot, and its word comes 5 s after the order.
    SaysLate,
    /// Says no.
    Fails,
    /// Says yes and does nothing.
    Lies,
}

/// Words that are no act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAnAct(pub String);

impl fmt::Display for NotAnAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const FLAWS: [(&str, Flaw); 8] = [
    ("fails to start", Flaw::FailStart),
    ("fails to stop", Flaw::FailStop),
    ("hangs at start", Flaw::HangStart),
    ("hangs at stop", Flaw::HangStop),
    ("must be killed to stop", Flaw::KillStop),
    ("is slow", Flaw::Slow),
    ("says it runs", Flaw::SaysRunning),
    ("says it is stopped", Flaw::SaysStopped),
];

const SWITCHES: [(&str, SwitchMode); 5] = [
    ("works", SwitchMode::Works),
    ("slow", SwitchMode::Slow),
    ("says so late", SwitchMode::SaysLate),
    ("fails", SwitchMode::Fails),
    ("lies", SwitchMode::Lies),
];

const DISKS: [(&str, DiskMode); 4] =
    [("fast", DiskMode::Fast), ("slow", DiskMode::Slow), ("hangs", DiskMode::Hangs), ("full", DiskMode::Full)];

const PATHS: [(&str, PathMode); 4] =
    [("works", PathMode::Works), ("slow", PathMode::Slow), ("hangs", PathMode::Hangs), ("broken", PathMode::Broken)];

/// A span as `250ms` or `3s`.
///
/// # Errors
/// When it is none.
pub fn span(word: &str) -> Result<Duration, NotAnAct> {
    let refused = || NotAnAct(format!("`{word}` is no span: 250ms, 3s"));
    let (digits, unit) = word.split_at(word.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(word.len()));
    let number: u64 = digits.parse().map_err(|_| refused())?;
    match unit {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        _ => Err(refused()),
    }
}

/// Reads one act in the names of a layout.
///
/// # Errors
/// When the words mean nothing; the text says which.
pub fn parse(layout: &Layout, line: &str) -> Result<Act, NotAnAct> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let refused = || NotAnAct(format!("`{line}` is no act"));
    let node = |at: usize| -> Result<usize, NotAnAct> {
        let word = words.get(at).ok_or_else(refused)?;
        layout.node(word).ok_or_else(|| NotAnAct(format!("no machine `{word}`")))
    };
    let number = |at: usize| -> Result<i64, NotAnAct> {
        let word = words.get(at).ok_or_else(refused)?;
        word.parse().map_err(|_| NotAnAct(format!("`{word}` is no number")))
    };
    let link = |at: usize| -> Result<usize, NotAnAct> {
        let link = number(at)? as usize;
        if link < layout.links.len() { Ok(link) } else { Err(NotAnAct(format!("no link {link}"))) }
    };
    let resource = |at: usize| words.get(at).map(|word| (*word).to_owned()).ok_or_else(refused);
    let rest = |from: usize| words.get(from..).unwrap_or(&[]).join(" ");
    let named = |text: &str| refused_among(text, line);
    Ok(match *words.first().ok_or_else(refused)? {
        "start" => Act::Start(node(1)?),
        "kill" => Act::Kill(node(1)?),
        "power-off" => Act::PowerOff(node(1)?),
        "power-cycle" => Act::PowerCycle(node(1)?),
        "switch" => Act::Switch(node(1)?, find(&SWITCHES, &rest(2)).ok_or_else(|| named("switch"))?),
        "supply" => {
            let side = SIDES.iter().position(|side| words.get(2) == Some(side)).ok_or_else(refused)?;
            Act::Supply(node(1)?, side, find(&SWITCHES, &rest(3)).ok_or_else(|| named("switch"))?)
        }
        "freeze" => Act::Freeze(node(1)?),
        "thaw" => Act::Thaw(node(1)?),
        "pause" => Act::Pause(node(1)?),
        "resume" => Act::Resume(node(1)?),
        "cut" => Act::Cut { from: node(1)?, to: node(2)?, link: link(3)? },
        "split" => Act::Split((1..words.len()).map(node).collect::<Result<_, _>>()?),
        "heal" => Act::Heal,
        "pull" => Act::Pull { node: node(1)?, link: link(2)? },
        "plug" => Act::Plug { node: node(1)?, link: link(2)? },
        "loss" => Act::Loss { link: link(1)?, permille: number(2)? as u64 },
        "delay" => Act::Delay { link: link(1)?, span: span(words.get(2).ok_or_else(refused)?)? },
        "disorder" => Act::Disorder { link: link(1)?, permille: number(2)? as u64 },
        "replay" => Act::Replay(number(1)? as u64),
        "disk" => Act::Disk(node(1)?, find(&DISKS, &rest(2)).ok_or_else(|| named("disk"))?),
        "path" => Act::Path(node(1)?, find(&PATHS, &rest(2)).ok_or_else(|| named("path"))?),
        "lose-state" => Act::LoseState(node(1)?),
        "backup" => Act::Backup(node(1)?),
        "restore" => Act::Restore(node(1)?),
        "trouble" => Act::Trouble(node(1)?, number(2)? as u64),
        "agent" if rest(3) == "is well" => Act::Agent { node: node(1)?, resource: resource(2)?, flaw: None },
        "agent" => {
            let flaw = find(&FLAWS, &rest(3)).ok_or_else(|| named("agent"))?;
            Act::Agent { node: node(1)?, resource: resource(2)?, flaw: Some(flaw) }
        }
        "dies" => Act::Dies { node: node(1)?, resource: resource(2)? },
        "by-hand" => Act::ByHand { node: node(1)?, resource: resource(2)? },
        "ping" => Act::Ping(node(1)?, rest(2) == "on"),
        "step-clock" => Act::StepClock(node(1)?, number(2)?),
        "standby" => Act::Standby(node(1)?),
        "takeover" => Act::Takeover(node(1)?),
        "failback" => Act::Failback(node(1)?),
        "clear" => Act::Clear(node(1)?),
        "release" => Act::Release(node(1)?, resource(2)?),
        "fence" => Act::Fence(node(1)?, node(2)?),
        "confirm-off" => Act::ConfirmOff(node(1)?, node(2)?),
        "stop" => Act::Stop(node(1)?),
        "reload" => {
            let variant = number(2)? as usize;
            if variant >= layout.variants.len() {
                return Err(NotAnAct(format!("no files {variant}")));
            }
            Act::Reload(node(1)?, variant)
        }
        "list" => {
            let names = words.get(2..).filter(|names| !names.is_empty()).ok_or_else(refused)?;
            let nodes = names.iter().map(|name| layout.node(name).ok_or_else(refused)).collect::<Result<_, _>>()?;
            Act::List(node(1)?, nodes)
        }
        "node-add" => Act::NodeAdd(node(1)?, node(2)?),
        "node-remove" => Act::NodeRemove(node(1)?, node(2)?),
        "wrong-key" => Act::WrongKey(node(1)?, rest(2) == "on"),
        "package" => Act::Package(node(1)?, u8::try_from(number(2)?).map_err(|_| refused())?),
        "clone" => Act::Clone(node(1)?, rest(2) == "on"),
        _ => return Err(refused()),
    })
}

fn refused_among(what: &str, line: &str) -> NotAnAct {
    let known: Vec<&str> = match what {
        "switch" => SWITCHES.iter().map(|(word, _)| *word).collect(),
        "path" => PATHS.iter().map(|(word, _)| *word).collect(),
        "disk" => DISKS.iter().map(|(word, _)| *word).collect(),
        _ => FLAWS.iter().map(|(word, _)| *word).chain(["is well"]).collect(),
    };
    NotAnAct(format!("`{line}`: a {what} is one of: {}", known.join(", ")))
}

fn find<T: Copy>(among: &[(&str, T)], word: &str) -> Option<T> {
    among.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
}

fn word<T: PartialEq>(among: &[(&'static str, T)], value: &T) -> &'static str {
    among.iter().find(|(_, known)| known == value).map_or("?", |(word, _)| word)
}

impl Act {
    /// The act in words that [`parse`] reads.
    pub fn text(&self, layout: &Layout) -> String {
        let name = |node: &usize| layout.names[*node].as_str().to_owned();
        let on = |on: &bool| if *on { "on" } else { "off" };
        match self {
            Act::Start(node) => format!("start {}", name(node)),
            Act::Kill(node) => format!("kill {}", name(node)),
            Act::PowerOff(node) => format!("power-off {}", name(node)),
            Act::PowerCycle(node) => format!("power-cycle {}", name(node)),
            Act::Switch(node, mode) => format!("switch {} {}", name(node), word(&SWITCHES, mode)),
            Act::Supply(node, side, mode) => {
                format!("supply {} {} {}", name(node), SIDES[*side], word(&SWITCHES, mode))
            }
            Act::Freeze(node) => format!("freeze {}", name(node)),
            Act::Thaw(node) => format!("thaw {}", name(node)),
            Act::Pause(node) => format!("pause {}", name(node)),
            Act::Resume(node) => format!("resume {}", name(node)),
            Act::Cut { from, to, link } => format!("cut {} {} {link}", name(from), name(to)),
            Act::Split(side) => format!("split {}", side.iter().map(name).collect::<Vec<_>>().join(" ")),
            Act::Heal => "heal".to_owned(),
            Act::Pull { node, link } => format!("pull {} {link}", name(node)),
            Act::Plug { node, link } => format!("plug {} {link}", name(node)),
            Act::Loss { link, permille } => format!("loss {link} {permille}"),
            Act::Delay { link, span } => format!("delay {link} {}us", span.as_micros()),
            Act::Disorder { link, permille } => format!("disorder {link} {permille}"),
            Act::Replay(permille) => format!("replay {permille}"),
            Act::Disk(node, mode) => format!("disk {} {}", name(node), word(&DISKS, mode)),
            Act::Path(node, mode) => format!("path {} {}", name(node), word(&PATHS, mode)),
            Act::LoseState(node) => format!("lose-state {}", name(node)),
            Act::Backup(node) => format!("backup {}", name(node)),
            Act::Restore(node) => format!("restore {}", name(node)),
            Act::Trouble(node, permille) => format!("trouble {} {permille}", name(node)),
            Act::Agent { node, resource, flaw } => {
                let flaw = flaw.as_ref().map_or("is well", |flaw| word(&FLAWS, flaw));
                format!("agent {} {resource} {flaw}", name(node))
            }
            Act::Dies { node, resource } => format!("dies {} {resource}", name(node)),
            Act::ByHand { node, resource } => format!("by-hand {} {resource}", name(node)),
            Act::Ping(node, reached) => format!("ping {} {}", name(node), on(reached)),
            Act::StepClock(node, seconds) => format!("step-clock {} {seconds}", name(node)),
            Act::Standby(node) => format!("standby {}", name(node)),
            Act::Takeover(node) => format!("takeover {}", name(node)),
            Act::Failback(node) => format!("failback {}", name(node)),
            Act::Clear(node) => format!("clear {}", name(node)),
            Act::Release(node, what) => format!("release {} {what}", name(node)),
            Act::Fence(node, other) => format!("fence {} {}", name(node), name(other)),
            Act::ConfirmOff(node, other) => format!("confirm-off {} {}", name(node), name(other)),
            Act::Stop(node) => format!("stop {}", name(node)),
            Act::Reload(node, variant) => format!("reload {} {variant}", name(node)),
            Act::NodeAdd(one, other) => format!("node-add {} {}", name(one), name(other)),
            Act::NodeRemove(one, other) => format!("node-remove {} {}", name(one), name(other)),
            Act::List(node, nodes) => {
                let names: Vec<String> = nodes.iter().map(name).collect();
                format!("list {} {}", name(node), names.join(" "))
            }
            Act::WrongKey(node, wrong) => format!("wrong-key {} {}", name(node), on(wrong)),
            Act::Package(node, version) => format!("package {} {version}", name(node)),
            Act::Clone(node, there) => format!("clone {} {}", name(node), on(there)),
        }
    }
}
