//! The accept loop: sockets in, HTTP/1.1 over the [`Edge`], and an orderly end.
//!
//! Here stand the limits that are about connections, not about requests (contract 16): how many there are, how long a header may
//! take, how long an idle one is kept. hyper's own ceilings lie above those of the edge; where one is met all the same, its bare
//! 414 or 431 is replaced by ours on the way out. What a slow client makes us hold of its head is bounded for each and in all.

mod head;
mod seats;
mod socket;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{BoxError, body::Body};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    sync::{Semaphore, watch},
};

use self::{
    seats::Seats,
    socket::{Line, Refuse, Socket},
};
use crate::edge::{Backend, Edge, MAX_HEADER_BYTES, MAX_URL};

/// Connections in all.
const MAX_CONNECTIONS: u32 = 10_000;
/// Bytes of a request head that hyper still parses: just above the limits of the edge, with room for the method and the line ends.
const PARSER_BYTES: usize = MAX_URL + MAX_HEADER_BYTES + 4 * 1024;
/// What a head holds at most: the parser's buffer grows to a power of two.
const LARGE_HEAD: usize = PARSER_BYTES.next_power_of_two();
/// Bytes that large heads hold at once; one more is 503. With this, as many connections as there are places hold less than 512 MiB,
/// whatever they send and how slowly.
const LARGE_HEADS: usize = 128 * 1024 * 1024;
/// Connections that the system may hold for us; as many at most are still taken once the server stops.
const BACKLOG: u32 = 1024;
/// How long the next of them is waited for.
const LAST_COME: Duration = Duration::from_millis(2);
/// How long accepted requests may take to finish once the server stops.
const DRAIN: Duration = Duration::from_secs(30);

/// Listens on `host` (an address or a name that resolves to some: the first that can be had).
///
/// # Errors
/// Those of the system: the address is taken, not ours, or not allowed.
pub async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut failed = None;
    for address in lookup_host((host.trim_start_matches('[').trim_end_matches(']'), port)).await? {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the name leads to no address")))
}

/// As the runtime would, but for the backlog: its own is 128, and of connections past it each is tried again after a second or three.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of a process that has just ended do not keep the next one from starting. Elsewhere this would share the port.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` is ready, then lets accepted requests finish (30 s at most) and returns.
pub async fn serve<S: Backend>(listener: TcpListener, edge: Edge<S>, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let seats = Seats::default();
    let large_heads = Arc::new(Semaphore::new(LARGE_HEADS / LARGE_HEAD));
    let (stopping, stopped) = watch::channel(());
    let mut waiting = Waiting { stop: pin!(stop), left: None };
    while let Some(accepted) = waiting.next(&listener).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a connection that went away before it was taken.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let counted = !edge.settings().address.proxies.trusts_peer(peer.ip());
        let Some(seat) = seats.take(peer.ip(), counted) else {
            tracing::debug!(%peer, "too many connections of one address");
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            turn_away(&stream, &edge);
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "a connection was gone before it was served");
            continue;
        }
        let line = Line::new(peer);
        let socket = Socket::new(stream, Arc::clone(&line), refusals(edge.clone()), Arc::clone(&large_heads));
        let connection = connection(socket, line, edge.clone(), stopped.clone());
        tokio::spawn(async move {
            connection.await;
            drop((place, seat));
        });
    }
    drop(listener);
    drop(stopping);
    if tokio::time::timeout(DRAIN, places.acquire_many(MAX_CONNECTIONS)).await.is_err() {
        tracing::warn!("requests were still running when the time to finish them was over");
    }
}

/// Who waits for a place, until the server stops; then those who had come by then, and nobody after them.
struct Waiting<'f, F> {
    stop: Pin<&'f mut F>,
    /// How many more are taken, once the server stops.
    left: Option<u32>,
}

impl<F: Future<Output = ()>> Waiting<'_, F> {
    async fn next(&mut self, listener: &TcpListener) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        if self.left.is_none() {
            tokio::select! {
                biased;
                () = &mut self.stop => self.left = Some(BACKLOG),
                accepted = listener.accept() => return Some(accepted),
            }
        }
        // The system has taken these connections already, perhaps with their requests: closing the listener would reset them.
        self.left = self.left.and_then(|left| left.checked_sub(1));
        self.left?;
        tokio::time::timeout(LAST_COME, listener.accept()).await.ok().filter(Result::is_ok)
    }
}

/// What the socket itself answers.
fn refusals<S: Backend>(edge: Edge<S>) -> Refuse {
    Box::new(move |status| {
        let response = match status {
            StatusCode::SERVICE_UNAVAILABLE => Some(edge.overloaded()),
            _ => edge.too_large(status),
        };
        response.map(written)
    })
}

/// Serves one connection to its end.
async fn connection<S: Backend>(socket: Socket, line: Arc<Line>, edge: Edge<S>, mut stopped: watch::Receiver<()>) {
    let socket = TokioIo::new(socket);
    let service = service_fn(move |request| {
        let (edge, line) = (edge.clone(), Arc::clone(&line));
        // On the heap: hyper keeps room for it with every connection, also with those that only wait. The place comes first: what is
        // made in it need not be copied there.
        let place = Box::new_uninit();
        let answered = async move { Ok::<_, Infallible>(answer(&edge, line, request).await) };
        Box::into_pin(Box::write(place, answered))
    });
    let mut builder = http1::Builder::new();
    builder.max_buf_size(PARSER_BYTES).header_read_timeout(None);
    let mut connection = pin!(builder.serve_connection(socket, service).with_upgrades());
    let ended = {
        // The sender is dropped when the server stops. Asked once, it wakes this task; asking again with every request would be a
        // lock that all connections share.
        let (stop, mut asked) = (stopped.clone(), false);
        let mut stopped = pin!(stopped.changed());
        poll_fn(|context| {
            if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                return Poll::Ready(Some(ended));
            }
            if std::mem::replace(&mut asked, true) && stop.has_changed().is_ok() {
                return Poll::Pending;
            }
            stopped.as_mut().poll(context).map(|_| None)
        })
        .await
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer<S: Backend>(edge: &Edge<S>, line: Arc<Line>, request: Request<Incoming>) -> Response<Reply> {
    let busy = Busy::new(&line);
    let sound = line.take_head(request.headers());
    let response =
        if sound { edge.answer(&line.connection, request).await } else { edge.malformed(&line.connection, request) };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        line.upgrade();
    }
    response.map(|body| Reply { body, _busy: busy })
}

/// A request is under way on a connection as long as this lives: until its answer has been handed over.
struct Busy(Arc<Line>);

impl Busy {
    fn new(line: &Arc<Line>) -> Self {
        line.begin();
        Self(Arc::clone(line))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The body of an answer.
struct Reply {
    body: Body,
    _busy: Busy,
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Tells a connection beyond the last place to come back later. Nothing is read from it and nothing waited for.
fn turn_away<S: Backend>(stream: &TcpStream, edge: &Edge<S>) {
    let text = written(edge.overloaded());
    // A fresh socket has room for this; if it has not, closing says enough.
    if let Err(error) = stream.try_write(&text) {
        tracing::debug!(%error, "a connection could not be told that there are too many");
    }
}

/// An answer as it goes over the wire, where hyper does not write it. The connection ends with it.
fn written(response: Response<Body>) -> Bytes {
    let (parts, body) = response.into_parts();
    let body =
        body.collect().now_or_never().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut text = BytesMut::with_capacity(1024);
    let reason = parts.status.canonical_reason().unwrap_or_default();
    text.put_slice(format!("HTTP/1.1 {} {reason}\r\nconnection: close\r\n", parts.status.as_u16()).as_bytes());
    for (name, value) in &parts.headers {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
    text.put_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    text.put_slice(&body);
    text.freeze()
}

#[cfg(test)]
mod tests;
