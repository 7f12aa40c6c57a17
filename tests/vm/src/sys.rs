//! Kernel interfaces without a safe wrapper: the only unsafe code of this crate.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The program that `command` starts keeps `kept` open, is ended when the calling thread ends, and yields to everybody.
pub fn tie(command: &mut Command, kept: Vec<RawFd>) {
    let ready = move || {
        // SAFETY: both take plain numbers; a descriptor that is not open is an error, not undefined.
        let tied = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } == 0;
        let mut ready = tied && unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) } == 0;
        for kept in &kept {
            // SAFETY: as above.
            ready = ready && unsafe { libc::fcntl(*kept, libc::F_SETFD, 0) } == 0;
        }
        if ready { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec only prctl, setpriority and fcntl are called, which are safe in a signal handler;
    // nothing is allocated.
    unsafe {
        command.pre_exec(ready);
    }
}

/// Stops a thread of another process, as a debugger does. It goes on when this thread lets it go, or ends.
///
/// # Errors
/// When the kernel refuses, or the thread is gone.
pub fn stop_thread(thread: i32) -> io::Result<()> {
    trace(libc::PTRACE_SEIZE, thread)?;
    trace(libc::PTRACE_INTERRUPT, thread)?;
    let mut status = 0;
    // SAFETY: waitpid writes one int through a valid pointer.
    match unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) } {
        found if found == thread && libc::WIFSTOPPED(status) => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets it go on. Only the thread that stopped it can.
///
/// # Errors
/// When it is gone.
pub fn release_thread(thread: i32) -> io::Result<()> {
    trace(libc::PTRACE_DETACH, thread)
}

fn trace(request: libc::c_uint, thread: i32) -> io::Result<()> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: these requests read no memory of ours; address and data are null, as they ask for.
    match unsafe { libc::ptrace(request, thread, nothing, nothing) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
