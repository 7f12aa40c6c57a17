//! The holder of the gate as a table: whether it has one and what the kernel answers, and what comes of every order.

use super::{Addresses, Door, Gatekeeper};
use crate::table::{Cells, compare};
use hearth_agents::net::Ticked;
use hearth_controller::Input;
use hearth_types::{
    AddressSpec, AgentClass, OnStopFail, OpTimeouts, ResourceId, ResourceKind, ResourceSpec, Timestamp,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Each mark stands for this or less.
const MARK: Duration = Duration::from_millis(1400);
const STEP: Duration = Duration::from_millis(200);
const SLEEPS: &str = "(sleeps)";
/// A right that goes on for longer than a mark, and when it is asked for.
const END: Timestamp = Timestamp(10_000 * 1_000_000);

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::ZERO) };
    static DONE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn now() -> Timestamp {
    NOW.get()
}

fn note(what: impl Into<String>) {
    DONE.with_borrow_mut(|done| done.push(what.into()));
}

/// A kernel on paper.
#[derive(Clone, Copy, Default)]
struct Paper {
    /// Looks that find the gate not whole.
    broken: usize,
    /// Marks before which the machine sleeps until the right is nearly over.
    sleeps: usize,
    refuses: bool,
    notes: bool,
}

impl Paper {
    fn does(&self, what: impl Into<String>) -> Result<(), String> {
        note(what);
        if self.refuses { Err("refused".into()) } else { Ok(()) }
    }
}

/// What changes of it as it is used.
struct PaperDoor {
    paper: Paper,
    slept: Cell<usize>,
}

impl Door for PaperDoor {
    fn seen_whole(&mut self) -> Result<(), String> {
        note("look");
        if self.paper.broken == 0 {
            return Ok(());
        }
        self.paper.broken -= 1;
        Err("changed".into())
    }

    fn guard(&mut self, addresses: &[IpAddr]) -> Result<Vec<String>, String> {
        self.paper.does(format!("hold {} addresses", addresses.len()))?;
        Ok(self.paper.notes.then(|| "no arp_ignore".to_owned()).into_iter().collect())
    }

    fn tick(&self, _: IpAddr, left: &dyn Fn() -> Duration) -> Result<Ticked, String> {
        let span = STEP * (MARK.min(left()).as_millis() / STEP.as_millis()) as u32;
        if span.is_zero() {
            return Ok(Ticked::Short);
        }
        let sleeps = self.slept.get() < self.paper.sleeps;
        if sleeps {
            NOW.set(Timestamp(END.0 - 700_000_000 / (1 << self.slept.get())));
            self.slept.set(self.slept.get() + 1);
            note(SLEEPS);
        }
        self.paper.does(format!("mark {} ms", span.as_millis()))?;
        if sleeps {
            note("late");
            return Ok(Ticked::Late);
        }
        Ok(Ticked::For(span))
    }

    fn shut(&self, _: IpAddr) -> Result<(), String> {
        self.paper.does("shut")
    }

    fn set_lease(&mut self, _: Duration) -> Result<(), String> {
        self.paper.does("other marks")
    }
}

struct PaperAddresses;

impl Addresses for PaperAddresses {
    fn withdraw(&self, _: IpAddr) -> Result<(), String> {
        note("withdraw");
        Ok(())
    }

    fn renew(&self, _: &AddressSpec, lifetime: Duration, _: Timestamp) -> Result<(), String> {
        note(format!("lifetime {} s", lifetime.as_secs()));
        Ok(())
    }
}

fn resource(id: &str, kind: ResourceKind) -> ResourceSpec {
    ResourceSpec {
        id: id.into(),
        class: AgentClass::Native,
        agent: "IPaddr".into(),
        args: Vec::new(),
        kind,
        owns: BTreeSet::new(),
        timeouts: OpTimeouts::default(),
        monitor: None,
        on_stop_fail: OnStopFail::default(),
        wire_check: true,
    }
}

fn address(id: &str) -> ResourceSpec {
    let ip = IpAddr::from([10, 0, 0, 50]);
    let spec = AddressSpec { ip, prefix: None, interface: None, label: None, broadcast: None };
    resource(id, ResourceKind::Address(spec))
}

type Keeper = Gatekeeper<PaperDoor, PaperAddresses>;
type Prepare = fn(&mut Keeper);
type Happens = fn(&mut Keeper, Paper) -> Vec<Input>;

fn door(paper: Paper) -> PaperDoor {
    PaperDoor { paper, slept: Cell::new(0) }
}

const ADDRESS: &str = "ip";

fn ids() -> [ResourceId; 2] {
    [ADDRESS.into(), "not known here".into()]
}

/// With how many of the kernels.
const HOLDERS: [(&str, Option<Prepare>, usize); 3] = [
    ("no gate (`gate no`, or the kernel has none), one address", None, 1),
    ("a gate that holds nothing yet", Some(|_| {}), 1),
    (
        "a gate, one address",
        Some(|keeper| drop(keeper.guard(&[address(ADDRESS), resource("web", ResourceKind::Script)]))),
        KERNELS.len(),
    ),
];

const KERNELS: [(&str, Paper); 7] = [
    ("", Paper { broken: 0, sleeps: 0, refuses: false, notes: false }),
    ("; it was changed, and is put back", Paper { broken: 1, sleeps: 0, refuses: false, notes: false }),
    ("; it was changed, and cannot be put back", Paper { broken: 2, sleeps: 0, refuses: false, notes: false }),
    ("; the machine sleeps before a mark", Paper { broken: 0, sleeps: 1, refuses: false, notes: false }),
    ("; the machine sleeps before every mark", Paper { broken: 0, sleeps: 9, refuses: false, notes: false }),
    ("; the kernel refuses", Paper { broken: 0, sleeps: 0, refuses: true, notes: false }),
    ("; not everything can be done", Paper { broken: 0, sleeps: 0, refuses: false, notes: true }),
];

const ORDERS: [(&str, Happens); 11] = [
    ("hold an address", |keeper, _| keeper.guard(&[address(ADDRESS)])),
    ("hold nothing", |keeper, _| keeper.guard(&[])),
    ("interfaces changed, and a look", |keeper, _| {
        keeper.interfaces_changed();
        keeper.look()
    }),
    ("look, nobody touched anything", |keeper, _| {
        keeper.touched = false;
        keeper.look()
    }),
    ("look, somebody touched it", |keeper, _| {
        keeper.set_touched();
        keeper.look()
    }),
    ("tick", |keeper, _| {
        keeper.touched = false;
        keeper.tick(&ids(), END)
    }),
    ("tick, the right is nearly over", |keeper, _| {
        keeper.touched = false;
        keeper.tick(&ids(), now() + Duration::from_millis(300))
    }),
    ("tick, the right is over", |keeper, _| {
        keeper.touched = false;
        keeper.tick(&ids(), Timestamp::ZERO)
    }),
    ("shut", |keeper, _| {
        keeper.shut(&ids());
        Vec::new()
    }),
    ("another lease, and a look", |keeper, _| {
        keeper.touched = false;
        keeper.set_lease(Duration::from_secs(3));
        keeper.look()
    }),
    ("a gate after all", |keeper, paper| keeper.stand(door(paper))),
];

fn told(input: &Input) -> String {
    match input {
        Input::GateSeen { whole: true, trouble: None } => "told: whole".into(),
        Input::GateSeen { whole: true, trouble: Some(trouble) } => format!("told: whole, but {trouble}"),
        Input::GateSeen { whole: false, trouble } => format!("told: NOT whole, {}", trouble.as_deref().unwrap_or("-")),
        other => panic!("not told by a gate: {other:?}"),
    }
}

/// R-LEASE-8, R-LEASE-11, R-LEASE-13
#[test]
fn every_gate_and_every_order() {
    let mut cells = Cells::default();
    for (holder, with_gate, kernels) in HOLDERS {
        for (kernel, paper) in KERNELS.iter().take(kernels) {
            for (order, happens) in ORDERS {
                NOW.set(Timestamp(1_000_000_000));
                let mut keeper: Keeper = Gatekeeper::new(None, Arc::new(PaperAddresses), now);
                drop(keeper.guard(&[address(ADDRESS)]));
                if let Some(prepare) = with_gate {
                    keeper = Gatekeeper::new(Some(door(Paper::default())), Arc::new(PaperAddresses), now);
                    prepare(&mut keeper);
                    keeper.gate = Some(door(*paper));
                }
                DONE.take();
                let news = happens(&mut keeper, *paper);
                let mut parts = DONE.take();
                parts.extend(news.iter().map(told));
                let renewed = {
                    keeper.renew(&ids(), Duration::from_secs(2), END);
                    DONE.take()
                };
                let known = keeper.resources.contains_key(&ids()[0]);
                assert_eq!(!renewed.is_empty(), known, "a lifetime is that of an address that it knows");
                let outcome = if parts.is_empty() { "-".to_owned() } else { parts.join(", ") };
                cells.note(&format!("{holder}{kernel}"), order, outcome);
            }
        }
    }
    let head = "The holder of the gate (crates/runtime/src/gatekeeper): what it does at the kernel, and what it tells. A mark\n\
                stands for 1,400 ms at most; the right ends in 9 s where nothing else is said.";
    compare("gatekeeper.txt", head, &cells.print("-"));
}
