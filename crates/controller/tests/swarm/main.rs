//! Two whole nodes in virtual time under random faults, judged from outside (protocol section 8).
//!
//! Everything random comes from one seed, so a failure is repeated by its seed alone.

mod cluster;
mod faults;
mod judge;
mod machine;
mod mutants;
mod runs;
mod world;
