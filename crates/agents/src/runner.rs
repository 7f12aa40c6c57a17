//! One operation on one resource, whatever its agent is.

use crate::cancel::Cancel;
use crate::filesystem;
use crate::script::{self, Scripts};
use hearth_types::{AddressSpec, AgentClass, OpAction, OpOutcome, OpRequest, OpResult, ResourceKind, Timestamp};
use nix::time::{ClockId, clock_gettime};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an [`AddressOps`] gives back.
pub type AddressFuture<'a> = Pin<Box<dyn Future<Output = OpOutcome> + Send + 'a>>;

/// Operations on addresses, as the network side of this crate implements them.
pub trait AddressOps: Send + Sync {
    /// Does what `request` says to `address`, which is the address of its resource. The caller ends it at the request's
    /// timeout, and at once on cancellation, by dropping the future.
    fn run<'a>(&'a self, request: &'a OpRequest, address: &'a AddressSpec) -> AddressFuture<'a>;
}

/// All agents of this machine.
pub struct Agents {
    scripts: Scripts,
    addresses: Arc<dyn AddressOps>,
}

impl Agents {
    /// Agents that find their scripts as `scripts` says and leave addresses to `addresses`.
    pub fn new(scripts: Scripts, addresses: Arc<dyn AddressOps>) -> Agents {
        Agents { scripts, addresses }
    }

    /// Does one operation. Always returns: at `request.timeout`, plus for a script that must be ended its grace, plus for
    /// a stop the stages of R-TAKE-8 ([`script::LONGEST_AFTERMATH`]).
    ///
    /// A start whose `not_after` is past does nothing and fails (R-LEASE-5). Any number may run side by side; a resource
    /// must have one at a time. Needs a tokio runtime with time, I/O and signals.
    pub async fn run(&self, request: OpRequest, mut cancel: Cancel) -> OpResult {
        let began = Instant::now();
        let mut remark = None;
        let outcome = match late(&request) {
            Some(outcome) => outcome,
            None if cancel.is_cancelled() => OpOutcome::Cancelled,
            None => self.dispatch(&request, &mut cancel, &mut remark).await,
        };
        OpResult { id: request.id, outcome, took: began.elapsed(), remark }
    }

    async fn dispatch(&self, request: &OpRequest, cancel: &mut Cancel, remark: &mut Option<String>) -> OpOutcome {
        match (&request.resource.kind, request.resource.class) {
            (ResourceKind::Address(address), _) => {
                tokio::select! {
                    outcome = self.addresses.run(request, address) => outcome,
                    _ = tokio::time::sleep(request.timeout) => OpOutcome::TimedOut {
                        message: format!("{} of {} took longer than {}", request.action, address.ip, span(request.timeout)),
                    },
                    _ = cancel.cancelled() => OpOutcome::Cancelled,
                }
            }
            (ResourceKind::Filesystem { device, directory, fstype, options }, _) => {
                let mount = filesystem::Mount::new(device, directory, fstype, options);
                filesystem::run(&mount, request.action, request.timeout, cancel, remark).await
            }
            (ResourceKind::Script, AgentClass::Heartbeat | AgentClass::Lsb) => {
                script::run(&self.scripts, request, cancel, remark).await
            }
            (ResourceKind::Script, AgentClass::Native) => OpOutcome::Failed {
                code: None,
                message: format!("there is no native agent {}", request.resource.agent),
            },
        }
    }
}

/// A start after the end of its right (R-LEASE-5).
fn late(request: &OpRequest) -> Option<OpOutcome> {
    let until = request.not_after.filter(|_| request.action == OpAction::Start)?;
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let now = Timestamp(Duration::from(now).as_nanos() as u64);
    (now > until).then(|| OpOutcome::Failed {
        code: None,
        message: format!("not started: the right to start it ended {} ago", span(now.since(until))),
    })
}

/// `60 s` or `250 ms`, for messages.
pub(crate) fn span(span: Duration) -> String {
    match span.as_millis() {
        millis if millis % 1000 == 0 => format!("{} s", millis / 1000),
        millis => format!("{millis} ms"),
    }
}
