//! Real daemons on the machines of a lab.

use crate::lab::{Lab, Net, Options};
use crate::{Helper, now, wait_until};
use anyhow::{Context, bail};
use hearth_control::{Reply, Request, Status};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `hearthd`.
    pub hearthd: PathBuf,
    /// `hearth`.
    pub hearth: PathBuf,
    /// Runs inside the machines.
    pub helper: Helper,
}

/// The three files, the same on every machine, and scripts.
#[derive(Clone, Debug)]
pub struct Files {
    /// Lines of ha.cf besides nodes and media.
    pub ha_cf: String,
    /// The machine that is named in a `witness` line and not in a `node` line.
    pub witness: Option<String>,
    /// Machines that are named at all; none: all of the lab.
    pub named: Option<Vec<String>>,
    /// Networks on which every machine has a ucast line.
    pub nets: Vec<Net>,
    /// haresources.
    pub haresources: String,
    /// resources.crm, if there is one.
    pub crm: Option<String>,
    /// authkeys.
    pub authkeys: String,
    /// Scripts in resource.d by name.
    pub scripts: Vec<(String, String)>,
}

impl Default for Files {
    /// keepalive 50 ms, deadtime 500 ms, no resources, one key.
    fn default() -> Self {
        Self {
            ha_cf: "keepalive 50ms\ndeadtime 500ms\nwarntime 200ms\ninitdead 2s\n".into(),
            witness: None,
            named: None,
            nets: Net::ALL.into(),
            haresources: String::new(),
            crm: None,
            authkeys: "auth 1\n1 sha256 a-key-that-only-this-lab-knows\n".into(),
            scripts: Vec::new(),
        }
    }
}

/// A lab whose machines run daemons.
pub struct Cluster {
    /// The machines.
    pub lab: Lab,
    programs: Programs,
    variables: Vec<(&'static str, String)>,
}

impl Cluster {
    /// Makes machines and writes their files; starts nothing.
    ///
    /// # Errors
    /// When the lab cannot be made or a program is missing.
    pub fn new(programs: &Programs, disk: &Path, machines: &[&str], files: &Files) -> anyhow::Result<Self> {
        for program in [&programs.hearthd, &programs.hearth, &programs.helper.program] {
            if !program.is_file() {
                bail!("{} is missing: build it first (./run does)", program.display());
            }
        }
        let options = Options {
            helper: programs.helper.clone(),
            disk: disk.to_owned(),
            machines: machines.iter().map(|name| (*name).to_owned()).collect(),
        };
        let cluster = Self { lab: Lab::new(&options)?, programs: programs.clone(), variables: Vec::new() };
        for name in machines {
            cluster.write(name, files)?;
        }
        Ok(cluster)
    }

    /// Environment of daemons that are started from now on.
    pub fn set_variable(&mut self, name: &'static str, value: String) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value));
    }

    /// Writes the files of one machine: nodes and media come from the lab.
    ///
    /// # Errors
    /// When its folder cannot be written.
    ///
    /// # Panics
    /// When the files could reset the machine that the lab is on.
    pub fn write(&self, name: &str, files: &Files) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.lab.room(name).join("ha.d");
        let mut ha_cf = format!("# written by the lab\n{}", files.ha_cf);
        let named = files.named.clone().unwrap_or_else(|| self.lab.names());
        for node in &named {
            for net in files.nets.iter().copied() {
                writeln!(ha_cf, "ucast {} {}", net.interface(), self.lab.address(node, net)?)?;
            }
        }
        let (witness, nodes): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|node| files.witness.as_ref() == Some(node));
        writeln!(ha_cf, "node {}", nodes.join(" "))?;
        for node in witness {
            writeln!(ha_cf, "witness {node}")?;
        }
        never_resets(&ha_cf);
        std::fs::write(folder.join("ha.cf"), ha_cf)?;
        std::fs::write(folder.join("haresources"), &files.haresources)?;
        if let Some(crm) = &files.crm {
            std::fs::write(folder.join("resources.crm"), crm)?;
        }
        let keys = folder.join("authkeys");
        std::fs::write(&keys, &files.authkeys)?;
        std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o600))?;
        for (script, text) in &files.scripts {
            let path = folder.join("resource.d").join(script);
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Starts the supervised daemon of a machine.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, name: &str) -> anyhow::Result<()> {
        let hearthd = self.programs.hearthd.to_str().context("the daemon's path is not text")?;
        let words = [hearthd, "-d", "/mnt/ha.d", "--state", "/mnt/state", "--supervise"];
        self.lab.machine(name)?.detach(&words, &self.variables, &self.lab.room(name).join("log/hearthd.log"))
    }

    /// Starts the lab's own service on a machine, outside the cluster: for addresses without a service.
    ///
    /// # Errors
    /// When it does not start.
    pub fn serve(&self, name: &str, udp_port: u16) -> anyhow::Result<()> {
        let port = udp_port.to_string();
        let Helper { program, words } = &self.programs.helper;
        let mut command = self.lab.machine(name)?.command(program);
        command.args(words).args(["serve", "--udp", &port, "--daemon", "--pidfile", "/run/lab-service.pid"]);
        let output = command.output()?;
        if !output.status.success() {
            bail!("service on {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// A heartbeat-class script that starts and stops the lab's own service.
    pub fn service_script(helper: &Helper, udp_port: u16, http_port: u16) -> String {
        let words: Vec<_> =
            std::iter::once(helper.program.as_os_str()).chain(helper.words.iter().map(AsRef::as_ref)).collect();
        let words: Vec<_> = words.iter().map(|word| format!("'{}'", word.to_string_lossy())).collect();
        format!(
            "#!/bin/sh\n# A small service: UDP echo and a page over HTTP.\npidfile=/run/web.pid\n\
             runs() {{ [ -s $pidfile ] && kill -0 \"$(cat $pidfile)\" 2>/dev/null; }}\n\
             case $1 in\n\
             start) runs || {} serve --udp {udp_port} --http {http_port} --daemon --pidfile $pidfile ;;\n\
             stop) if runs; then pid=$(cat $pidfile); kill \"$pid\"; while kill -0 \"$pid\" 2>/dev/null; do sleep 0.01; done; fi\n\
             \x20   rm -f $pidfile ;;\n\
             status) if runs; then echo running; else echo stopped; exit 3; fi ;;\n\
             *) echo \"usage: $0 start|stop|status\" >&2; exit 2 ;;\n\
             esac\n",
            words.join(" ")
        )
    }

    /// Asks a machine's daemon.
    ///
    /// # Errors
    /// When it does not answer within two seconds, or not with a reply.
    pub fn ask(&self, name: &str, request: &Request, limit: Duration) -> anyhow::Result<Reply> {
        let socket = format!("/proc/{}/root/run/hearth/control", self.lab.machine(name)?.pid());
        let mut stream =
            UnixStream::connect(&socket).with_context(|| format!("the daemon of {name} does not answer"))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        writeln!(stream, "{}", serde_json::to_string(request)?)?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("{name} answered {line:?}"))
    }

    /// The status as a machine sees it.
    ///
    /// # Errors
    /// When its daemon does not answer.
    pub fn status(&self, name: &str) -> anyhow::Result<Status> {
        match self.ask(name, &Request::Status, Duration::from_secs(2))? {
            Reply::Status { status } => Ok(*status),
            other => bail!("{name} answered {other:?}"),
        }
    }

    /// Waits until the status of a machine is as wanted.
    ///
    /// # Errors
    /// With the last status when it is not so within `limit`.
    pub fn wait(
        &self,
        name: &str,
        limit: Duration,
        what: &str,
        mut holds: impl FnMut(&Status) -> bool,
    ) -> anyhow::Result<Status> {
        let mut last = None;
        let found = wait_until(limit, Duration::from_millis(10), || match self.status(name) {
            Ok(status) if holds(&status) => Some(status),
            other => {
                last = Some(other);
                None
            }
        });
        found.with_context(|| {
            let last = match last {
                Some(Ok(status)) => serde_json::to_string_pretty(&status).unwrap_or_default(),
                Some(Err(error)) => format!("{error:#}"),
                None => String::new(),
            };
            format!("{name}: not within {limit:?}: {what}\nlast seen: {last}")
        })
    }

    /// Runs `hearth` on a machine.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn hearth(&self, name: &str, words: &[&str]) -> anyhow::Result<Output> {
        Ok(self.lab.machine(name)?.command(&self.programs.hearth).args(words).output()?)
    }

    /// Runs `hearth` on a machine, which must succeed. Returns its output and the time right before.
    ///
    /// # Errors
    /// With its message when it does not exit with 0.
    pub fn order(&self, name: &str, words: &[&str]) -> anyhow::Result<(u64, String)> {
        let at = now();
        let output = self.hearth(name, words)?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            bail!("hearth {} on {name}: {}: {}", words.join(" "), output.status, text.trim());
        }
        Ok((at, String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// The end of a machine's log.
    pub fn log(&self, name: &str, lines: usize) -> String {
        let text = std::fs::read(self.lab.room(name).join("log/hearthd.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<_> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// The machines of a lab have one kernel, that of the machine on which somebody works: what resets one resets that.
fn never_resets(ha_cf: &str) {
    assert!(!ha_cf.contains("self_fence"), "`self_fence` in a lab would reset the machine that the lab is on");
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "would reset the machine")]
    fn no_lab_has_files_that_could_reset_the_machine_it_is_on() {
        super::never_resets("node a b\nself_fence reboot\n");
    }
}
