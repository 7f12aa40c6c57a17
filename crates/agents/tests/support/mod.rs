//! A site with scripts of its own, and orders to its agents.
#![allow(dead_code, reason = "each test program uses a part")]

use hearth_agents::cancel::Cancel;
use hearth_agents::process::census;
use hearth_agents::runner::{AddressFuture, AddressOps, Agents};
use hearth_agents::script::Scripts;
use hearth_types::{
    AddressSpec, AgentClass, NodeName, OnStopFail, OpAction, OpId, OpOutcome, OpRequest, OpResult, OpTimeouts,
    ResourceId, ResourceKind, ResourceSpec,
};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An address agent that never answers.
pub struct NoAddresses;

impl AddressOps for NoAddresses {
    fn run<'a>(&'a self, _: &'a OpRequest, _: &'a AddressSpec) -> AddressFuture<'a> {
        Box::pin(std::future::pending())
    }
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// A configuration directory with resource.d, init.d and what the scripts write.
pub struct Site {
    pub dir: TempDir,
    pub scripts: Scripts,
}

impl Site {
    pub fn new() -> Site {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["resource.d", "init.d", "tmp"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let shipped = repository().join("resources/heartbeat");
        let mut scripts = Scripts::usual(dir.path(), &shipped, NodeName::from("nodea".to_string()));
        scripts.init_dirs = vec![dir.path().join("init.d")];
        scripts.env.insert("SITE".into(), dir.path().join("tmp").display().to_string());
        scripts.env.insert("HA_RSCTMP".into(), dir.path().join("tmp").display().to_string());
        Site { dir, scripts }
    }

    /// Writes a script of resource.d; `body` follows `#!/bin/sh`.
    pub fn script(&self, name: &str, body: &str) {
        self.write("resource.d", name, body);
    }

    pub fn init(&self, name: &str, body: &str) {
        self.write("init.d", name, body);
    }

    fn write(&self, place: &str, name: &str, body: &str) {
        let draft = self.file(&format!("{name}.draft"));
        fs::write(&draft, format!("#!/bin/sh\n{body}\n")).expect("a script");
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).expect("its mode");
        // Copied by a program that ends: a descriptor of ours, inherited by a child of another test for an instant,
        // would make the kernel refuse to run the script.
        let copied = Command::new("cp").arg(&draft).arg(self.dir.path().join(place).join(name)).status();
        assert!(copied.expect("cp").success());
    }

    /// A file that scripts see as $SITE/NAME.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("tmp").join(name)
    }

    pub fn content(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    pub fn agents(&self) -> Agents {
        Agents::new(self.scripts.clone(), Arc::new(NoAddresses))
    }

    pub async fn run(&self, request: OpRequest) -> OpOutcome {
        self.result(request).await.outcome
    }

    /// The same with all that is told of it.
    pub async fn result(&self, request: OpRequest) -> OpResult {
        self.agents().run(request, Cancel::never()).await
    }

    /// Live processes that scripts of this site left.
    pub fn left(&self) -> Vec<census::Stat> {
        census::marked(&[format!("HEARTH_DIR={}", self.dir.path().display())])
    }
}

impl Site {
    /// Mount points below the site, the last mounted first.
    fn mounted(&self) -> Vec<PathBuf> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = table.lines().rev().filter_map(|line| line.split(' ').nth(4));
        points
            .map(|point| PathBuf::from(point.replace("\\040", " ")))
            .filter(|at| at.starts_with(self.dir.path()))
            .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        census::signal(&self.left(), Signal::SIGKILL);
        for point in self.mounted() {
            let _ = nix::mount::umount2(&point, nix::mount::MntFlags::MNT_DETACH);
        }
        // Removing the directory must never reach into something that is mounted there.
        let clear = self.mounted().is_empty();
        self.dir.disable_cleanup(!clear);
    }
}

pub fn resource(class: AgentClass, agent: &str, args: &[&str], kind: ResourceKind) -> ResourceSpec {
    let name = [&[agent], args].concat().join("::");
    ResourceSpec {
        id: ResourceId::from(name.as_str()),
        class,
        agent: agent.to_string(),
        args: args.iter().map(|arg| arg.to_string()).collect(),
        kind,
        owns: BTreeSet::new(),
        timeouts: OpTimeouts::default(),
        monitor: None,
        on_stop_fail: OnStopFail::Block,
        wire_check: false,
    }
}

pub fn order(action: OpAction, resource: ResourceSpec) -> OpRequest {
    let timeout = Duration::from_secs(20);
    OpRequest { id: OpId(1), action, resource: Arc::new(resource), timeout, lifetime: None, not_after: None }
}

/// An order to a heartbeat-class script.
pub fn heartbeat(action: OpAction, agent: &str, args: &[&str]) -> OpRequest {
    order(action, resource(AgentClass::Heartbeat, agent, args, ResourceKind::Script))
}

pub fn lsb(action: OpAction, agent: &str) -> OpRequest {
    order(action, resource(AgentClass::Lsb, agent, &[], ResourceKind::Script))
}

pub fn within(mut request: OpRequest, timeout: Duration) -> OpRequest {
    request.timeout = timeout;
    request
}

/// What a failure said; panics on anything else.
pub fn message(outcome: OpOutcome) -> String {
    match outcome {
        OpOutcome::Failed { message, .. } | OpOutcome::TimedOut { message } => message,
        other => panic!("a failure was expected, not {other:?}"),
    }
}

/// Waits until it is so; panics after ten seconds.
pub async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
