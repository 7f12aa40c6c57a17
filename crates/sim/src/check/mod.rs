//! What must always hold (protocol section 8), one file each, judged by what kernels, agents and power really do.

mod agreement;
mod authentic;
mod bounds;
mod cause;
mod double;
mod double_start;
mod fence_loop;
mod gap;
mod isolated;
mod left_out;
mod liveness;
mod moves;
mod needless;
mod one_owner;
mod order;
mod overlap;
mod put_back;
mod takeover;
mod truth;
mod unstopped;
mod witness;

pub use liveness::unwell;

use crate::act::Act;
use crate::agent::LiveOp;
use crate::site::Site;
use hearth_control::Status;
use hearth_controller::Event;
use hearth_types::{OpAction, OpOutcome, ResourceId, ResourceSpec, Timestamp};
use std::time::Duration;

/// Complaints beyond which nothing new is learnt.
pub(crate) const COMPLAINTS_MAX: usize = 20;

/// Something that must not have been.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    /// True time.
    pub at: Timestamp,
    /// Whose.
    pub checker: &'static str,
    /// What.
    pub text: String,
}

/// What a checker is shown.
pub enum Seen<'a> {
    /// Something befell the cluster.
    Act(&'a Act),
    /// A daemon told something.
    Event {
        /// Whose.
        node: usize,
        /// What.
        event: &'a Event,
    },
    /// A daemon ordered an operation; nothing of it has happened yet.
    OpStarted {
        /// Whose.
        node: usize,
        /// What.
        action: OpAction,
        /// Of what.
        spec: &'a ResourceSpec,
    },
    /// An operation ended, whether or not its daemon is still there.
    OpEnded {
        /// On which machine.
        node: usize,
        /// Which.
        op: &'a LiveOp,
        /// How.
        outcome: &'a OpOutcome,
    },
    /// A repeated packet came, and no deadline.
    Replayed {
        /// To whom.
        node: usize,
        /// Its word before ...
        before: &'a Status,
        /// ... and after.
        after: &'a Status,
    },
    /// A daemon took one input and gave so many outputs.
    Outputs {
        /// Whose.
        node: usize,
        /// How many.
        count: usize,
    },
    /// A daemon was woken by its own deadline.
    Deadline {
        /// Whose.
        node: usize,
    },
    /// A daemon ordered a power switch; it has not acted yet.
    FenceOrdered {
        /// Whose.
        node: usize,
        /// Whose power.
        target: usize,
    },
    /// An armed watchdog looks whether it is time.
    WatchdogLooks {
        /// Where.
        node: usize,
        /// It is: nothing has happened to the machine yet.
        resets: bool,
    },
    /// A write became durable.
    Written {
        /// Where.
        node: usize,
    },
}

/// Where a checker complains.
pub struct Blame<'a> {
    at: Timestamp,
    checker: &'static str,
    complaints: &'a mut Vec<Complaint>,
}

impl Blame<'_> {
    /// Something is wrong.
    pub fn that(&mut self, text: String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(Complaint { at: self.at, checker: self.checker, text });
        }
    }
}

/// What is cloned with its world.
pub trait Fork {
    /// One that goes on as this one does.
    fn fork(&self) -> Box<dyn Checker>;
}

impl<T: Checker + Clone + 'static> Fork for T {
    fn fork(&self) -> Box<dyn Checker> {
        Box::new(self.clone())
    }
}

/// One rule.
pub trait Checker: Fork + Send {
    /// Its name, as complaints show it.
    fn name(&self) -> &'static str;

    /// Something was seen. Single inputs are only shown to those that [`Checker::sees_inputs`].
    fn see(&mut self, _site: &Site, _seen: &Seen<'_>, _blame: &mut Blame<'_>) {}

    /// Time passes from now to `until`, and nothing happens but gates that run out. Called only while something is
    /// unusual: something runs twice, machines are apart, a daemon is away.
    fn pass(&mut self, _site: &Site, _until: Timestamp, _blame: &mut Blame<'_>) {}

    /// All is over.
    fn end(&mut self, _site: &Site, _blame: &mut Blame<'_>) {}

    /// Whether it looks at every input.
    fn sees_inputs(&self) -> bool {
        false
    }
}

/// All checkers of one world.
pub struct Checkers {
    all: Vec<Box<dyn Checker>>,
    on_inputs: Vec<usize>,
    gap: gap::Gap,
    double: double::Double,
}

impl Checkers {
    /// Every rule.
    pub fn all() -> Checkers {
        let all: Vec<Box<dyn Checker>> = vec![
            Box::<one_owner::OneOwner>::default(),
            Box::<takeover::Takeover>::default(),
            Box::<isolated::Isolated>::default(),
            Box::<agreement::Agreement>::default(),
            Box::<authentic::Authentic>::default(),
            Box::<order::Order>::default(),
            Box::<moves::Moves>::default(),
            Box::<double_start::DoubleStart>::default(),
            Box::<bounds::Bounds>::default(),
            Box::<cause::Cause>::default(),
            Box::<overlap::Overlap>::default(),
            Box::<truth::Truth>::default(),
            Box::<put_back::PutBack>::default(),
            Box::<fence_loop::FenceLoop>::default(),
            Box::<needless::Needless>::default(),
            Box::<witness::Witness>::default(),
            Box::<unstopped::Unstopped>::default(),
            Box::<left_out::LeftOut>::default(),
        ];
        let on_inputs = (0..all.len()).filter(|at| all[*at].sees_inputs()).collect();
        Checkers { all, on_inputs, gap: gap::Gap::default(), double: double::Double::default() }
    }

    /// Others that have seen the same.
    pub(crate) fn fork(&self) -> Checkers {
        Checkers {
            all: self.all.iter().map(|checker| checker.fork()).collect(),
            on_inputs: self.on_inputs.clone(),
            gap: self.gap.clone(),
            double: self.double.clone(),
        }
    }

    pub(crate) fn see(&mut self, site: &Site, seen: &Seen<'_>, complaints: &mut Vec<Complaint>) {
        if matches!(seen, Seen::Outputs { .. } | Seen::Deadline { .. }) {
            for at in &self.on_inputs {
                let checker = &mut self.all[*at];
                let mut blame = Blame { at: site.now, checker: checker.name(), complaints };
                checker.see(site, seen, &mut blame);
            }
            return;
        }
        for checker in &mut self.all {
            let mut blame = Blame { at: site.now, checker: checker.name(), complaints };
            checker.see(site, seen, &mut blame);
        }
    }

    pub(crate) fn pass(&mut self, site: &Site, until: Timestamp, complaints: &mut Vec<Complaint>) {
        self.gap.pass(site, until);
        self.double.pass(site, until);
        for checker in &mut self.all {
            let mut blame = Blame { at: site.now, checker: checker.name(), complaints };
            checker.pass(site, until, &mut blame);
        }
    }

    pub(crate) fn end(&mut self, site: &Site, complaints: &mut Vec<Complaint>) {
        for checker in &mut self.all {
            let mut blame = Blame { at: site.now, checker: checker.name(), complaints };
            checker.end(site, &mut blame);
        }
    }

    /// Whether time must be shown to the checkers in any case.
    pub(crate) fn watches(&self) -> bool {
        self.gap.watches()
    }

    pub(crate) fn watch(&mut self, now: Timestamp, resource: ResourceId) {
        self.gap.watch(now, resource);
    }

    pub(crate) fn two_answered(&self) -> Duration {
        self.double.total()
    }

    pub(crate) fn longest_gap(&self, now: Timestamp) -> Duration {
        self.gap.longest(now)
    }
}
