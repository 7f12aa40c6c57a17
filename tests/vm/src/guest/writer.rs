//! The service: writes numbered lines into one file of the shared file system, each of them synced, and tells the
//! harness of each only then.

use super::ports::{self, pause};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

/// The file on the shared file system.
const LOG: &str = "/srv/log";
/// Between two writes: without it emulation would take a whole processor for nothing but these.
const PERIOD_MS: u16 = 5;

/// Runs until it is ended or cannot write.
pub fn run() -> ExitCode {
    match write() {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("vm-writer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> io::Result<std::convert::Infallible> {
    let mut tell = ports::open("write")?;
    let node = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    match work(&mut tell, &node) {
        Ok(never) => match never {},
        Err(error) => {
            // The harness judges what came before it.
            let _ = writeln!(tell, "trouble {error}");
            Err(error)
        }
    }
}

fn work(tell: &mut File, node: &str) -> io::Result<std::convert::Infallible> {
    let mut log = OpenOptions::new().read(true).append(true).create(true).custom_flags(libc::O_SYNC).open(LOG)?;
    let mut text = String::new();
    log.read_to_string(&mut text)?;
    let mut number = last(&text);
    writeln!(tell, "open {number}")?;
    loop {
        number += 1;
        log.write_all(format!("{number:010} {node}\n").as_bytes())?;
        writeln!(tell, "wrote {number}")?;
        pause(PERIOD_MS);
    }
}

/// Number of the last whole line.
fn last(text: &str) -> u64 {
    let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    whole.lines().next_back().and_then(|line| line.split(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_that_was_cut_short_does_not_count() {
        assert_eq!(super::last(""), 0);
        assert_eq!(super::last("0000000001 a\n0000000002 b\n"), 2);
        assert_eq!(super::last("0000000001 a\n0000000002 a\n00000"), 2);
    }
}
