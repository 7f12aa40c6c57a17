//! Names that ha.cf may use.

/// Every directive that is known, honoured or not.
pub(super) const DIRECTIVES: &[&str] = &[
    "node",
    "witness",
    "keepalive",
    "deadtime",
    "warntime",
    "initdead",
    "deadping",
    "hopfudge",
    "udpport",
    "bcast",
    "udp",
    "mcast",
    "mcast6",
    "ucast",
    "ucast6",
    "serial",
    "baud",
    "ping",
    "ping6",
    "ping_group",
    "hbaping",
    "watchdog",
    "self_fence",
    "auto_failback",
    "nice_failback",
    "stonith",
    "stonith_host",
    "respawn",
    "failfast",
    "apiauth",
    "autojoin",
    "cluster",
    "crm",
    "pacemaker",
    "crm_daemon_dir",
    "crmd_spawns_pengine",
    "record_config_changes",
    "record_pengine_inputs",
    "enable_config_writes",
    "quorum_server",
    "uuidfrom",
    "hbgenmethod",
    "msgfmt",
    "compression",
    "compression_threshold",
    "traditional_compression",
    "max_rexmit_delay",
    "rtprio",
    "realtime",
    "record",
    "memreserve",
    "debug",
    "logfile",
    "debugfile",
    "logfacility",
    "use_logd",
    "conn_logd_time",
    "syslogmsgfmt",
    "log_badpack",
    "coredumps",
    "coreroot",
    "use_apphbd",
    "env",
    "normalpoll",
    "monitor",
    "gate",
    "tiebreaker",
    "unfenced_takeover",
    "carrier_grace",
    "max_outage",
    "worst_pause",
    "failure_timeout",
    "wire_check",
    "wire_version",
    "timeout",
    "alert",
];
/// Those that may stand more than once.
pub(super) const REPEATED: &[&str] = &[
    "node",
    "witness",
    "bcast",
    "udp",
    "mcast",
    "mcast6",
    "ucast",
    "ucast6",
    "serial",
    "ping",
    "ping6",
    "ping_group",
    "respawn",
    "failfast",
    "apiauth",
    "env",
    "wire_check",
    "timeout",
    "stonith",
    "stonith_host",
    "alert",
];
/// Those that take exactly one word.
pub(super) const SINGLE: &[&str] = &[
    "udpport",
    "baud",
    "auto_failback",
    "gate",
    "unfenced_takeover",
    "realtime",
    "rtprio",
    "record",
    "debug",
    "cluster",
    "logfile",
    "debugfile",
    "logfacility",
    "wire_version",
];
/// What `logfacility` takes.
pub(super) const FACILITIES: &[&str] = &[
    "auth", "authpriv", "cron", "daemon", "ftp", "kern", "lpr", "mail", "news", "syslog", "user", "uucp", "local0",
    "local1", "local2", "local3", "local4", "local5", "local6", "local7", "none",
];

#[cfg(test)]
mod tests {
    use super::DIRECTIVES;
    use alloc::format;
    use alloc::vec::Vec;

    #[test]
    fn every_directive_is_documented() {
        let text = include_str!("../../../../docs/operations.md");
        let named = |name: &&&str| text.contains(&format!("`{name}`")) || text.contains(&format!("`{name} "));
        let missing: Vec<_> = DIRECTIVES.iter().filter(|name| !named(name)).collect();
        assert!(missing.is_empty(), "docs/operations.md does not name {missing:?}");
    }
}
