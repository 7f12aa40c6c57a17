//! A fence agent as those of fence-agents: options on standard input. It asks the harness, which holds the power switches
//! of all guests.

use super::ports;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;

/// What a fence agent's `status` exits with when the machine is off.
const IS_OFF: u8 = 2;

/// Does one thing and exits as a fence agent does.
pub fn run() -> ExitCode {
    match ask() {
        Ok(answer) if answer == "ok" => ExitCode::SUCCESS,
        Ok(answer) if answer == "off" => IS_OFF.into(),
        Ok(answer) => {
            eprintln!("the switch says {answer}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("the switch cannot be asked: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask() -> io::Result<String> {
    let mut options = String::new();
    io::stdin().read_to_string(&mut options)?;
    let option = |name: &str| options.lines().filter_map(|line| line.split_once('=')).find(|(key, _)| *key == name);
    let action = option("action").map_or("reboot", |(_, value)| value);
    // One at a time; the lock ends with this process, however that ends.
    let lock = Flock::lock(File::create("/run/switch")?, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    let mut port = BufReader::new(ports::open("power")?);
    let id = std::process::id().to_string();
    writeln!(port.get_mut(), "{id} {action}")?;
    loop {
        let mut line = String::new();
        if port.read_line(&mut line)? == 0 {
            return Err(io::Error::other("it hung up"));
        }
        // An answer to somebody who was ended before it came is not ours.
        if let Some((asked, answer)) = line.trim().split_once(' ')
            && asked == id
        {
            drop(lock);
            return Ok(answer.to_owned());
        }
    }
}
