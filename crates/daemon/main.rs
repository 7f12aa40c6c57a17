//! hearthd: keeps a service running on exactly one of a few machines.

use clap::Parser;
use hearth_runtime::{Folders, configuration, run, supervise};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

const AFTER: &str = "Exit codes: 0 stopped in order, 2 error, 3 usage, 6 configuration, 7 state of another\n\
program (nothing was started).\n\
SIGHUP reads the three files again; SIGTERM moves everything away and stops.";

/// Keeps a service running on exactly one of a few machines
#[derive(Debug, Parser)]
#[command(name = "hearthd", version, after_help = AFTER, max_term_width = 100)]
struct Options {
    /// Folder with ha.cf, haresources and authkeys
    #[arg(short = 'd', long = "directory", value_name = "DIR", default_value = "/etc/ha.d")]
    directory: PathBuf,
    /// Folder for what must survive a power cut
    #[arg(long, value_name = "DIR", default_value = "/var/lib/hearth")]
    state: PathBuf,
    /// Folder for the control socket and for what the next daemon must know
    #[arg(long, value_name = "DIR", default_value = "/run/hearth")]
    run: PathBuf,
    /// Name of this machine in ha.cf [default: nodeinfo in DIR, else `uname -n`]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Stay as parent and start the daemon again when it dies
    #[arg(long)]
    supervise: bool,
    /// Given by that parent
    #[arg(long, hide = true, conflicts_with = "supervise")]
    supervised: bool,
    /// Check the files, say what is to be said, and start nothing
    #[arg(long, conflicts_with = "supervise")]
    check: bool,
}

const USAGE: u8 = 3;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    if options.supervise { parent() } else { daemon(options) }
}

fn parent() -> ExitCode {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return trouble(&format!("the program's own path cannot be read: {error}")),
    };
    let arguments: Vec<_> = std::env::args_os().skip(1).filter(|argument| argument != "--supervise").collect();
    let command = || {
        let mut command = Command::new(&program);
        command.args(&arguments).arg("--supervised");
        command
    };
    match supervise::supervise(command) {
        Ok(code) => code.into(),
        Err(error) => trouble(&format!("the daemon cannot be supervised: {error}")),
    }
}

fn daemon(options: Options) -> ExitCode {
    let began = Instant::now();
    let folders = Folders { config: options.directory, state: options.state, run: options.run };
    let config = match configuration(&folders, options.node.as_deref()) {
        Ok((config, notes)) => {
            eprint!("{notes}");
            config
        }
        Err(error) => {
            eprint!("{error}");
            return supervise::CONFIGURATION.into();
        }
    };
    if options.check {
        return ExitCode::SUCCESS;
    }
    let ended = run(config, folders, options.node, env!("CARGO_PKG_VERSION"));
    supervise::end(began, options.supervised, ended).into()
}

fn trouble(text: &str) -> ExitCode {
    eprintln!("hearthd: {text}");
    supervise::FAILED.into()
}
