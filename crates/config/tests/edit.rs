//! A machine more or less in the text of ha.cf (decision 0059): what is not about it stays to the letter.

use hearth_config::ListChange;
use hearth_types::NodeName;
use std::net::IpAddr;

const OLD: &str =
    "# the list\nnode a b # two\n\tnode  c\r\nucast eth0 192.0.2.1\nucast eth0 192.0.2.2  # b\ndeadtime 2";

fn add(node: &str, ucast: &[(&str, &str)]) -> ListChange {
    let ucast = ucast.iter().map(|(name, address)| ((*name).to_owned(), address.parse::<IpAddr>().unwrap())).collect();
    ListChange::Add { node: NodeName::new(node), ucast }
}

fn remove(node: &str, addresses: &[&str]) -> ListChange {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    ListChange::Remove { node: NodeName::new(node), addresses }
}

#[test]
fn a_machine_more_is_a_line_more() {
    let new = add("d", &[("eth0", "192.0.2.4")]).edit(OLD).unwrap();
    let expected = "# the list\nnode a b # two\n\tnode  c\r\nnode d\nucast eth0 192.0.2.1\nucast eth0 192.0.2.2  # b\n\
                    ucast eth0 192.0.2.4\ndeadtime 2";
    assert_eq!(new, expected);
    assert_eq!(add("d", &[("eth0", "192.0.2.4")]).edit(&new).unwrap(), new, "twice is once");
    assert_eq!(add("d", &[]).edit("node a b\nbcast eth0").unwrap(), "node a b\nnode d\nbcast eth0");
    assert_eq!(
        add("d", &[]).edit("bcast eth0\nwitness a\nnode b c").unwrap(),
        "bcast eth0\nwitness a\nnode b c\nnode d\n"
    );
}

#[test]
fn what_does_not_fit_the_media_is_refused() {
    let error = |change: ListChange, text: &str| change.edit(text).unwrap_err();
    assert!(error(add("d", &[]), OLD).contains("--ucast eth0=ADDRESS"));
    assert!(error(add("d", &[("eth1", "192.0.2.4"), ("eth0", "192.0.2.4")]), OLD).contains("no `ucast eth1` line"));
    assert!(error(add("d", &[]), "bcast eth0\n").contains("no `node` line"));
    for name in ["", "d e", "d\nauth", "d#", "d,e"] {
        assert!(error(add(name, &[("eth0", "192.0.2.4")]), OLD).contains("is no name"), "{name}");
    }
}

#[test]
fn a_machine_less_takes_its_name_and_its_addresses_with_it() {
    let new = remove("c", &[]).edit(OLD).unwrap();
    assert_eq!(new, OLD.replace("\tnode  c\r\n", ""));
    let new = remove("b", &["192.0.2.2", "192.0.2.9"]).edit(OLD).unwrap();
    assert_eq!(new, "# the list\nnode a # two\n\tnode  c\r\nucast eth0 192.0.2.1\ndeadtime 2");
    assert_eq!(remove("x", &[]).edit(OLD).unwrap(), OLD);
    assert_eq!(remove("w", &[]).edit("witness w\nnode a b").unwrap(), "node a b");
}
