//! `--stay`: the cluster is left up, with small commands to look at it and to break it.

use super::stage::{ALDER, BIRCH, SERVICE, Stage, UDP};
use crate::page::{Look, Page, Tone, write_out};
use hearth_lab::{Client, Net, Space, millis, now};
use std::net::SocketAddrV4;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

/// Pauses that a person would notice.
const WORTH_TELLING: u64 = 50_000_000;
/// A client that asks all day asks less often.
const PERIOD: u64 = 10_000_000;

/// Prints how to look, then tells what the client feels, until this program is ended.
pub(super) fn stay(stage: &Stage, look: &Look) -> anyhow::Result<()> {
    let folder = stage.lab().disk();
    for name in [ALDER, BIRCH] {
        wrapper(stage, &folder.join(name).with_extension("sh"), stage.lab().machine(name)?)?;
    }
    wrapper(stage, &folder.join("client.sh"), stage.lab().client())?;
    wrapper(stage, &folder.join("switch.sh"), stage.lab().switch())?;
    let place = folder.display();
    let mut page = Page::new(look);
    page.put("").end();
    page.line(Tone::Head, "It stays up until you press ctrl-C here; then everything is gone. In another terminal:");
    page.put("").end();
    page.put(&format!("    cd {place}")).end();
    let port = stage.lab().port(ALDER, Net::Service)?;
    for (command, does) in [
        (format!("./{ALDER}.sh hearth status"), "what runs where"),
        (format!("./{BIRCH}.sh hearth timeline -n 20"), "what happened, and what led to it"),
        (format!("./{ALDER}.sh hearth why web"), "why it is where it is"),
        (format!("./{ALDER}.sh hearth standby"), "move it away by hand (takeover, failback, stop)"),
        (format!("./client.sh curl http://{SERVICE}/"), "use the service"),
        (format!("./switch.sh ip link set {port} down"), "pull alder's service cable (up: put it back)"),
        (format!("./{ALDER}.sh pkill -9 hearthd"), "kill its daemon and what would start it again"),
        (format!("./{ALDER}.sh setsid -f hearthd -d /mnt/ha.d --state /mnt/state --supervise"), "start it again"),
        (format!("./{ALDER}.sh sh"), "be on alder"),
    ] {
        page.put(&format!("    {command:42} # {does}")).end();
    }
    page.put("").end();
    write_out(page.text()).map_err(|trouble| anyhow::anyhow!(trouble.text))?;
    let client = Client::start(stage.lab().client(), SocketAddrV4::new(SERVICE, UDP), PERIOD)?;
    tell(&client)
}

/// A line whenever the client had to wait, or is answered by another machine.
fn tell(client: &Client) -> anyhow::Result<()> {
    let (mut last, mut owner) = (now(), String::new());
    loop {
        std::thread::sleep(Duration::from_millis(200));
        for answer in client.answers(last + 1) {
            let gap = answer.at.saturating_sub(last);
            if owner.is_empty() {
                println!("client: answered by {}", answer.machine);
            } else if answer.machine != owner {
                println!("client: answered by {} after {:.0} ms", answer.machine, millis(gap));
            } else if gap > WORTH_TELLING {
                println!("client: waited {:.0} ms, answered by {owner} again", millis(gap));
            }
            (last, owner) = (answer.at, answer.machine);
        }
    }
}

/// A script that runs its words on a machine.
fn wrapper(stage: &Stage, path: &Path, machine: &Space) -> anyhow::Result<()> {
    // A user who is not root made a user namespace first, and must enter that too.
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    let user = if map.split_whitespace().eq(["0", "0", "4294967295"]) { "" } else { " -U --preserve-credentials" };
    let programs = stage.programs.hearth.parent().unwrap_or(Path::new("/")).display();
    let text = format!(
        "#!/bin/sh\n# Runs a command on {}.\nPATH=\"{programs}:$PATH:/usr/sbin\" exec nsenter -t {}{user} -n -m -u -i -p -- \"$@\"\n",
        machine.name(),
        machine.pid()
    );
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
    Ok(())
}
