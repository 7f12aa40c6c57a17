//! Completions and manual pages, made from the command line's own description.

use crate::args::Cli;
use crate::hearthd;
use crate::old;
use crate::page::write_out;
use crate::trouble::{Exit, Trouble};
use clap::CommandFactory;
use roff::{Roff, roman};
use std::path::Path;

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Exit, Trouble> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hearth", &mut script);
    write_out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// hearth(1) on stdout, or below `directory`, in man1 and man8, one page a command, hearthd(8) and the old names.
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
    let folder = |section: u8| directory.join(format!("man{section}"));
    std::fs::create_dir_all(folder(1)).and_then(|()| std::fs::create_dir_all(folder(8))).map_err(failed)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder(1)).map_err(failed)?;
    let mut page = Vec::new();
    clap_mangen::Man::new(hearthd::Options::command()).section("8").render(&mut page).map_err(failed)?;
    std::fs::write(folder(8).join("hearthd.8"), page).map_err(failed)?;
    for (name, section, line, text) in old::pages() {
        let file = folder(section).join(format!("{name}.{section}"));
        std::fs::write(file, old_name(name, section, line, text)).map_err(failed)?;
    }
    Ok(Exit::Done)
}

/// The page of an old name: its help, line by line.
fn old_name(name: &str, section: u8, line: &str, text: &str) -> String {
    let section = section.to_string();
    let mut page = Roff::new();
    page.control("TH", [name, &section]);
    page.control("SH", ["NAME"]).text([roman(format!("{name} - {line}"))]);
    page.control("SH", ["DESCRIPTION"]).control("nf", []);
    for line in text.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []).control("SH", ["SEE ALSO"]).text([roman("hearth(1), hearthd(8)")]);
    page.render()
}
