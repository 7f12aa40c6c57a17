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

/// Takes the calling thread's real-time priority back.
pub(crate) fn ordinary() -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: pid 0 is the calling thread, and the kernel only reads the parameter, which lives through the call.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK, &parameter) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets the kernel swap this process again.
pub(crate) fn unlock_memory() {
    // SAFETY: takes nothing. It cannot fail on Linux.
    unsafe { libc::munlockall() };
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

/// The next of these blocked signals; none if there is none within `span`.
pub(crate) fn signal_within(
    signals: &nix::sys::signal::SigSet,
    span: std::time::Duration,
) -> io::Result<Option<nix::sys::signal::Signal>> {
    let limit = libc::timespec { tv_sec: span.as_secs() as libc::time_t, tv_nsec: i64::from(span.subsec_nanos()) };
    // SAFETY: both structures live through the call, and no information about the signal is asked for.
    let number = unsafe { libc::sigtimedwait(signals.as_ref(), std::ptr::null_mut(), &limit) };
    if number > 0 {
        return Ok(nix::sys::signal::Signal::try_from(number).ok());
    }
    match io::Error::last_os_error() {
        error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(None),
        error => Err(error),
    }
}

/// Lets tokio wait until a socket can be read.
pub(crate) fn readable(socket: std::os::fd::OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>> {
    // SAFETY: the descriptor is owned, always the same one, and lives as long as its registration.
    unsafe { Ok(tokio::io::unix::AsyncFd::register_with_interest(socket, tokio::io::Interest::READABLE)?) }
}

/// `struct watchdog_info` of the kernel.
#[repr(C)]
pub(crate) struct WatchdogInfo {
    options: u32,
    version: u32,
    identity: [u8; 32],
}

nix::ioctl_read!(wdioc_getsupport, b'W', 0, WatchdogInfo);
nix::ioctl_read!(wdioc_keepalive, b'W', 5, libc::c_int);
nix::ioctl_readwrite!(wdioc_settimeout, b'W', 6, libc::c_int);
nix::ioctl_read!(wdioc_gettimeout, b'W', 7, libc::c_int);

/// What an open watchdog can do, and its name.
pub(crate) fn watchdog_support(device: &std::fs::File) -> io::Result<(u32, String)> {
    use std::os::fd::AsRawFd;
    let mut info = WatchdogInfo { options: 0, version: 0, identity: [0; 32] };
    // SAFETY: the kernel writes one such structure, which lives through the call; the descriptor is open.
    unsafe { wdioc_getsupport(device.as_raw_fd(), &mut info)? };
    let name = info.identity.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok((info.options, String::from_utf8_lossy(name).into_owned()))
}

/// Puts the reset of an open watchdog off by its timeout.
pub(crate) fn watchdog_pet(device: &std::fs::File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let mut unused = 0;
    // SAFETY: the kernel writes at most one number, which lives through the call; the descriptor is open.
    unsafe { wdioc_keepalive(device.as_raw_fd(), &mut unused)? };
    Ok(())
}

/// Asks an open watchdog for that many seconds.
pub(crate) fn watchdog_set_timeout(device: &std::fs::File, seconds: i32) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let mut seconds = seconds;
    // SAFETY: the kernel reads and writes one number, which lives through the call; the descriptor is open.
    unsafe { wdioc_settimeout(device.as_raw_fd(), &mut seconds)? };
    Ok(())
}

/// The seconds that an open watchdog has.
pub(crate) fn watchdog_timeout(device: &std::fs::File) -> io::Result<i32> {
    use std::os::fd::AsRawFd;
    let mut seconds = 0;
    // SAFETY: the kernel writes one number, which lives through the call; the descriptor is open.
    unsafe { wdioc_gettimeout(device.as_raw_fd(), &mut seconds)? };
    Ok(seconds)
}
