//! The socket with its two buffers.

use std::io;

use bytes::{Buf, BytesMut};
use lakeport_base::limits::MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::fault::{Fault, Flow};
use crate::message::{Frame, violation};
use crate::reply::Replies;

/// Bytes of waiting replies at which they are sent before more are made.
pub(crate) const SEND_AT_BYTES: usize = 64 << 10;
/// Bytes that a client may send ahead while its statement runs; more stay in the socket.
const READ_AHEAD_BYTES_MAX: usize = 64 << 10;
/// Room for one read from the socket.
const READ_BYTES: usize = 8 << 10;
/// Tag and length.
const FRAME_HEADER_BYTES: usize = 5;

/// A byte stream: a TCP connection, with or without TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A client's connection as messages. Every method may be dropped half way without losing bytes.
pub(crate) struct Link {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) input: BytesMut,
    pub(crate) out: Replies,
}

impl Link {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Link {
        Link { stream, input: BytesMut::new(), out: Replies::default() }
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
        let Some(header) = self.input.first_chunk::<FRAME_HEADER_BYTES>() else { return Ok(None) };
        let [tag, length @ ..] = *header;
        // The length counts itself and not the tag.
        let length = u32::from_be_bytes(length) as usize;
        if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(Fault::Fatal(violation(format!("invalid message length {length}"))));
        }
        if self.input.len() < length + 1 {
            return Ok(None);
        }
        let mut frame = self.input.split_to(length + 1);
        frame.advance(FRAME_HEADER_BYTES);
        Ok(Some(Frame { tag, body: frame.freeze() }))
    }

    /// The tag of the next message, once its first byte is here.
    pub(crate) fn next_tag(&self) -> Option<u8> {
        self.input.first().copied()
    }

    /// Reads what has come; waits for at least one byte.
    pub(crate) async fn fill(&mut self) -> Flow {
        self.input.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(Fault::Gone),
            _ => Ok(()),
        }
    }

    /// Whether reading ahead is still allowed.
    pub(crate) fn may_read_ahead(&self) -> bool {
        self.input.len() < READ_AHEAD_BYTES_MAX
    }

    /// Sends all replies; waits while the client does not take them.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.out.buffer.has_remaining() {
            if self.stream.write_buf(&mut self.out.buffer).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        self.stream.flush().await
    }
}
