//! One machine's namespaces and the process that holds them.
//!
//! The holder is process 1 of a process namespace of its own.  It ends when the pipe from us closes, for whatever reason,
//! and the kernel then kills everything else in there and takes the network apart.

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

/// The program that runs [`crate::host::main`], with the words that lead to it.
#[derive(Clone, Debug)]
pub struct Helper {
    /// Program.
    pub program: PathBuf,
    /// Words before those of the helper.
    pub words: Vec<OsString>,
}

/// What a holder prepares in its namespaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setting {
    /// Host name.
    pub(crate) name: String,
    /// Folder that is seen at [`ROOM`] inside.
    pub(crate) room: Option<PathBuf>,
    /// Folder that the holder removes when its maker is gone.
    pub(crate) sweep: Option<PathBuf>,
}

/// Where a machine sees its own folder.
pub(crate) const ROOM: &str = "/mnt";

/// A process inside a machine, seen from outside.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id out here.
    pub pid: i32,
    /// Its parent's id out here; 0 where that is not visible.
    pub parent: i32,
    /// `R`, `S`, `T` (stopped), `Z` (zombie) ...
    pub state: char,
    /// Program name, at most 15 bytes.
    pub name: String,
    /// Command line, words joined by blanks.
    pub command: String,
}

/// One machine's namespaces.
pub struct Space {
    name: String,
    maker: Child,
    pipe: Option<ChildStdin>,
    first: i32,
    namespace: PathBuf,
}

impl Space {
    /// Makes namespaces and waits until their holder is ready.
    pub(crate) fn open(helper: &Helper, setting: &Setting) -> anyhow::Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--"]);
        command.arg(&helper.program).args(&helper.words).args(["hold", "--name"]).arg(&setting.name);
        if let Some(room) = &setting.room {
            command.arg("--room").arg(room);
        }
        if let Some(sweep) = &setting.sweep {
            command.arg("--sweep").arg(sweep);
        }
        // A group of its own: ctrl-C at the terminal is for us, who then take everything down in order.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut maker = command.spawn().context("cannot run unshare (Debian package util-linux)")?;
        let pipe = maker.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = maker.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let Ok(first) = line.trim().parse::<i32>() else {
            drop(pipe);
            let output = maker.wait_with_output()?;
            bail!(
                "cannot make the namespaces of machine {}: {}\nThis needs root, or a kernel that lets users make user \
                 namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone).",
                setting.name,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        };
        let namespace = std::fs::read_link(format!("/proc/{first}/ns/pid")).context("the holder ended at once")?;
        Ok(Self { name: setting.name.clone(), maker, pipe, first, namespace })
    }

    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id of the holder, out here. `nsenter -t ID -n -m -u -i -p` goes in.
    pub fn pid(&self) -> i32 {
        self.first
    }

    /// A command that runs inside.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first.to_string(), "-n", "-m", "-u", "-i", "-p", "--"]);
        command.arg(program.as_ref()).current_dir("/").stdin(Stdio::null());
        command
    }

    /// Runs words inside and waits.
    ///
    /// # Errors
    /// With the output when it did not exit with 0.
    pub fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let (program, rest) = words.split_first().context("no command")?;
        finished(self.command(program).args(rest), words)
    }

    /// Starts words inside as a session of its own that nobody out here waits for; output goes to the end of `log`.
    ///
    /// # Errors
    /// When it could not be started.
    pub fn detach(&self, words: &[&str], variables: &[(&str, String)], log: &Path) -> anyhow::Result<()> {
        let file = File::options().create(true).append(true).open(log)?;
        let mut command = self.command("setsid");
        command.arg("--fork").args(words).stdout(file.try_clone()?).stderr(file);
        for (name, value) in variables {
            command.env(name, value);
        }
        let status = command.status()?;
        if !status.success() {
            bail!("{words:?} on {} could not be started: {status}", self.name);
        }
        Ok(())
    }

    /// Gives `lines` to `ip -batch` in this network; `force` goes on after a line that fails.
    pub(crate) fn ip(&self, lines: &str, force: bool) -> anyhow::Result<()> {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.first.to_string(), "-n", "--", "ip"]);
        if force {
            command.arg("-force");
        }
        let mut child = command
            .args(["-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run ip (Debian package iproute2)")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(lines.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() && !force {
            bail!("ip in {}: {}\n{lines}", self.name, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Runs `inside` on a thread that is in this network, and returns what it gives. Sockets made there stay there.
    ///
    /// # Errors
    /// When the network cannot be entered, or those of `inside`.
    pub fn in_network<T: Send>(&self, inside: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let network = File::open(format!("/proc/{}/ns/net", self.first))?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(network, CloneFlags::CLONE_NEWNET)?;
                inside()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// All living processes inside, without the holder.
    pub fn processes(&self) -> Vec<Process> {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        let inside = |pid: &i32| {
            *pid != self.first
                && std::fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|namespace| namespace == self.namespace)
        };
        ids.filter(inside).filter_map(process).filter(|process| process.state != 'Z').collect()
    }

    /// Sends a signal to one process inside.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, process: &Process, signal: Signal) -> anyhow::Result<()> {
        // The id may have been given away since it was listed: it is looked at again right before.
        let namespace = std::fs::read_link(format!("/proc/{}/ns/pid", process.pid))?;
        if namespace != self.namespace {
            bail!("process {} of {} is gone", process.pid, self.name);
        }
        Ok(kill(Pid::from_raw(process.pid), signal)?)
    }

    /// Stops every process inside, those too that are started meanwhile.
    ///
    /// # Errors
    /// When some cannot be stopped within a second.
    pub fn freeze(&self) -> anyhow::Result<()> {
        let stopped = crate::wait_until(Duration::from_secs(1), Duration::from_micros(200), || {
            let running: Vec<_> = self.processes().into_iter().filter(|process| process.state != 'T').collect();
            for process in &running {
                // One that ended meanwhile needs no stopping.
                let _ = self.signal(process, Signal::SIGSTOP);
            }
            running.is_empty().then_some(())
        });
        stopped.with_context(|| format!("processes of {} cannot be stopped", self.name))
    }

    /// Lets every process inside go on.
    pub fn thaw(&self) {
        for process in self.processes() {
            // One that ended meanwhile needs nothing.
            let _ = self.signal(&process, Signal::SIGCONT);
        }
    }

    /// Ends everything inside at once.
    pub(crate) fn kill(&mut self) {
        // The holder is process 1 of its namespace: with it everything in there dies.
        let _ = kill(Pid::from_raw(self.first), Signal::SIGKILL);
        self.pipe = None;
        let _ = self.maker.wait();
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if self.pipe.take().is_some() {
            // The holder sees the end of the pipe and sweeps; then everything inside is gone.
            let _ = self.maker.wait();
        }
    }
}

fn process(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (start, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?.chars().next()?;
    let parent = words.next()?.parse().ok()?;
    let name = start.split_once('(')?.1.to_owned();
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
    Some(Process { pid, parent, state, name, command })
}

fn finished(command: &mut Command, words: &[&str]) -> anyhow::Result<String> {
    let Output { status, stdout, stderr } =
        command.output().with_context(|| format!("cannot run nsenter for {words:?} (Debian package util-linux)"))?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if !status.success() {
        bail!("{}: {status}\n{stdout}{}", words.join(" "), String::from_utf8_lossy(&stderr).trim());
    }
    Ok(stdout)
}

/// Makes sure that this program may make namespaces: root goes on, any other user is run again as root of a user
/// namespace of its own. Call it first in `main`. Returns only when the program may go on.
///
/// # Errors
/// When no user namespace can be made.
pub fn as_root_of_own_namespace() -> anyhow::Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let program = std::env::current_exe()?;
    let failure = Command::new("unshare")
        .args(["--user", "--map-root-user", "--"])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(anyhow::Error::from(failure).context("cannot run unshare (Debian package util-linux)"))
}
