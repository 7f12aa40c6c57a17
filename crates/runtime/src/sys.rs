//! System calls without a safe wrapper.
#![allow(unsafe_code)]

use std::io;

/// Real-time priority for the calling thread alone; processes that it starts do not inherit it.
pub(crate) fn realtime(priority: u8) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: pid 0 is the calling thread, and the kernel only reads the parameter, which lives through the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &parameter) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps every page that was ever touched in memory. Pages never touched cost nothing (MCL_ONFAULT).
pub(crate) fn lock_memory() -> io::Result<()> {
    // SAFETY: takes flags only.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// One heap for all threads: each further one would keep its own free memory resident.
pub(crate) fn one_heap() {
    // SAFETY: sets a number in the allocator; called before any other thread exists.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Takes a terminal for this process alone (TIOCEXCL).
pub(crate) fn exclusive(terminal: &std::fs::File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the request takes no argument, and the descriptor is open through the call.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCEXCL) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
