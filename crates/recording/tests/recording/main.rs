//! Recordings: what is written is read, what was done is done again, and whatever is not so is noticed.

mod inputs;
mod pair;
mod whole;
