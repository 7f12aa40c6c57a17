//! What is configured on the guests: the three files of Hearth, a script, and how a machine starts.

use super::cpio::Archive;
use super::event::{NAMES, Who};

/// The watchdog's timeout.
pub const WATCHDOG_S: u64 = 6;
/// What `self_fence` leaves to stop in.
pub const SELF_FENCE_S: u64 = 8;
/// The deadtime: software emulation on a busy machine stands still for a second now and then.
pub const DEADTIME_S: u64 = 4;
/// The time that a fence device may take.
pub const FENCE_S: u64 = 2;
/// The same where it is a poison pill on a disk: it must last for a patience and the watchdog.
pub const PILL_S: u64 = 16;
/// How long a guest waits for the other one when it has booted.
pub const INITDEAD_S: u64 = 30;

/// The script of the group's service.
const SERVICE: &str = "#!/bin/sh
runs() { [ -s /run/writer.pid ] && kill -0 $(cat /run/writer.pid) 2>/dev/null; }
case $1 in
start) runs || { setsid vm-writer </dev/null >/dev/null 2>>/dev/console & echo $! >/run/writer.pid; } ;;
stop)
    while [ -e /run/hangs ]; do usleep 100000; done
    if runs; then
        kill $(cat /run/writer.pid)
        while runs; do usleep 20000; done
    fi
    rm -f /run/writer.pid ;;
status) if runs; then echo running; else echo stopped; exit 3; fi ;;
*) exit 2 ;;
esac
";

/// One way to configure all guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Heartbeats over the network; else over the serial line alone.
    pub network: bool,
    /// Power switches as fence devices.
    pub stonith: bool,
    /// The watchdog's driver never lets it be closed again.
    pub nowayout: bool,
    /// A third guest that votes and runs nothing; no serial line.
    pub witness: bool,
    /// Poison pills on a disk as fence device; no serial line.
    pub pill: bool,
    /// No watchdog: a machine resets itself when a stop fails.
    pub self_fence: bool,
}

impl Setup {
    /// Network and serial line, switches, a watchdog that can be closed.
    pub const USUAL: Self =
        Self { network: true, stonith: true, nowayout: false, witness: false, pill: false, self_fence: false };

    /// Without switches: whoever is silent is taken over from.
    pub const UNFENCED: Self = Self { stonith: false, ..Self::USUAL };

    /// Without switches, and with a witness: what a watchdog has reset is taken over.
    pub const WITNESSED: Self = Self { witness: true, ..Self::UNFENCED };

    /// Without switches: a disk of its own tells a machine to end itself.
    pub const PILL: Self = Self { pill: true, ..Self::UNFENCED };

    /// Beside a witness, without watchdogs.
    pub const SELF_FENCED: Self = Self { self_fence: true, ..Self::WITNESSED };

    /// The serial line alone, and a watchdog that Hearth must not arm.
    pub const SERIAL: Self = Self { network: false, nowayout: true, ..Self::USUAL };

    /// How many guests there are.
    pub fn guests(&self) -> usize {
        if self.witness { 3 } else { 2 }
    }

    /// Whether a machine can be fenced.
    pub fn fences(&self) -> bool {
        self.stonith || self.pill
    }

    /// Whether Hearth arms the watchdog here (R-LEASE-7).
    pub fn arms(&self) -> bool {
        !self.nowayout && !self.self_fence
    }

    /// Writes the files of one guest.
    pub fn write(&self, who: Who, archive: &mut Archive) {
        archive.file("etc/rc", 0o755, rc(who, self.pill).as_bytes());
        let option = format!("options i6300esb nowayout={}\n", u8::from(self.nowayout));
        archive.file("etc/modprobe.d/watchdog.conf", 0o644, option.as_bytes());
        archive.file("etc/ha.d/ha.cf", 0o644, self.ha_cf().as_bytes());
        archive.file("etc/ha.d/haresources", 0o644, self.haresources().as_bytes());
        archive.file("etc/ha.d/authkeys", 0o600, b"auth 1\n1 sha256 a-key-that-only-this-lab-knows\n");
        archive.file("etc/ha.d/resource.d/writer", 0o755, SERVICE.as_bytes());
    }

    fn ha_cf(&self) -> String {
        let mut text = format!("keepalive 400ms\nwarntime 2s\ndeadtime {DEADTIME_S}s\ninitdead {INITDEAD_S}s\n");
        text += &match self.self_fence {
            true => format!("self_fence reboot {SELF_FENCE_S}s\n"),
            false => format!("watchdog /dev/watchdog {WATCHDOG_S}s\n"),
        };
        if self.network {
            text += "udpport 694\nucast eth0 10.77.0.1\nucast eth0 10.77.0.2\n";
        }
        if self.witness {
            return text + "ucast eth0 10.77.0.3\nnode a b\nwitness w\n";
        }
        if self.pill {
            return text + &format!("timeout fence {PILL_S}s\nstonith disk /dev/vdc\nnode a b\n");
        }
        text += "baud 115200\nserial /dev/ttyS1\n";
        if self.stonith {
            text += &format!(
                "timeout fence {FENCE_S}s\n\
                 stonith_host a /usr/sbin/fence_vm pcmk_host_list=b\n\
                 stonith_host b /usr/sbin/fence_vm pcmk_host_list=a\n"
            );
        }
        text + "node a b\n"
    }

    fn haresources(&self) -> String {
        // Without a network there is none for an address to answer on.
        let address = if self.network { "10.77.0.50/24/eth0 " } else { "" };
        format!("a {address}Filesystem::/dev/vda::/srv::ext4 writer\n")
    }
}

fn rc(who: Who, pill: bool) -> String {
    let (name, last) = (NAMES[who], who + 1);
    let prepare = match who {
        _ if !pill => "",
        0 => "hearth disk show /dev/vdc >/dev/null 2>&1 || hearth disk init /dev/vdc || exit 1\n",
        _ => "until hearth disk show /dev/vdc >/dev/null 2>&1; do usleep 200000; done\n",
    };
    format!(
        "hostname {name}\n\
         ip link set lo up\n\
         ip link set eth0 up\n\
         ip addr add 10.77.0.{last}/24 dev eth0\n\
         mount -t ext4 /dev/vdb /var/lib/hearth || exit 1\n\
         {prepare}\
         exec hearthd >$LOG 2>&1\n"
    )
}
