//! The control socket: JSON lines, root and group haclient, bounded in every direction.

use crate::clock;
use crate::order::Post;
use hearth_control::{Reply, Request, TimelineEvent};
use hearth_controller::Input;
use hearth_types::Timestamp;
use nix::unistd::{Gid, Group, Uid, User};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, UCred};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Longest request.
const LONGEST: usize = 64 << 10;
/// How long a client may take to say what it wants, and to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients at once.
const CLIENTS: usize = 64;
/// Clients at once that are told every change: the other seats are for those who ask once and go.
const WATCHERS: usize = 48;
/// Users other than root whose right to ask is looked up at once.
const AT_THE_DOOR: usize = 8;
/// How long the end of the daemon waits until its last answers are taken.
const FAREWELL: Duration = Duration::from_secs(1);
/// Answers that wait for a slow client; beyond them it is dropped.
const ANSWERS: usize = 256;
/// The group whose members may ask.
const GROUP: &str = "haclient";

type Answer = (Box<Reply>, bool);

/// Who waits for an answer.
#[derive(Clone)]
pub(crate) struct Askers {
    waiting: Arc<Mutex<BTreeMap<u64, mpsc::Sender<Answer>>>>,
    next: Arc<AtomicU64>,
    patience: Duration,
    /// One permit for each client.
    seats: Arc<Semaphore>,
    /// One permit for each client that waits for an answer.
    asking: Arc<Semaphore>,
    /// One permit for each client that is told every change.
    watching: Arc<Semaphore>,
    /// One permit for each user that is looked up.
    door: Arc<Semaphore>,
}

impl Default for Askers {
    fn default() -> Askers {
        let permits = |count| Arc::new(Semaphore::new(count));
        Askers {
            waiting: Arc::default(),
            next: Arc::default(),
            patience: PATIENCE,
            seats: permits(CLIENTS),
            asking: permits(CLIENTS),
            watching: permits(WATCHERS),
            door: permits(AT_THE_DOOR),
        }
    }
}

/// A reload that a client asked for.
pub(crate) struct ReloadAsked {
    pub(crate) by: String,
    pub(crate) answer: tokio::sync::oneshot::Sender<Reply>,
}

impl Askers {
    /// Hands an answer to whoever asked; wall times are filled in.
    pub(crate) fn answer(&self, token: u64, mut reply: Box<Reply>, more: bool) {
        fill_in(&mut reply);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = waiting.get(&token).is_some_and(|client| client.try_send((reply, more)).is_ok());
        if !sent || !more {
            waiting.remove(&token);
        }
    }

    /// No further answers: waits a moment until the last ones are taken.
    pub(crate) async fn finish(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // Whoever takes longer is not waited for.
        let _ = tokio::time::timeout(FAREWELL, self.asking.acquire_many(CLIENTS as u32)).await;
    }

    fn register(&self) -> (u64, mpsc::Receiver<Answer>) {
        let token = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, receiver) = mpsc::channel(ANSWERS);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(token, sender);
        (token, receiver)
    }

    fn forget(&self, token: u64) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
    }
}

/// Makes the socket. A dead daemon's one is replaced; the storage lock has shown that no other one lives.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // Everybody may connect and is told why not: a refused connect says nothing.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    if let Ok(Some(group)) = Group::from_name(GROUP) {
        chown(path, None, Some(group.gid.as_raw()))?;
    }
    Ok(listener)
}

/// Serves for ever.
pub(crate) async fn serve(listener: UnixListener, askers: Askers, post: Post, reload: mpsc::Sender<ReloadAsked>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: those that are here end within their patience.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let client = Client { askers: askers.clone(), post: post.clone(), reload: reload.clone() };
        tokio::spawn(client.admit(stream));
    }
}

struct Client {
    askers: Askers,
    post: Post,
    reload: mpsc::Sender<ReloadAsked>,
}

impl Client {
    /// Strangers take no seat, so that they cannot keep anybody out.
    async fn admit(self, stream: UnixStream) {
        let Ok(credentials) = stream.peer_cred() else { return };
        let by = if is_trusted(&credentials) {
            if credentials.uid() == 0 { "root".to_owned() } else { format!("uid {}", credentials.uid()) }
        } else {
            let Ok(_turn) = self.askers.door.try_acquire() else {
                return say_no(stream, "too many users ask at once", "ask again").await;
            };
            // Names may come over a network; the daemon answers others meanwhile.
            match tokio::task::spawn_blocking(move || permitted(&credentials)).await {
                Ok(Some(name)) => name,
                _ => {
                    let help = format!("ask as root or as a member of group {GROUP}");
                    return say_no(stream, "this user may not ask the daemon", &help).await;
                }
            }
        };
        let Ok(seat) = self.askers.seats.clone().try_acquire_owned() else {
            let text = format!("{CLIENTS} clients are connected already");
            return say_no(stream, &text, "end some of them, or ask again").await;
        };
        self.serve(stream, by, seat).await;
    }

    async fn serve(self, stream: UnixStream, by: String, _seat: OwnedSemaphorePermit) {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        loop {
            let line = match tokio::time::timeout(self.askers.patience, line(&mut reader)).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) | Err(_) => return,
                Ok(Err(error)) => {
                    let reply = refused(&error.to_string(), None);
                    return drop(write(&mut writer, &reply).await);
                }
            };
            let done = match serde_json::from_slice::<Request>(&line) {
                Ok(Request::Reload) => write(&mut writer, &self.reload(&by).await).await,
                Ok(request) => self.ask(request, &by, &mut reader, &mut writer).await,
                Err(error) => {
                    let help = Some("hearth and hearthd may be of different versions".to_owned());
                    write(&mut writer, &refused(&format!("the request is not understood: {error}"), help)).await
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    async fn reload(&self, by: &str) -> Reply {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let stopping = || refused("the daemon is stopping", None);
        if self.reload.send(ReloadAsked { by: by.to_owned(), answer }).await.is_err() {
            return stopping();
        }
        answered.await.unwrap_or_else(|_| stopping())
    }

    async fn ask(
        &self,
        request: Request,
        by: &str,
        reader: &mut BufReader<OwnedReadHalf>,
        writer: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        let _watching = match is_for_long(&request).then(|| self.askers.watching.try_acquire()).transpose() {
            Ok(permit) => permit,
            Err(_) => {
                let help = "end some of `hearth status --watch` and `hearth timeline --follow`".to_owned();
                return write(writer, &refused(&format!("{WATCHERS} clients watch already"), Some(help))).await;
            }
        };
        let _asking = self.askers.asking.acquire().await;
        let (token, mut answers) = self.askers.register();
        self.post.input(Input::Request { token, request, by: by.to_owned() });
        let result = loop {
            tokio::select! {
                answer = answers.recv() => match answer {
                    Some((reply, more)) => {
                        if let Err(error) = write(writer, &reply).await {
                            break Err(error);
                        }
                        if !more {
                            break Ok(());
                        }
                    }
                    None => break Err(io::ErrorKind::BrokenPipe.into()),
                },
                said = reader.fill_buf() => {
                    if said.is_ok_and(|said| !said.is_empty()) {
                        let help = Some("wait for the answer, or use another connection".to_owned());
                        // Whether it is taken or not: the request before ends here.
                        let _ = write(writer, &refused("the request before was not answered yet", help)).await;
                    }
                    break Err(io::ErrorKind::BrokenPipe.into());
                }
            }
        };
        self.askers.forget(token);
        if result.is_err() {
            // Nobody hears the rest: the controller forgets it.
            self.post.input(Input::RequestEnded { token });
        }
        result
    }
}

/// Whether the answer ends only when the client goes.
fn is_for_long(request: &Request) -> bool {
    matches!(request, Request::Watch | Request::Timeline { follow: true, .. })
}

async fn line(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let count = reader.take(LONGEST as u64 + 1).read_until(b'\n', &mut line).await?;
    if count > LONGEST {
        return Err(io::Error::other(format!("the request is longer than {LONGEST} bytes")));
    }
    Ok((line.last() == Some(&b'\n')).then_some(line))
}

async fn write(writer: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<()> {
    let mut text = serde_json::to_vec(reply)?;
    text.push(b'\n');
    tokio::time::timeout(PATIENCE, writer.write_all(&text)).await?
}

async fn say_no(stream: UnixStream, reason: &str, help: &str) {
    let (_reader, mut writer) = stream.into_split();
    // Whoever does not take it is none the wiser, and gone.
    let _ = write(&mut writer, &refused(reason, Some(help.to_owned()))).await;
}

fn refused(reason: &str, help: Option<String>) -> Reply {
    Reply::Refused { reason: reason.to_owned(), help, quorum: false }
}

fn is_trusted(credentials: &UCred) -> bool {
    credentials.uid() == 0 || credentials.uid() == Uid::effective().as_raw()
}

/// The name of a user that may ask; none for others.
fn permitted(credentials: &UCred) -> Option<String> {
    let group = Group::from_name(GROUP).ok()??;
    let user = User::from_uid(Uid::from_raw(credentials.uid())).ok().flatten();
    let named = user.as_ref().is_some_and(|user| user.gid == group.gid || group.mem.contains(&user.name));
    let member = Gid::from_raw(credentials.gid()) == group.gid || named;
    member.then(|| user.map_or_else(|| format!("uid {}", credentials.uid()), |user| user.name))
}

/// Wall times are the runtime's: the controller knows none. What carries no moment of its own is now.
fn fill_in(reply: &mut Reply) {
    let events = |events: &mut Vec<TimelineEvent>| {
        for event in events {
            event.wall_ms = clock::wall_ms(Timestamp(event.at_ns));
        }
    };
    match reply {
        Reply::Status { status } => {
            status.wall_ms = clock::wall_ms(clock::now());
            status.failures.iter_mut().for_each(|failure| failure.wall_ms = of_boot(failure.wall_ms));
            if let Some(change) = &mut status.last_change {
                change.wall_ms = of_boot(change.wall_ms);
            }
        }
        Reply::Timeline { events: list, .. } => events(list),
        Reply::Why { why } => events(&mut why.history),
        Reply::Done { .. } | Reply::Refused { .. } | Reply::Failed { .. } => {}
    }
}

/// The controller writes milliseconds of its own clock where only a wall time has a field.
fn of_boot(ms: u64) -> u64 {
    clock::wall_ms(Timestamp(ms.saturating_mul(1_000_000)))
}

#[cfg(test)]
mod tests;
