//! What guests are made of: Debian's kernel, its drivers and busybox, fetched once by apt, and the programs under test.

use super::cpio::Archive;
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Folders and files of the kernel's package that guests need; everything in them is small.
const DRIVERS: &[&str] = &[
    "drivers/virtio/virtio*.ko",
    "drivers/block/virtio_blk.ko",
    "drivers/net/virtio_net.ko",
    "drivers/net/net_failover.ko",
    "drivers/char/virtio_console.ko",
    "drivers/char/hw_random/virtio-rng.ko",
    "drivers/watchdog/i6300esb.ko",
    "drivers/watchdog/watchdog.ko",
    "net/core/failover.ko",
    "net/netfilter/nfnetlink.ko",
    "net/netfilter/nf_tables.ko",
    "net/netfilter/nft_fib*.ko",
    "net/ipv4/netfilter/nft_fib_ipv4.ko",
    "net/ipv6/netfilter/nft_fib_ipv6.ko",
    "fs/ext4/ext4.ko",
    "fs/jbd2/jbd2.ko",
    "fs/mbcache.ko",
    "lib/crc16.ko",
    "lib/libcrc32c.ko",
    "crypto/crc32c_generic.ko",
    "arch/x86/crypto/crc32c-intel.ko",
];
/// What process 1 loads; the rest comes with these.
const LOADED: &str =
    "virtio_pci virtio_console virtio_rng virtio_blk virtio_net i6300esb crc32c_generic ext4 nf_tables nft_fib_netdev";
/// The package that always names the newest kernel.
const KERNEL: &str = "linux-image-amd64";
const BUSYBOX: &str = "busybox-static";

/// Everything that does not differ between guests.
pub struct Kit {
    /// The kernel, uncompressed: QEMU starts it directly.
    pub kernel: PathBuf,
    /// The first file system of every guest.
    pub base: Archive,
}

/// Makes it, from what is cached below `folder` or from apt.
///
/// # Errors
/// When something is missing: what, and the way out.
pub fn make(folder: &Path, programs: &Path) -> anyhow::Result<Kit> {
    for (tool, package) in [
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("xz", "xz-utils"),
        ("strip", "binutils"),
        ("mkfs.ext4", "e2fsprogs"),
        ("debugfs", "e2fsprogs"),
    ] {
        let mut look = Command::new(tool);
        look.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = look.status() {
            bail!("{tool} cannot be started ({error}): as root, apt-get install {package}");
        }
    }
    let parts = folder.join("parts");
    if !parts.join("complete").exists() {
        fetch(folder, &parts)?;
    }
    Ok(Kit { kernel: parts.join("vmlinux"), base: base(&parts, programs)? })
}

/// Downloads, and takes out what is needed. What is half done is begun anew.
fn fetch(folder: &Path, parts: &Path) -> anyhow::Result<()> {
    // A folder that is not there is as good as an empty one.
    let _ = fs::remove_dir_all(parts);
    fs::create_dir_all(parts)?;
    let download = folder.join("download");
    let kernel = match downloaded(&download) {
        Ok(kernel) => kernel,
        // Lists that are missing, or name what is no longer there.
        Err(first) => {
            done(Command::new("apt-get").args(["-qq", "update"])).with_context(|| format!("{first:#}"))?;
            downloaded(&download)?
        }
    };
    let package = |name: &str| -> anyhow::Result<PathBuf> {
        let all = fs::read_dir(&download)?.flatten().map(|entry| entry.path());
        let start = format!("{name}_");
        let mut found =
            all.filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&start)));
        found.next().with_context(|| format!("apt-get download left no package {name}"))
    };
    unpack(&package(BUSYBOX)?, parts, &["./bin/busybox".to_owned()])?;
    let mut wanted = vec!["./boot/vmlinuz-*".to_owned()];
    wanted.extend(DRIVERS.iter().map(|driver| format!("./lib/modules/*/kernel/{driver}")));
    unpack(&package(&kernel)?, parts, &wanted)?;
    fs::write(parts.join("vmlinux"), uncompressed(&only(&parts.join("boot"))?)?)?;
    let version = only(&parts.join("lib/modules"))?;
    let version = version.file_name().context("a folder has a name")?;
    done(Command::new(parts.join("bin/busybox")).arg("depmod").arg("-b").arg(parts.canonicalize()?).arg(version))?;
    fs::remove_dir_all(&download)?;
    fs::write(parts.join("complete"), kernel)?;
    Ok(())
}

/// Downloads both packages into an empty folder; the name of the kernel's.
fn downloaded(download: &Path) -> anyhow::Result<String> {
    let _ = fs::remove_dir_all(download);
    fs::create_dir_all(download)?;
    let text = said(Command::new("apt-cache").args(["depends", KERNEL]))
        .context("the kernel of the guests comes from Debian's packages, and apt does not know them")?;
    let Some(name) = text.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-")) else {
        bail!("apt knows no package {KERNEL}: as root, apt-get update");
    };
    let kernel = format!("linux-image-{name}");
    println!("downloading {kernel} and {BUSYBOX} to {}", download.display());
    let mut apt = Command::new("apt-get");
    // As root apt notes that its own user cannot write there; it goes on.
    apt.args(["-qq", "download", &kernel, BUSYBOX]).current_dir(download).stderr(Stdio::null());
    done(&mut apt).with_context(|| format!("{kernel} and {BUSYBOX} cannot be downloaded; as root, apt-get update"))?;
    Ok(kernel)
}

/// Takes files out of a package, by patterns.
fn unpack(package: &Path, into: &Path, wanted: &[String]) -> anyhow::Result<()> {
    let mut opened = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn()?;
    let bytes = opened.stdout.take().context("a pipe")?;
    done(Command::new("tar").args(["-x", "--wildcards", "-C"]).arg(into).args(wanted).stdin(bytes))?;
    opened.wait()?;
    Ok(())
}

/// The kernel inside of a vmlinuz, by the x86 boot protocol's header.
fn uncompressed(image: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(image)?;
    let word = |at: usize| {
        bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(|word| u32::from_le_bytes(word) as usize)
    };
    let sectors = usize::from(*bytes.get(0x1f1).context("no kernel at all")?);
    let payload = word(0x248).zip(word(0x24c)).and_then(|(at, length)| {
        let start = (sectors + 1) * 512 + at;
        // The last word is the size of what is inside.
        bytes.get(start..start + length - 4)
    });
    let payload = payload.filter(|payload| payload.starts_with(&[0xfd, b'7', b'z', b'X', b'Z']));
    let packed = image.with_extension("xz");
    fs::write(&packed, payload.context("the kernel is not packed by xz, and nothing else is known here")?)?;
    let out = Command::new("xz").arg("-dc").arg(&packed).output()?;
    if !out.stdout.starts_with(b"\x7fELF") {
        bail!("{} cannot be unpacked: {}", image.display(), String::from_utf8_lossy(&out.stderr));
    }
    Ok(out.stdout)
}

/// The first file system: drivers, busybox, what is under test, and ourselves.
fn base(parts: &Path, programs: &Path) -> anyhow::Result<Archive> {
    let mut archive = Archive::default();
    for folder in [
        "dev",
        "proc",
        "sys",
        "run",
        "srv",
        "tmp",
        "etc",
        "etc/ha.d",
        "etc/ha.d/resource.d",
        "etc/modprobe.d",
        "bin",
        "sbin",
        "usr",
        "usr/bin",
        "usr/sbin",
        "var",
        "var/lib",
        "var/lib/hearth",
        "lib",
        "lib/modules",
        "lib64",
    ] {
        archive.directory(folder);
    }
    archive.file("bin/busybox", 0o755, &fs::read(parts.join("bin/busybox"))?);
    let applets = said(Command::new(parts.join("bin/busybox")).arg("--list"))?;
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        let folder = if matches!(applet, "sh" | "mount" | "umount") { "bin" } else { "usr/bin" };
        archive.link(&format!("{folder}/{applet}"), "/bin/busybox");
    }
    archive.link("sbin/modprobe", "/bin/busybox");
    archive.file("etc/drivers", 0o644, LOADED.as_bytes());
    drivers(&mut archive, parts, &parts.join("lib/modules"))?;
    let own = std::env::current_exe()?;
    let mut libraries = std::collections::BTreeSet::new();
    for (program, place) in
        [(programs.join("hearthd"), "usr/sbin/hearthd"), (programs.join("hearth"), "usr/sbin/hearth"), (own, "init")]
    {
        if !program.is_file() {
            bail!("{} is missing: cargo build --workspace --bins", program.display());
        }
        archive.file(place, 0o755, &stripped(&program)?);
        libraries.extend(needed(&program)?);
    }
    for name in ["usr/sbin/fence_vm", "usr/bin/vm-writer"] {
        archive.link(name, "/init");
    }
    for library in libraries {
        let parent = library.parent().context("a library lies in a folder")?;
        for folder in
            parent.ancestors().collect::<Vec<_>>().into_iter().rev().filter(|folder| folder.parent().is_some())
        {
            archive.directory(&folder.to_string_lossy());
        }
        archive.file(&library.to_string_lossy(), 0o755, &fs::read(&library)?);
    }
    Ok(archive)
}

fn drivers(archive: &mut Archive, parts: &Path, folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        let inside = path.strip_prefix(parts)?.to_string_lossy().into_owned();
        if path.is_dir() {
            archive.directory(&inside);
            drivers(archive, parts, &path)?;
        } else {
            archive.file(&inside, 0o644, &fs::read(&path)?);
        }
    }
    Ok(())
}

/// Without what only a debugger reads: it would be most of the memory of a guest.
fn stripped(program: &Path) -> anyhow::Result<Vec<u8>> {
    let out = tempfile::NamedTempFile::new()?;
    done(Command::new("strip").arg("-o").arg(out.path()).arg(program))?;
    Ok(fs::read(out.path())?)
}

/// Libraries that a program is loaded with, the loader among them.
fn needed(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = said(Command::new("ldd").arg(program))?;
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(PathBuf::from).collect())
}

fn only(folder: &Path) -> anyhow::Result<PathBuf> {
    let found = fs::read_dir(folder)?.flatten().next();
    Ok(found.with_context(|| format!("{} is empty", folder.display()))?.path())
}

/// Runs it; it must end well.
pub fn done(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// What it says; it must end well.
pub fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
