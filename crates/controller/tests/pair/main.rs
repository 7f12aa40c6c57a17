//! The pair's rules, judged from outside in virtual time.

mod rules;
mod world;
