//! Hearth on emulated machines: two QEMU guests, three with a witness, with a kernel, disks and a hardware watchdog
//! (i6300esb) of their own.
//!
//! What namespaces cannot show is shown here: a kernel that has crashed, a processor that stands still, power that is
//! cut, a hypervisor that stops its guest; and that the real watchdog resets what nothing else can stop. The harness is
//! the wires, the power switches and the clock. It believes nothing that Hearth says: it sees mounts, acknowledged writes,
//! resets and the file system itself.
//!
//! The same program is what runs in the guests beside Hearth: process 1, the writer on the shared disk and the fence
//! agent that asks the harness for power. Which of them it is, its name says.
//!
//! Knows nothing of how Hearth decides, and uses none of its crates. Leaves nothing behind: every QEMU is ended by its own
//! pid, by the kernel if the harness itself is killed; all files lie in one temporary folder and below `target/vm`.

mod guest;
mod host;
mod sys;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    match Path::new(&name).file_name().and_then(|name| name.to_str()) {
        _ if std::process::id() == 1 => guest::init::run(),
        Some("vm-writer") => guest::writer::run(),
        Some("fence_vm") => guest::switch::run(),
        _ => host::run(&arguments.collect::<Vec<_>>()),
    }
}
