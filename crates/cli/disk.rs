//! `hearth disk`: slots on a disk that all machines share, for `stonith disk`.

use crate::args::{DiskCommand, DiskInitOptions};
use crate::page::write_out;
use crate::trouble::{Exit, Trouble};
use hearth_runtime::{files, slots};
use hearth_types::NodeName;
use std::path::Path;

/// Does it; asks no daemon.
pub(crate) fn run(command: &DiskCommand) -> Result<Exit, Trouble> {
    match command {
        DiskCommand::Init(options) => init(options),
        DiskCommand::Add { device, node } => {
            slots::add(device, &NodeName::new(node)).map_err(|why| refused(device, &why))?;
            write_out(&format!("{node} has a slot on {}.\n", device.display()))?;
            Ok(Exit::Done)
        }
        DiskCommand::Show { device } => {
            let lines = slots::show(device).map_err(|why| refused(device, &why))?;
            write_out(&(lines.join("\n") + "\n"))?;
            Ok(Exit::Done)
        }
    }
}

fn refused(device: &Path, why: &str) -> Trouble {
    Trouble::new(Exit::Error, format!("{}: {why}", device.display()))
}

fn init(options: &DiskInitOptions) -> Result<Exit, Trouble> {
    let mut nodes: Vec<NodeName> = options.nodes.iter().map(|name| NodeName::new(name)).collect();
    if nodes.is_empty() {
        nodes = written(&options.directory)?;
    }
    slots::init(&options.device, &nodes, options.anyway).map_err(|why| {
        refused(&options.device, &why)
            .help("take a partition or volume of its own, of half a MiB or more")
            .help("to overwrite what is there, with hearthd stopped on all machines: hearth disk init --anyway")
    })?;
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    let device = options.device.display();
    write_out(&format!(
        "{device} has slots for {}. In ha.cf of all of them: stonith disk {device}\n",
        names.join(", ")
    ))?;
    Ok(Exit::Done)
}

/// The nodes of ha.cf, whatever else is wrong with the files.
fn written(directory: &Path) -> Result<Vec<NodeName>, Trouble> {
    let way = "name the nodes: hearth disk init DEVICE NODE NODE";
    let no_files = |why: String| Trouble::new(Exit::Error, format!("no nodes are known: {why}")).help(way);
    let sources = files::read(directory).map_err(|error| no_files(error.to_string()))?;
    let parsed = hearth_config::parse(&sources, &files::System::new(directory));
    let config = parsed.config.ok_or_else(|| no_files(format!("{} is not in order", directory.display())))?;
    Ok(config.cluster.nodes)
}
