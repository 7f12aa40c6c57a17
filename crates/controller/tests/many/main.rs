//! The rules of three and more voters, judged from outside in virtual time.

mod chance;
mod coming;
mod faults;
mod list;
mod listed;
mod ordered;
mod own_vote;
mod trio;
mod world;
