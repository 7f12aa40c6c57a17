//! The service that moves: a UDP echo that names its machine, and a page over HTTP.

use crate::host::value;
use anyhow::Context;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, recvmsg, sendmsg, setsockopt,
    sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo, Ipv6V6Only},
};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Serves for ever, or starts a process that does and returns when it is ready (`--daemon --pidfile FILE`).
pub(crate) fn run(words: &[OsString]) -> anyhow::Result<()> {
    if words.iter().any(|word| word == "--daemon") {
        return start(words);
    }
    let name = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    if let Some(port) = number(words, "--http")? {
        let listener = TcpListener::bind(("::", port)).with_context(|| format!("TCP port {port}"))?;
        let name = name.clone();
        std::thread::spawn(move || pages(&listener, &name));
    }
    let port = number(words, "--udp")?.context("--udp is missing")?;
    let socket = UdpSocket::bind(("0.0.0.0", port)).with_context(|| format!("UDP port {port}"))?;
    setsockopt(&socket, Ipv4PacketInfo, &true)?;
    // A kernel without IPv6 has nobody who could ask over it.
    if let Ok(socket) = socket_v6(port) {
        let name = name.clone();
        std::thread::spawn(move || echo_v6(&socket, &name));
    }
    println!("ready");
    std::io::stdout().flush()?;
    echo(&socket, &name)
}

fn number(words: &[OsString], name: &str) -> anyhow::Result<Option<u16>> {
    let Some(word) = value(words, name) else { return Ok(None) };
    word.to_string_lossy().parse().map(Some).with_context(|| format!("{name} needs a port"))
}

fn start(words: &[OsString]) -> anyhow::Result<()> {
    let pidfile = PathBuf::from(value(words, "--pidfile").context("--pidfile is missing")?);
    let mut child = Command::new(std::env::current_exe()?);
    // Words that lead to us (a subcommand) are before those that we were given.
    let ours = words.len() + 1;
    let all: Vec<OsString> = std::env::args_os().skip(1).collect();
    child.args(&all[..all.len() - ours]).arg("serve");
    for name in ["--udp", "--http"] {
        if let Some(port) = value(words, name) {
            child.arg(name).arg(port);
        }
    }
    child.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut line)?;
    if line.trim() != "ready" {
        let output = child.wait_with_output()?;
        anyhow::bail!("the service did not start: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    std::fs::write(pidfile, format!("{}\n", child.id()))?;
    Ok(())
}

/// Answers `payload` with `payload name`, from the address that was asked: if that is gone meanwhile, not at all.
fn echo(socket: &UdpSocket, name: &str) -> anyhow::Result<()> {
    loop {
        let mut buffer = [0; 512];
        let mut space = nix::cmsg_space!(nix::libc::in_pktinfo);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty());
        // An earlier answer that could not be delivered is no reason to stop.
        let Ok(message) = message else { continue };
        let (length, from) = (message.bytes, message.address);
        let asked = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
            _ => None,
        });
        let (Some(from), Some(asked)) = (from, asked) else { continue };
        let mut answer = buffer[..length].to_vec();
        answer.extend_from_slice(name.as_bytes());
        let source = nix::libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: asked.ipi_addr, ipi_addr: asked.ipi_addr };
        let controls = [ControlMessage::Ipv4PacketInfo(&source)];
        let _ = sendmsg(socket.as_raw_fd(), &[IoSlice::new(&answer)], &controls, MsgFlags::empty(), Some(&from));
    }
}

fn socket_v6(port: u16) -> std::io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None)?;
    setsockopt(&socket, Ipv6V6Only, &true)?;
    setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
    socket.bind(&std::net::SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)).into())?;
    Ok(socket.into())
}

/// The same over IPv6.
fn echo_v6(socket: &UdpSocket, name: &str) {
    loop {
        let mut buffer = [0; 512];
        let mut space = nix::cmsg_space!(nix::libc::in6_pktinfo);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty());
        let Ok(message) = message else { continue };
        let (length, from) = (message.bytes, message.address);
        let asked = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|control| match control {
                ControlMessageOwned::Ipv6PacketInfo(info) => Some(info),
                _ => None,
            })
        });
        let (Some(from), Some(asked)) = (from, asked) else { continue };
        let mut answer = buffer[..length].to_vec();
        answer.extend_from_slice(name.as_bytes());
        let source = nix::libc::in6_pktinfo { ipi6_addr: asked.ipi6_addr, ipi6_ifindex: 0 };
        let controls = [ControlMessage::Ipv6PacketInfo(&source)];
        let _ = sendmsg(socket.as_raw_fd(), &[IoSlice::new(&answer)], &controls, MsgFlags::empty(), Some(&from));
    }
}

fn pages(listener: &TcpListener, name: &str) {
    for stream in listener.incoming().flatten() {
        // One visitor's trouble is not the next one's.
        let _ = page(stream, name);
    }
}

fn page(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let body = format!("This page comes from machine {name}.\n");
    let length = body.len();
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}")
}
