//! `stonith_host HOST TYPE NAME=VALUE...`, `stonith TYPE FILE` and `stonith disk DEVICE`: fence devices.

use super::Reader;
use crate::lex::{Word, whole};
use crate::report::{Report, error};
use crate::{Environment, FenceDevice, FenceKind, FileKind};
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;
use hearth_types::NodeName;

/// A device as it is written, before nodes are known.
pub(crate) struct WrittenDevice {
    pub(crate) device: FenceDevice,
    /// Which file it stands in.
    pub(crate) file: FileKind,
    /// Where the line's HOST stands; none: the line has none.
    pub(crate) host: Option<Range<usize>>,
    /// Where its type stands.
    pub(crate) kind: Range<usize>,
    /// Where what names its machines stands.
    pub(crate) targets: Range<usize>,
}

/// Parameters that name the machines of a device, and whether the program is told them too.
const TARGETS: [(&str, bool); 4] =
    [("pcmk_host_map", false), ("pcmk_host_list", false), ("hostlist", true), ("hostname", true)];

/// One `name=value` and where it stands.
pub(crate) type Param = (String, String, Range<usize>);

impl Reader<'_> {
    /// `stonith_host`: HOST is the machine that can use the device, `*` for all of them.
    pub(super) fn stonith_host(&mut self, name: &Word<'_>, words: &[Word<'_>]) {
        let [host, kind, params @ ..] = words else {
            let wrong = error("bad-stonith", whole(words, name), "`stonith_host` needs a host, a type and parameters");
            let help =
                "write: stonith_host * fence_ipmilan ip=10.0.0.9 username=ADMIN password=... pcmk_host_list=NODE";
            return self.report.push(wrong.help(help));
        };
        let Some(program) = fence_program(self.environment, kind, self.report) else { return };
        let mut list: Vec<Param> = Vec::new();
        for word in params {
            match word.text.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    list.push((key.to_owned(), value.to_owned(), word.span.clone()));
                }
                _ => {
                    let title = format!("`{}` is no parameter", word.text);
                    let help =
                        "write NAME=VALUE, without blanks in VALUE; `man TYPE` and `TYPE -o metadata` list the names";
                    self.report.push(error("bad-stonith", word.span.clone(), title).help(help));
                    return;
                }
            }
        }
        let user = (host.text != "*").then(|| NodeName::new(host.text));
        self.device(kind, program, (user, Some(host.span.clone())), list);
    }

    /// `stonith`: every machine can use the device; its parameters stand in a file, a line each.
    pub(super) fn stonith(&mut self, name: &Word<'_>, words: &[Word<'_>]) {
        let [kind, file] = words else {
            let wrong = error("bad-stonith", whole(words, name), "`stonith` needs a type and a file");
            return self.report.push(wrong.help("write: stonith fence_ipmilan /etc/ha.d/stonith.cfg"));
        };
        if kind.text == "disk" {
            return self.shared_disk(kind, file);
        }
        let Some(program) = fence_program(self.environment, kind, self.report) else { return };
        let text = match self.environment.text(file.text) {
            Ok(text) => text,
            Err(why) => {
                let wrong = error("no-stonith-file", file.span.clone(), format!("`{}`: {why}", file.text));
                return self.report.push(wrong.help("the file holds the device's parameters: NAME=VALUE, a line each"));
            }
        };
        let mut list: Vec<Param> = Vec::new();
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    list.push((key.trim().to_owned(), value.trim().to_owned(), file.span.clone()));
                }
                _ => {
                    // Not the line itself: it may hold a password.
                    let title = format!("line {} of `{}` is no parameter", number + 1, file.text);
                    let wrong = error("bad-stonith", file.span.clone(), title);
                    return self.report.push(wrong.help("write NAME=VALUE, a line each"));
                }
            }
        }
        self.device(kind, program, (None, None), list);
    }

    /// `stonith disk`: a poison pill on a disk that all machines share. Its machines are those of the cluster.
    fn shared_disk(&mut self, kind: &Word<'_>, path: &Word<'_>) {
        if !path.text.starts_with('/') {
            return self.bad(path, "write the path of the shared disk: stonith disk /dev/disk/by-id/...");
        }
        if self.file.stonith.iter().any(|written| written.device.kind == FenceKind::Disk) {
            let wrong = error("second-disk", path.span.clone(), "a second shared disk is not used");
            return self.report.push(wrong.help("remove the line; a disk with two paths has one name in /dev/mapper"));
        }
        let device = FenceDevice {
            name: "disk".to_owned(),
            program: path.text.to_owned(),
            kind: FenceKind::Disk,
            user: None,
            barred: BTreeSet::new(),
            targets: BTreeMap::new(),
            stays_off: false,
            params: Vec::new(),
        };
        let (kind, targets) = (kind.span.clone(), path.span.clone());
        self.file.disk = Some(targets.clone());
        self.file.stonith.push(WrittenDevice { device, file: FileKind::HaCf, host: None, kind, targets });
    }

    fn device(
        &mut self,
        kind: &Word<'_>,
        program: (String, FenceKind),
        (user, host): (Option<NodeName>, Option<Range<usize>>),
        list: Vec<Param>,
    ) {
        let same = self.file.stonith.iter().filter(|written| of_type(&written.device) == kind.text).count();
        let name = if same > 0 { format!("{}#{}", kind.text, same + 1) } else { kind.text.to_owned() };
        if let Some((mut device, targets)) = fence_device(kind, name, program, list, self.report) {
            device.user = user;
            let (file, kind) = (FileKind::HaCf, kind.span.clone());
            self.file.stonith.push(WrittenDevice { device, file, host, kind, targets });
        }
    }
}

/// A device of that type, which every machine can use, and where what names its machines stands.
pub(crate) fn fence_device(
    kind: &Word<'_>,
    name: String,
    (program, way): (String, FenceKind),
    list: Vec<Param>,
    report: &mut Report,
) -> Option<(FenceDevice, Range<usize>)> {
    let mut device = FenceDevice {
        name,
        program,
        kind: way,
        user: None,
        barred: BTreeSet::new(),
        targets: BTreeMap::new(),
        stays_off: false,
        params: Vec::new(),
    };
    let mut targets = kind.span.clone();
    for (key, value, span) in list {
        match key.as_str() {
            "action" | "pcmk_reboot_action" => match value.as_str() {
                "off" => device.stays_off = true,
                "reboot" => device.stays_off = false,
                _ => {
                    let wrong = error("bad-stonith", span, format!("`{key}` is `off` or `reboot`"));
                    report.push(wrong.help("off leaves a fenced machine off; reboot is the default"));
                    return None;
                }
            },
            _ => {
                let names = TARGETS.iter().find(|(name, _)| *name == key);
                if names.is_some() {
                    targets = span.clone();
                    device.targets.extend(targets_of(&key, &value));
                } else if key.starts_with("pcmk_") {
                    let wrong = error("unsupported-stonith", span, format!("`{key}` is not supported"));
                    report.push(wrong.help("known are pcmk_host_list, pcmk_host_map and pcmk_reboot_action"));
                    return None;
                }
                if names.is_none_or(|(_, told)| *told) {
                    device.params.push((key, value));
                }
            }
        }
    }
    if device.targets.is_empty() {
        let title = format!("which machines `{}` turns off is not said", kind.text);
        let help = "write behind it: pcmk_host_list=NODE,NODE, or pcmk_host_map=NODE:PORT;NODE:PORT";
        report.push(error("no-target", kind.span.clone(), title).help(help));
        return None;
    }
    Some((device, targets))
}

/// The program of a fence device of that type, and how it is spoken to.
pub(crate) fn fence_program(
    environment: &dyn Environment,
    kind: &Word<'_>,
    report: &mut Report,
) -> Option<(String, FenceKind)> {
    let base = kind.text.rsplit('/').next().unwrap_or("");
    let plugin = kind.text.starts_with("external/") || kind.text.contains("/external/");
    let way = match plugin {
        true if !base.is_empty() => FenceKind::Plugin,
        false if base.starts_with("fence_") => FenceKind::Agent,
        _ => {
            let title = format!("`{}` is no type of fence device that hearth can use", kind.text);
            let help = "types are fence_NAME (package fence-agents), external/NAME (package cluster-glue) and disk";
            report.push(error("bad-stonith-type", kind.span.clone(), title).help(help));
            return None;
        }
    };
    let found = environment.fence_program(kind.text);
    if found.is_none() {
        let package = if way == FenceKind::Agent { "fence-agents" } else { "cluster-glue" };
        let title = format!("there is no program for the fence device `{}`", kind.text);
        let wrong = error("no-stonith-program", kind.span.clone(), title);
        report.push(wrong.help(format!("install it (package {package}), or write its full path")));
    }
    found.map(|program| (program, way))
}

/// The type in a name that may have a number behind it.
fn of_type(device: &FenceDevice) -> &str {
    device.name.split('#').next().unwrap_or("")
}

/// `b,c` or `b:3;c:4`; the port of a machine is empty where nothing is said.
fn targets_of(key: &str, value: &str) -> Vec<(NodeName, String)> {
    let words = value.split([',', ';', ' ']).filter(|word| !word.is_empty());
    let target = |word: &str| match word.split_once(':').filter(|_| key == "pcmk_host_map") {
        Some((node, port)) => (NodeName::new(node), port.to_string()),
        None => (NodeName::new(word), String::new()),
    };
    words.map(target).collect()
}
