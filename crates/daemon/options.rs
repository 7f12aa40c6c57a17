//! The command line of hearthd: read by the daemon, and by `hearth man` for hearthd(8).

use clap::Parser;
use std::path::PathBuf;

const AFTER: &str = "Exit codes: 0 stopped in order, 2 error, 3 usage, 6 configuration, 7 state of another\n\
program (nothing was started).\n\
SIGHUP reads the three files again; SIGTERM moves everything away and stops.";

/// Keeps a service running on exactly one of a few machines
#[derive(Debug, Parser)]
#[command(name = "hearthd", version, after_help = AFTER, max_term_width = 100)]
pub(crate) struct Options {
    /// Folder with ha.cf, haresources and authkeys
    #[arg(short = 'd', long = "directory", value_name = "DIR", default_value = "/etc/ha.d")]
    pub(crate) directory: PathBuf,
    /// Folder for what must survive a power cut
    #[arg(long, value_name = "DIR", default_value = "/var/lib/hearth")]
    pub(crate) state: PathBuf,
    /// Folder for the control socket and for what the next daemon must know
    #[arg(long, value_name = "DIR", default_value = "/run/hearth")]
    pub(crate) run: PathBuf,
    /// Name of this machine in ha.cf [default: nodeinfo in DIR, else `uname -n`]
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,
    /// Stay as parent and start the daemon again when it dies
    #[arg(long)]
    pub(crate) supervise: bool,
    /// Given by that parent
    #[arg(long, hide = true, conflicts_with = "supervise")]
    pub(crate) supervised: bool,
    /// Check the files, say what is to be said, and start nothing
    #[arg(long, conflicts_with = "supervise")]
    pub(crate) check: bool,
}
