//! What every test of this folder needs: machines with daemons, a client and an observer, and a judge.

use crate::figures::{Row, record};
use hearth_control::Status;
use hearth_lab::{
    Client, Cluster, Felt, Files, Helper, Observer, Owners, Programs, StallMeter, Verdict, judge, millis, now,
    wait_until,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The address that moves.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 50);
/// The line that makes it one.
pub const ADDRESS_LINE: &str = "a 10.77.0.50/24/eth0\n";
/// Port of the lab's service that runs on every machine.
pub const UDP: u16 = 7777;
/// Port of the lab's service that a group starts.
pub const WEB_UDP: u16 = 7778;
/// Time between two questions of the observer to one machine.
const STEP: u64 = 4_000_000;
/// Time between two questions of the client.
const PERIOD: u64 = 2_000_000;
/// Runs that may be repeated because this machine stalled.
const REPEATS: usize = 3;

/// deadtime of all tests.
pub const DEADTIME: u64 = ms(500);
/// lease of all tests.
pub const LEASE: u64 = ms(400);
/// "None" for a client that asks every 2 ms.
pub const NONE: u64 = ms(10);
/// How long a test waits for something that has no bound of its own.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Milliseconds in nanoseconds.
pub const fn ms(milliseconds: u64) -> u64 {
    milliseconds * 1_000_000
}

/// One test at a time: what is measured shares the machine with no other test.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The programs under test, next to each other in the build folder.
pub fn programs() -> Programs {
    let hearthd = PathBuf::from(env!("CARGO_BIN_EXE_hearthd"));
    let helper = hearthd.with_file_name("hearth-labhost");
    assert!(helper.is_file(), "{} is missing: cargo build -p hearth-lab --bins", helper.display());
    let helper = Helper { program: helper, words: Vec::new() };
    Programs { hearthd, hearth: env!("CARGO_BIN_EXE_hearth").into(), helper }
}

/// Machines, most often two, `a` and `b`; a client, an observer.
pub struct Bench {
    pub cluster: Cluster,
    pub client: Client,
    pub observer: Observer,
    pub stalls: StallMeter,
    pub files: Files,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    /// Machines with their files written and the lab's service on each; no daemon runs.
    pub fn cold(files: Files, udp: u16) -> Self {
        Self::of(&["a", "b"], files, udp)
    }

    /// The same for any machines.
    pub fn of(machines: &[&str], files: Files, udp: u16) -> Self {
        Self::watched(machines, ADDRESS.into(), files, udp)
    }

    /// The same with client and observer at another address; the machines have IPv6 addresses if it is one.
    pub fn watched(machines: &[&str], address: IpAddr, files: Files, udp: u16) -> Self {
        let alone = alone();
        let disk = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let cluster = Cluster::new(&programs(), disk, machines, &files).unwrap();
        if address.is_ipv6() {
            cluster.lab.number_v6().unwrap();
        }
        for name in machines.iter().filter(|_| udp == UDP) {
            cluster.serve(name, UDP).unwrap();
        }
        let client = Client::start(cluster.lab.client(), SocketAddr::new(address, udp), PERIOD).unwrap();
        let observer = Observer::start(&cluster.lab, address, udp, STEP).unwrap();
        Self { cluster, client, observer, stalls: StallMeter::start().unwrap(), files, _alone: alone }
    }

    /// One address that prefers `a`, owned there; both daemons run and know each other. `extra` are lines of ha.cf.
    pub fn address(extra: &str) -> Self {
        let mut files = Files { haresources: ADDRESS_LINE.into(), ..Files::default() };
        files.ha_cf.push_str(extra);
        Self::cold(files, UDP).warm()
    }

    /// The address and the lab's service as one group that prefers `a`, owned there.
    pub fn group(extra: &str) -> Self {
        let script = Cluster::service_script(&programs().helper, WEB_UDP, 80);
        let mut files = Files { haresources: "a 10.77.0.50/24/eth0 web\n".into(), ..Files::default() };
        files.ha_cf.push_str(extra);
        files.scripts.push(("web".into(), script));
        Self::cold(files, WEB_UDP).warm()
    }

    /// Starts all daemons and waits until `a` owns everything and all are quiet.
    pub fn warm(self) -> Self {
        for name in self.cluster.lab.names() {
            self.cluster.start(&name).unwrap();
        }
        // Which of two that start at the same moment is the owner depends on what they know by then, so it is asked for.
        self.wait("a", "all take part, and something runs", |status| {
            status.nodes.iter().all(|node| node.online) && status.groups.iter().all(|group| group.state == "started")
        });
        if self
            .cluster
            .status("a")
            .is_ok_and(|status| status.groups.iter().any(|group| group.node.as_deref() != Some("a")))
        {
            self.order("a", &["takeover"]);
        }
        self.settled("a");
        self
    }

    /// Waits until `owner` has all groups, the client hears it, and all nodes see each other, for longer than deadtime on
    /// end: whoever is silent since then is found dead within it.
    pub fn settled(&self, owner: &str) {
        let whole = |status: &Status| {
            status.nodes.iter().all(|node| node.online && !node.unclean && node.state == "active")
                && status.groups.iter().all(|group| group.state == "started" && group.node.as_deref() == Some(owner))
        };
        let mut since = now();
        let mut seen = String::new();
        let quiet = wait_until(PATIENCE, Duration::from_millis(50), || {
            for name in self.cluster.lab.names() {
                match self.cluster.status(&name) {
                    Ok(status) if whole(&status) => {}
                    other => {
                        seen = format!("{name}: {other:?}");
                        since = now();
                    }
                }
            }
            if self.client.answered_by(now() - ms(20)).as_deref() != Some(owner) || self.observer.answering() != [owner]
            {
                seen = format!("answering: {:?}", self.observer.answering());
                since = now();
            }
            (now() - since > DEADTIME + ms(100)).then_some(())
        });
        if quiet.is_none() {
            self.fail(&format!("{owner} does not become the quiet owner; {seen}"));
        }
    }

    /// Waits until the client is answered by `name`, and returns when that was.
    pub fn served_by(&self, name: &str, since: u64) -> u64 {
        let found = wait_until(PATIENCE, Duration::from_millis(5), || {
            (self.client.answered_by(since.max(now() - ms(20)))? == name).then(now)
        });
        found.unwrap_or_else(|| self.fail(&format!("{name} does not answer the client")))
    }

    /// Lets time pass under the eyes of client and observer.
    pub fn watch(&self, span: u64) -> u64 {
        let end = now() + span;
        wait_until(Duration::from_nanos(span + ms(1000)), Duration::from_millis(5), || (now() >= end).then_some(()));
        now()
    }

    /// Waits for a status.
    pub fn wait(&self, name: &str, what: &str, holds: impl FnMut(&Status) -> bool) -> Status {
        match self.cluster.wait(name, PATIENCE, what, holds) {
            Ok(status) => status,
            Err(error) => self.fail(&format!("{error:#}")),
        }
    }

    /// Runs `hearth` on a machine, which must succeed; returns the time right before.
    pub fn order(&self, name: &str, words: &[&str]) -> u64 {
        match self.cluster.order(name, words) {
            Ok((at, _)) => at,
            Err(error) => self.fail(&format!("{error:#}")),
        }
    }

    /// Ends the test with everything that helps to understand it.
    pub fn fail(&self, text: &str) -> ! {
        let mut all = text.to_owned();
        for name in self.cluster.lab.names() {
            let why = self.cluster.hearth(&name, &["why", "10.77.0.50/24/eth0"]).ok();
            let why = why.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            all.push_str(&format!("\n--- why, says {name}\n{why}"));
            let events = self.cluster.hearth(&name, &["timeline", "--last", "60"]).ok();
            let events = events.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
            all.push_str(&format!(
                "\n--- log of {name}\n{}\n--- timeline of {name}\n{events}",
                self.cluster.log(&name, 60)
            ));
        }
        panic!("{all}");
    }

    /// What happened from `from` to `to`.
    pub fn sample(&self, from: u64, to: u64) -> Sample {
        let owners = self.observer.owners(from.saturating_sub(ms(20)), to);
        let felt = self.client.felt(from, to);
        Sample {
            from,
            gap: felt.gap,
            felt,
            stalled: self.stalls.total(from, to),
            worst_stall: self.stalls.worst(from, to),
            owners,
        }
    }

    /// Judges a sample against bounds for the client's gap and for two owners; true if it says nothing. A broken bound
    /// ends the test.
    pub fn says_nothing(&self, sample: &Sample, bound: u64, two: u64) -> bool {
        let gap = judge(sample.gap, bound, sample.stalled);
        if gap == Verdict::Broken {
            self.fail(&format!(
                "the client waited {:.1} ms, the bound is {:.1} ms (this machine stalled {:.1} ms)\n\
                 from {:.1} ms after the fault; {:?}\n{:?}",
                millis(sample.gap),
                millis(bound),
                millis(sample.stalled),
                millis(sample.felt.gap_at.saturating_sub(sample.from)),
                sample.felt,
                sample.owners
            ));
        }
        // Stamps are the kernel's: a stall of ours moves no answer, so there is no excuse for two owners.
        if sample.owners.two > two {
            self.fail(&format!("two owners for {:.1} ms: {:?}", millis(sample.owners.two), sample.owners));
        }
        if let Verdict::CannotJudge(stalled) = gap {
            println!("cannot judge: stalled {:.1} ms, gap {:.1} ms", millis(stalled), millis(sample.gap));
            return true;
        }
        false
    }
}

/// What was measured once.
pub struct Sample {
    pub from: u64,
    pub felt: Felt,
    pub gap: u64,
    pub owners: Owners,
    pub stalled: u64,
    pub worst_stall: u64,
}

/// Measures one row of the table: runs `once` (which makes, or goes on with, a bench) until a run could be judged.
pub fn row(fault: &str, bound: u64, mut once: impl FnMut() -> (Bench, Sample)) {
    let mut unjudged = 0;
    loop {
        let (bench, sample) = once();
        if bench.says_nothing(&sample, bound, 0) {
            unjudged += 1;
            assert!(unjudged < REPEATS, "{fault}: could not be judged {REPEATS} times, this machine stalls too long");
            continue;
        }
        return save(fault, bound, &[sample], unjudged);
    }
}

/// Writes samples as one row.
pub fn save(fault: &str, bound: u64, samples: &[Sample], unjudged: usize) {
    let words = if bound == NONE { "none".into() } else { format!("{:.0}", millis(bound)) };
    save_as(fault, words, samples, unjudged);
}

/// The same with the bound in words.
pub fn save_as(fault: &str, bound: String, samples: &[Sample], unjudged: usize) {
    let most = |of: fn(&Sample) -> u64| millis(samples.iter().map(of).max().unwrap_or(0));
    let row = Row {
        fault: fault.into(),
        bound,
        gaps: samples.iter().map(|sample| millis(sample.gap)).collect(),
        two: most(|sample| sample.owners.two),
        step: millis(STEP),
        stall: most(|sample| sample.worst_stall),
        unjudged,
    };
    println!("{fault}: gaps {:.1?} ms, two owners {:.1} ms, worst stall {:.1} ms", row.gaps, row.two, row.stall);
    record(&row);
}
