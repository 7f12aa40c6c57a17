//! Inputs and orders in a few words.

use hearth_controller::{ClaimHolder, ClaimWant, Input, Output};
use hearth_types::OpOutcome;
use hearth_wire::Message;
use std::collections::BTreeMap;

/// What the node was told.
pub(crate) fn input(input: &Input) -> String {
    match input {
        Input::Packet { link, message: Message::Heartbeat(heartbeat), .. } => {
            format!("a heartbeat of {} on link {}", heartbeat.from, link.0)
        }
        Input::Packet { link, message: Message::Segment(segment), .. } => {
            format!("segment {} of {} on link {}", segment.number, segment.from, link.0)
        }
        Input::Refused { link, reason, source, count } => {
            format!("{count} packets from {source} were refused on link {}: {reason}", link.0)
        }
        Input::LinkChanged { link, trouble: None } => format!("link {} is open", link.0),
        Input::LinkChanged { link, trouble: Some(trouble) } => format!("link {} is not open: {trouble}", link.0),
        Input::CarrierChanged { interface, carrier } => format!("carrier of {interface}: {carrier:?}"),
        Input::AddressHome { resource, interface: Some(interface) } => format!("{resource} belongs on {interface}"),
        Input::AddressHome { resource, interface: None } => format!("{resource} belongs on no interface"),
        Input::PingAnswered { target, .. } => format!("ping node {target} answered"),
        Input::OpFinished(result) => match &result.outcome {
            OpOutcome::Failed { message, .. } => format!("operation {} failed: {message}", result.id.0),
            outcome => format!("operation {} ended: {outcome:?}", result.id.0),
        },
        Input::FenceFinished { id, result: Ok(said), .. } => format!("fence order {} is done: {said}", id.0),
        Input::FenceFinished { id, result: Err(why), .. } => format!("fence order {} failed: {why}", id.0),
        Input::AlertFinished { id, result: Ok(_), .. } => format!("alert {} has arrived", id.0),
        Input::AlertFinished { id, result: Err(why), .. } => format!("alert {} failed: {why}", id.0),
        Input::WireAsked { resource } => format!("the wire was asked for {resource}"),
        Input::WireAnswered { resource, hardware } => format!("{hardware} answered for {resource}"),
        Input::WireTrouble { resource, trouble } => format!("the wire cannot be asked for {resource}: {trouble}"),
        Input::PeerAnswered { node } => format!("an address of {node} answered"),
        Input::AddressChanged { resource, change } => format!("{resource} was changed: {change:?}"),
        Input::GateSeen { whole: true, .. } => "the gate is whole".to_owned(),
        Input::GateSeen { whole: false, trouble } => {
            format!("the gate is not whole: {}", trouble.as_deref().unwrap_or("no reason"))
        }
        Input::WatchdogSeen(Ok(armed)) => format!("the watchdog is armed: {}", armed.driver),
        Input::SlotSeen(Ok(seen)) => match &seen.pill {
            Some(by) => format!("a poison pill of {by} is in this machine's slot"),
            None => "this machine's slot on the shared disk was looked at".to_owned(),
        },
        Input::TiebreakerSeen(Ok(seen)) => match seen.holder {
            ClaimHolder::Nobody => "the tiebreaker favours nobody".to_owned(),
            ClaimHolder::Ours => "the tiebreaker favours this node".to_owned(),
            ClaimHolder::Theirs => "the tiebreaker favours the other node".to_owned(),
        },
        Input::TiebreakerSeen(Err(trouble)) => format!("the tiebreaker cannot be used: {trouble}"),
        Input::SlotSeen(Err(trouble)) => format!("this machine's slot cannot be used: {trouble}"),
        Input::WatchdogSeen(Err(trouble)) => format!("the watchdog is not armed: {trouble}"),
        Input::SelfFenceSeen(Ok(())) => "this machine can reset itself".to_owned(),
        Input::SelfFenceSeen(Err(trouble)) => format!("this machine does not reset itself: {trouble}"),
        Input::Persisted { ticket } => format!("write {ticket} is durable"),
        Input::PersistFailed { ticket, error } => format!("write {ticket} failed: {error}"),
        Input::Request { request, by, .. } => format!("{by} asked: {request:?}"),
        Input::PeerAddress { node, address } => format!("{node} has the address {address}"),
        Input::RequestEnded { token } => format!("whoever asked request {token} is gone"),
        Input::Reconfigured(_) => "the files were read again".to_owned(),
        Input::ListChanged { id, result: Ok(_) } => format!("change {id} of the list of nodes can be, or was, written"),
        Input::ListChanged { id, result: Err(why) } => format!("change {id} of the list of nodes failed: {why}"),
        Input::Deadline => "a deadline came due".to_owned(),
        Input::Shutdown { by } => format!("{by} asks for a stop"),
    }
}

/// What it ordered, equal ones counted; events are told elsewhere.
pub(crate) fn orders(outputs: &[Output]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut order = Vec::new();
    for output in outputs {
        let Some(text) = one(output) else { continue };
        let count = counts.entry(text.clone()).or_default();
        *count += 1;
        if *count == 1 {
            order.push(text);
        }
    }
    order
        .into_iter()
        .map(|text| match counts.get(&text) {
            Some(count) if *count > 1 => format!("{text} ({count} times)"),
            _ => text,
        })
        .collect()
}

fn one(output: &Output) -> Option<String> {
    let list = |resources: &[hearth_types::ResourceId]| {
        let names: Vec<&str> = resources.iter().map(|resource| resource.as_str()).collect();
        names.join(" ")
    };
    Some(match output {
        Output::Send { message: Message::Heartbeat(_), .. } => "heartbeat".to_owned(),
        Output::Send { message: Message::Segment(segment), .. } => format!("segment to {}", segment.to),
        Output::StartOp(request) => format!("{:?} {}", request.action, request.resource.id).to_lowercase(),
        Output::CancelOp(id) => format!("cancel operation {}", id.0),
        Output::Fence { device, node, task, .. } => format!("fence device {}: {task} {node}", device.name),
        Output::Alert { alert, program, recipient, .. } => {
            format!("alert {} to {program} {}", alert.name(), recipient.as_deref().unwrap_or_default())
        }
        Output::GateTick { resources, .. } => format!("gate stays open for {}", list(resources)),
        Output::GateShut { resources } => format!("gate shuts for {}", list(resources)),
        Output::RenewLifetime { resources, .. } => format!("lifetime renewed of {}", list(resources)),
        Output::Slot { order: Some(order) } => format!("look at the slot on {}", order.device),
        Output::Tiebreaker { order: Some(order) } => {
            let what = match order.want {
                ClaimWant::Idle => "look whether it works",
                ClaimWant::Rest => "give back what is claimed",
                ClaimWant::Hold { .. } => "claim to go on alone",
            };
            format!("{what}: tiebreaker {}", order.device)
        }
        Output::Tiebreaker { order: None } => "ask no tiebreaker any more".to_owned(),
        Output::Slot { order: None } => "look at no slot any more".to_owned(),
        Output::PetWatchdog { .. } => "the watchdog is petted".to_owned(),
        Output::CloseWatchdog => "the watchdog is closed".to_owned(),
        Output::ResetSelf { what } => format!("reset this machine, which cannot stop {what}"),
        Output::Guard { resources } => format!("gate for {} addresses", resources.len()),
        Output::AskWire { resources } if resources.is_empty() => "the wire is asked no more".to_owned(),
        Output::AskWire { resources } => format!("ask the wire for {}", list(resources)),
        Output::ProbePeer { nodes } if nodes.is_empty() => "the peer is asked no more".to_owned(),
        Output::ProbePeer { .. } => "ask the peer's addresses".to_owned(),
        Output::Announce { resources, .. } => format!("announce {}", list(resources)),
        Output::Persist { ticket, .. } => format!("write {ticket}"),
        Output::Volatile { .. } | Output::VolatileLease { .. } => "note for the next daemon".to_owned(),
        Output::ChangeList { id, change, commit: false } => format!("change {id}, of {}: would it go?", change.node()),
        Output::ChangeList { id, change, commit: true } => format!("change {id}, of {}: write it", change.node()),
        Output::Reply { token, .. } => format!("answer to request {token}"),
        Output::Halt { reason } => format!("end: {reason}"),
        Output::Event(_) => return None,
    })
}
