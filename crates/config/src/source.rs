//! What the parser is given and what it gives back.

use crate::Config;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Range;
use hearth_types::AgentClass;

/// The files as text; none: the file does not exist.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Folder, for messages.
    pub directory: String,
    /// ha.cf.
    pub ha_cf: Option<String>,
    /// haresources.
    pub haresources: Option<String>,
    /// resources.crm.
    pub crm: Option<String>,
    /// authkeys.
    pub authkeys: Option<String>,
    /// Permission bits of authkeys.
    pub authkeys_mode: Option<u32>,
    /// First line of nodeinfo, which replaces the host's name.
    pub nodeinfo: Option<String>,
}

impl Sources {
    /// Path of one of the files, for messages.
    pub fn path(&self, name: &str) -> String {
        if self.directory.is_empty() { name.into() } else { alloc::format!("{}/{name}", self.directory) }
    }
}

/// What the parser needs to know of the machine; the parser itself touches nothing.
pub trait Environment {
    /// `uname -n`.
    fn host_name(&self) -> String;
    /// Facts of an interface, none if there is no such one.
    fn interface(&self, name: &str) -> Option<InterfaceFacts>;
    /// Names of all interfaces, for "did you mean".
    fn interfaces(&self) -> Vec<String>;
    /// Addresses of a host name or literal.
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String>;
    /// How a script is called and where it was found (resource.d, then init.d); none: nowhere or not executable.
    fn script(&self, name: &str) -> Option<(AgentClass, String)>;
    /// Names of all scripts, for "did you mean".
    fn scripts(&self) -> Vec<String>;
    /// Whether that path is a character device.
    fn is_character_device(&self, path: &str) -> bool;
    /// Path of the program of a fence device, by its type (`fence_NAME`, `external/NAME`) or its full path; none: nowhere
    /// or not executable.
    fn fence_program(&self, kind: &str) -> Option<String>;
    /// Why the file at that path cannot be run as a program, if so: one phrase for people.
    fn not_a_program(&self, path: &str) -> Option<String>;
    /// Text of another file that a line names; else why it cannot be read.
    fn text(&self, path: &str) -> Result<String, String>;
    /// Whether this machine itself has that address.
    fn is_local_address(&self, address: IpAddr) -> bool;
}

/// Facts of one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceFacts {
    /// Addresses with prefix length.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Has an IPv4 broadcast address.
    pub has_broadcast: bool,
    /// Is set up.
    pub is_up: bool,
}

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// ha.cf.
    HaCf,
    /// haresources.
    Haresources,
    /// resources.crm.
    Crm,
    /// authkeys.
    Authkeys,
}

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For information: something is honoured in another way.
    Note,
    /// It works, and should be changed.
    Warning,
    /// Not started.
    Error,
}

/// One complaint with its place and its fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// How bad.
    pub level: Level,
    /// Stable short name: `unknown-directive`, `local-node-missing` ...
    pub code: &'static str,
    /// Which file.
    pub file: FileKind,
    /// Byte range in the file; none: the file as a whole.
    pub span: Option<Range<usize>>,
    /// What is wrong, one line.
    pub title: String,
    /// What stands under the caret.
    pub label: String,
    /// The way out.
    pub help: Option<String>,
    /// Replacement of `span` that would mend it.
    pub fix: Option<String>,
}

/// Result of a parse: the value where there was no error, and everything there is to say, in file order.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The value; none if one complaint is an error.
    pub config: Option<Config>,
    /// All complaints of all files.
    pub complaints: Vec<Complaint>,
}
