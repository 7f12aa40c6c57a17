//! Where a script is.

use super::Scripts;
use hearth_types::AgentClass;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A script that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its full path.
    pub path: PathBuf,
    /// How it is called: what lies in an init.d directory is an LSB script, whoever asks for it.
    pub class: AgentClass,
    /// The directory it lies in.
    pub directory: PathBuf,
}

/// The first executable regular file of that name in the order of [`Scripts`]; an LSB one only in init.d.
pub(super) fn find(scripts: &Scripts, class: AgentClass, agent: &str) -> Result<Found, String> {
    if agent.is_empty() || agent == "." || agent == ".." || agent.contains(['/', '\0']) {
        return Err(format!("`{agent}` is not the name of a script"));
    }
    let mut unusable = None;
    let resource = scripts.resource_dirs.iter().filter(|_| class != AgentClass::Lsb);
    let resource = resource.map(|directory| (directory, AgentClass::Heartbeat));
    let init = scripts.init_dirs.iter().map(|directory| (directory, AgentClass::Lsb));
    for (directory, class) in resource.chain(init) {
        let path = directory.join(agent);
        match executable(&path) {
            Some(true) => return Ok(Found { path, class, directory: directory.clone() }),
            Some(false) => unusable = unusable.or(Some(path)),
            None => {}
        }
    }
    Err(match unusable {
        Some(path) => format!("{} is not an executable file; make it one with chmod +x", path.display()),
        None => format!("there is no script {agent} in {}", searched(scripts, class)),
    })
}

/// None: not there. Some(false): there, but not to be executed.
fn executable(path: &Path) -> Option<bool> {
    let metadata = fs::metadata(path).ok()?;
    Some(metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn searched(scripts: &Scripts, class: AgentClass) -> String {
    let resource = scripts.resource_dirs.iter().filter(|_| class != AgentClass::Lsb);
    let all: Vec<String> = resource.chain(&scripts.init_dirs).map(|path| path.display().to_string()).collect();
    all.join(", ")
}
