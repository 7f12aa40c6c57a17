//! Fence devices: programs of fence-agents (options on standard input) and plugins of cluster-glue (options in the
//! environment).
//!
//! A device is believed only when it says in so many words that it is done: exit code 0, and where it turns a machine
//! off, no word of its own that the machine is on.

use crate::cancel::Cancel;
use crate::process::{self, Ending, Finished, Invocation};
use crate::runner::span;
use hearth_types::FenceTask;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a program may take to end after TERM.
const GRACE: Duration = Duration::from_secs(1);
/// What a fence agent's `status` exits with when the machine is off.
const IS_OFF: i32 = 2;
/// Most of what a device said that goes into a message.
const SAID_MAX: usize = 200;

/// How a program is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As `fence_*`.
    Agent,
    /// As `external/*`.
    Plugin,
}

/// One device.
#[derive(Clone)]
pub struct Device {
    /// Its program.
    pub program: PathBuf,
    /// How it is spoken to.
    pub way: Way,
    /// What it is told besides what is to be done.
    pub params: Vec<(String, String)>,
    /// What it calls the machine; none: it has only one and is not told.
    pub port: Option<String>,
}

/// Does one thing to the machine `node`. Always returns, about `GRACE` after `timeout` at the latest. `Ok` is what the
/// device said when it confirmed; everything else is no confirmation. Needs the tokio runtime.
///
/// # Errors
/// What the device said instead, in one line.
pub async fn run(device: &Device, task: FenceTask, node: &str, timeout: Duration) -> Result<String, String> {
    let until = Instant::now() + timeout;
    let action = match (device.way, task) {
        (_, FenceTask::Off) => "off",
        (_, FenceTask::On) => "on",
        (Way::Agent, FenceTask::Reboot) => "reboot",
        (Way::Plugin, FenceTask::Reboot) => "reset",
        (Way::Agent, FenceTask::Check) => "monitor",
        (Way::Plugin, FenceTask::Check) => "status",
    };
    let done = call(device, action, node, timeout).await?;
    match exit(&done, action, timeout)? {
        0 => {}
        code => return Err(format!("{action} exited with {code}{}", said(&done))),
    }
    let left = until.saturating_duration_since(Instant::now());
    match (device.way, task) {
        (Way::Agent, FenceTask::Off) => {
            // Its own second look; an agent that has none is believed.
            let looked = call(device, "status", node, left).await?;
            match looked.ending {
                Ending::Exited(0) => Err(format!("off was confirmed, but its status says that {node} is on")),
                Ending::Exited(IS_OFF) => Ok("its status says off".to_owned()),
                _ => Ok("off is confirmed".to_owned()),
            }
        }
        (Way::Plugin, FenceTask::Check) => {
            let hosts = call(device, "gethosts", node, left).await?;
            let wanted = device.port.as_deref().unwrap_or(node);
            let knows = hosts.stdout.split([' ', ',', '\n', '\t']).any(|host| host.eq_ignore_ascii_case(wanted));
            match exit(&hosts, "gethosts", left)? {
                0 if knows => Ok(format!("status is good, and it turns {wanted} off")),
                0 => Err(format!("status is good, but gethosts does not name {wanted}")),
                code => Err(format!("gethosts exited with {code}{}", said(&hosts))),
            }
        }
        _ => Ok(format!("{action} is confirmed")),
    }
}

async fn call(device: &Device, action: &str, node: &str, timeout: Duration) -> Result<Finished, String> {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut env: Vec<(OsString, OsString)> = vec![("PATH".into(), path.into()), ("LC_ALL".into(), "C".into())];
    let (mut args, mut stdin) = (Vec::new(), None);
    match device.way {
        Way::Agent => {
            let mut lines: Vec<String> = device.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
            lines.extend(device.port.iter().map(|port| format!("port={port}")));
            lines.push(format!("action={action}"));
            stdin = Some(lines.join("\n") + "\n");
        }
        Way::Plugin => {
            env.extend(device.params.iter().map(|(name, value)| (name.into(), value.into())));
            args.push(action.into());
            if matches!(action, "off" | "on" | "reset") {
                args.push(device.port.as_deref().unwrap_or(node).into());
            }
        }
    }
    let invocation = Invocation { program: device.program.clone(), args, env, stdin, timeout, grace: GRACE };
    // Nobody takes an order to a device back: it might have been carried out already.
    let (_keeps, cancel) = Cancel::pair();
    process::run(&invocation, cancel).await.map_err(|error| error.to_string())
}

pub(crate) fn exit(finished: &Finished, action: &str, timeout: Duration) -> Result<i32, String> {
    match finished.ending {
        Ending::Exited(code) => Ok(code),
        Ending::TimedOut { .. } => Err(format!("{action} did not end within {}{}", span(timeout), said(finished))),
        Ending::Signalled(signal) => Err(format!("{action} was ended by signal {signal}{}", said(finished))),
        Ending::Cancelled => Err(format!("{action} was cancelled")),
    }
}

/// The last line of what it said.
pub(crate) fn said(finished: &Finished) -> String {
    let last = finished.said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    let short: String = last.chars().filter(|letter| !letter.is_control()).take(SAID_MAX).collect();
    if short.is_empty() { String::new() } else { format!("; it said: {short}") }
}
