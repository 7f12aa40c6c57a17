//! The machine as the parser asks about it.

use hearth_config::{Environment, InterfaceFacts};
use hearth_types::AgentClass;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;
use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// This machine, with the configuration folder whose resource.d comes first. Each question is asked anew.
#[derive(Clone, Debug)]
pub struct System {
    directory: PathBuf,
}

impl System {
    /// The machine, with the scripts of `directory`/resource.d before all others.
    pub fn new(directory: &Path) -> Self {
        System { directory: directory.to_owned() }
    }

    /// Folders of scripts in order of search. `HEARTH_RESOURCE_DIR` replaces the installed one.
    fn folders(&self) -> [(AgentClass, PathBuf); 4] {
        let shipped = std::env::var_os("HEARTH_RESOURCE_DIR").unwrap_or_else(|| "/usr/lib/hearth/resource.d".into());
        [
            (AgentClass::Heartbeat, self.directory.join("resource.d")),
            (AgentClass::Heartbeat, "/etc/ha.d/resource.d".into()),
            (AgentClass::Heartbeat, shipped.into()),
            (AgentClass::Lsb, "/etc/init.d".into()),
        ]
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip())))
}

fn ones(mask: IpAddr) -> u8 {
    match mask {
        IpAddr::V4(mask) => u32::from(mask).count_ones() as u8,
        IpAddr::V6(mask) => u128::from(mask).count_ones() as u8,
    }
}

fn all() -> BTreeMap<String, InterfaceFacts> {
    let mut found: BTreeMap<String, InterfaceFacts> = BTreeMap::new();
    for entry in getifaddrs().into_iter().flatten() {
        let facts = found.entry(entry.interface_name.clone()).or_default();
        facts.is_up |= entry.flags.contains(InterfaceFlags::IFF_UP);
        let Some(address) = entry.address.as_ref().and_then(ip) else { continue };
        let length = entry.netmask.as_ref().and_then(ip).map_or(if address.is_ipv4() { 32 } else { 128 }, ones);
        facts.has_broadcast |= address.is_ipv4() && entry.flags.contains(InterfaceFlags::IFF_BROADCAST);
        facts.addresses.push((address, length));
    }
    found
}

impl Environment for System {
    fn host_name(&self) -> String {
        nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn interface(&self, name: &str) -> Option<InterfaceFacts> {
        all().remove(name)
    }

    fn interfaces(&self) -> Vec<String> {
        all().into_keys().collect()
    }

    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let mut found: Vec<IpAddr> = Vec::new();
        for address in (host, 0).to_socket_addrs().map_err(|error| error.to_string())? {
            if !found.contains(&address.ip()) {
                found.push(address.ip());
            }
        }
        Ok(found)
    }

    fn script(&self, name: &str) -> Option<(AgentClass, String)> {
        // A name with a slash would leave the folders.
        if name.is_empty() || name.contains('/') {
            return None;
        }
        self.folders()
            .into_iter()
            .map(|(class, folder)| (class, folder.join(name)))
            .find_map(|(class, path)| is_executable(&path).then(|| (class, path.display().to_string())))
    }

    fn scripts(&self) -> Vec<String> {
        let entries =
            self.folders().into_iter().flat_map(|(_, folder)| std::fs::read_dir(folder).into_iter().flatten());
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| is_executable(&entry.path()))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn is_character_device(&self, path: &str) -> bool {
        std::fs::metadata(path).is_ok_and(|facts| facts.file_type().is_char_device())
    }

    fn fence_program(&self, kind: &str) -> Option<String> {
        let folders: &[&str] = match kind.strip_prefix("external/") {
            Some(_) => &["/usr/lib/stonith/plugins/", "/usr/local/lib/stonith/plugins/"],
            None => &["/usr/sbin/", "/usr/local/sbin/", "/sbin/"],
        };
        let full = Path::new(kind).is_absolute().then(|| kind.to_owned());
        // Any other slash would leave the folders.
        let plain = !kind.trim_start_matches("external/").contains('/');
        let found = folders.iter().filter(|_| plain).map(|folder| format!("{folder}{kind}"));
        full.into_iter().chain(found).find(|path| is_executable(Path::new(path)))
    }

    fn not_a_program(&self, path: &str) -> Option<String> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some("does not exist".to_owned()),
            Err(error) => Some(format!("cannot be looked at: {error}")),
            Ok(facts) if !facts.is_file() => Some("is no file".to_owned()),
            Ok(facts) if facts.permissions().mode() & 0o111 == 0 => Some("may not be executed".to_owned()),
            Ok(_) => None,
        }
    }

    fn text(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn is_local_address(&self, address: IpAddr) -> bool {
        all().values().flat_map(|facts| &facts.addresses).any(|(own, _)| *own == address)
    }
}
