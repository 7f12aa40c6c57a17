//! hearthd: keeps a service running on exactly one of a few machines.

mod options;

use clap::Parser;
use hearth_runtime::{Folders, configuration, run, supervise};
use options::Options;
use std::process::{Command, ExitCode};
use std::time::Instant;

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
