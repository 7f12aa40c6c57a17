//! A daemon that answers one connection from a script.

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// How it behaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Script {
    /// There is no socket.
    Absent,
    /// There is a socket that nobody listens on.
    Dead,
    /// It reads the request and closes.
    Closes,
    /// It answers with these lines, then closes.
    Answers(Vec<String>),
}

/// A scripted daemon in a folder of its own.
pub struct Daemon {
    folder: tempfile::TempDir,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Daemon {
    /// Listens.
    pub fn start(script: Script) -> Daemon {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("control");
        if script == Script::Absent {
            return Daemon { folder, thread: None };
        }
        let listener = UnixListener::bind(&path).expect("bind");
        let lines = match script {
            // Dropping the listener leaves the socket file behind.
            Script::Absent | Script::Dead => return Daemon { folder, thread: None },
            Script::Closes => Vec::new(),
            Script::Answers(lines) => lines,
        };
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = String::new();
            BufReader::new(stream.try_clone().expect("clone")).read_line(&mut request).expect("read");
            if request.is_empty() {
                return Vec::new();
            }
            for line in lines {
                // A client may have seen enough.
                if stream.write_all(format!("{line}\n").as_bytes()).is_err() {
                    break;
                }
            }
            vec![request.trim_end().to_owned()]
        });
        Daemon { folder, thread: Some(thread) }
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// What it was asked, once the client has ended.
    pub fn requests(mut self) -> Vec<String> {
        let Some(thread) = self.thread.take() else { return Vec::new() };
        // A client that never came must not leave the daemon waiting for it.
        drop(std::os::unix::net::UnixStream::connect(self.socket()));
        thread.join().expect("the scripted daemon")
    }
}

/// Lines of replies/NAME.json. It holds a reply, a list of replies, or `{"base": NAME, "patch": {...}}`: another file's
/// status with members replaced (objects are merged, anything else is replaced).
pub fn replies(name: &str) -> Vec<String> {
    let value = load(name);
    let list = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    list.iter().map(Value::to_string).collect()
}

/// The file, with its base merged in.
pub fn load(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/replies").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    match (value.get("base").and_then(Value::as_str), value.get("patch")) {
        (Some(base), Some(patch)) => {
            let mut whole = load(base);
            merge(&mut whole["status"], patch);
            whole
        }
        _ => value,
    }
}

fn merge(whole: &mut Value, patch: &Value) {
    match (whole, patch) {
        (Value::Object(whole), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(whole.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (whole, patch) => *whole = patch.clone(),
    }
}
