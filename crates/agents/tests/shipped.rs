//! Every script in resources/heartbeat, through the runner. What touches addresses, routes and filters runs once more in
//! a child with a network of its own. Needs root.

mod support;

use hearth_types::{OpAction, OpOutcome};
use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::*;

/// Runs `body` in a child whose network holds nothing but a loopback device and a pair `v0`, `v1`.
fn in_own_network(test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os("HEARTH_OWN_NETWORK").is_some() {
        let links =
            "ip link set lo up && ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up";
        assert!(shell(links));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        return runtime.expect("a runtime").block_on(body);
    }
    let status = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env("HEARTH_OWN_NETWORK", "1")
        .stdin(Stdio::null())
        .status();
    assert!(status.expect("unshare").success(), "{test} failed in its own network");
}

fn shell(command: &str) -> bool {
    Command::new("sh").args(["-c", command]).status().expect("sh").success()
}

fn says(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().expect("sh");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Not running, start, running, start again, stop, not running, stop again.
async fn goes_round(site: &Site, agent: &str, args: &[&str]) {
    use OpAction::{Monitor, Probe, Start, Stop};
    for (action, outcome) in [
        (Probe, OpOutcome::NotRunning),
        (Stop, OpOutcome::Ok),
        (Start, OpOutcome::Ok),
        (Monitor, OpOutcome::Ok),
        (Start, OpOutcome::Ok),
        (Stop, OpOutcome::Ok),
        (Probe, OpOutcome::NotRunning),
        (Stop, OpOutcome::Ok),
    ] {
        assert_eq!(site.run(heartbeat(action, agent, args)).await, outcome, "{agent} {action}");
    }
}

#[test]
fn all_are_executable_and_the_functions_are_not() {
    let mut names = Vec::new();
    for entry in fs::read_dir(repository().join("resources/heartbeat")).expect("the directory").flatten() {
        let mode = entry.metadata().expect("its metadata").permissions().mode();
        let name = entry.file_name().to_string_lossy().into_owned();
        assert_eq!(mode & 0o111 != 0, name != "shellfuncs", "{name}");
        assert!(shell(&format!("sh -n {}", entry.path().display())), "{name}");
        names.push(name);
    }
    names.sort();
    assert_eq!(names, ["Delay", "IPsrcaddr", "MailTo", "SendArp", "portblock", "shellfuncs"], "each has a test here");
}

#[tokio::test]
async fn delay_waits_at_start_and_at_stop() {
    let site = Site::new();
    goes_round(&site, "Delay", &["0.1", "0"]).await;
    let began = Instant::now();
    assert_eq!(site.run(heartbeat(OpAction::Start, "Delay", &["0.3", "0"])).await, OpOutcome::Ok);
    assert!(began.elapsed().as_millis() >= 300);
    let other = heartbeat(OpAction::Probe, "Delay", &["0.1", "0"]);
    assert_eq!(site.run(other).await, OpOutcome::NotRunning, "each keeps its own state");
    let said = message(site.run(heartbeat(OpAction::Start, "Delay", &["soon"])).await);
    assert!(said.contains("\"soon\" is not a number of seconds"), "{said}");
}

/// A search path of the site's own, with the standard tools and no mail program.
fn without_mail(site: &mut Site) {
    let tools = site.file("bin");
    fs::create_dir(&tools).expect("a directory");
    for tool in ["cat", "cksum", "date", "mkdir", "rm", "tr", "uname"] {
        let real = says(&format!("command -v {tool}"));
        std::os::unix::fs::symlink(real.trim(), tools.join(tool)).expect("a link");
    }
    site.scripts.env.insert("PATH".into(), tools.display().to_string());
}

#[tokio::test]
async fn mailto_tells_both_ways_and_says_when_it_cannot() {
    let mut site = Site::new();
    without_mail(&mut site);
    match site.run(heartbeat(OpAction::Start, "MailTo", &["root@localhost"])).await {
        OpOutcome::Failed { code: Some(5), message } => {
            assert!(message.contains("neither mail nor sendmail"), "{message}")
        }
        other => panic!("{other:?}"),
    }
    site.script("mail", "{ echo \"$*\"; cat; } >>\"$SITE/mails\"");
    fs::copy(site.dir.path().join("resource.d/mail"), site.file("bin/mail")).expect("a mail program");
    goes_round(&site, "MailTo", &["root@localhost", "Web"]).await;
    let mails = site.content("mails");
    assert_eq!(mails.matches("Takeover in progress").count(), 2, "one start, in subject and text: {mails}");
    assert!(
        mails.contains("-s Web Migrating resource away at ") && mails.contains(" on nodea root@localhost"),
        "{mails}"
    );
}

/// Harm: `alert MailTo ADDRESS` mails nothing, or says that it did; the sample script does not run.
#[tokio::test]
async fn scripts_of_alerts_tell_what_happened() {
    let mut site = Site::new();
    without_mail(&mut site);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let told = async |site: &Site, script: &str, recipient: &str| {
        let mut env = site.scripts.surroundings();
        let words = [
            ("CRM_alert_kind", "resource"),
            ("CRM_alert_recipient", recipient),
            ("CRM_alert_rsc", "web"),
            ("HEARTH_alert_name", "takeover"),
            ("HEARTH_alert_text", "web runs on b."),
            ("HEARTH_alert_left_out", "3"),
        ];
        env.extend(words.map(|(name, value)| (name.to_owned(), value.into())));
        let env = env.into_iter().map(|(name, value)| (name.into(), value)).collect();
        hearth_agents::alert::run(&shipped.join(script), env, Duration::from_secs(10)).await
    };
    let mail_to = "resources/heartbeat/MailTo";
    let why = told(&site, mail_to, "root@localhost").await.expect_err("there is no mail program");
    assert!(why.contains("exited with 5") && why.contains("neither mail nor sendmail"), "{why}");
    site.script("mail", "{ echo \"$*\"; cat; } >>\"$SITE/mails\"");
    fs::copy(site.dir.path().join("resource.d/mail"), site.file("bin/mail")).expect("a mail program");
    told(&site, mail_to, "root@localhost").await.expect("it is mailed");
    let mails = site.content("mails");
    assert!(
        mails.starts_with("-s hearth: takeover web ") && mails.contains("root@localhost\nweb runs on b."),
        "{mails}"
    );
    assert!(mails.contains("3 more like it"), "{mails}");
    let why = told(&site, mail_to, "").await.expect_err("nobody to mail");
    assert!(why.contains("not a mail address"), "{why}");
    let log = site.file("alerts.log").display().to_string();
    told(&site, "etc/alert.sh", &log).await.expect("it is written");
    assert!(
        site.content("alerts.log").contains("takeover: web runs on b. (3 more like it"),
        "{}",
        site.content("alerts.log")
    );
}

#[test]
fn portblock_blocks_and_lifts() {
    in_own_network("portblock_blocks_and_lifts", async {
        let site = Site::new();
        assert!(shell("nft add table inet other && nft add chain inet other c"));
        goes_round(&site, "portblock", &["tcp", "80,443", "block"]).await;
        goes_round(&site, "portblock", &["udp", "8000:8010", "block"]).await;
        // The idiom: blocked while the address moves, lifted at the end, blocked again before it goes.
        let (first, last) = (["tcp", "80", "block"], ["tcp", "80", "unblock"]);
        let blocked = || says("nft list table inet hearth_portblock").contains("tcp dport 80 drop");
        for (action, args, expected) in [
            (OpAction::Start, first, true),
            (OpAction::Start, last, false),
            (OpAction::Monitor, first, false),
            (OpAction::Monitor, last, false),
            (OpAction::Stop, last, true),
            (OpAction::Stop, first, false),
            (OpAction::Stop, last, false),
        ] {
            assert_eq!(site.run(heartbeat(action, "portblock", &args)).await, OpOutcome::Ok, "{action} {args:?}");
            assert_eq!(blocked(), expected, "after {action} {args:?}");
        }
        assert!(says("nft list ruleset").contains("table inet other"), "other rules are not touched");
        let said = message(site.run(heartbeat(OpAction::Start, "portblock", &["tcp", "http", "block"])).await);
        assert!(said.contains("\"http\" is not a list of ports"), "{said}");
    });
}

#[test]
fn ipsrcaddr_sets_the_source_of_the_default_route() {
    in_own_network("ipsrcaddr_sets_the_source_of_the_default_route", async {
        let site = Site::new();
        let said = message(site.run(heartbeat(OpAction::Start, "IPsrcaddr", &["10.77.0.50"])).await);
        assert!(said.contains("no default route"), "{said}");
        assert!(shell("ip addr add 10.77.0.1/24 dev v0 && ip route add default via 10.77.0.254 dev v0 metric 7"));
        let said = message(site.run(heartbeat(OpAction::Start, "IPsrcaddr", &["10.77.0.50"])).await);
        assert!(said.contains("not an address of this node"), "{said}");
        assert!(shell("ip addr add 10.77.0.50/24 dev v0"));
        let before = says("ip route show default");
        goes_round(&site, "IPsrcaddr", &["10.77.0.50"]).await;
        assert_eq!(says("ip route show default"), before, "the route is as it was");
        site.run(heartbeat(OpAction::Start, "IPsrcaddr", &["10.77.0.50"])).await;
        assert!(says("ip route get 192.0.2.1").contains("src 10.77.0.50"));

        let v6 = "ip addr add fd77::1/64 dev v0 nodad; ip addr add fd77::50/64 dev v0 nodad; \
                  ip -6 route add default via fd77::fe dev v0";
        assert!(shell(v6));
        goes_round(&site, "IPsrcaddr", &["fd77::50"]).await;
        let routes = says("ip -6 route show default");
        assert!(routes.lines().count() == 1 && !routes.contains("src"), "{routes}");
    });
}

#[test]
fn sendarp_announces_what_is_there() {
    in_own_network("sendarp_announces_what_is_there", async {
        let site = Site::new();
        for (argument, part) in [("10.77.0.50/v9", "no interface v9"), ("10.77.0.50/v0", "not an address of v0")] {
            let said = message(site.run(heartbeat(OpAction::Start, "SendArp", &[argument])).await);
            assert!(said.contains(part), "{said}");
        }
        assert!(shell("ip addr add 10.77.0.50/24 dev v0"));
        let heard = fs::File::create(site.file("heard")).expect("a file");
        let noted = fs::File::create(site.file("noted")).expect("a file");
        let listener = Command::new("tcpdump").args(["-lnn", "-i", "v1", "arp"]).stdout(heard).stderr(noted).spawn();
        let listener = Listener(listener.expect("tcpdump"));
        eventually("it listens", || site.content("noted").contains("listening on")).await;
        goes_round(&site, "SendArp", &["10.77.0.50/v0"]).await;
        eventually("the other end hears a request and a reply", || {
            let heard = site.content("heard");
            heard.contains("who-has 10.77.0.50") && heard.contains("Reply 10.77.0.50 is-at")
        })
        .await;
        drop(listener);
    });
}

/// A child that ends with its owner.
struct Listener(std::process::Child);

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
