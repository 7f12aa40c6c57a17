//! What the threads say to each other.

use crate::media::Ready;
use crate::self_fence::Trigger;
use hearth_agents::net::Gate;
use hearth_config::Config;
use hearth_controller::{Input, Output};
use hearth_wire::KeyRing;
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};

/// To the main thread.
pub(crate) enum Order {
    /// Something that the heartbeat thread does not do itself.
    Output(Box<Output>),
    /// The machine is about to reset itself, for it cannot stop these: logs it, and then drops the end of a channel.
    LastWords(String, mpsc::Sender<()>),
}

/// To the storage thread.
pub(crate) struct Persist {
    pub(crate) ticket: u64,
    pub(crate) state: Option<String>,
    pub(crate) log: Vec<String>,
}

/// Files that are taken over, with what was opened for them beforehand.
pub(crate) struct Reloaded {
    pub(crate) config: Config,
    pub(crate) ring: KeyRing,
    pub(crate) ports: Vec<Ready>,
    /// A gate where there was none.
    pub(crate) gate: Option<Gate>,
    /// What resets the machine, where nothing did.
    pub(crate) trigger: Option<Trigger>,
}

/// Files that might be taken over.
pub(crate) struct MayReload {
    pub(crate) config: Config,
    /// Numbers of the keys that they do not have any more.
    pub(crate) keys_gone: BTreeSet<u8>,
    pub(crate) answer: tokio::sync::oneshot::Sender<Vec<String>>,
}

/// To the heartbeat thread.
pub(crate) enum News {
    Input(Box<Input>),
    /// Interfaces came, went, or changed their names.
    Interfaces,
    /// Whether good files would harm what runs; the answer is one line each.
    MayReload(Box<MayReload>),
    Reconfigured(Box<Reloaded>),
    Persisted(u64, Result<(), String>),
}

/// The heartbeat thread's end.
pub(crate) struct Mailbox {
    news: mpsc::Receiver<News>,
    woken: UnixStream,
}

/// Everybody else's end.
#[derive(Clone)]
pub(crate) struct Post {
    news: mpsc::Sender<News>,
    wake: Arc<UnixStream>,
}

/// A mailbox and its post.
pub(crate) fn mailbox() -> io::Result<(Post, Mailbox)> {
    let (wake, woken) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    let (sender, news) = mpsc::channel();
    Ok((Post { news: sender, wake: Arc::new(wake) }, Mailbox { news, woken }))
}

impl Post {
    /// Hands over and wakes the thread.
    pub(crate) fn send(&self, news: News) {
        // Fails only when the heartbeat thread has ended; a full pipe wakes it already.
        let _ = self.news.send(news);
        let _ = (&*self.wake).write(&[0]);
    }

    /// Hands over an input.
    pub(crate) fn input(&self, input: Input) {
        self.send(News::Input(Box::new(input)));
    }
}

impl Mailbox {
    /// The next news, if there is one.
    pub(crate) fn take(&mut self) -> Option<News> {
        if let Ok(news) = self.news.try_recv() {
            return Some(news);
        }
        // Emptied before the second look, so that a wake behind it is kept.
        let mut buffer = [0; 256];
        while matches!((&self.woken).read(&mut buffer), Ok(count) if count == buffer.len()) {}
        self.news.try_recv().ok()
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
}
