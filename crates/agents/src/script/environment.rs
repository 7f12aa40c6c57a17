//! What a script is told beside its arguments.

use super::Found;
use hearth_types::{NodeName, ResourceId};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where scripts lie and what all of them are told.
#[derive(Clone, Debug)]
pub struct Scripts {
    /// The configuration directory: HA_DIR.
    pub ha_dir: PathBuf,
    /// Directories of heartbeat-class scripts, first come first served.
    pub resource_dirs: Vec<PathBuf>,
    /// Directories of LSB scripts, asked after all of `resource_dirs`.
    pub init_dirs: Vec<PathBuf>,
    /// This machine's name: HA_CURHOST.
    pub node: NodeName,
    /// More variables by full name, which win over ours: `env` of ha.cf as HA_NAME, HA_LOGFACILITY, HA_LOGFILE ...
    pub env: BTreeMap<String, String>,
}

impl Scripts {
    /// The usual places: `ha_dir`/resource.d, /etc/ha.d/resource.d, `shipped`, then /etc/init.d.
    pub fn usual(ha_dir: &Path, shipped: &Path, node: NodeName) -> Scripts {
        let mut resource_dirs = vec![ha_dir.join("resource.d"), PathBuf::from("/etc/ha.d/resource.d"), shipped.into()];
        resource_dirs.dedup();
        let init_dirs = vec![PathBuf::from("/etc/init.d")];
        Scripts { ha_dir: ha_dir.into(), resource_dirs, init_dirs, node, env: BTreeMap::new() }
    }

    /// What ha.cf says about `env`, each as HA_NAME.
    pub fn with_env(mut self, env: &BTreeMap<String, String>) -> Scripts {
        self.env.extend(env.iter().map(|(name, value)| (format!("HA_{name}"), value.clone())));
        self
    }

    /// What ha.cf says about logging, as the names that scripts know.
    pub fn with_logging(
        mut self,
        debug: u8,
        logfile: Option<&str>,
        debugfile: Option<&str>,
        facility: Option<&str>,
    ) -> Scripts {
        let given = [("HA_LOGFILE", logfile), ("HA_DEBUGLOG", debugfile), ("HA_LOGFACILITY", facility)];
        self.env.insert("HA_debug".to_string(), debug.to_string());
        self.env.extend(given.iter().filter_map(|(name, value)| Some((name.to_string(), (*value)?.to_string()))));
        self
    }

    /// Variables that what a script leaves behind inherits, and by which it is found again (R-TAKE-8). With the node and
    /// the directory, so that two clusters on one machine do not end each other's processes.
    pub(crate) fn marks(&self, id: &ResourceId) -> Vec<String> {
        self.marking(id).map(|(name, value)| format!("{name}={value}")).to_vec()
    }

    fn marking(&self, id: &ResourceId) -> [(&'static str, String); 3] {
        [
            ("HEARTH_RESOURCE", id.to_string()),
            ("HEARTH_NODE", self.node.to_string()),
            ("HEARTH_DIR", self.ha_dir.display().to_string()),
        ]
    }

    /// What every script of this machine is told, whatever it is there for.
    pub fn surroundings(&self) -> BTreeMap<String, OsString> {
        let functions = [self.ha_dir.join("shellfuncs"), PathBuf::from("/etc/ha.d/shellfuncs")]
            .into_iter()
            .chain(self.resource_dirs.iter().map(|directory| directory.join("shellfuncs")))
            .find(|path| path.is_file())
            .unwrap_or_else(|| self.ha_dir.join("shellfuncs"));
        let mut all: BTreeMap<String, OsString> = BTreeMap::from([
            ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
            ("LC_ALL".into(), "C".into()),
            ("HOME".into(), "/".into()),
            ("HA_DIR".into(), self.ha_dir.clone().into()),
            ("HA_FUNCS".into(), functions.into()),
            ("HA_CURHOST".into(), self.node.to_string().into()),
            ("HA_LOGD".into(), "no".into()),
            ("HA_DATEFMT".into(), "%Y/%m/%d_%T ".into()),
            ("HA_NICEFAILBACK".into(), "yes".into()),
            ("HA_RSCTMP".into(), "/run/resource-agents".into()),
            ("HA_debug".into(), "0".into()),
            ("OCF_ROOT".into(), "/usr/lib/ocf".into()),
        ]);
        all.extend(self.env.iter().map(|(name, value)| (name.clone(), value.into())));
        all
    }

    pub(super) fn environment(&self, id: &ResourceId, found: &Found) -> Vec<(OsString, OsString)> {
        let mut all = BTreeMap::from([("HA_RESOURCEDIR".to_owned(), found.directory.clone().into())]);
        all.extend(self.surroundings());
        // Last: a resource must not lose the marks by which it is found.
        all.extend(self.marking(id).map(|(name, value)| (name.to_string(), value.into())));
        all.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }
}
