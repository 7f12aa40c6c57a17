//! The old names, called through links to this file: what they print and how they exit is an interface that scripts use
//! (docs/cli.md says where ours differ).

mod belief;
pub(crate) mod cl_status;
pub(crate) mod crm_mon;
pub(crate) mod hand_over;
