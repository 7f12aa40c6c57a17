//! The helper process of a lab: see `hearth_lab::host`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    hearth_lab::host::main(std::env::args_os().skip(1).collect())
}
