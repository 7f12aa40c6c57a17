//! The old names, called through links to this file: what they print and how they exit is an interface that scripts use
//! (docs/cli.md says where ours differ).

mod belief;
pub(crate) mod cl_status;
pub(crate) mod crm_mon;
pub(crate) mod hand_over;

/// The manual pages of the old names: name, section, one line, and the text.
pub(crate) fn pages() -> [(&'static str, u8, &'static str, &'static str); 4] {
    [
        ("cl_status", 1, "ask what the cluster and its nodes are doing", cl_status::HELP),
        ("hb_standby", 1, "give groups of this node away", hand_over::STANDBY_HELP),
        ("hb_takeover", 1, "take groups over to this node", hand_over::TAKEOVER_HELP),
        ("crm_mon", 8, "watch the cluster", crm_mon::HELP),
    ]
}
