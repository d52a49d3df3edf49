//! The connection that hears what other nodes committed.
//!
//! Notifications are not kept for who was away: after a gap everything is reported as changed. What this node announced
//! itself is recognised and left alone, since its subscribers were told at the commit.

use super::fault::meaning;
use super::tls::Tls;
use crate::change::{Change, wire};
use crate::error::{Error, Fault, Result};
use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Socket};

/// The name all nodes listen to.
pub(super) const CHANNEL: &str = "fastcms_changes";
const LISTEN: &str = "LISTEN fastcms_changes";
/// How long the first connection may take.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection that hears nothing is asked whether it is still there.
const HEARTBEAT: Duration = Duration::from_secs(10);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before connecting again, doubled up to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Who is told what was heard.
pub(super) type Heard = Arc<dyn Fn(&[Change]) + Send + Sync>;

/// The task that listens; it ends with this value.
pub(super) struct Listener(JoinHandle<()>);

impl Listener {
    /// Starts listening; answers when the server has confirmed it, so that nothing after that is missed.
    pub(super) async fn start(config: Arc<ArcSwap<Config>>, tls: Tls, node: String, heard: Heard) -> Result<Self> {
        let (ready, mut is_ready) = watch::channel(false);
        let ear = Ear { config, tls, node, heard, ready };
        let listener = Self(tokio::spawn(ear.listen()));
        match timeout(START_TIMEOUT, is_ready.wait_for(|ready| *ready)).await {
            Ok(Ok(_)) => Ok(listener),
            _ => Err(Error::Unavailable(Fault::new("listen", "the server does not take `LISTEN`"))),
        }
    }

    pub(super) fn stop(&self) {
        self.0.abort();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Ear {
    config: Arc<ArcSwap<Config>>,
    tls: Tls,
    node: String,
    heard: Heard,
    ready: watch::Sender<bool>,
}

impl Ear {
    async fn listen(self) {
        let mut pause = RETRY.0;
        loop {
            let before = tokio::time::Instant::now();
            let error = match &self.tls {
                Tls::Off => self.hear(NoTls).await,
                Tls::On(connector) => self.hear(connector.clone()).await,
            };
            if before.elapsed() > HEARTBEAT {
                pause = RETRY.0;
            }
            tracing::warn!(%error, "changes of other nodes are not heard, connecting again");
            sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    /// Listens until the connection ends, and answers why it did.
    async fn hear<T>(&self, tls: T) -> Error
    where
        T: MakeTlsConnect<Socket> + Send,
        T::Stream: Send,
        T::TlsConnect: Send,
        <T::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
    {
        let (client, mut connection) = match self.config.load_full().connect(tls).await {
            Ok(connected) => connected,
            Err(error) => return meaning(error),
        };
        let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
        let hearing = async {
            while let Some(message) = messages.next().await {
                match message {
                    Ok(AsyncMessage::Notification(told)) if told.channel() == CHANNEL => {
                        self.told(told.payload());
                    }
                    Ok(_) => {}
                    Err(error) => return meaning(error),
                }
            }
            Error::Unavailable(Fault::new("listen", "the server closed the connection"))
        };
        tokio::select! {
            error = hearing => error,
            error = self.keep(&client) => error,
        }
    }

    /// Asks to be told, then looks now and then whether the connection still lives.
    async fn keep(&self, client: &Client) -> Error {
        match timeout(HEARTBEAT_TIMEOUT, client.batch_execute(LISTEN)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return meaning(error),
            Err(_) => return Error::Unavailable(Fault::new("listen", "the server is silent")),
        }
        if self.ready.send_replace(true) {
            (self.heard)(&[Change::everything()]);
        }
        loop {
            sleep(HEARTBEAT).await;
            match timeout(HEARTBEAT_TIMEOUT, client.batch_execute("SELECT 1")).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return meaning(error),
                Err(_) => return Error::Unavailable(Fault::new("listen", "the server is silent")),
            }
        }
    }

    fn told(&self, message: &str) {
        match wire::decode(message) {
            Ok((node, _)) if node == self.node => {}
            Ok((_, changes)) => (self.heard)(&changes),
            Err(error) => {
                tracing::warn!(%error, "a notification that is none of ours: everything is read again");
                (self.heard)(&[Change::everything()]);
            }
        }
    }
}
