//! The rules of leases and takeover (protocol section 3) for the voters of one owner, small enough that a checker looks
//! at every moment that can come of them: there are never two owners, and without any of the parts marked (M) there are.
//!
//! Knows nothing of the program: it says in a few hundred lines what the program must do, and docs/model/README.md says
//! what is left out. In: how much may happen ([`Rules`]). Out: how many moments there are, and the shortest way to two
//! owners, if there is one ([`Found`]), as a story ([`story()`]). Invariant: a search that ends without two owners has seen
//! every moment, none was cut off.

mod leases;
mod ledger;
pub mod part;
pub mod record;
mod search;
pub mod state;
pub mod steps;
mod story;

pub use part::Part;
pub use search::{Found, SIGHTS};
pub use steps::Rules;
pub use story::story;
