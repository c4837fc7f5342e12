//! How long a connection has its turn on a thread: for about so many bytes, or so many requests of HTTP/1.1, before others have theirs.
//!
//! Tokio gives a task a budget of 128 operations, of which one may read 64 KiB or answer a request. Here an operation pays for what it has done, so that
//! one connection that sends a large body, or many requests at once, does not make the others wait until all of it is done. A request of HTTP/2 is a task
//! of its own, with turns of its own.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::task::coop::{has_budget_remaining, poll_proceed};

/// The bytes that one unit of the budget pays for: a turn ends once 128 KiB are paid for.
const BYTES: usize = 1 << 10;
/// What a request pays: four are a turn.
const REQUEST: usize = 32;

/// Pays for bytes that were read or written.
pub(super) fn pay_for_bytes(cx: &mut Context<'_>, bytes: usize) {
    pay(cx, bytes / BYTES);
}

/// Pays for a request.
pub(super) async fn pay_for_request() {
    poll_fn(|cx| {
        pay(cx, REQUEST);
        Poll::Ready(())
    })
    .await;
}

/// When there is nothing left, the next operation waits for the next turn.
fn pay(cx: &mut Context<'_>, units: usize) {
    for _ in 0..units {
        if !has_budget_remaining() {
            return;
        }
        if let Poll::Ready(unit) = poll_proceed(cx) {
            unit.made_progress();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::yield_now;

    use super::*;
    use crate::server::wire::Wire;

    /// Whoever has sent much does not keep others waiting until all of it is read.
    #[tokio::test]
    async fn connections_take_turns() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let sent = tokio::spawn(async move { client.write_all(&vec![0; 4 << 20]).await });
        let turns = Arc::new(Mutex::new(vec![0]));
        let reads = {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move {
                let (mut wire, mut piece) = (Wire::new(stream, std::time::Duration::from_secs(9)), vec![0; 64 << 10]);
                loop {
                    let read = wire.read(&mut piece).await.unwrap();
                    if read == 0 {
                        return;
                    }
                    *turns.lock().unwrap().last_mut().unwrap() += read;
                }
            })
        };
        while !reads.is_finished() {
            yield_now().await;
            turns.lock().unwrap().push(0);
        }
        sent.await.unwrap().unwrap();
        let turns = turns.lock().unwrap();
        assert_eq!(turns.iter().sum::<usize>(), 4 << 20);
        assert!(turns.iter().all(|read| *read <= 192 << 10), "{turns:?}");
    }

    /// Nor whoever is sent much.
    #[tokio::test]
    async fn a_large_answer_takes_turns() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let read = tokio::spawn(async move { client.read_to_end(&mut Vec::new()).await });
        let (turns, other) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let writes = {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move {
                let mut wire = Wire::new(stream, std::time::Duration::from_secs(9));
                let mut writing = std::pin::pin!(wire.write_all(&[0; 1 << 20]));
                poll_fn(|cx| {
                    *turns.lock().unwrap() += 1;
                    writing.as_mut().poll(cx)
                })
                .await
            })
        };
        while !writes.is_finished() {
            yield_now().await;
            *other.lock().unwrap() += 1;
        }
        writes.await.unwrap().unwrap();
        assert_eq!(read.await.unwrap().unwrap(), 1 << 20);
        assert!(*turns.lock().unwrap() >= 8 && *other.lock().unwrap() >= 8);
    }

    #[tokio::test]
    async fn requests_take_turns() {
        let (count, most) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let asks = {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                for _ in 0..100 {
                    // As an operation of the connection.
                    tokio::task::consume_budget().await;
                    pay_for_request().await;
                    *count.lock().unwrap() += 1;
                }
            })
        };
        while !asks.is_finished() {
            yield_now().await;
            let now = std::mem::take(&mut *count.lock().unwrap());
            let mut most = most.lock().unwrap();
            *most = now.max(*most);
        }
        assert_eq!(*most.lock().unwrap(), 4);
    }
}
