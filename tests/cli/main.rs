//! What `hearth` and its old names print and how they exit, against a daemon that speaks from a script.
//!
//! Each file of cases/ is a story in words, then blocks of
//!
//! ```text
//! $ hearth status          the command; `NAME=VALUE` words before it are its environment
//! < healthy                replies/healthy.json, sent in answer; several: one after the other
//! ----
//! > {"request":"status"}   what the daemon was asked
//! | text                   stdout
//! ! text                   stderr
//! exit 0
//! ```
//!
//! `< (absent)`: no socket; `< (dead)`: a socket that nobody listens on; `< (closes)`: the daemon closes without a word.
//! UPDATE_GOLDEN=1 rewrites everything below the rules.

mod check;
mod daemon;
mod golden;
mod interface;
mod replay;
mod terminal;
