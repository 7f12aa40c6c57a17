//! What only a terminal sees: colours, and a status that is redrawn in place.

use crate::daemon::{Daemon, Script, replies};
use nix::pty::openpty;
use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

/// What `hearth` writes to a terminal.
fn on_terminal(arguments: &[&str], reply: &str, environment: &[(&str, &str)]) -> String {
    let daemon = Daemon::start(Script::Answers(replies(reply)));
    let pty = openpty(None, None).expect("a pseudo terminal");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hearth"))
        .args(arguments)
        .env_clear()
        .env("HEARTH_SOCKET", daemon.socket())
        .envs(environment.iter().copied())
        .stdout(Stdio::from(pty.slave))
        .stderr(Stdio::null())
        .spawn()
        .expect("hearth runs");
    let mut text = Vec::new();
    let mut master = File::from(pty.master);
    let mut chunk = [0; 4096];
    // A terminal whose last writer has gone reads as an error.
    while let Ok(length @ 1..) = master.read(&mut chunk) {
        text.extend_from_slice(&chunk[..length]);
    }
    child.wait().expect("hearth ends");
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let coloured = on_terminal(&["status"], "unclean", &[]);
    assert!(coloured.starts_with("\x1b[1;31mapache2 does not run"), "{coloured:?}");
    for refusal in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_terminal(&["status"], "unclean", &[refusal]);
        assert!(!plain.contains('\x1b'), "{plain:?}");
    }
    assert!(on_terminal(&["status"], "unclean", &[("NO_COLOR", "")]).contains('\x1b'));
}

#[test]
fn an_agents_output_does_not_steer_the_terminal() {
    let text = on_terminal(&["status"], "failed-resource", &[("NO_COLOR", "1")]);
    assert!(text.contains("[31mInvalid command") && !text.contains('\x1b'), "{text:?}");
}

#[test]
fn watch_redraws_a_terminal_in_place() {
    let text = on_terminal(&["status", "--watch"], "full", &[("NO_COLOR", "1")]);
    assert!(text.starts_with("\x1b[H\x1b[2J"), "{text:?}");
}
