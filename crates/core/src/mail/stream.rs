//! The connection to a mail server, as far as it can be trusted before TLS: not at all.
//!
//! What is read is handed on a line at a time, so that nothing the server (or somebody on the way) sent behind its answer to STARTTLS
//! waits in a buffer and is taken for an answer from inside TLS (CVE-2011-0411 and its kin): it goes to the TLS handshake, which ends
//! there. And there is a bound on what is read at all.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes that a server may say in one connection: a few lines a mail, and its certificates.
const BUDGET: usize = 8 * 1024 * 1024;
/// Bytes read from the socket at once.
const CHUNK: usize = 4096;

/// A connection that hands on one line at a time.
#[derive(Debug)]
pub(super) struct Lines {
    socket: TcpStream,
    /// Read, not handed on yet.
    waiting: Vec<u8>,
    left: usize,
}

impl Lines {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, waiting: Vec::new(), left: BUDGET }
    }

    fn fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; CHUNK];
        let mut read = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut read))?;
        self.left = self
            .left
            .checked_sub(read.filled().len())
            .ok_or_else(|| io::Error::other("the mail server says more than any has to"))?;
        self.waiting.extend_from_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Lines {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waiting.is_empty() {
            ready!(self.fill(context))?;
        }
        let line = self.waiting.iter().position(|byte| *byte == b'\n').map_or(self.waiting.len(), |at| at + 1);
        let given = line.min(wanted.remaining());
        wanted.put_slice(&self.waiting[..given]);
        self.waiting.drain(..given);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lines {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Lines {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}
