//! The harness: makes guests, plays scenes, judges, and tells what was measured.

mod cpio;
mod event;
mod files;
mod judge;
mod kit;
mod machine;
mod outcome;
mod qemu;
mod scenes;
mod stage;
mod wires;

use nix::sys::signal::{SigSet, Signal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Plays the scenes whose names contain one of `wanted`: none means all, `short` the two that a check-in waits for.
pub fn run(wanted: &[String]) -> ExitCode {
    let began = Instant::now();
    end_in_order();
    match play(wanted) {
        Ok(true) => {
            println!("all of it within {:.0} s", began.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("test-vm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(wanted: &[String]) -> anyhow::Result<bool> {
    let own = std::env::current_exe()?;
    let programs = own.parent().map_or_else(PathBuf::new, PathBuf::from);
    // Beside the programs: target/debug has them, target/vm what was fetched.
    let folder = programs.parent().map_or_else(PathBuf::new, |target| target.join("vm"));
    let kit = kit::make(&folder, &programs)?;
    scenes::play(&kit, wanted)
}

/// Folders that were made so far; what was removed meanwhile does not mind.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A folder that must not be left behind.
fn leaves(folder: &Path) {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).push(folder.to_owned());
}

/// Who is asked to end removes what it has made; the kernel ends every QEMU with this process.
fn end_in_order() {
    let mut asked = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        asked.add(signal);
    }
    // Before any other thread is there, so that all of them leave these signals to one.
    if asked.thread_block().is_ok() {
        std::thread::spawn(move || {
            if let Ok(signal) = asked.wait() {
                for folder in FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    // It may be gone.
                    let _ = std::fs::remove_dir_all(folder);
                }
                std::process::exit(128 + signal as i32);
            }
        });
    }
}
