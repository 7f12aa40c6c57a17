//! What happens, scene by scene.

use super::stage::{ALDER, BIRCH, Stage};
use hearth_lab::Net;

/// One scene.
pub(crate) struct Scene {
    /// What happens.
    pub(crate) title: &'static str,
    /// Does it; gives the time right before.
    pub(crate) happens: fn(&mut Stage) -> anyhow::Result<u64>,
    /// Who has the service in the end.
    pub(crate) owner: &'static str,
    /// How long the client may have to wait, in milliseconds; see [`QUIET`], [`MOVE`], [`TAKEOVER`].
    pub(crate) allowed_ms: u64,
    /// Undoes it: nobody may feel that.
    pub(crate) undone: Option<Undone>,
}

/// How a scene ends.
pub(crate) struct Undone {
    /// What is done.
    pub(crate) text: &'static str,
    /// Does it; gives the time right before.
    pub(crate) happens: fn(&mut Stage) -> anyhow::Result<u64>,
}

/// What came of a scene.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) title: &'static str,
    pub(crate) gap_ms: f64,
    pub(crate) allowed_ms: f64,
    pub(crate) two_ms: f64,
    /// Owners in order.
    pub(crate) path: String,
    /// Why it failed.
    pub(crate) trouble: Option<String>,
    /// This machine stalled too long to say.
    pub(crate) unsure: Option<f64>,
    pub(crate) why: Option<String>,
    /// What undoing it did.
    pub(crate) after: Option<String>,
    /// The next scene makes no sense.
    pub(crate) broken: bool,
}

impl Outcome {
    pub(crate) fn waited(&self) -> String {
        format!("{:.1} ms", self.gap_ms)
    }

    pub(crate) fn allowed(&self) -> String {
        match self.unsure {
            Some(stalled) => {
                format!("allowed {:.0} ms; cannot judge: this machine stalled {stalled:.0} ms", self.allowed_ms)
            }
            None => format!("allowed {:.0} ms", self.allowed_ms),
        }
    }

    pub(crate) fn owners(&self) -> String {
        let two = if self.two_ms > 0.0 {
            format!("TWO at once for {:.0} ms", self.two_ms)
        } else {
            "never two at once".into()
        };
        format!("{}, {two}", self.path)
    }
}

/// Nothing to feel: the client asks every 2 ms.
const QUIET: u64 = 10;
/// Stop a service, start it elsewhere.
const MOVE: u64 = 100;
/// deadtime, decide, take the address, start the service.
const TAKEOVER: u64 = 500 + 100;

/// The play.
pub(crate) const SCENES: &[Scene] = &[
    Scene {
        title: "Both machines start at the same moment",
        happens: |stage| stage.start_both(),
        owner: ALDER,
        allowed_ms: 1500,
        undone: None,
    },
    Scene {
        title: "alder gives up what it has (hearth standby)",
        happens: |stage| stage.order(ALDER, "standby"),
        owner: BIRCH,
        allowed_ms: MOVE,
        undone: None,
    },
    Scene {
        title: "alder takes it back (hearth takeover)",
        happens: |stage| stage.order(ALDER, "takeover"),
        owner: ALDER,
        allowed_ms: MOVE,
        undone: None,
    },
    Scene {
        title: "The heartbeat cable of alder, the owner, is pulled",
        happens: |stage| stage.lab().pull(ALDER, &[Net::Heartbeat]),
        owner: ALDER,
        allowed_ms: QUIET,
        undone: Some(Undone {
            text: "the cable is put back",
            happens: |stage| stage.lab().put(ALDER, &[Net::Heartbeat]),
        }),
    },
    Scene {
        title: "The service cable of alder, the owner, is pulled",
        happens: |stage| stage.lab().pull(ALDER, &[Net::Service]),
        owner: BIRCH,
        allowed_ms: 50 + MOVE,
        undone: Some(Undone {
            text: "the cable is put back",
            happens: |stage| stage.lab().put(ALDER, &[Net::Service]),
        }),
    },
    Scene {
        title: "Every cable of birch, the owner, is pulled",
        happens: |stage| stage.lab().pull(BIRCH, &Net::ALL),
        owner: ALDER,
        allowed_ms: TAKEOVER,
        undone: Some(Undone { text: "the cables are put back", happens: |stage| stage.lab().put(BIRCH, &Net::ALL) }),
    },
    Scene {
        title: "The power of alder, the owner, fails",
        happens: |stage| stage.power_off(ALDER),
        owner: BIRCH,
        allowed_ms: TAKEOVER,
        undone: Some(Undone { text: "alder is switched on again", happens: |stage| stage.power_on(ALDER) }),
    },
    Scene {
        title: "The daemon of birch, the owner, is killed (kill -9)",
        happens: |stage| stage.lab().kill_daemon(BIRCH, false),
        owner: BIRCH,
        allowed_ms: QUIET,
        undone: None,
    },
    Scene {
        title: "Every process of birch, the owner, is frozen",
        happens: |stage| stage.lab().freeze(BIRCH),
        owner: ALDER,
        allowed_ms: TAKEOVER,
        undone: Some(Undone { text: "birch goes on as if nothing had been", happens: |stage| stage.lab().thaw(BIRCH) }),
    },
    Scene {
        title: "The power of birch, the standby, fails",
        happens: |stage| stage.power_off(BIRCH),
        owner: ALDER,
        allowed_ms: QUIET,
        undone: Some(Undone { text: "birch is switched on again", happens: |stage| stage.power_on(BIRCH) }),
    },
    Scene {
        title: "alder, the owner, is stopped in order (hearth stop)",
        happens: |stage| stage.order(ALDER, "stop"),
        owner: BIRCH,
        allowed_ms: MOVE,
        undone: Some(Undone { text: "alder is started again", happens: |stage| stage.start(ALDER) }),
    },
];
