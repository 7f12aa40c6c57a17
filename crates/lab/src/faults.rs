//! What can happen to a machine from outside, and how it is undone.

use crate::lab::{Lab, Net, OBSERVER_CARD, text};
use anyhow::Context;
use nix::sys::signal::Signal;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::PoisonError;

/// Which packets are lost, seen from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Those that come to it.
    In,
    /// Those that it sends.
    Out,
}

impl Direction {
    /// Both ways.
    pub const BOTH: [Self; 2] = [Self::In, Self::Out];
}

impl Lab {
    /// Pulls cables out of a machine: its interfaces lose their carrier. Returns the time right before.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn pull(&self, name: &str, nets: &[Net]) -> anyhow::Result<u64> {
        self.cables(name, nets, "down")
    }

    /// Puts cables back. Returns the time right before.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn put(&self, name: &str, nets: &[Net]) -> anyhow::Result<u64> {
        self.cables(name, nets, "up")
    }

    fn cables(&self, name: &str, nets: &[Net], state: &str) -> anyhow::Result<u64> {
        let mut lines = String::new();
        for net in nets {
            writeln!(lines, "link set {} {state}", self.port(name, *net)?)?;
        }
        let at = crate::now();
        self.switch().ip(&lines, false)?;
        Ok(at)
    }

    /// Loses a machine's packets in the switch; carrier stays. Returns the time right before.
    ///
    /// # Errors
    /// When the switch refuses it.
    pub fn silence(&self, name: &str, nets: &[Net], directions: &[Direction]) -> anyhow::Result<u64> {
        let mut rules = Vec::new();
        for net in nets {
            let port = self.port(name, *net)?;
            rules.extend(directions.iter().map(|direction| match direction {
                Direction::In => format!("oifname \"{port}\""),
                Direction::Out => format!("iifname \"{port}\""),
            }));
        }
        self.lose(rules)
    }

    /// Loses in the switch what two machines send each other, over all networks; all others hear both. Returns the time
    /// right before.
    ///
    /// # Errors
    /// When the switch refuses it.
    pub fn part(&self, one: &str, other: &str) -> anyhow::Result<u64> {
        let mut rules = Vec::new();
        for net in Net::ALL {
            let (one, other) = (self.port(one, net)?, self.port(other, net)?);
            rules.push(format!("iifname \"{one}\" oifname \"{other}\""));
            rules.push(format!("iifname \"{other}\" oifname \"{one}\""));
        }
        self.lose(rules)
    }

    fn lose(&self, rules: Vec<String>) -> anyhow::Result<u64> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).extend(rules);
        let at = crate::now();
        self.write_drops()?;
        Ok(at)
    }

    /// Ends every [`Lab::silence`] and [`Lab::part`]. Returns the time right before.
    ///
    /// # Errors
    /// When the switch refuses it.
    pub fn heal(&self) -> anyhow::Result<u64> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let at = crate::now();
        self.write_drops()?;
        Ok(at)
    }

    pub(crate) fn write_drops(&self) -> anyhow::Result<()> {
        let mut rules = format!(
            "table bridge lab\ndelete table bridge lab\ntable bridge lab {{\n chain pass {{\n  type filter hook forward \
             priority 0;\n  ether daddr {} drop\n",
            text(OBSERVER_CARD)
        );
        for rule in self.dropped.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            writeln!(rules, "  {rule} drop")?;
        }
        rules.push_str(" }\n}\n");
        let mut command = std::process::Command::new("nsenter");
        command.args(["-t", &self.switch().pid().to_string(), "-n", "--", "nft", "-f", "-"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run nft (Debian package nftables)")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(rules.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            anyhow::bail!("the switch's filter: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Stops every process of a machine; its kernel goes on. Returns the time right before.
    ///
    /// # Errors
    /// When it is off, or processes cannot be stopped.
    pub fn freeze(&self, name: &str) -> anyhow::Result<u64> {
        let at = crate::now();
        self.machine(name)?.freeze()?;
        Ok(at)
    }

    /// Lets the processes of a machine go on. Returns the time right before.
    ///
    /// # Errors
    /// When it is off.
    pub fn thaw(&self, name: &str) -> anyhow::Result<u64> {
        let at = crate::now();
        self.machine(name)?.thaw();
        Ok(at)
    }

    /// Sends KILL to the daemon of a machine, to its supervisor too if `supervisor`. Returns the time right before.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_daemon(&self, name: &str, supervisor: bool) -> anyhow::Result<u64> {
        let machine = self.machine(name)?;
        let all: Vec<_> = machine.processes().into_iter().filter(|process| process.name == "hearthd").collect();
        let is_daemon = |parent: i32| all.iter().any(|process| process.pid == parent);
        let (daemons, supervisors): (Vec<_>, Vec<_>) = all.iter().partition(|process| is_daemon(process.parent));
        let at = crate::now();
        // The supervisor first: it would start another.
        let doomed: Vec<_> = if supervisor { supervisors.into_iter().chain(daemons).collect() } else { daemons };
        if doomed.is_empty() {
            anyhow::bail!("no supervised daemon runs on {name}");
        }
        for process in doomed {
            machine.signal(process, Signal::SIGKILL)?;
        }
        Ok(at)
    }
}
