//! The rules of three and more voters, judged from outside in virtual time.

mod faults;
mod trio;
mod world;
