//! The pair's rules, judged from outside in virtual time.

mod early;
mod reload;
mod rules;
mod upgrade;
mod watching;
mod world;
