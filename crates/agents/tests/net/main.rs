//! The network agents against a real kernel, each test in network namespaces of its own threads: they end with the
//! threads, so nothing is left behind. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN, and fails without them.

mod address;
mod gate;
mod space;
mod watch;
mod wire;
