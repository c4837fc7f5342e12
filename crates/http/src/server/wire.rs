//! The [`Wire`]: a client's socket as the HTTP layer sees it, with what that layer lacks.
//!
//! A client that does not read is given up after a while. What the HTTP layer refuses by itself, without a body, is noted instead of
//! being written: the server then writes a failure like any other ([`Wire::refuse`]). And a socket is closed so that the client
//! sees the last answer, also when it is still sending ([`Wire::close`]).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use dogwatch_store::rules::Code;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::api::{identified, new_id};
use crate::error::Failure;
use crate::server::turn::pay_for_bytes;

/// How long a client that is still sending may take to notice that its connection is closed, and how much it may send meanwhile.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 << 20;
/// The most bytes that are written at once: no more than half of a turn.
const LARGEST_WRITE: usize = 64 << 10;

/// How far the head of the next request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Nothing,
    /// Its first line has no end yet.
    FirstLine,
    More,
}

/// What a client's socket is: the socket itself, or TLS over it.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Socket for S {}

/// A client's socket.
pub(super) struct Wire<S> {
    stream: S,
    write_time: Duration,
    /// Since when nothing could be written, while that is so.
    stuck: Option<Pin<Box<Sleep>>>,
    head: Head,
    /// What the HTTP layer has refused.
    refused: Option<Code>,
}

impl<S: Socket> Wire<S> {
    pub(super) fn new(stream: S, write_time: Duration) -> Self {
        Self { stream, write_time, stuck: None, head: Head::Nothing, refused: None }
    }

    /// What the HTTP layer has refused, without a word so far; `late` says that it has waited for a head for too long.
    pub(super) fn refused(&self, late: bool) -> Option<Code> {
        let late = late && self.head != Head::Nothing;
        self.refused.or(late.then_some(Code::RequestTimeout))
    }

    /// Writes a failure, after which the connection is closed.
    pub(super) async fn refuse(&mut self, code: Code, message: &str) {
        let (id, failure) = (new_id(), Failure::new(code, message));
        let body = identified(failure.body().to_string().as_bytes(), &id);
        let reason = axum::http::StatusCode::from_u16(failure.status()).ok().and_then(|it| it.canonical_reason());
        let retry = failure.retry_after().map(|after| format!("retry-after: {after}\r\n"));
        let head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\nx-request-id: {id}\r\n{}connection: close\r\ncontent-length: {}\r\n\r\n",
            failure.status(),
            reason.unwrap_or_default(),
            retry.unwrap_or_default(),
            body.len(),
        );
        // Who does not read it has lost it.
        let _ = timeout(LINGER, self.stream.write_all(&[head.as_bytes(), &body].concat())).await;
    }

    /// Closes the connection. What the client is still sending is read for a while: a socket that is closed with unread input takes
    /// the last answer with it.
    pub(super) async fn close(mut self) {
        if timeout(LINGER, self.stream.shutdown()).await.is_err() {
            return;
        }
        let (until, mut left, mut sink) = (Instant::now() + LINGER, LINGER_BYTES, [0; 8 << 10]);
        while left > 0 {
            match tokio::time::timeout_at(until, self.stream.read(&mut sink)).await {
                Ok(Ok(read)) if read > 0 => left = left.saturating_sub(read),
                _ => return,
            }
        }
    }
}

/// Where a response stands that the HTTP layer makes of what it cannot read, and the code for it: it has no body and no request id.
fn bare_refusal(written: &[u8]) -> Option<(usize, u16)> {
    let last = written.strip_suffix(b"\r\n\r\n")?;
    let begins = last.windows(9).rposition(|part| part == b"HTTP/1.1 ")?;
    let response = last.get(begins..)?;
    let has = |name: &[u8]| response.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name));
    let status = std::str::from_utf8(response.get(9..12)?).ok()?.parse().ok()?;
    (matches!(status, 400 | 414 | 431) && !has(b"\r\nx-request-id:")).then_some((begins, status))
}

impl<S: Socket> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().get(before..).unwrap_or_default();
        pay_for_bytes(cx, read.len());
        if !read.is_empty() && self.head != Head::More {
            self.head = if read.contains(&b'\n') { Head::More } else { Head::FirstLine };
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Socket> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut buf = buf;
        match bare_refusal(buf) {
            Some((0, status)) => {
                self.refused = Some(match status {
                    _ if status != 400 && self.head == Head::FirstLine => Code::UriTooLong,
                    414 => Code::UriTooLong,
                    431 => Code::HeadersTooLarge,
                    _ => Code::MalformedRequest,
                });
                return Poll::Ready(Ok(buf.len()));
            }
            // What comes before it is the answer to an earlier request.
            Some((begins, _)) => buf = buf.get(..begins).unwrap_or(buf),
            None => {}
        }
        self.head = Head::Nothing;
        let buf = buf.get(..LARGEST_WRITE).unwrap_or(buf);
        if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, buf) {
            self.stuck = None;
            pay_for_bytes(cx, *written.as_ref().unwrap_or(&0));
            return Poll::Ready(written);
        }
        if !has_budget_remaining() {
            // It is this connection's turn that has ended; the client may well read.
            return Poll::Pending;
        }
        let most = self.write_time;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(most)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_http_layer_is_told_from_an_answer() {
        let bare = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let answer = "HTTP/1.1 200 OK\r\nx-request-id: 1\r\ncontent-length: 2\r\n\r\n{}";
        let ours = "HTTP/1.1 400 Bad Request\r\nX-Request-Id: 1\r\ncontent-length: 0\r\n\r\n";
        let head = "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        let inside = "HTTP/1.1 200 OK\r\nx-request-id: 1\r\n\r\n{\"a\":\"HTTP/1.1 400 \"}\r\n\r\n";
        for (written, expected) in [
            (bare.to_owned(), Some((0, 400))),
            (head.to_owned(), Some((0, 431))),
            (answer.to_owned(), None),
            (ours.to_owned(), None),
            (format!("{answer}{bare}"), Some((answer.len(), 400))),
            (format!("{bare}x"), None),
            ("\r\n\r\n".to_owned(), None),
            ("HTTP/1.1 \r\n\r\n".to_owned(), None),
        ] {
            assert_eq!(bare_refusal(written.as_bytes()), expected, "{written}");
        }
        // A body of ours never ends like a head, and never has such a line: JSON escapes what ends one.
        assert!(bare_refusal(inside.as_bytes()).is_some());
    }
}
