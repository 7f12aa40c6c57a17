//! `hearth`, the command that people use.
//!
//! It asks the daemon of this machine over its control socket (`hearth-control`) and says the answer in words.  It
//! decides nothing and keeps no state; it deliberately does not know how a cluster works.  Called by the name
//! `cl_status`, `hb_standby`, `hb_takeover` or `crm_mon` it does what these did.
//!
//! Inputs: arguments, `HEARTH_SOCKET`, `NO_COLOR`, `TZ`, replies of the daemon.  Outputs: text or JSON on stdout, trouble
//! on stderr, an exit code of docs/cli.md.  Invariants: every failure says the way out; a closed pipe is no failure; what
//! a script or a peer said reaches the terminal without control characters.
#![forbid(unsafe_code)]

mod args;
mod check;
mod clock;
mod connection;
mod demo;
mod disk;
mod generate;
#[path = "../daemon/options.rs"]
mod hearthd;
mod moves;
mod old;
mod page;
mod replay;
mod status;
mod timeline;
mod trouble;
mod view;
mod why;

use args::{Cli, Command};
use clap::Parser;
use page::Look;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trouble::{Exit, Trouble};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let called =
        arguments.first().map(|name| Path::new(name).file_name().unwrap_or(name).to_string_lossy().into_owned());
    let socket = std::env::var_os("HEARTH_SOCKET").map_or_else(|| PathBuf::from(args::DEFAULT_SOCKET), PathBuf::from);
    let rest = || arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>();
    match called.as_deref() {
        Some("cl_status") => ExitCode::from(old::cl_status::run(&socket, &rest())),
        Some("hb_standby") => ExitCode::from(old::hand_over::standby(&socket, &rest())),
        Some("hb_takeover") => ExitCode::from(old::hand_over::takeover(&socket, &rest())),
        Some("crm_mon") => ExitCode::from(old::crm_mon::run(&socket, &rest())),
        _ => hearth(arguments, socket),
    }
}

/// Runs under the new name.
fn hearth(arguments: Vec<OsString>, default_socket: PathBuf) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(refusal) => {
            // A closed pipe is no failure, and the text is clap's own: help and version on stdout, the rest on stderr.
            let _ = refusal.print();
            return ExitCode::from(if refusal.use_stderr() { Exit::Usage } else { Exit::Done } as u8);
        }
    };
    let socket = cli.socket.unwrap_or(default_socket);
    match run(cli.command, &socket) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(trouble) => {
            trouble.print("hearth");
            ExitCode::from(trouble.exit as u8)
        }
    }
}

fn run(command: Command, socket: &Path) -> Result<Exit, Trouble> {
    let look = Look::of_stdout();
    match command {
        Command::Status(options) => status::run(socket, &options, &look),
        Command::Standby(options) => moves::standby(socket, &options),
        Command::Takeover(options) => moves::takeover(socket, &options),
        Command::Failback(options) => moves::failback(socket, &options),
        Command::Timeline(options) => timeline::run(socket, &options, &look),
        Command::Why(options) => why::run(socket, &options, &look),
        Command::Replay(options) => replay::run(&options, &look),
        Command::Clear(options) => moves::clear(socket, options.resource),
        Command::Release(options) => moves::release(socket, options.name),
        Command::Check(options) => check::run(&options, &look),
        Command::Reload => moves::reload(socket),
        Command::Fence(options) => moves::fence(socket, &options),
        Command::Disk(command) => disk::run(&command),
        Command::Alert(args::AlertCommand::Test(options)) => moves::alert_test(socket, &options),
        Command::Node(args::NodeCommand::Add(options)) => moves::node_add(socket, &options),
        Command::Node(args::NodeCommand::Remove(options)) => moves::node_remove(socket, &options),
        Command::Node(args::NodeCommand::ConfirmOff(options)) => moves::confirm_off(socket, &options),
        Command::Stop(options) => moves::stop(socket, &options),
        Command::Demo(options) => demo::run(&options, &look),
        Command::Completions { shell } => generate::completions(shell),
        Command::Man { directory } => generate::man(directory.as_deref()),
    }
}
