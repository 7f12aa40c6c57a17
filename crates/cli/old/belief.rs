//! The status in Heartbeat's words.

use hearth_control::{GroupView, LinkView, NodeView, PingView, Status};

/// A node as `cl_status` knows it: a machine, or a ping node or group.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named<'a> {
    /// Machine.
    Normal(&'a NodeView),
    /// Ping node or group.
    Ping(&'a PingView),
}

impl<'a> Named<'a> {
    /// All, machines first.
    pub(crate) fn all(status: &'a Status) -> impl Iterator<Item = Named<'a>> {
        status.nodes.iter().map(Named::Normal).chain(status.pings.iter().map(Named::Ping))
    }

    pub(crate) fn find(status: &'a Status, name: &str) -> Option<Named<'a>> {
        Named::all(status).find(|node| node.name() == name)
    }

    pub(crate) fn name(self) -> &'a str {
        match self {
            Named::Normal(node) => &node.name,
            Named::Ping(ping) => &ping.name,
        }
    }

    pub(crate) fn node_type(self) -> &'static str {
        match self {
            Named::Normal(_) => "normal",
            Named::Ping(_) => "ping",
        }
    }

    /// `init`, `up`, `active`, `dead`, `ping`: Heartbeat had no words for `leaving` and `one-way` (a node that is there
    /// and does not take part: `up`), nor for `never-seen` (`init`).
    pub(crate) fn state(self) -> &'static str {
        match self {
            Named::Ping(PingView { reached: true, .. }) => "ping",
            Named::Ping(_) => "dead",
            Named::Normal(node) => match node.state.as_str() {
                "active" => "active",
                "up" | "leaving" | "one-way" => "up",
                "init" | "never-seen" => "init",
                _ => "dead",
            },
        }
    }

    /// Links by the name that Heartbeat gave them, the interface or device, with `up` or `dead`; of several media on one
    /// interface one that works is enough.
    pub(crate) fn links(self) -> Vec<(&'a str, &'static str)> {
        let mut links: Vec<(&str, &'static str)> = Vec::new();
        let view = match self {
            // Heartbeat showed a ping node's only link under the node's own name.
            Named::Ping(ping) => return vec![(&ping.name, if ping.reached { "up" } else { "dead" })],
            Named::Normal(node) => node,
        };
        for link in &view.links {
            let state = if link.state == "up" { "up" } else { "dead" };
            match links.iter_mut().find(|(name, _)| *name == interface(link)) {
                None => links.push((interface(link), state)),
                Some((_, known)) if state == "up" => *known = state,
                Some(_) => {}
            }
        }
        links
    }
}

fn interface(link: &LinkView) -> &str {
    link.name.split_whitespace().next().unwrap_or(&link.name)
}

/// What this node holds: `none`, `local`, `foreign`, `all`, or `transition` while something moves. Unlike Heartbeat's it
/// is what runs, not what is intended.
pub(crate) fn holding(status: &Status) -> &'static str {
    if status.groups.iter().any(|group| matches!(group.state.as_str(), "starting" | "stopping")) {
        return "transition";
    }
    let here = |group: &&GroupView| group.node.as_ref() == Some(&status.local) && group.state == "started";
    let own = |group: &&GroupView| group.preferred.first() == Some(&status.local);
    let local = status.groups.iter().filter(here).any(|group| own(&group));
    let foreign = status.groups.iter().filter(here).any(|group| !own(&group));
    let everything = status.groups.iter().all(|group| here(&group));
    let alone = status.nodes.iter().all(|node| node.local || !node.online);
    match (local, foreign) {
        (true, true) => "all",
        // As Heartbeat: who goes on alone, or took over everything, holds all, whether or not there was anything to add.
        (true, false) if everything && alone => "all",
        (false, true) if everything => "all",
        (true, false) => "local",
        (false, true) => "foreign",
        (false, false) => "none",
    }
}
