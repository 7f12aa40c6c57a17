//! The machines, the client and the observer, and how a scene is judged.

use super::scenes::{Outcome, Scene};
use anyhow::Context;
use hearth_control::{Reply, Request};
use hearth_lab::{
    Client, Cluster, Files, Helper, Lab, Observer, Owners, Programs, StallMeter, Verdict, judge, millis, now,
    wait_until,
};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const ALDER: &str = "alder";
pub(crate) const BIRCH: &str = "birch";
/// Where the service is.
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 50);
pub(crate) const UDP: u16 = 7778;
const HTTP: u16 = 80;
const MILLISECOND: u64 = 1_000_000;
/// A scene that does not come to its end within that has failed.
const PATIENCE: Duration = Duration::from_secs(15);

/// Everything that a scene needs.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) programs: Programs,
    client: Client,
    observer: Observer,
    stalls: StallMeter,
}

impl Stage {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let hearth = std::env::current_exe()?;
        let beside = |name: &str| -> PathBuf { hearth.with_file_name(name) };
        let helper = Helper { program: beside("hearth-labhost"), words: Vec::new() };
        let programs = Programs { hearthd: beside("hearthd"), hearth: hearth.clone(), helper };
        let mut files = Files { haresources: format!("{ALDER} {SERVICE}/24/eth0 web\n"), ..Files::default() };
        files.scripts.push(("web".into(), Cluster::service_script(&programs.helper, UDP, HTTP)));
        let cluster = Cluster::new(&programs, &std::env::temp_dir(), &[ALDER, BIRCH], &files)?;
        let service = SocketAddrV4::new(SERVICE, UDP);
        let client = Client::start(cluster.lab.client(), service, 2 * MILLISECOND)?;
        let observer = Observer::start(&cluster.lab, SERVICE, UDP, 4 * MILLISECOND)?;
        Ok(Self { cluster, programs, client, observer, stalls: StallMeter::start()? })
    }

    pub(crate) fn lab(&self) -> &Lab {
        &self.cluster.lab
    }

    pub(crate) fn start(&self, name: &str) -> anyhow::Result<u64> {
        let at = now();
        self.cluster.start(name)?;
        Ok(at)
    }

    pub(crate) fn start_both(&self) -> anyhow::Result<u64> {
        let at = self.start(ALDER)?;
        self.start(BIRCH)?;
        Ok(at)
    }

    pub(crate) fn order(&self, name: &str, order: &str) -> anyhow::Result<u64> {
        Ok(self.cluster.order(name, &[order])?.0)
    }

    pub(crate) fn power_off(&mut self, name: &str) -> anyhow::Result<u64> {
        self.cluster.lab.power_off(name)
    }

    pub(crate) fn power_on(&mut self, name: &str) -> anyhow::Result<u64> {
        let at = now();
        self.cluster.lab.power_on(name)?;
        self.observer.attach(&self.cluster.lab, name)?;
        self.cluster.start(name)?;
        Ok(at)
    }

    /// Plays a scene to its end and judges it.
    pub(crate) fn play(&mut self, scene: &Scene) -> Outcome {
        let mut outcome = Outcome { title: scene.title, allowed_ms: scene.allowed_ms as f64, ..Outcome::default() };
        if let Err(error) = self.happen(scene, &mut outcome) {
            outcome.trouble = Some(format!("{error:#}"));
            outcome.broken = true;
        }
        outcome
    }

    fn happen(&mut self, scene: &Scene, outcome: &mut Outcome) -> anyhow::Result<()> {
        let from = (scene.happens)(self)?;
        // What moves nothing is watched for as long as a takeover would take, and more.
        let watched = if scene.allowed_ms < 50 { 1500 } else { 500 };
        let at_once = wait_until(PATIENCE, Duration::from_millis(2), || {
            (self.client.answered_by(from.max(now() - 20 * MILLISECOND))? == scene.owner).then_some(())
        });
        let to = pause(watched);
        self.measure(from, to, outcome);
        at_once.with_context(|| format!("{} does not serve within {} s", scene.owner, PATIENCE.as_secs()))?;
        outcome.why = self.why(scene.owner);
        if let Some(undone) = &scene.undone {
            let back = (undone.happens)(self)?;
            self.settled(scene.owner)?;
            let mut after = Outcome { allowed_ms: 10.0, ..Outcome::default() };
            self.measure(back, now(), &mut after);
            outcome.after = Some(format!("{}: the client waited {}, {}", undone.text, after.waited(), after.owners()));
            outcome.two_ms = outcome.two_ms.max(after.two_ms);
            if let Some(trouble) = after.trouble {
                outcome.trouble.get_or_insert(format!("{}: {trouble}", undone.text));
            }
            return Ok(());
        }
        self.settled(scene.owner)
    }

    /// What client and observer saw from `from` to `to`, against what is allowed.
    fn measure(&self, from: u64, to: u64, outcome: &mut Outcome) {
        let felt = self.client.felt(from, to);
        let owners: Owners = self.observer.owners(from.saturating_sub(20 * MILLISECOND), to);
        let stalled = self.stalls.total(from, to);
        (outcome.gap_ms, outcome.two_ms) = (millis(felt.gap), millis(owners.two));
        outcome.path = owners.order().join(" -> ");
        let allowed = outcome.allowed_ms as u64 * MILLISECOND;
        match judge(felt.gap, allowed, stalled) {
            Verdict::Held => {}
            Verdict::CannotJudge(stalled) => outcome.unsure = Some(millis(stalled)),
            Verdict::Broken => {
                let waited = outcome.waited();
                outcome.trouble = Some(format!("the client waited {waited}, {:.0} ms are allowed", outcome.allowed_ms));
            }
        }
        if owners.two > 0 {
            outcome.trouble = Some(format!("two machines answered at once for {:.0} ms", outcome.two_ms));
        }
    }

    /// Waits until both machines take part again and `owner` has everything.
    fn settled(&self, owner: &str) -> anyhow::Result<()> {
        let mut last = String::new();
        let mut since = now();
        let quiet = wait_until(PATIENCE, Duration::from_millis(20), || {
            for name in [ALDER, BIRCH] {
                let whole = match self.cluster.status(name) {
                    Ok(status) => {
                        last.clone_from(&status.summary);
                        status.nodes.iter().all(|node| node.online && !node.unclean)
                            && status
                                .groups
                                .iter()
                                .all(|group| group.state == "started" && group.node.as_deref() == Some(owner))
                    }
                    Err(error) => {
                        last = format!("{error:#}");
                        false
                    }
                };
                if !whole {
                    since = now();
                }
            }
            (now() - since > 500 * MILLISECOND).then_some(())
        });
        let text = || format!("the two do not come together again within {} s: {last}", PATIENCE.as_secs());
        quiet.with_context(text)
    }

    /// Why the service is where it is, as its owner says.
    fn why(&self, owner: &str) -> Option<String> {
        let group = self.cluster.status(owner).ok()?.groups.first()?.id.clone();
        let request = Request::Why { resource: group };
        match self.cluster.ask(owner, &request, Duration::from_secs(2)).ok()? {
            Reply::Why { why } => Some(why.answer),
            _ => None,
        }
    }
}

/// Lets a while pass; gives the time then.
fn pause(milliseconds: u64) -> u64 {
    let span = Duration::from_millis(milliseconds);
    let _ = wait_until(span, span, || None::<()>);
    now()
}
