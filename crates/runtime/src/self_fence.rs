//! The reset of this machine by its own kernel (`self_fence`, R-LEASE-6).
//!
//! What is written here ends everything on the machine that the kernel runs on at once, whoever's it is: of a container
//! that is its host. So it is opened only where hearthd is a process of the machine itself, and nothing but a daemon with
//! that line in its ha.cf opens it. Tests have a file of their own in its place.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The kernel resets the machine when `b` is written there; to open it does nothing.
#[cfg(not(test))]
const TRIGGER: &str = "/proc/sysrq-trigger";
/// No test of this crate comes near it.
#[cfg(test)]
const TRIGGER: &str = "/nonexistent/sysrq-trigger";

/// The first namespace of processes: the kernel gives it this number, on every machine.
const FIRST_PIDS: &str = "pid:[4026531836]";

/// Why this program must not reset the machine that it runs on, or could not; none: it could. Looks, and opens nothing.
pub fn refusal() -> Option<String> {
    let link = |path: &str| std::fs::read_link(path).map(|to| to.display().to_string());
    let known = || -> io::Result<[String; 3]> {
        Ok([link("/proc/self/ns/pid")?, link("/proc/self/ns/net")?, link("/proc/1/ns/net")?])
    };
    match known() {
        Ok([pids, network, first]) => judge(&pids, &network, &first, Path::new(TRIGGER).exists()),
        Err(error) => Some(format!("it cannot be seen whether this is a container ({error})")),
    }
}

fn judge(pids: &str, network: &str, first: &str, trigger: bool) -> Option<String> {
    if pids != FIRST_PIDS {
        return Some("this is a container: the reset would be that of its host".into());
    }
    if network != first {
        return Some("this is a network namespace: the reset would be that of the machine around it".into());
    }
    (!trigger).then(|| format!("this kernel has no {TRIGGER} (CONFIG_MAGIC_SYSRQ)"))
}

/// What resets the machine, ready to be used: nothing has to be found or opened any more when it is needed.
#[derive(Debug)]
pub(crate) struct Trigger(File);

impl Trigger {
    /// Opens that of this machine.
    ///
    /// # Errors
    /// Why it must not be used here ([`refusal`]), or cannot be opened.
    pub(crate) fn open() -> Result<Trigger, String> {
        refusal().map_or_else(|| Trigger::at(Path::new(TRIGGER)), Err)
    }

    fn at(path: &Path) -> Result<Trigger, String> {
        let opened = OpenOptions::new().write(true).open(path);
        opened.map(Trigger).map_err(|error| format!("{} cannot be opened ({error})", path.display()))
    }

    /// Resets the machine; returns only where that failed.
    pub(crate) fn pull(&mut self) -> String {
        match self.0.write_all(b"b") {
            Ok(()) => "the kernel took the order to reset this machine and did not".into(),
            Err(error) => format!("the kernel refuses to reset this machine ({error})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_or_a_machine_of_a_lab_never_resets_what_it_runs_on() {
        // R-LEASE-6
        let net = "net:[4026531833]";
        assert_eq!(judge(FIRST_PIDS, net, net, true), None);
        for (pids, network, trigger, why) in [
            ("pid:[4026532201]", net, true, "container"),
            ("pid:[4026532201]", "net:[4026532300]", true, "container"),
            (FIRST_PIDS, "net:[4026532300]", true, "network namespace"),
            (FIRST_PIDS, net, false, "CONFIG_MAGIC_SYSRQ"),
        ] {
            let said = judge(pids, network, net, trigger);
            assert!(said.as_ref().is_some_and(|said| said.contains(why)), "{pids} {network}: {said:?}");
        }
    }

    #[test]
    fn a_stop_is_cut_off_in_the_middle_of_its_last_stage() {
        assert!(hearth_agents::script::LONGEST_AFTERMATH <= hearth_config::STOP_AFTERMATH);
    }

    #[test]
    fn what_is_opened_here_is_never_the_real_one_and_it_takes_one_letter() {
        assert!(Trigger::open().is_err(), "{TRIGGER}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut trigger = Trigger::at(file.path()).unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"", "it was opened, and no more");
        assert!(trigger.pull().contains("did not"));
        assert_eq!(std::fs::read(file.path()).unwrap(), b"b");
    }
}
