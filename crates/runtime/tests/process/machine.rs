//! A machine as a test sees it: its files, its process, its socket, its counters.

use hearth_control::{Reply, Request, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything that must happen.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A lone node of two that begins soon.
pub const HA_CF: &str = "keepalive 50ms\nwarntime 200ms\ndeadtime 500ms\ninitdead 600ms\nbcast eth0\nnode alpha beta\n";

/// Waits until there is a value.
pub fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

pub struct Machine {
    room: tempfile::TempDir,
    process: Option<Child>,
}

impl Machine {
    /// Files only; nothing runs.
    pub fn new(ha_cf: &str, haresources: &str) -> Machine {
        let room = tempfile::tempdir().unwrap();
        // So that other users reach the socket.
        fs::set_permissions(room.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(room.path().join("ha.d")).unwrap();
        let machine = Machine { room, process: None };
        machine.write("ha.cf", ha_cf);
        machine.write("haresources", haresources);
        machine.write("authkeys", "auth 1\n1 sha256 a-key-that-only-this-test-knows\n");
        machine
    }

    pub fn write(&self, file: &str, text: &str) {
        assert!(!text.contains("self_fence"), "it would reset the machine that this test is on");
        let path = self.path("ha.d").join(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    pub fn start(&mut self, mode: &str) {
        self.start_with(mode, "-");
    }

    /// As systemd starts it: told over `notify`, and expecting a sign of life within that time.
    pub fn start_notifying(&mut self, notify: &Path, life: Duration) {
        let life = life.as_micros().to_string();
        self.spawn("daemon", "-", &[("NOTIFY_SOCKET", notify.as_os_str()), ("WATCHDOG_USEC", life.as_ref())]);
    }

    /// `disk`: size of its state folder, as tmpfs takes it.
    pub fn start_with(&mut self, mode: &str, disk: &str) {
        self.spawn(mode, disk, &[]);
    }

    fn spawn(&mut self, mode: &str, disk: &str, environment: &[(&str, &OsStr)]) {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["role", "machine"]).arg(self.room.path()).args([mode, disk]);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// The process that was started: the supervisor, or the daemon.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.process.as_ref().expect("started").id() as i32)
    }

    /// The supervisor's child.
    pub fn daemon(&self) -> Option<Pid> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let plays = |pid: &&str| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.split(|byte| *byte == 0).nth(2) == Some(b"daemon")
        };
        children.split_whitespace().find(plays).map(|pid| Pid::from_raw(pid.parse().unwrap()))
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for the end of the process that was started.
    pub fn end(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("started");
        let status = wait("the process ends", || process.try_wait().unwrap());
        self.process = None;
        status
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run").join("control")
    }

    pub fn ask(&self, request: &Request) -> Option<Reply> {
        ask(&self.socket(), request)
    }

    pub fn status(&self) -> Option<Status> {
        match self.ask(&Request::Status)? {
            Reply::Status { status } => Some(*status),
            other => panic!("not a status: {other:?}"),
        }
    }

    /// Waits until the daemon answers.
    pub fn up(&self) -> Status {
        let start = Instant::now();
        loop {
            if let Some(status) = self.status() {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the daemon does not answer:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// Packets that left `eth0` so far: heartbeats, as nothing else is sent there.
    pub fn sent(&self) -> u64 {
        self.sent_on("eth0")
    }

    /// Packets that left an interface so far.
    pub fn sent_on(&self, interface: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/net/dev", self.pid())).unwrap();
        let name = format!("{interface}:");
        let line = text.lines().find_map(|line| line.trim().strip_prefix(&name)).expect("an interface");
        line.split_whitespace().nth(9).unwrap().parse().unwrap()
    }

    /// Runs a command in its network; its output.
    pub fn run(&self, command: &str) -> String {
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &self.pid().to_string(), "-n", "--"]).args(command.split_whitespace());
        let output = inside.output().expect("util-linux is needed");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The daemon goes with its supervisor.
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the machine\n{}", self.log());
        }
    }
}

/// One answer; none while nobody answers.
pub fn ask(socket: &Path, request: &Request) -> Option<Reply> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    let mut line = serde_json::to_vec(request).unwrap();
    line.push(b'\n');
    stream.write_all(&line).ok()?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).ok()?;
    serde_json::from_str(&answer).ok()
}
