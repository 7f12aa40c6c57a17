//! The clone of a daemon to which the same happens while it does not rest: it must say, await and know the same (decision 0054).

use hearth_controller::{Controller, Input, Output};
use hearth_types::Timestamp;

/// That clone, after the input.
pub(crate) struct Twin {
    controller: Controller,
    out: Vec<Output>,
}

impl Twin {
    /// None where the daemon cannot be cloned.
    pub fn of(controller: &Controller, now: Timestamp, input: &Input) -> Option<Twin> {
        let mut twin = controller.can_be_cloned().then(|| Twin { controller: controller.clone(), out: Vec::new() })?;
        twin.controller.rouse();
        twin.controller.handle(now, input.clone(), &mut twin.out);
        Some(twin)
    }

    /// In what the daemon differs from it, if in anything.
    pub fn differs(&self, controller: &Controller, out: &[Output]) -> Option<String> {
        let (said, due) = (format!("{out:?}"), controller.next_deadline());
        if said != format!("{:?}", self.out) {
            return Some(format!("says {said}, without a rest {:?}", self.out));
        }
        if due != self.controller.next_deadline() {
            return Some(format!("awaits {due:?}, without a rest {:?}", self.controller.next_deadline()));
        }
        let (checkpoint, other) = (controller.checkpoint(), self.controller.checkpoint());
        if checkpoint == other {
            return None;
        }
        let (Ok(serde_json::Value::Object(knows)), Ok(other)) = (controller.state(), self.controller.state()) else {
            return Some("one of the two can be written down".to_owned());
        };
        let (name, value) = knows.iter().find(|(name, value)| other.get(name) != Some(value))?;
        Some(format!("knows of {name} {value}, without a rest {:?}", other.get(name)))
    }
}
