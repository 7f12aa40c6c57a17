//! `hearth check`: every complaint about the three files, as the daemon would make it, and what they promise.

mod promise;

use crate::args::CheckOptions;
use crate::page::{Look, Page, Tone, write_out};
use crate::trouble::{Exit, Trouble};
use crate::view::counted;
use hearth_config::{Complaint, Config, Level};
use hearth_runtime::files;
use hearth_types::NodeName;
use std::path::Path;

/// Says everything there is to say about the files in `options.directory`; starts nothing.
pub(crate) fn run(options: &CheckOptions, look: &Look) -> Result<Exit, Trouble> {
    let directory = &options.directory;
    let sources = files::read(directory).map_err(|error| {
        Trouble::new(Exit::Configuration, format!("cannot read {error}"))
            .help("ha.cf, haresources and authkeys must be files that you may read: run it as root")
            .help("another folder: hearth check -d DIR")
    })?;
    let parsed = hearth_config::parse(&sources, &files::System::new(directory));
    let complaints = files::render(&sources, &parsed.complaints, look.colour);
    let Some(config) = parsed.config else {
        write_out(&complaints)?;
        let errors = counted(of(&parsed.complaints, Level::Error), "error");
        return Err(Trouble::new(
            Exit::Configuration,
            format!("{errors} in {}; hearthd would not start with it", directory.display()),
        ));
    };
    let text = in_order(directory, &config, &parsed.complaints, look);
    let gap = if complaints.is_empty() { "" } else { "\n" };
    write_out(&format!("{complaints}{gap}{text}"))?;
    Ok(Exit::Done)
}

fn of(complaints: &[Complaint], level: Level) -> usize {
    complaints.iter().filter(|complaint| complaint.level == level).count()
}

fn in_order(directory: &Path, config: &Config, complaints: &[Complaint], look: &Look) -> String {
    let mut page = Page::new(look);
    let warnings = of(complaints, Level::Warning);
    let but = if warnings > 0 { format!(", with {}", counted(warnings, "warning")) } else { String::new() };
    let tone = if warnings > 0 { Tone::Warn } else { Tone::Good };
    page.line(tone, &format!("{} is in order{but}.", directory.display()));
    page.line(Tone::Dim, &promise::protection(&config.cluster));
    let cluster = &config.cluster;
    page.heading("Cluster:");
    let is_witness = |name: &&NodeName| config.resources.is_witness(name);
    let (witness, nodes): (Vec<_>, Vec<_>) = cluster.nodes.iter().partition(is_witness);
    let names = |nodes: &[&NodeName]| nodes.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ");
    let besides = match witness[..] {
        [] => String::new(),
        _ => format!(", and {} as the witness: it votes and runs nothing", names(&witness)),
    };
    page.put(&format!("  * {}, this is {}: [ {} ]{besides}", cluster.name, cluster.local, names(&nodes))).end();
    let media = counted(cluster.media.len(), "heartbeat link");
    let pings = counted(cluster.ping_targets.len(), "ping target");
    page.put(&format!("  * {media}, {pings}, {}", counted(config.resources.groups.len(), "group"))).end();
    let told: Vec<_> =
        cluster.alerts.receivers().map(|(program, to)| format!("{program} {}", to.unwrap_or(""))).collect();
    if !told.is_empty() {
        let told: Vec<_> = told.iter().map(|receiver| receiver.trim_end()).collect();
        page.put(&format!("  * alerts are told to: {}", told.join(", "))).end();
    }
    let fenced = promise::fencing(cluster);
    if !fenced.is_empty() {
        page.heading("Fencing:");
    }
    for line in fenced {
        page.put(&format!("  * {line}")).end();
    }
    let timing = &cluster.timing;
    page.heading("Times:");
    let times = [
        ("keepalive", timing.keepalive),
        ("warntime", timing.warntime),
        ("deadtime", timing.deadtime),
        ("lease (4/5 of deadtime)", timing.lease()),
        ("initdead", timing.initdead),
        ("deadping", timing.deadping),
        ("carrier_grace", timing.carrier_grace),
    ];
    let forgotten = timing.failure_timeout.map(|span| ("failure_timeout", span));
    for (name, span) in times.into_iter().chain(forgotten) {
        page.put(&format!("  {name:<24} {span:?}")).end();
    }
    page.heading("Budget:");
    for line in promise::budget(config) {
        page.put(&format!("  {line}")).end();
    }
    page.heading("What a client should feel:");
    for (fault, gap) in promise::gaps(cluster) {
        page.put(&format!("  {fault:<46} {gap}")).end();
    }
    page.text().to_owned()
}
