//! The socket with its two buffers.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use lakeport_base::limits::{CLIENT_STALL_MAX, HANDSHAKE_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;
use tokio_util::io::{poll_read_buf, poll_write_buf};

use crate::fault::{Fault, Flow};
use crate::message::Frame;
use crate::reply::Replies;
use crate::socket::Socket;

/// Bytes of waiting replies at which they are sent before more are made.
pub(crate) const SEND_AT_BYTES: usize = 64 << 10;
/// Bytes that a client may send ahead while its statement runs; more stay in the socket.
const READ_AHEAD_BYTES_MAX: usize = 64 << 10;
/// Room made for one read, and the largest buffer kept while there is nothing in it.
const READ_BYTES: usize = 8 << 10;
const KEPT_BYTES_MAX: usize = 256 << 10;

/// A byte stream: a TCP connection, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A client's connection as messages. Every method may be dropped half way without losing bytes.
pub(crate) struct Link {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) input: BytesMut,
    pub(crate) out: Replies,
    /// Below `stream`.
    socket: Socket,
    /// Longest message taken.
    message_bytes_max: usize,
    /// Ends when the client has not taken a byte for too long.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Link {
    /// The link to a client that has not proved who it is.
    pub(crate) fn new(socket: Socket) -> Link {
        Link {
            stream: Box::new(socket.clone()),
            input: BytesMut::new(),
            out: Replies::default(),
            socket,
            message_bytes_max: HANDSHAKE_MESSAGE_BYTES_MAX,
            stall: None,
        }
    }

    /// Takes messages as long as statements may be.
    pub(crate) fn trust(&mut self) {
        self.message_bytes_max = MESSAGE_BYTES_MAX;
    }

    /// The next message; waits for it.
    ///
    /// # Errors
    /// The client is gone, or sent a length that no message has.
    pub(crate) async fn frame(&mut self) -> Flow<Frame> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// The next message if all of it is here.
    pub(crate) fn buffered_frame(&mut self) -> Flow<Option<Frame>> {
        let frame = Frame::take(&mut self.input, self.message_bytes_max).map_err(Fault::Fatal)?;
        if self.input.is_empty() && frame.as_ref().is_some_and(|frame| frame.body.len() > KEPT_BYTES_MAX) {
            // It would keep the memory of the long message.
            self.input = BytesMut::new();
        }
        Ok(frame)
    }

    /// The tag of the next message, once its first byte is here.
    pub(crate) fn next_tag(&self) -> Option<u8> {
        self.input.first().copied()
    }

    /// Reads what has come; waits for at least one byte.
    pub(crate) async fn fill(&mut self) -> Flow {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Whether reading ahead is still allowed.
    pub(crate) fn may_read_ahead(&self) -> bool {
        self.input.len() < READ_AHEAD_BYTES_MAX
    }

    /// Whether so many replies wait that the client must take some before more are made.
    pub(crate) fn is_full(&self) -> bool {
        self.out.buffer.len() >= SEND_AT_BYTES
    }

    /// Sends all replies; waits while the client does not take them.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Waits for the client: until all replies are sent (if `send`), some of its bytes have come (if `read`), or it has
    /// gone.
    pub(crate) async fn exchange(&mut self, send: bool, read: bool) -> Flow {
        let send = send && self.out.buffer.has_remaining();
        let socket = (!read).then(|| self.socket.clone());
        let exchanged = poll_fn(|cx| {
            if send && let Poll::Ready(sent) = self.poll_flush(cx) {
                return Poll::Ready(sent.map_err(Fault::from));
            }
            if read { self.poll_fill(cx) } else { Poll::Pending }
        });
        match socket {
            None => exchanged.await,
            Some(socket) => tokio::select! {
                biased;
                exchanged = exchanged => exchanged,
                () = socket.hung_up() => Err(Fault::Gone),
            },
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Flow> {
        self.input.reserve(READ_BYTES);
        match ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input))? {
            0 => Poll::Ready(Err(Fault::Gone)),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.out.buffer.has_remaining() {
            match poll_write_buf(Pin::new(&mut self.stream), cx, &mut self.out.buffer)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(_) => self.stall = None,
                Poll::Pending => return self.poll_stall(cx),
            }
        }
        self.out.urgent = false;
        if self.out.buffer.capacity() > KEPT_BYTES_MAX {
            self.out.buffer = BytesMut::new();
        }
        match Pin::new(&mut self.stream).poll_flush(cx)? {
            Poll::Ready(()) => {
                self.stall = None;
                Poll::Ready(Ok(()))
            }
            Poll::Pending => self.poll_stall(cx),
        }
    }

    /// The client takes nothing: waits for it, but not for ever.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLIENT_STALL_MAX)));
        stall.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}
