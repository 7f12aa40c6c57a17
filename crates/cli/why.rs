//! `hearth why`: one sentence, then every node with what speaks for or against it, then the events that led here.

use crate::args::WhyOptions;
use crate::connection::{PATIENCE, ask, misplaced};
use crate::page::{Look, Page, Tone, write_out};
use crate::timeline::Drawing;
use crate::trouble::{Exit, Trouble};
use hearth_control::{Reply, Request, Why};
use std::path::Path;

pub(crate) fn run(socket: &Path, options: &WhyOptions, look: &Look) -> Result<Exit, Trouble> {
    let why = match ask(socket, &Request::Why { resource: options.resource.clone() }, PATIENCE)? {
        Reply::Why { why } => why,
        other => return Err(misplaced(&other)),
    };
    let text = if options.json {
        let json = serde_json::to_string_pretty(&why)
            .map_err(|error| Trouble::new(Exit::Error, format!("cannot be written as JSON: {error}")))?;
        json + "\n"
    } else {
        drawn(&why, look)
    };
    write_out(&text)?;
    Ok(Exit::Done)
}

pub(crate) fn drawn(why: &Why, look: &Look) -> String {
    let mut page = Page::new(look);
    let named = why.answer.contains(&why.subject);
    let answer = if named { why.answer.clone() } else { format!("{}: {}", why.subject, why.answer) };
    page.line(Tone::Head, &answer);
    if !why.nodes.is_empty() {
        page.heading("Nodes, best first:");
        for node in &why.nodes {
            let (tone, has) = if node.chosen { (Tone::Good, " (has it)") } else { (Tone::Dim, "") };
            page.put("  * ").tone(tone, &format!("{}{has}", node.node)).put(&format!(": {}", node.reason)).end();
        }
    }
    if !why.history.is_empty() {
        page.heading("What led here:");
    }
    page.text().to_owned() + &Drawing::default().draw(&why.history, 0, look)
}
