//! New files under what runs: what of them may not be taken over now, and what follows when they are.

use crate::Severity;
use crate::node::Node;
use hearth_config::{Config, Medium, kept_paths};
use hearth_membership::PeerView;
use hearth_types::{LinkId, NodeName, Timestamp};
use std::collections::BTreeSet;
use std::net::IpAddr;

impl Node {
    /// The files were read again and are good: what is decided about goes to the record, the rest is taken at once.
    pub(crate) fn reconfigure(&mut self, now: Timestamp, config: Config) {
        let digest = hearth_config::digest(&config);
        let resources_differ = digest.1 != self.digest.1;
        self.digest = digest;
        let gone = self.gone_addresses(&config.cluster.nodes);
        let before = std::mem::replace(&mut self.config, config);
        self.members.reconfigure(crate::make::member_params(&self.config, self.incarnation));
        self.ledger.reconfigure(crate::make::founders(&self.config), self.digest.0);
        self.standing.reconfigure(&self.config.cluster);
        self.next_keepalive_at = now;
        if before.cluster.fencing != self.config.cluster.fencing {
            self.fences.devices_changed();
        }
        self.chronicle.lead(now, Severity::Info, "files-read", "record", "The files were read again.".to_owned());
        if before.cluster.nodes != self.config.cluster.nodes {
            self.change_list(now, &before.cluster.nodes);
        }
        if before.cluster.media != self.config.cluster.media {
            self.change_media(now, &before.cluster.media, &gone);
        }
        let record_differs = self.ledger.record().is_some_and(|record| record.digest != self.digest.1);
        if resources_differ || record_differs {
            let entry = self.own_configuration();
            if !self.hand_in(vec![entry]) {
                let text = "The record cannot change now: the new resources are taken over when it can.".to_owned();
                self.chronicle.note(now, Severity::Warning, "files-wait", "record", text);
            }
        }
        if self.ledger.has_no_epoch() {
            self.shadow = self.empty_shadow();
            self.record_changed = true;
        }
    }

    /// Links keep what is known of them under their new numbers: nobody is late or lost because a line moved.
    fn change_media(&mut self, now: Timestamp, before: &[Medium], gone: &[IpAddr]) {
        let after = &self.config.cluster.media;
        let link = |position: usize| LinkId(position as u8);
        let moved = kept_paths(before, after, gone).into_iter().map(|(from, to)| (link(from), link(to))).collect();
        self.members.renumber(&moved);
        let troubles = std::mem::take(&mut self.media_trouble);
        for (position, medium) in after.iter().enumerate() {
            let known = before.iter().position(|other| other == medium);
            let trouble = known.and_then(|known| troubles.get(&(known as u8)));
            self.media_trouble.extend(trouble.map(|trouble| (position as u8, trouble.clone())));
        }
        let new = after.iter().filter(|medium| !before.contains(medium)).map(|medium| format!("{medium} is new"));
        let left = before.iter().filter(|medium| !after.contains(medium)).map(|medium| format!("{medium} is gone"));
        let changed: Vec<String> = new.chain(left).collect();
        if !changed.is_empty() {
            let text = format!("Heartbeat media changed: {}.", changed.join(", "));
            self.chronicle.note(now, Severity::Info, "media-changed", self.local.clone(), text);
        }
    }

    /// Why files that are good in themselves would harm what runs if they were taken over now, one line each with the
    /// way out.
    pub(crate) fn objections(&self, now: Timestamp, config: &Config) -> Vec<String> {
        let mut objections = self.objections_to_list(&config.cluster.nodes);
        let (old, new) = (&self.config.cluster.media, &config.cluster.media);
        if old == new {
            return objections;
        }
        let gone = self.gone_addresses(&config.cluster.nodes);
        let kept: BTreeSet<LinkId> =
            kept_paths(old, new, &gone).into_keys().map(|position| LinkId(position as u8)).collect();
        if self.standing.links_have_carrier() && !self.standing.would_have_carrier(&config.cluster) {
            objections.push(
                "no interface of the new media has carrier: this node would be cut off and give up what it holds; plug \
                 them in first"
                    .to_owned(),
            );
        }
        let stays = |name: &NodeName| config.cluster.nodes.contains(name);
        let alive = self.members.peers().filter(|(name, peer)| peer.is_alive() && stays(name));
        objections.extend(alive.filter_map(|(name, peer)| self.would_lose(now, name, peer, &kept)));
        objections
    }

    /// Why a peer that is alive could be lost if only these links went on.
    fn would_lose(&self, now: Timestamp, name: &NodeName, peer: &PeerView, kept: &BTreeSet<LinkId>) -> Option<String> {
        let warntime = self.config.cluster.timing.warntime;
        let mut heard: Vec<LinkId> = peer.links.keys().copied().collect();
        // Of a peer that is late on all of them none is better than another.
        let is_fresh = |link: &LinkId| now.since(peer.links[link].last_heard_at) < warntime;
        if heard.iter().any(is_fresh) {
            heard.retain(is_fresh);
        }
        let (stay, go): (Vec<LinkId>, Vec<LinkId>) = heard.into_iter().partition(|link| kept.contains(link));
        let way = "write the new media beside the old ones on every node, reload them all, and take the old ones out when \
                   `hearth status` shows the new ones up";
        if stay.is_empty() {
            return Some(format!(
                "no medium stays over which {name} is heard: until its files are the same, each would take the other \
                 for dead; {way}"
            ));
        }
        // Of a peer with the same files as ours until now the number of links says something: one that it does not hear
        // us on must not be the one that is left.
        let claimed = peer.claimed.as_ref().filter(|claimed| claimed.digest.0 == self.digest.0)?;
        let report = claimed.peers.iter().find(|report| report.node == self.local)?;
        let hears = report.links.count_ones() as usize;
        (!go.is_empty() && hears <= go.len()).then(|| {
            format!(
                "{name} hears this node over {hears} of its media, and {} over which {name} is heard would go: what stays \
                 may carry nothing that way; reload {name} with the same files first, or mend what it does not hear",
                go.len()
            )
        })
    }
}
