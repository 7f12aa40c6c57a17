//! The socket against clients that are many, slow, long-winded or gone; the test plays the heartbeat thread.

use super::*;
use crate::order::{Mailbox, News, mailbox};
use std::future::Future;
use tokio::io::Lines;

/// Longest wait for anything that must happen.
const DEADLINE: Duration = Duration::from_secs(10);

struct Daemon {
    folder: tempfile::TempDir,
    askers: Askers,
    mailbox: Mailbox,
}

impl Daemon {
    fn start(patience: Duration) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let listener = listen(&folder.path().join("control")).unwrap();
        let askers = Askers { patience, ..Askers::default() };
        let (post, mailbox) = mailbox().unwrap();
        let (reload, reloads) = mpsc::channel(1);
        drop(reloads);
        tokio::spawn(serve(listener, askers.clone(), post, reload));
        Daemon { folder, askers, mailbox }
    }

    async fn connect(&self) -> Connection {
        let stream = UnixStream::connect(self.folder.path().join("control")).await.unwrap();
        let (reader, writer) = stream.into_split();
        Connection { lines: BufReader::new(reader).lines(), writer }
    }

    /// The next input; the clients run meanwhile.
    async fn input(&mut self) -> Input {
        let wait = async {
            loop {
                match self.mailbox.take() {
                    Some(News::Input(input)) => return *input,
                    Some(_) => panic!("clients cause inputs only"),
                    None => tokio::task::yield_now().await,
                }
            }
        };
        within("an input", wait).await
    }

    async fn token(&mut self) -> u64 {
        match self.input().await {
            Input::Request { token, .. } => token,
            other => panic!("not a request: {other:?}"),
        }
    }
}

struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Connection {
    async fn ask(&mut self, request: &Request) {
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        within("the request is taken", self.writer.write_all(&line)).await.unwrap();
    }

    /// The next reply; none when the daemon hung up.
    async fn reply(&mut self) -> Option<Reply> {
        let line = within("an answer", self.lines.next_line()).await;
        line.ok().flatten().map(|line| serde_json::from_str(&line).unwrap())
    }

    async fn refusal(&mut self) -> String {
        match self.reply().await {
            Some(Reply::Refused { reason, .. }) => reason,
            other => panic!("not refused: {other:?}"),
        }
    }
}

async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for: {what}"))
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn done(text: &str) -> Box<Reply> {
    Box::new(Reply::Done { text: text.into(), took_ms: 0, notes: Vec::new() })
}

fn is_done(reply: Option<Reply>, wanted: &str) -> bool {
    matches!(reply, Some(Reply::Done { text, .. }) if text == wanted)
}

#[test]
fn whoever_hangs_up_while_waiting_is_forgotten_by_the_controller() {
    run(async {
        let mut daemon = Daemon::start(PATIENCE);
        let waiting = [
            Request::Watch,
            Request::Timeline { last: None, subject: None, follow: true },
            Request::Failback { wait: true },
        ];
        for request in waiting {
            let mut client = daemon.connect().await;
            client.ask(&request).await;
            let token = daemon.token().await;
            daemon.askers.answer(token, done("first"), true);
            assert!(is_done(client.reply().await, "first"));
            drop(client);
            assert!(matches!(daemon.input().await, Input::RequestEnded { token: ended } if ended == token));
        }
    });
}

/// Harm: a client that watches, says another word and is gone is told every change for ever, and so are the next thousand.
#[test]
fn whoever_asks_twice_and_hangs_up_is_forgotten_by_the_controller() {
    run(async {
        let mut daemon = Daemon::start(PATIENCE);
        let mut client = daemon.connect().await;
        client.ask(&Request::Watch).await;
        let token = daemon.token().await;
        daemon.askers.answer(token, done("first"), true);
        assert!(is_done(client.reply().await, "first"));
        client.ask(&Request::Status).await;
        drop(client);
        assert!(matches!(daemon.input().await, Input::RequestEnded { token: ended } if ended == token));
    });
}

#[test]
fn an_answered_client_that_hangs_up_is_no_news() {
    run(async {
        let mut daemon = Daemon::start(PATIENCE);
        let mut client = daemon.connect().await;
        client.ask(&Request::Status).await;
        let token = daemon.token().await;
        daemon.askers.answer(token, done("all"), false);
        assert!(is_done(client.reply().await, "all"));
        // The same connection may ask again.
        client.ask(&Request::Stop).await;
        let token = daemon.token().await;
        daemon.askers.answer(token, done("stopped"), false);
        assert!(is_done(client.reply().await, "stopped"));
        drop(client);
        let mut other = daemon.connect().await;
        other.ask(&Request::Status).await;
        daemon.token().await;
    });
}

#[test]
fn patience_ends_with_idle_clients_and_not_with_those_that_wait() {
    run(async {
        let mut daemon = Daemon::start(Duration::from_millis(20));
        let mut waiting = daemon.connect().await;
        waiting.ask(&Request::Watch).await;
        let token = daemon.token().await;
        // Five clients in turn say nothing until they are thrown out: five times the patience has passed.
        for _ in 0..5 {
            assert_eq!(daemon.connect().await.reply().await, None);
        }
        daemon.askers.answer(token, done("late"), true);
        assert!(is_done(waiting.reply().await, "late"));
        daemon.askers.answer(token, done("later"), false);
        assert!(is_done(waiting.reply().await, "later"));
    });
}

#[test]
fn a_request_may_be_64_kib_long_and_not_longer() {
    run(async {
        let mut daemon = Daemon::start(PATIENCE);
        let of_length = |length: usize| {
            let frame = serde_json::to_vec(&Request::Why { resource: String::new() }).unwrap().len();
            Request::Why { resource: "x".repeat(length - frame - 1) }
        };
        let mut client = daemon.connect().await;
        client.ask(&of_length(LONGEST)).await;
        daemon.token().await;
        let mut client = daemon.connect().await;
        // The daemon may hang up before it has read all.
        let mut line = serde_json::to_vec(&of_length(LONGEST + 1)).unwrap();
        line.push(b'\n');
        let _ = client.writer.write_all(&line).await;
        assert_eq!(client.refusal().await, "the request is longer than 65536 bytes");
        assert_eq!(client.reply().await, None);
    });
}

#[test]
fn nonsense_is_refused_and_the_connection_goes_on() {
    run(async {
        let mut daemon = Daemon::start(PATIENCE);
        let mut client = daemon.connect().await;
        client.writer.write_all(b"{\"request\":\"dance\"}\n\xff\xfe\n").await.unwrap();
        for _ in 0..2 {
            assert!(client.refusal().await.starts_with("the request is not understood"));
        }
        client.ask(&Request::Status).await;
        let token = daemon.token().await;
        // A second request before the first answer is told so, and the first is forgotten.
        client.ask(&Request::Status).await;
        assert_eq!(client.refusal().await, "the request before was not answered yet");
        assert!(matches!(daemon.input().await, Input::RequestEnded { token: ended } if ended == token));
    });
}

#[test]
fn the_65th_client_is_refused_and_a_seat_that_is_left_is_free_again() {
    run(async {
        let mut daemon = Daemon::start(PATIENCE);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = daemon.connect().await;
            client.ask(&Request::Failback { wait: true }).await;
            let token = daemon.token().await;
            clients.push((client, token));
        }
        let mut late = daemon.connect().await;
        assert_eq!(late.refusal().await, "64 clients are connected already");
        drop(clients.pop());
        assert!(matches!(daemon.input().await, Input::RequestEnded { .. }));
        // The seat is given back behind the input.
        let answered = async {
            loop {
                let mut client = daemon.connect().await;
                client.ask(&Request::Status).await;
                if let Some(News::Input(_)) = until_news_or_hangup(&mut daemon, &mut client).await {
                    return;
                }
            }
        };
        within("a free seat", answered).await;
        let (client, token) = &mut clients[0];
        daemon.askers.answer(*token, done("still here"), true);
        assert!(is_done(client.reply().await, "still here"));
    });
}

/// Harm: forgotten terminals that watch take every seat, and nobody can give an order any more.
#[test]
fn those_who_watch_leave_seats_for_those_who_ask() {
    run(async {
        let mut daemon = Daemon::start(PATIENCE);
        let mut watchers = Vec::new();
        for number in 0..WATCHERS {
            let mut client = daemon.connect().await;
            let follow = Request::Timeline { last: None, subject: None, follow: true };
            client.ask(if number % 2 == 0 { &Request::Watch } else { &follow }).await;
            daemon.token().await;
            watchers.push(client);
        }
        let mut client = daemon.connect().await;
        client.ask(&Request::Watch).await;
        assert_eq!(client.refusal().await, "48 clients watch already");
        client.ask(&Request::Standby { which: hearth_control::Which::All, wait: true }).await;
        let token = daemon.token().await;
        daemon.askers.answer(token, done("moved"), false);
        assert!(is_done(client.reply().await, "moved"));
        drop(watchers.pop());
        assert!(matches!(daemon.input().await, Input::RequestEnded { .. }));
    });
}

async fn until_news_or_hangup(daemon: &mut Daemon, client: &mut Connection) -> Option<News> {
    tokio::select! {
        _ = client.reply() => None,
        news = async {
            loop {
                match daemon.mailbox.take() {
                    Some(news) => break news,
                    None => tokio::task::yield_now().await,
                }
            }
        } => Some(news),
    }
}

#[test]
fn a_client_that_takes_nothing_is_dropped_and_others_are_answered() {
    run(async {
        let mut daemon = Daemon::start(PATIENCE);
        let mut lazy = daemon.connect().await;
        lazy.ask(&Request::Watch).await;
        let flooded = daemon.token().await;
        for _ in 0..=ANSWERS {
            daemon.askers.answer(flooded, done(&"x".repeat(64 << 10)), true);
        }
        let mut client = daemon.connect().await;
        client.ask(&Request::Status).await;
        let token = daemon.token().await;
        daemon.askers.answer(token, done("at once"), false);
        assert!(is_done(client.reply().await, "at once"));
        assert!(!daemon.askers.waiting.lock().unwrap().contains_key(&flooded));
    });
}

#[test]
fn the_last_answer_is_taken_before_the_daemon_ends() {
    run(async {
        let mut daemon = Daemon::start(PATIENCE);
        let mut client = daemon.connect().await;
        client.ask(&Request::Stop).await;
        let token = daemon.token().await;
        let mut watching = daemon.connect().await;
        watching.ask(&Request::Watch).await;
        daemon.token().await;
        daemon.askers.answer(token, done("stopped"), false);
        within("the end", daemon.askers.finish()).await;
        assert_eq!(daemon.askers.asking.available_permits(), CLIENTS);
        assert!(is_done(client.reply().await, "stopped"));
        assert_eq!(watching.reply().await, None);
    });
}
