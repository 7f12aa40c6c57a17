//! Directives of Heartbeat that are refused, or accepted with a word about what replaces them.

use super::Reader;
use crate::lex::Word;
use crate::report::{error, note};
use alloc::format;

impl Reader<'_> {
    /// Directives that are refused, or accepted with a word about what replaces them.
    pub(super) fn old(&mut self, name: &Word<'_>, value: &Word<'_>, rest: &[Word<'_>]) {
        let (span, low) = (name.span.clone(), value.text.to_lowercase());
        let off = matches!(low.as_str(), "off" | "no" | "n" | "0" | "false" | "none");
        let ipfail = rest.get(1).is_some_and(|word| word.text.ends_with("/ipfail"));
        let why = match name.text {
            "crm" | "pacemaker" | "autojoin" | "use_apphbd" if off => return,
            "crm" | "pacemaker" | "autojoin" => {
                let wrong = error("later-release", span, format!("`{}` comes in a later release", name.text));
                self.report.push(wrong.help("remove the line"));
                return;
            }
            "respawn" if ipfail => "built in: ping nodes are weighed by the daemon itself",
            "respawn" | "failfast" => {
                let wrong = error(
                    "no-children",
                    span,
                    format!("`{}` is refused: this daemon starts no companion programs", name.text),
                );
                self.report.push(wrong.help("let the init system start it, or make it a resource in haresources"));
                return;
            }
            "hbaping" | "normalpoll" | "quorum_server" | "use_apphbd" => {
                self.report.push(
                    error("unsupported", span, format!("`{}` is not supported", name.text)).help("remove the line"),
                );
                return;
            }
            "nice_failback" => "obsolete and ignored: write `auto_failback on` or `off`",
            "apiauth" => "not needed: the control socket's owner and group decide",
            "use_logd" | "conn_logd_time" | "syslogmsgfmt" | "log_badpack" => {
                "not needed: the daemon logs by itself and bounds repeated lines"
            }
            "hopfudge"
            | "msgfmt"
            | "compression"
            | "compression_threshold"
            | "traditional_compression"
            | "max_rexmit_delay" => "not needed: the wire protocol is a new one",
            "uuidfrom" | "hbgenmethod" => "not needed: identity and incarnation are drawn at random",
            "memreserve" | "coredumps" | "coreroot" => {
                "not needed: memory and core files are left to the system's limits"
            }
            _ => "of use only with a cluster manager on top; ignored",
        };
        self.report.push(note("replaced", span, format!("`{}`: {why}", name.text)));
    }
}
