//! Completions and manual pages, made from the command line's own description.

use crate::args::Cli;
use crate::page::write_out;
use crate::trouble::{Exit, Trouble};
use clap::CommandFactory;
use std::path::Path;

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Exit, Trouble> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hearth", &mut script);
    write_out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// hearth(1) on stdout, or one page a command in `directory`.
pub(crate) fn man(directory: Option<&Path>) -> Result<Exit, Trouble> {
    let Some(directory) = directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut page)
            .map_err(|error| Trouble::new(Exit::Error, format!("the manual page cannot be made: {error}")))?;
        write_out(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Done);
    };
    let failed = |error: std::io::Error| {
        Trouble::new(Exit::Error, format!("cannot write manual pages into {}: {error}", directory.display()))
            .help("name a folder that you may write to")
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), directory).map_err(failed)?;
    Ok(Exit::Done)
}
