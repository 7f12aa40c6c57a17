//! Whole clusters under random faults, judged from outside (protocol section 8).

mod found;
mod hunt;
mod mutants;
mod runs;
#[path = "../seeds/mod.rs"]
mod seeds;
mod standby;
