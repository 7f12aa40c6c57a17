//! Whole clusters under random faults, judged from outside (protocol section 8).

mod hunt;
mod mutants;
mod runs;
mod standby;
