//! ha.cf, haresources, resources.crm, authkeys: text in, a typed value or every complaint out.
//!
//! It touches no file, clock or socket: what it must know of the machine comes through [`Environment`]. Text may be
//! anything; a parse never panics, and each span lies in its file on character boundaries.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod address;
mod authkeys;
mod budget;
mod checks;
mod crm;
mod digest;
mod edit;
mod fencing;
mod ha_cf;
mod haresources;
mod lex;
mod outage;
mod paths;
mod report;
mod source;
mod span;
mod value;

pub(crate) use budget::slot_needs;
pub use budget::{
    ALLOWANCE, Budget, REACTION, SERIAL_HEARTBEAT, SLOT_EVERY, SLOT_IO, SLOT_MARGIN, SLOT_NAME, SLOT_PATIENCE_MIN,
    STOP_AFTERMATH, TIEBREAKER_LEASE_MIN, TIEBREAKER_TRY, budget, claimed_within, fence_share, fenced_within,
    longest_stop, pet_period, self_fence_budget, serial_heartbeat, serial_move, slot_patience, slot_proof, speed_for,
    stop_budget, tiebreaker_every,
};
pub use digest::{digest, list_refusal, reload_refusals};
pub use edit::ListChange;
pub use paths::{kept_paths, path};
pub use source::*;
pub use value::*;

use hearth_types::ResourceModel;
use report::Report;

/// Reads the files and says everything that is wrong with any of them. The value is there if nothing is an error.
pub fn parse(sources: &Sources, environment: &dyn Environment) -> Parsed {
    let mut main = Report::new(FileKind::HaCf);
    let mut file = ha_cf::parse(sources, environment, &mut main);
    let mut devices = Report::new(FileKind::Crm);
    if let Some(text) = &sources.crm {
        crm::parse(text, environment, &mut file, &mut devices);
    }
    if sources.ha_cf.is_some() {
        checks::check(&mut file, &mut main);
    }
    let mut resources = Report::new(FileKind::Haresources);
    let witnesses: alloc::vec::Vec<hearth_types::NodeName> =
        file.witnesses.iter().map(|(name, _)| name.clone()).collect();
    let who = haresources::Nodes { all: &file.cluster.nodes, witnesses: &witnesses };
    let mut groups = haresources::parse(sources, who, &file.defaults, environment, &mut resources);
    haresources::unchecked(&mut groups, &file.unchecked, sources.haresources.as_deref().unwrap_or(""), &mut main);
    let mut secret = Report::new(FileKind::Authkeys);
    let keys = authkeys::parse(sources, &mut secret);
    let mut complaints = main.complaints;
    complaints.extend(resources.complaints);
    complaints.extend(devices.complaints);
    complaints.extend(secret.complaints);
    complaints.sort_by_key(|complaint| (complaint.file, complaint.span.as_ref().map(|span| span.start)));
    let failed = complaints.iter().any(|complaint| complaint.level == Level::Error);
    let resources = ResourceModel { groups, auto_failback: file.auto_failback, witnesses };
    let config = (!failed).then_some(Config { cluster: file.cluster, resources, keys });
    Parsed { config, complaints }
}
