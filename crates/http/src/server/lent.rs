//! The [`Lent`] body: a request's body that the server takes back when the answer is there before the body has been read.
//!
//! To drop a body that is still arriving tells the client to stop, and clients take that for a failure and never look at the
//! answer. So the rest is read and thrown away, for a while.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// How long the rest of a body is read, and how much of it.
const LONGEST: Duration = Duration::from_secs(5);
const MOST: usize = 8 << 20;

/// A body that is read by whoever answers the request.
pub(super) struct Lent(Arc<Mutex<Option<Incoming>>>);

/// The server's hold on it.
pub(super) struct Lender(Arc<Mutex<Option<Incoming>>>);

fn lock(body: &Mutex<Option<Incoming>>) -> MutexGuard<'_, Option<Incoming>> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lends a body.
pub(super) fn lend(body: Incoming) -> (Lent, Lender) {
    let body = Arc::new(Mutex::new(Some(body)));
    (Lent(Arc::clone(&body)), Lender(body))
}

impl Lender {
    /// Takes the body back, and reads what is left of it in the background. Whether there is anything left.
    pub(super) fn take_back(self) -> bool {
        let Some(mut body) = lock(&self.0).take().filter(|body| !body.is_end_stream()) else { return false };
        let drain = async move {
            let mut read = 0_usize;
            while let Some(Ok(frame)) = body.frame().await {
                read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len));
                if read > MOST {
                    return;
                }
            }
        };
        tokio::spawn(tokio::time::timeout(LONGEST, drain));
        true
    }
}

impl Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *lock(&self.0) {
            Some(body) => Pin::new(body).poll_frame(cx),
            // It was taken back, so nobody waits for it.
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
