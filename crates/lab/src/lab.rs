//! The machines, the switch between them, and a client and a ping target on the service network.

use crate::space::{Helper, Setting, Space};
use anyhow::{Context, bail};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// One of the two networks that every machine is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Net {
    /// 10.77.0.0/24, `eth0`: clients, the ping target, and heartbeats.
    Service,
    /// 10.78.0.0/24, `eth1`: heartbeats only.
    Heartbeat,
}

impl Net {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Service, Self::Heartbeat];

    /// Name of a machine's interface on it.
    pub fn interface(self) -> &'static str {
        match self {
            Self::Service => "eth0",
            Self::Heartbeat => "eth1",
        }
    }

    fn number(self) -> u8 {
        self as u8
    }
}

/// What a lab is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Program that runs inside the machines.
    pub helper: Helper,
    /// Folder on a disk under which the machines' folders are made; they are removed at the end.
    pub disk: PathBuf,
    /// Names of the machines, at most nine.
    pub machines: Vec<String>,
}

/// Machines, switch, client and ping target. Dropping it ends and removes everything.
pub struct Lab {
    helper: Helper,
    machines: Vec<Machine>,
    client: Space,
    target: Space,
    /// What the switch loses, as it is written in the rules of its filter.
    pub(crate) dropped: Mutex<BTreeSet<String>>,
    // Last: its holder removes the disk's folder, which machines still use until they are gone.
    switch: Space,
    disk: tempfile::TempDir,
}

struct Machine {
    name: String,
    space: Option<Space>,
}

impl Lab {
    /// Makes everything and switches the machines on.
    ///
    /// # Errors
    /// When namespaces, interfaces or folders cannot be made; nothing is left then.
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        // Their addresses lie below those that move.
        if options.machines.len() > 40 {
            bail!("a lab has at most 40 machines");
        }
        std::fs::create_dir_all(&options.disk)?;
        let disk = tempfile::Builder::new().prefix("hearth-lab-").tempdir_in(&options.disk)?;
        let setting = |name: &str| Setting { name: name.to_owned(), room: None, sweep: Some(disk.path().to_owned()) };
        let switch = Space::open(&options.helper, &setting("switch"))?;
        switch.ip(SWITCH, false)?;
        let plain = |name: &str| Setting { name: name.to_owned(), ..Setting::default() };
        let client = Space::open(&options.helper, &plain("client"))?;
        let target = Space::open(&options.helper, &plain("target"))?;
        for (port, space, address) in [("client", &client, CLIENT), ("target", &target, TARGET)] {
            switch.ip(
                &format!(
                    "link add {port} type veth peer name eth0 netns {}\nlink set {port} master br0 up\n",
                    space.pid()
                ),
                false,
            )?;
            space.ip(&format!("link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\n"), false)?;
        }
        let machines = options.machines.iter().map(|name| Machine { name: name.clone(), space: None }).collect();
        let helper = options.helper.clone();
        let mut lab = Self { helper, machines, client, target, dropped: Mutex::default(), switch, disk };
        lab.write_drops()?;
        for name in &options.machines {
            lab.power_on(name)?;
        }
        Ok(lab)
    }

    /// Switches a machine on: fresh processes, network and /run, a new boot id; its folder is as it was left.
    ///
    /// # Errors
    /// When it is on, or cannot be made.
    pub fn power_on(&mut self, name: &str) -> anyhow::Result<()> {
        let number = self.number(name)?;
        if self.machines[number].space.is_some() {
            bail!("{name} is on");
        }
        let room = self.room(name);
        for folder in ["ha.d/resource.d", "state", "log"] {
            std::fs::create_dir_all(room.join(folder))?;
        }
        let setting = Setting { name: name.to_owned(), room: Some(room), sweep: None };
        let space = Space::open(&self.helper, &setting)?;
        space.ip("link set lo up\n", false)?;
        self.machines[number].space = Some(space);
        for net in Net::ALL {
            self.plug_new_card(name, net)?;
        }
        Ok(())
    }

    /// Takes a machine's power away: cables dead, every process and all kernel state gone; its folder stays. Returns the
    /// time right before.
    ///
    /// # Errors
    /// When it is off.
    pub fn power_off(&mut self, name: &str) -> anyhow::Result<u64> {
        let number = self.number(name)?;
        let mut space = self.machines[number].space.take().with_context(|| format!("{name} is off"))?;
        let ports = Net::ALL.map(|net| self.port(name, net).unwrap_or_default());
        let at = crate::now();
        self.switch.ip(&format!("link set {} down\nlink set {} down\n", ports[0], ports[1]), true)?;
        space.kill();
        // The kernel takes the other ends apart when it comes to it; the names are needed before.
        self.switch.ip(&format!("link del {}\nlink del {}\n", ports[0], ports[1]), true)?;
        Ok(at)
    }

    /// Gives a machine a new interface on a network, with its usual name, hardware address and address.
    ///
    /// # Errors
    /// When it is off or has one.
    pub fn plug_new_card(&self, name: &str, net: Net) -> anyhow::Result<()> {
        let (space, port, interface) = (self.machine(name)?, self.port(name, net)?, net.interface());
        let (hardware, address) = (text(self.hardware(name, net)?), self.address(name, net)?);
        self.switch.ip(
            &format!(
                "link add {port} type veth peer name {interface} address {hardware} netns {}\n\
                 link set {port} master br{} up\n",
                space.pid(),
                net.number()
            ),
            false,
        )?;
        let observer = match net {
            // It never answers who-has; so nobody has to ask.
            Net::Service => format!("neigh replace {OBSERVER} lladdr {} dev eth0 nud permanent\n", text(OBSERVER_CARD)),
            Net::Heartbeat => String::new(),
        };
        space.ip(&format!("addr add {address}/24 dev {interface}\nlink set {interface} up\n{observer}"), false)
    }

    /// Names in order.
    pub fn names(&self) -> Vec<String> {
        self.machines.iter().map(|machine| machine.name.clone()).collect()
    }

    /// Whether a machine is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.machine(name).is_ok()
    }

    /// A machine that is on.
    ///
    /// # Errors
    /// When it is off or unknown.
    pub fn machine(&self, name: &str) -> anyhow::Result<&Space> {
        self.machines[self.number(name)?].space.as_ref().with_context(|| format!("{name} is off"))
    }

    /// The client's machine.
    pub fn client(&self) -> &Space {
        &self.client
    }

    /// The machine at [`TARGET`](Self::target_address).
    pub fn target(&self) -> &Space {
        &self.target
    }

    /// The switch.
    pub fn switch(&self) -> &Space {
        &self.switch
    }

    /// Address of the ping target.
    pub fn target_address(&self) -> Ipv4Addr {
        TARGET
    }

    /// A machine's folder, seen by it at `/mnt`: `ha.d`, `state`, `log`.
    pub fn room(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    /// The lab's folder.
    pub fn disk(&self) -> &Path {
        self.disk.path()
    }

    /// A machine's own address.
    ///
    /// # Errors
    /// When there is no such machine.
    pub fn address(&self, name: &str, net: Net) -> anyhow::Result<Ipv4Addr> {
        Ok(Ipv4Addr::new(10, 77 + net.number(), 0, 10 + self.number(name)? as u8))
    }

    /// Gives machines, client and observer IPv6 addresses on the service network, fd77::/64; those that are on.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn number_v6(&self) -> anyhow::Result<()> {
        let observer = text(OBSERVER_CARD);
        for name in self.names().iter().filter(|name| self.is_on(name)) {
            let address = self.address_v6(name)?;
            // The observer never answers a solicitation; so nobody has to ask.
            self.machine(name)?.ip(
                &format!(
                    "addr add {address}/64 dev eth0 nodad\n\
                     neigh replace {OBSERVER_6} lladdr {observer} dev eth0 nud permanent\n"
                ),
                false,
            )?;
        }
        self.client.ip(&format!("addr add {CLIENT_6}/64 dev eth0 nodad\n"), false)
    }

    /// A machine's own address after [`Lab::number_v6`].
    ///
    /// # Errors
    /// When there is no such machine.
    pub fn address_v6(&self, name: &str) -> anyhow::Result<Ipv6Addr> {
        Ok(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x10 + self.number(name)? as u16))
    }

    /// Hardware address of a machine's interface.
    ///
    /// # Errors
    /// When there is no such machine.
    pub fn hardware(&self, name: &str, net: Net) -> anyhow::Result<[u8; 6]> {
        Ok([2, 0, 10, 77 + net.number(), 0, 10 + self.number(name)? as u8])
    }

    /// Name of the switch's port for a machine.
    ///
    /// # Errors
    /// When there is no such machine.
    pub fn port(&self, name: &str, net: Net) -> anyhow::Result<String> {
        Ok(format!("m{}n{}", self.number(name)?, net.number()))
    }

    fn number(&self, name: &str) -> anyhow::Result<usize> {
        self.machines.iter().position(|machine| machine.name == name).with_context(|| format!("no machine {name}"))
    }
}

/// Hardware address as text.
pub(crate) fn text(address: [u8; 6]) -> String {
    address.map(|byte| format!("{byte:02x}")).join(":")
}

/// The observer's own addresses: it sits in the switch and is nobody's neighbour.
pub(crate) const OBSERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 250);
pub(crate) const OBSERVER_CARD: [u8; 6] = [2, 0, 10, 77, 0, 250];
pub(crate) const OBSERVER_6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x250);
const CLIENT_6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x200);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);
const TARGET: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Two bridges that forward from the first moment and know no multicast groups.
const SWITCH: &str = "link set lo up\n\
    link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
    link add br1 type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
    link set br0 addrgenmode none\nlink set br1 addrgenmode none\nlink set br0 up\nlink set br1 up\n";
