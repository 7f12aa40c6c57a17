//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Where the daemon listens unless told otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/hearth/control";

const AFTER: &str = "Exit codes: 0 done, 1 what was asked is not so, 2 error, 3 usage, 4 no daemon answers, \
5 refused for want of quorum or permit, 6 configuration.\n\
Called as cl_status, hb_standby, hb_takeover or crm_mon (links to this file) it does what these did.";

/// Shows and moves what a Hearth cluster runs
#[derive(Debug, Parser)]
#[command(name = "hearth", version, after_help = AFTER, max_term_width = 100, subcommand_required = true)]
pub(crate) struct Cli {
    /// Control socket of the daemon [default: $HEARTH_SOCKET, else /run/hearth/control]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what runs where, what matters most first
    Status(StatusOptions),
    /// Give groups of this node up to the peer, and wait until it is done
    Standby(MoveOptions),
    /// Take groups from the peer, and wait until it is done
    Takeover(MoveOptions),
    /// Bring every group to the node that it prefers, and wait until it is done
    Failback(WaitOptions),
    /// Show what happened: every event with its time and its cause
    Timeline(TimelineOptions),
    /// Explain why a resource is where it is
    Why(WhyOptions),
    /// Run a recording of hearthd through the same controller, offline, and show what happened
    Replay(ReplayOptions),
    /// Forget failures, so that a resource may be started again where it failed
    Clear(ClearOptions),
    /// Give things again to a node that was left out because it was lost too often, or start a resource again where it failed
    Release(ReleaseOptions),
    /// Show every complaint about the three files, as the daemon would make it; starts nothing
    Check(CheckOptions),
    /// Let the daemon read the three files again; a bad file is refused and changes nothing
    Reload,
    /// Fence a lost node now, or `test` whether its fence devices would work, which harms nobody
    Fence(FenceOptions),
    /// Prepare or look at a disk for `stonith disk`
    #[command(subcommand)]
    Disk(DiskCommand),
    /// Try whether alerts arrive
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Tell the cluster something about a node
    #[command(subcommand)]
    Node(NodeCommand),
    /// Stop this node in order: its groups move away first
    Stop(StopOptions),
    /// Start a cluster of two on this machine, break it in many ways, and show what a client feels
    Demo(crate::demo::DemoOptions),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them below a folder
    Man {
        /// Folder for man1 and man8, as /usr/local/share/man is; none: hearth(1) on stdout
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Default, Args)]
pub(crate) struct StatusOptions {
    /// Print it as JSON (docs/cli.md); with --watch one line each time
    #[arg(long, short)]
    pub(crate) json: bool,
    /// Show it again at each change
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// Show only what is not as it should be
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) failed: bool,
    /// Exit with 0 if all is well, 1 if degraded, 2 if something that should run does not
    #[arg(long, conflicts_with = "watch")]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WaitOptions {
    /// Return as soon as it is under way
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Give up waiting after so many seconds; the order itself stands
    #[arg(long, value_name = "SECONDS", default_value_t = 300, conflicts_with = "no_wait",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct MoveOptions {
    /// all; local: those that prefer this node; foreign: those that prefer another; or groups by name [default: all]
    #[arg(value_name = "all|local|foreign|GROUP")]
    pub(crate) which: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: WaitOptions,
}

#[derive(Debug, Args)]
pub(crate) struct StopOptions {
    /// Give up waiting after so many seconds; the order itself stands
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct TimelineOptions {
    /// Only events of this resource, group or node
    pub(crate) subject: Option<String>,
    /// At most so many, the newest
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) last: Option<usize>,
    /// Only since then: `10m`, `2h 30m`, `14:05`, `2026-11-21T14:05`
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Go on with new events
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Print one JSON object a line
    #[arg(long, short)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhyOptions {
    /// Resource or group, or an unambiguous part of its name
    pub(crate) resource: String,
    /// Print it as JSON
    #[arg(long, short)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    /// A recording, or the folder in which hearthd keeps them: its newest run
    pub(crate) file: PathBuf,
    /// Stop at a time (`14:05:03.250`, `2026-11-21T14:05:03`) or behind an event by its number
    #[arg(long, value_name = "TIME|EVENT")]
    pub(crate) until: Option<String>,
    /// Go through it by hand; commands come from stdin, `help` lists them
    #[arg(long, conflicts_with_all = ["compare", "json"])]
    pub(crate) step: bool,
    /// Say whether everything that the node ordered is ordered again; exit with 1 if not
    #[arg(long)]
    pub(crate) compare: bool,
    /// Print one JSON object a line as `timeline` does; with --compare the verdict as one object
    #[arg(long, short)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// Folder of ha.cf, haresources and authkeys
    #[arg(long, short, value_name = "DIR", default_value = "/etc/ha.d")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct FenceOptions {
    /// A node that is lost; behind `test`: any other node
    #[arg(value_name = "NODE|test NODE", num_args = 1..=2, required = true)]
    pub(crate) words: Vec<String>,
    /// Give up waiting after so many seconds; the order itself stands
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DiskCommand {
    /// Give each node a slot on a disk that all machines share; refuses one that holds anything
    Init(DiskInitOptions),
    /// Give one node more a slot
    Add {
        /// The disk
        device: PathBuf,
        /// The node
        node: String,
    },
    /// Show who has a slot, when it last looked, what it states, and whether a poison pill lies there
    Show {
        /// The disk
        device: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DiskInitOptions {
    /// The disk, or a partition or volume of it; nothing else may be there
    pub(crate) device: PathBuf,
    /// Nodes that get a slot [default: those of ha.cf]
    pub(crate) nodes: Vec<String>,
    /// Folder of ha.cf
    #[arg(long, short, value_name = "DIR", default_value = "/etc/ha.d")]
    pub(crate) directory: PathBuf,
    /// Overwrite whatever is there
    #[arg(long)]
    pub(crate) anyway: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// Send one alert that says that it is a trial to every script of this node's ha.cf, and say what each answered
    Test(AlertTestOptions),
}

#[derive(Debug, Args)]
pub(crate) struct AlertTestOptions {
    /// Give up waiting after so many seconds; the scripts themselves go on
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Name a machine more in the ha.cf of every node, which read it at once; then start hearthd on it
    Add(NodeAddOptions),
    /// Stop a machine in order, and take it out of the ha.cf of every other node, which read it at once
    Remove(NodeRemoveOptions),
    /// Say that a lost node is off, where no fence device can: what it ran is taken over
    ConfirmOff(ConfirmOffOptions),
}

#[derive(Debug, Args)]
pub(crate) struct NodeAddOptions {
    /// The machine, as `uname -n` prints it there
    pub(crate) node: String,
    /// Its address, for each interface that has ucast lines in ha.cf
    #[arg(long, value_name = "INTERFACE=ADDRESS")]
    pub(crate) ucast: Vec<String>,
    /// Give up waiting after so many seconds; the order itself stands
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct NodeRemoveOptions {
    /// The machine
    pub(crate) node: String,
    /// Give up waiting after so many seconds; the order itself stands
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ConfirmOffOptions {
    /// The node; it must be off, or what it runs will run twice
    pub(crate) node: String,
    /// Do not ask whether it is really off
    #[arg(long)]
    pub(crate) yes: bool,
    /// Give up waiting after so many seconds; the word itself stands
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseOptions {
    /// Node, group or resource
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct ClearOptions {
    /// Resource or group; none: all
    pub(crate) resource: Option<String>,
}
