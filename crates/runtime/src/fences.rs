//! Orders to fence devices: runs their programs on the main thread's runtime and reports how they ended.

use crate::order::Post;
use hearth_agents::fence::{self, Device, Way};
use hearth_config::{FenceDevice, FenceKind, Fencing};
use hearth_controller::Input;
use hearth_types::{FenceId, FenceTask, NodeName};
use std::time::{Duration, Instant};

/// Does one; its end is reported, whatever happens. What is secret of the device is taken from the files in use. Needs the
/// tokio runtime.
pub(crate) fn start(
    fencing: &Fencing,
    wanted: &FenceDevice,
    (id, node, task, timeout): (FenceId, NodeName, FenceTask, Duration),
    post: Post,
) {
    // Device and files come from the same file, but on different ways: a reload may have overtaken the order.
    let known =
        fencing.devices.iter().find(|device| is_same(device, wanted)).and_then(|device| as_agent(device, &node));
    tokio::spawn(async move {
        let began = Instant::now();
        let result = match known {
            Some(device) => fence::run(&device, task, node.as_str(), timeout).await,
            None => Err("the files were changed meanwhile".to_owned()),
        };
        post.input(Input::FenceFinished { id, result, took: began.elapsed() });
    });
}

fn is_same(one: &FenceDevice, other: &FenceDevice) -> bool {
    *one == FenceDevice { params: one.params.clone(), ..other.clone() }
}

/// None: it has no program.
fn as_agent(device: &FenceDevice, node: &NodeName) -> Option<Device> {
    let written = device.targets.get(node).filter(|port| !port.is_empty()).cloned();
    // A device of one machine need not know its name; one of several must be told which.
    let named = device.params.iter().any(|(name, _)| matches!(name.as_str(), "port" | "plug"));
    let several = (device.targets.len() > 1 && !named).then(|| node.to_string());
    Some(Device {
        program: (&device.program).into(),
        way: match device.kind {
            FenceKind::Agent => Way::Agent,
            FenceKind::Plugin => Way::Plugin,
            FenceKind::Disk => return None,
        },
        params: device.params.clone(),
        port: written.or(several),
    })
}
