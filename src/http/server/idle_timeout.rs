//! The idle timeout of a connection.
//!
//! The timeout of the HTTP server does not cover a client that never selects a protocol, an HTTP/2
//! client that only answers pings, or one that requests much and reads nothing. It also costs a
//! timer for each request. This code never waits or allocates: a request costs a few relaxed
//! additions.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What the operating system buffers for a slow client, in addition to what is in transit.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 64 * 1024;

/// How often a connection is checked before it is closed.
const LOOKS: u32 = 4;

/// Counts of one connection.
#[derive(Default)]
pub(in crate::http) struct Activity {
    /// Requests so far.
    begun: AtomicU64,
    /// Requests whose response body is not sent completely.
    open: AtomicU64,
    /// Those of them that wait for the gateway: for the head, or for more of the body.
    ours: AtomicU64,
    /// How often the client read something.
    taken: AtomicU64,
    /// Whether written data waits for the client to read it.
    full: AtomicBool,
}

impl Activity {
    pub(in crate::http) fn begin(self: &Arc<Self>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        self.ours.fetch_add(1, Ordering::Relaxed);
        UnderWay { activity: Arc::clone(self), is_ours: true }
    }

    /// Completes if, for at least this long, nothing was requested, nothing waited for the gateway,
    /// and nothing was read.
    pub(in crate::http) async fn ceases(&self, for_at_least: Duration) {
        let mut quiet = 0;
        while quiet < LOOKS {
            quiet = if self.goes_on(for_at_least / LOOKS).await { 0 } else { quiet + 1 };
        }
    }

    /// Whether there is progress within that time.
    async fn goes_on(&self, within: Duration) -> bool {
        let (begun, taken) = (self.begun.load(Ordering::Relaxed), self.taken.load(Ordering::Relaxed));
        let (waited_for_us, had_to_take) = (self.waits_for_us(), self.has_to_take());
        tokio::time::sleep(within).await;
        let asked = self.begun.load(Ordering::Relaxed) != begun;
        // The answers to pings alone are no progress.
        let took = (had_to_take || self.has_to_take()) && self.taken.load(Ordering::Relaxed) != taken;
        asked || waited_for_us || self.waits_for_us() || took
    }

    fn waits_for_us(&self) -> bool {
        self.ours.load(Ordering::Relaxed) > 0
    }

    fn has_to_take(&self) -> bool {
        self.full.load(Ordering::Relaxed) || self.open.load(Ordering::Relaxed) > 0
    }
}

/// A request of a connection, until it is dropped.
pub(in crate::http) struct UnderWay {
    activity: Arc<Activity>,
    is_ours: bool,
}

impl UnderWay {
    /// The head is sent; the request is in progress until its body is sent, too.
    pub(in crate::http) fn until_sent(mut self, body: Body) -> WatchedBody {
        self.is_ours(false);
        WatchedBody { body, under_way: self }
    }

    fn is_ours(&mut self, is_ours: bool) {
        match (self.is_ours, is_ours) {
            (false, true) => self.activity.ours.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.activity.ours.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
        self.is_ours = is_ours;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.is_ours(false);
        self.activity.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that records who must act next: the gateway while more data is expected, the client once
/// a chunk was sent.
pub(in crate::http) struct WatchedBody {
    body: Body,
    under_way: UnderWay,
}

impl hyper::body::Body for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.under_way.is_ours(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's stream that records when the client reads.
pub(in crate::http) struct WatchedStream {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl WatchedStream {
    pub(in crate::http) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        // Else megabytes wait in the operating system, and for a long time nobody sees whether any are taken.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES);
        Self { stream, activity }
    }

    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if polled.is_pending() {
            self.activity.full.store(true, Ordering::Relaxed);
        }
        let written = ready!(polled)?;
        self.activity.taken.fetch_add(1, Ordering::Relaxed);
        self.activity.full.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
