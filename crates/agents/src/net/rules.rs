//! The gate as nf_tables messages: one table, five sets, the chains and their rules (R-LEASE-8, R-LEASE-13).
//!
//! In the words of nft(8), with `4`/`6` for both families:
//!
//! ```text
//! table netdev hearth {                       # flags owner,persist
//!   set leased4 { type ipv4_addr }            # every address of the record
//!   set alive4  { type ipv4_addr; flags dynamic,timeout }
//!   set armed   { type mark; flags dynamic,timeout }       # numbers of ticks
//!   chain in  { ip daddr @leased4 ip daddr != @alive4 fib daddr type local drop
//!               arp daddr ip @leased4 arp daddr ip != @alive4 arp saddr ip != @leased4 drop
//!               icmpv6 type nd-neighbor-solicit, target @leased6 != @alive6 drop }
//!   chain out { ip saddr @leased4 ip saddr != @alive4 fib saddr type local drop
//!               arp saddr ip @leased4 arp saddr ip != @alive4 drop
//!               icmpv6 type nd-neighbor-advert, target @leased6 != @alive6 drop }
//!   chain in-eth0  { type filter hook ingress device eth0 priority -1000; jump in }
//!   chain out-eth0 { type filter hook egress device eth0 priority 1000; jump out }
//!   chain tick { type filter hook egress device lo priority -1000;
//!               meta mark 0x4a000000|L<<4   update @armed { NUMBER timeout L/16 } drop
//!               meta mark 0x4a000000|L<<4|n NUMBER @armed update @alive4 { ip daddr timeout n*L/16 } drop }
//! }
//! ```
//!
//! NUMBER is what follows the packet's header, another one for each tick. A mark counts only where its number was armed a
//! sixteenth of a lease before at most: whoever arms, reads the clock and marks cannot be late by more, however long it was
//! frozen on the way. [The kernel tidies up once a second, and later where it is busy: of one key that expired again
//! and again it takes no more than some.]
//!
//! An announcement (sender and target are the address) passes `in`: it is the new owner's, and neighbours on this
//! machine must learn from it. It is never answered, because `out` drops by sender.

use super::netlink::{ACK, APPEND, Builder, CREATE, REQUEST};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

pub const TABLE: &str = "hearth";
pub const OWNER_PERSIST: u32 = 0x2 | 0x4;
/// Marks stand for 1/16 to 15/16 of the lease.
const STEPS: u32 = 15;
/// The kernel counts in ticks of up to 10 ms, and what is shorter than one would never end.
const LEAST: Duration = Duration::from_millis(10);
/// nfgenmsg of the netdev family.
pub const NETDEV: [u8; 4] = [5, 0, 0, 0];
const SUBSYSTEM: u16 = 10 << 8;
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;

pub const NEW_TABLE: u16 = SUBSYSTEM;
pub const GET_TABLE: u16 = SUBSYSTEM | 1;
pub const DEL_TABLE: u16 = SUBSYSTEM | 2;
pub const NEW_CHAIN: u16 = SUBSYSTEM | 3;
pub const GET_CHAIN: u16 = SUBSYSTEM | 4;
pub const DEL_CHAIN: u16 = SUBSYSTEM | 5;
pub const NEW_RULE: u16 = SUBSYSTEM | 6;
pub const GET_RULE: u16 = SUBSYSTEM | 7;
pub const NEW_SET: u16 = SUBSYSTEM | 9;
pub const NEW_ELEMENT: u16 = SUBSYSTEM | 12;
pub const GET_ELEMENT: u16 = SUBSYSTEM | 13;
pub const DEL_ELEMENT: u16 = SUBSYSTEM | 14;

/// First attribute of every nf_tables message: the table's name.
pub const TABLE_NAME: u16 = 1;
/// Second attribute of an element list: the set's name.
pub const SET_NAME: u16 = 2;
pub const CHAIN_NAME: u16 = 3;
pub const CHAIN_HOOK: u16 = 4;
const ELEMENT: u16 = 1;
const INGRESS: u32 = 0;
const EGRESS: u32 = 1;

/// One of the two families with what differs between them.
#[derive(Clone, Copy)]
pub struct Family {
    pub leased: &'static str,
    pub alive: &'static str,
    protocol: u16,
    key_type: u32,
    length: u32,
    source: u32,
    destination: u32,
    header: u32,
}

/// Numbers of ticks whose mark may come.
const ARMED: &str = "armed";
/// What nft(8) calls a mark: a number in the byte order of the machine.
const TYPE_MARK: u32 = 19;
/// Bytes of such a number.
const NUMBER: u32 = 4;

pub const V4: Family = Family {
    leased: "leased4",
    alive: "alive4",
    protocol: 0x0800,
    key_type: 7,
    length: 4,
    source: 12,
    destination: 16,
    header: 20,
};
pub const V6: Family = Family {
    leased: "leased6",
    alive: "alive6",
    protocol: 0x86dd,
    key_type: 8,
    length: 16,
    source: 8,
    destination: 24,
    header: 40,
};

/// The family of an address.
pub fn family(ip: IpAddr) -> Family {
    if ip.is_ipv4() { V4 } else { V6 }
}

/// The bytes of an address in network order.
pub fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// A transaction: all of it or nothing.
pub struct Batch {
    builder: Builder,
    table: String,
    first: u32,
    what: Vec<String>,
}

impl Batch {
    pub fn new(table: &str, first: u32) -> Batch {
        let mut batch = Batch { builder: Builder::default(), table: table.to_owned(), first, what: Vec::new() };
        batch.builder.message(BEGIN, REQUEST, 0, &[0, 0, 0, 10], |_| {});
        batch
    }

    /// Ends it: the bytes, the number of the first message, and what each message is about.
    pub fn finish(mut self) -> (Vec<u8>, u32, Vec<String>) {
        self.builder.message(END, REQUEST, 0, &[0, 0, 0, 10], |_| {});
        (self.builder.bytes().to_vec(), self.first, self.what)
    }

    fn add(&mut self, kind: u16, flags: u16, what: String, body: impl FnOnce(&mut Builder)) {
        let sequence = self.first + self.what.len() as u32;
        self.what.push(what);
        let table = self.table.clone();
        self.builder.message(kind, REQUEST | ACK | flags, sequence, &NETDEV, |message| {
            message.text(TABLE_NAME, &table);
            body(message);
        });
    }

    /// Makes the table, or takes over one whose owner is gone.
    pub fn table(&mut self, flags: u32) {
        self.add(NEW_TABLE, CREATE, "its table".into(), |message| message.number(2, flags));
    }

    pub fn delete_table(&mut self) {
        self.add(DEL_TABLE, 0, "removing the old table".into(), |_| {});
    }

    pub fn delete_chain(&mut self, name: &str) {
        self.add(DEL_CHAIN, 0, format!("removing the old chain {name}"), |message| message.text(CHAIN_NAME, name));
    }

    fn set(&mut self, name: &str, (key_type, length): (u32, u32), timed: bool, id: u32) {
        const TIMEOUT_AND_DYNAMIC: u32 = 0x30;
        self.add(NEW_SET, CREATE, format!("its set {name}"), |message| {
            message.text(SET_NAME, name);
            message.number(3, if timed { TIMEOUT_AND_DYNAMIC } else { 0 });
            message.number(4, key_type);
            message.number(5, length);
            message.number(10, id);
            if timed {
                message.nest(9, |description| description.number(1, 65_535));
            }
            // For nft(8), so that it lists addresses the right way round: key byte order, big endian.
            message.attribute(13, &[0, 4, 2, 0, 0, 0]);
        });
    }

    pub fn flush(&mut self, set: &str) {
        self.add(DEL_ELEMENT, 0, format!("emptying the set {set}"), |message| message.text(SET_NAME, set));
    }

    pub fn elements(&mut self, set: &str, addresses: impl Iterator<Item = IpAddr>) {
        for ip in addresses {
            self.element(NEW_ELEMENT, CREATE, set, ip);
        }
    }

    pub fn delete_element(&mut self, set: &str, ip: IpAddr) {
        self.element(DEL_ELEMENT, 0, set, ip);
    }

    fn element(&mut self, kind: u16, flags: u16, set: &str, ip: IpAddr) {
        self.add(kind, flags, format!("{ip} in the set {set}"), |message| {
            message.text(SET_NAME, set);
            message.nest(3, |list| {
                list.nest(ELEMENT, |element| element.nest(1, |key| key.attribute(1, &octets(ip))));
            });
        });
    }

    fn chain(&mut self, name: &str, hook: Option<(u32, i32, &str)>) {
        let what = match hook {
            Some((hook, _, device)) => {
                format!("its {} chain on {device}", if hook == INGRESS { "ingress" } else { "egress" })
            }
            None => format!("its chain {name}"),
        };
        self.add(NEW_CHAIN, CREATE, what, |message| {
            message.text(CHAIN_NAME, name);
            let Some((hook, priority, device)) = hook else { return };
            message.nest(CHAIN_HOOK, |inner| {
                inner.number(1, hook);
                inner.number(2, priority as u32);
                inner.text(3, device);
            });
            message.number(5, libc::NF_ACCEPT as u32);
            message.text(7, "filter");
        });
    }

    fn rule(&mut self, chain: &str, what: &str, body: impl FnOnce(&mut Rule)) {
        let mut rule = Rule(Builder::default());
        body(&mut rule);
        self.add(NEW_RULE, CREATE | APPEND, format!("its rule for {what}"), |message| {
            message.text(2, chain);
            message.attribute(4 | 0x8000, rule.0.bytes());
        });
    }

    /// The whole gate behind its table: sets, chains on `interfaces`, and the marks for a lease of that length.
    pub fn gate(&mut self, addresses: &BTreeSet<IpAddr>, interfaces: &BTreeSet<String>, lease: Duration) {
        self.set(ARMED, (TYPE_MARK, NUMBER), true, 1);
        for (id, family) in (2..).step_by(2).zip([V4, V6]) {
            let key = (family.key_type, family.length);
            self.set(family.leased, key, false, id);
            self.set(family.alive, key, true, id + 1);
            self.flush(family.leased);
        }
        for ip in addresses {
            self.elements(family(*ip).leased, std::iter::once(*ip));
        }
        self.chain("in", None);
        self.chain("out", None);
        for family in [V4, V6] {
            self.rule("in", "packets to an address", |rule| {
                rule.protocol(family.protocol).shut(family, NETWORK, family.destination).local(true).drop();
            });
            self.rule("out", "packets from an address", |rule| {
                rule.protocol(family.protocol).shut(family, NETWORK, family.source).local(false).drop();
            });
        }
        self.rule("in", "ARP questions", |rule| {
            let rule = rule.protocol(0x0806).shut(V4, NETWORK, 24);
            rule.load(NETWORK, 14, 4).lookup(V4.leased, true).drop();
        });
        self.rule("out", "ARP answers", |rule| {
            rule.protocol(0x0806).shut(V4, NETWORK, 14).drop();
        });
        self.rule("in", "neighbour solicitations", |rule| {
            rule.protocol(V6.protocol).icmp6(135).shut(V6, TRANSPORT, 8).drop();
        });
        self.rule("out", "neighbour advertisements", |rule| {
            rule.protocol(V6.protocol).icmp6(136).shut(V6, TRANSPORT, 8).drop();
        });
        for interface in interfaces {
            for (prefix, hook, priority) in [("in", INGRESS, -1000), ("out", EGRESS, 1000)] {
                let name = format!("{prefix}-{interface}");
                self.chain(&name, Some((hook, priority, interface)));
                self.rule(&name, "its chains", |rule| {
                    rule.verdict(libc::NFT_JUMP, Some(prefix));
                });
            }
        }
        self.chain("tick", Some((EGRESS, -1000, "lo")));
        for family in [V4, V6] {
            self.rule("tick", "arming", |rule| {
                rule.marked(mark(lease, ARM), family).update(ARMED, armed_for(lease)).drop();
            });
            for (step, span) in holds(lease) {
                self.rule("tick", "marks", |rule| {
                    let rule = rule.marked(mark(lease, step), family).lookup(ARMED, false);
                    rule.load(NETWORK, family.destination, family.length).update(family.alive, span).drop();
                });
            }
        }
    }
}

/// The step of the mark that arms.
pub const ARM: u32 = 0;

/// The mark for that many sixteenths of the lease, or the one that arms. It holds the lease itself (milliseconds, 20 bits),
/// so that a table which a daemon with another lease left behind takes no mark for more than it means.
pub fn mark(lease: Duration, step: u32) -> u32 {
    const HEARTH: u32 = 0x4a00_0000;
    HEARTH | (lease.as_millis() as u32 & 0xf_ffff) << 4 | step
}

/// The marks that there are, shortest first, and for how long each lets an address answer: sixteenths of the lease, whole
/// milliseconds, never more.
pub fn holds(lease: Duration) -> impl DoubleEndedIterator<Item = (u32, Duration)> {
    (1..=STEPS).map(move |step| (step, sixteenths(lease, step))).filter(|(_, span)| *span >= LEAST)
}

/// For how long a tick that was armed may take to its mark.
pub fn armed_for(lease: Duration) -> Duration {
    sixteenths(lease, 1).max(LEAST)
}

fn sixteenths(lease: Duration, count: u32) -> Duration {
    Duration::from_millis((lease.as_millis() * u128::from(count) / 16) as u64)
}

const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
const VALUE: u16 = 1;
const REGISTER: u32 = 1;

/// Expressions of a rule.
struct Rule(Builder);

impl Rule {
    fn expression(&mut self, name: &str, body: impl FnOnce(&mut Builder)) -> &mut Rule {
        self.0.nest(ELEMENT, |expression| {
            expression.text(1, name);
            expression.nest(2, body);
        });
        self
    }

    fn meta(&mut self, key: u32, value: &[u8]) -> &mut Rule {
        self.expression("meta", |data| {
            data.number(1, REGISTER);
            data.number(2, key);
        });
        self.equals(value)
    }

    fn equals(&mut self, value: &[u8]) -> &mut Rule {
        self.expression("cmp", |data| {
            data.number(1, REGISTER);
            data.number(2, libc::NFT_CMP_EQ as u32);
            data.nest(3, |inner| inner.attribute(VALUE, value));
        })
    }

    fn protocol(&mut self, ethertype: u16) -> &mut Rule {
        self.meta(libc::NFT_META_PROTOCOL as u32, &ethertype.to_be_bytes())
    }

    /// A packet of ours with that mark; its number is in the register.
    fn marked(&mut self, mark: u32, family: Family) -> &mut Rule {
        let rule = self.meta(libc::NFT_META_MARK as u32, &mark.to_ne_bytes()).protocol(family.protocol);
        rule.load(NETWORK, family.header, NUMBER)
    }

    /// ICMPv6 of that type, also behind extension headers.
    fn icmp6(&mut self, kind: u8) -> &mut Rule {
        self.meta(libc::NFT_META_L4PROTO as u32, &[libc::IPPROTO_ICMPV6 as u8]);
        self.load(TRANSPORT, 0, 1).equals(&[kind])
    }

    fn load(&mut self, base: u32, offset: u32, length: u32) -> &mut Rule {
        self.expression("payload", |data| {
            data.number(1, REGISTER);
            data.number(2, base);
            data.number(3, offset);
            data.number(4, length);
        })
    }

    fn lookup(&mut self, set: &str, inverted: bool) -> &mut Rule {
        self.expression("lookup", |data| {
            data.text(1, set);
            data.number(2, REGISTER);
            if inverted {
                data.number(5, 1);
            }
        })
    }

    /// The address at that place is leased and not alive.
    fn shut(&mut self, family: Family, base: u32, offset: u32) -> &mut Rule {
        self.load(base, offset, family.length).lookup(family.leased, false);
        self.load(base, offset, family.length).lookup(family.alive, true)
    }

    /// The address is one of this machine: a node that routes or bridges must pass the owner's traffic.
    fn local(&mut self, destination: bool) -> &mut Rule {
        const ADDRESS_TYPE: u32 = 3;
        self.expression("fib", |data| {
            data.number(1, REGISTER);
            data.number(2, ADDRESS_TYPE);
            data.number(3, if destination { 2 } else { 1 });
        });
        self.equals(&u32::from(libc::RTN_LOCAL).to_ne_bytes())
    }

    fn update(&mut self, set: &str, timeout: Duration) -> &mut Rule {
        self.expression("dynset", |data| {
            data.text(1, set);
            data.number(3, libc::NFT_DYNSET_OP_UPDATE as u32);
            data.number(4, REGISTER);
            data.attribute(6, &(timeout.as_millis() as u64).to_be_bytes());
        })
    }

    fn drop(&mut self) -> &mut Rule {
        self.verdict(libc::NF_DROP, None)
    }

    fn verdict(&mut self, code: i32, chain: Option<&str>) -> &mut Rule {
        self.expression("immediate", |data| {
            data.number(1, 0);
            data.nest(2, |inner| {
                inner.nest(2, |verdict| {
                    verdict.number(1, code as u32);
                    if let Some(chain) = chain {
                        verdict.text(2, chain);
                    }
                });
            });
        })
    }
}
