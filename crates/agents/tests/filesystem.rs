//! The file system agent, in mount tables of its own: each test runs once more in a child that shares no mount with
//! this machine. Needs root.

mod support;

use hearth_agents::process::census::Stat;
use hearth_types::{AgentClass, OpAction, OpOutcome, OpRequest, ResourceKind};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::*;

/// Runs `body` in a child with its own mount table, whose changes nobody else sees.
fn in_own_mounts(test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os("HEARTH_OWN_MOUNTS").is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        return runtime.expect("a runtime").block_on(body);
    }
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env("HEARTH_OWN_MOUNTS", "1")
        .stdin(Stdio::null())
        .status();
    assert!(status.expect("unshare").success(), "{test} failed in its own mount table");
}

fn filesystem(action: OpAction, device: &str, directory: &Path, fstype: &str, options: &str) -> OpRequest {
    let directory = directory.display().to_string();
    let (device, fstype, options) = (device.to_string(), fstype.to_string(), options.to_string());
    let kind = ResourceKind::Filesystem { device, directory, fstype, options };
    order(action, resource(AgentClass::Native, "Filesystem", &[], kind))
}

fn place(site: &Site, name: &str) -> PathBuf {
    let path = site.file(name);
    std::fs::create_dir(&path).expect("a directory");
    path
}

fn shell(command: &str) -> bool {
    Command::new("sh").args(["-c", command]).status().expect("sh").success()
}

/// Ended, whatever happens.
struct Holder(Child);

impl Holder {
    /// A process below `directory`; returns when it is there.
    async fn of(directory: &Path, script: &str) -> Holder {
        let holder = Command::new("sh").args(["-c", script]).current_dir(directory).spawn().expect("sh");
        let holder = Holder(holder);
        eventually("it holds", || holder.name() == "sleep").await;
        holder
    }

    fn name(&self) -> String {
        Stat::of(self.0.id() as i32).map(|stat| stat.name).unwrap_or_default()
    }

    fn is_alive(&self) -> bool {
        Stat::of(self.0.id() as i32).is_some_and(|stat| stat.is_alive())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A loop device over a new ext4 file; unbound at the end.
struct Disk(String);

impl Disk {
    fn new(file: &Path) -> Disk {
        assert!(shell(&format!("truncate -s 8M {0} && mkfs.ext4 -q {0}", file.display())));
        let bound = Command::new("losetup").args(["-f", "--show"]).arg(file).output().expect("losetup");
        assert!(bound.status.success(), "losetup: {}", String::from_utf8_lossy(&bound.stderr));
        Disk(String::from_utf8_lossy(&bound.stdout).trim().to_string())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        shell(&format!("umount -A {0} 2>/dev/null; losetup -d {0}", self.0));
    }
}

#[test]
fn a_mount_comes_and_goes() {
    in_own_mounts("a_mount_comes_and_goes", async {
        let site = Site::new();
        let here = place(&site, "with blank");
        let order = |action| filesystem(action, "tmpfs", &here, "tmpfs", "size=1m,noexec,_netdev");
        assert_eq!(site.run(order(OpAction::Probe)).await, OpOutcome::NotRunning);
        assert_eq!(site.run(order(OpAction::Stop)).await, OpOutcome::Ok);
        assert_eq!(site.run(order(OpAction::Start)).await, OpOutcome::Ok);
        assert_eq!(site.run(order(OpAction::Start)).await, OpOutcome::Ok, "mounted already");
        assert_eq!(site.run(order(OpAction::Monitor)).await, OpOutcome::Ok);
        let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let line = table.lines().find(|line| line.contains("with\\040blank")).expect("its line");
        assert!(line.contains("noexec") && line.contains("size=1024k"), "{line}");
        assert_eq!(table.matches("with\\040blank").count(), 1, "mounted once");
        let slash = PathBuf::from(format!("{}/", here.display()));
        assert_eq!(site.run(filesystem(OpAction::Stop, "tmpfs", &slash, "tmpfs", "")).await, OpOutcome::Ok);
        assert_eq!(site.run(order(OpAction::Probe)).await, OpOutcome::NotRunning);
    });
}

#[test]
fn what_is_in_the_way_is_named() {
    in_own_mounts("what_is_in_the_way_is_named", async {
        let site = Site::new();
        let here = place(&site, "here");
        let missing = site.file("missing");
        let said = message(site.run(filesystem(OpAction::Start, "tmpfs", &missing, "tmpfs", "")).await);
        assert!(said.contains("does not exist") && said.contains("mkdir -p"), "{said}");
        let said = message(site.run(filesystem(OpAction::Start, "/dev/nonesuch", &here, "ext4", "")).await);
        assert!(said.contains("/dev/nonesuch does not exist"), "{said}");
        let said = message(site.run(filesystem(OpAction::Start, "UUID=no-such-thing", &here, "ext4", "")).await);
        assert!(said.contains("no device on this node has UUID=no-such-thing"), "{said}");
        let said = message(site.run(filesystem(OpAction::Start, "tmpfs", &here, "nonesuchfs", "")).await);
        assert!(said.contains("no such file system type"), "{said}");
        let said = message(site.run(filesystem(OpAction::Start, "tmpfs", Path::new("/"), "tmpfs", "")).await);
        assert!(said.contains("cannot be a mount point"), "{said}");
        assert!(shell(&format!("mount -t ramfs another {}", here.display())));
        let said = message(site.run(filesystem(OpAction::Start, "tmpfs", &here, "tmpfs", "")).await);
        assert!(said.contains("taken by another (ramfs)"), "{said}");
        let stop = filesystem(OpAction::Stop, "tmpfs", &here, "tmpfs", "");
        assert_eq!(site.run(stop).await, OpOutcome::Ok, "what is not ours stays");
        assert!(shell(&format!("grep -q ' {} .* ramfs another ' /proc/self/mountinfo", here.display())));
    });
}

#[test]
fn a_disk_is_mounted_at_one_place_only() {
    in_own_mounts("a_disk_is_mounted_at_one_place_only", async {
        let site = Site::new();
        let (here, there) = (place(&site, "here"), place(&site, "there"));
        let disk = Disk::new(&site.file("disk"));
        assert!(shell(&format!("mount {} {}", disk.0, there.display())));
        for action in [OpAction::Start, OpAction::Probe, OpAction::Stop] {
            let said = message(site.run(filesystem(action, &disk.0, &here, "ext4", "")).await);
            assert!(said.contains("elsewhere on this node") && said.contains(&there.display().to_string()), "{said}");
        }
        assert!(shell(&format!("umount {}", there.display())));
        assert_eq!(site.run(filesystem(OpAction::Start, &disk.0, &here, "ext4", "noatime")).await, OpOutcome::Ok);
        assert!(shell(&format!("mount --bind {} {}", here.display(), there.display())));
        let said = message(site.run(filesystem(OpAction::Stop, &disk.0, &here, "ext4", "")).await);
        assert!(said.contains("unmounted from") && said.contains("elsewhere"), "{said}");
        assert!(shell(&format!("umount {}", there.display())));
        assert_eq!(
            site.run(filesystem(OpAction::Start, &disk.0, &here, "", "")).await,
            OpOutcome::Ok,
            "type found by mount(8)"
        );
        assert!(shell(&format!("mount -o remount,ro {}", here.display())));
        let said = message(site.run(filesystem(OpAction::Monitor, &disk.0, &here, "ext4", "")).await);
        assert!(said.contains("turned read-only"), "{said}");
        assert_eq!(site.run(filesystem(OpAction::Probe, &disk.0, &here, "ext4", "")).await, OpOutcome::Ok);
        assert_eq!(site.run(filesystem(OpAction::Stop, &disk.0, &here, "ext4", "")).await, OpOutcome::Ok);
    });
}

#[test]
fn a_file_is_mounted_by_a_loop_device() {
    in_own_mounts("a_file_is_mounted_by_a_loop_device", async {
        let site = Site::new();
        let here = place(&site, "here");
        let image = site.file("image");
        assert!(shell(&format!("truncate -s 8M {0} && mkfs.ext4 -q {0}", image.display())));
        let image = image.display().to_string();
        let order = |action| filesystem(action, &image, &here, "ext4", "loop");
        assert_eq!(site.run(order(OpAction::Start)).await, OpOutcome::Ok);
        assert_eq!(site.run(order(OpAction::Monitor)).await, OpOutcome::Ok);
        assert_eq!(site.run(order(OpAction::Stop)).await, OpOutcome::Ok);
        assert_eq!(site.run(order(OpAction::Probe)).await, OpOutcome::NotRunning);
    });
}

/// R-TAKE-8: who holds it gets TERM, then KILL.
#[test]
fn holders_are_ended() {
    in_own_mounts("holders_are_ended", async {
        let site = Site::new();
        let here = place(&site, "here");
        let order = |action| filesystem(action, "tmpfs", &here, "tmpfs", "");
        assert_eq!(site.run(order(OpAction::Start)).await, OpOutcome::Ok);
        let bystander = Holder::of(site.dir.path(), "exec sleep 600").await;
        let polite = Holder::of(&here, "exec sleep 600").await;
        let began = Instant::now();
        // It ended well, and everybody is told whom that took.
        let done = site.result(order(OpAction::Stop)).await;
        assert_eq!(done.outcome, OpOutcome::Ok);
        let told = done.remark.unwrap_or_default();
        assert!(told.contains("SIGTERM sent to") && told.contains("sleep"), "{told:?}");
        assert!(began.elapsed() < Duration::from_secs(2) && !polite.is_alive());
        assert_eq!(site.run(order(OpAction::Start)).await, OpOutcome::Ok);
        assert_eq!(site.result(order(OpAction::Stop)).await.remark, None, "nobody was in the way");
        assert_eq!(site.run(order(OpAction::Start)).await, OpOutcome::Ok);
        let deaf = Holder::of(Path::new("/"), &format!("trap '' TERM; exec sleep 600 >{}/open", here.display())).await;
        assert_eq!(site.run(within(order(OpAction::Stop), Duration::from_secs(2))).await, OpOutcome::Ok);
        assert!(!deaf.is_alive() && bystander.is_alive());
    });
}

#[test]
fn a_mount_below_is_named() {
    in_own_mounts("a_mount_below_is_named", async {
        let site = Site::new();
        let here = place(&site, "here");
        let order = |action| filesystem(action, "tmpfs", &here, "tmpfs", "");
        assert_eq!(site.run(order(OpAction::Start)).await, OpOutcome::Ok);
        let below = here.join("below");
        assert!(shell(&format!("mkdir {0} && mount -t tmpfs none {0}", below.display())));
        let said = message(site.run(within(order(OpAction::Stop), Duration::from_secs(1))).await);
        assert!(said.contains("mounted below it") && said.contains("here/below"), "{said}");
    });
}
