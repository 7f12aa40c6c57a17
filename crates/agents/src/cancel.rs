//! Taking an order back.

use tokio::sync::watch;

/// Takes the operations back that hold the [`Cancel`] made with it.
#[derive(Debug)]
pub struct CancelHandle(watch::Sender<bool>);

/// Tells an operation that it is no longer wanted.
#[derive(Clone, Debug)]
pub struct Cancel(watch::Receiver<bool>);

impl CancelHandle {
    /// Takes back; a second call changes nothing. Dropping the handle takes nothing back.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl Cancel {
    /// A handle and its token.
    pub fn pair() -> (CancelHandle, Cancel) {
        let (sender, receiver) = watch::channel(false);
        (CancelHandle(sender), Cancel(receiver))
    }

    /// A token that is never cancelled.
    pub fn never() -> Cancel {
        Cancel::pair().1
    }

    /// Whether it was taken back.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when it is taken back; never, once the handle is gone.
    pub async fn cancelled(&mut self) {
        if self.0.wait_for(|cancelled| *cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
