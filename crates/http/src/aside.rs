//! Reading large bodies [`Aside`]: on threads of their own, as many as half of the processors, which may give way to those that serve connections.
//!
//! To read 1 MiB of JSON takes milliseconds. On the threads that serve connections, others would wait for it; on threads that are as
//! important, the operating system would let others wait for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, available_parallelism};
use std::time::Duration;

use dogwatch_store::give_way;
use dogwatch_store::rules::Code;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::error::Failure;

/// The most bytes of a body that is read at once, which takes less than a millisecond.
const SMALL: usize = 16 << 10;
/// How long a larger one waits until it is read.
const TURN: Duration = Duration::from_secs(10);

type Reading = Box<dyn FnOnce() + Send>;

/// Threads that read large bodies, started with the first one, ended when this is dropped.
pub(crate) struct Aside {
    threads: usize,
    gives_way: bool,
    /// One for each thread that reads nothing: what waits is with whoever waits for it, and goes with them.
    free: Arc<Semaphore>,
    running: Mutex<Option<Running>>,
}

struct Running {
    queue: Sender<Reading>,
    threads: Vec<JoinHandle<()>>,
}

impl Aside {
    /// With threads that give way, or are as important as those that serve connections.
    pub(crate) fn new(gives_way: bool) -> Self {
        let threads = available_parallelism().map_or(1, |all| all.get().div_ceil(2));
        Self { threads, gives_way, free: Arc::new(Semaphore::new(threads)), running: Mutex::default() }
    }

    /// Reads a body of so many bytes: one that takes long, there. What was begun is read to its end, though nobody waits for it.
    ///
    /// # Errors
    /// `overloaded` when others are read for too long before it.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        bytes: usize,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        if bytes <= SMALL {
            return Ok(read());
        }
        let queue = self.queue()?;
        let turn = timeout(TURN, Arc::clone(&self.free).acquire_owned()).await;
        let turn = turn.map_err(|_| Failure::new(Code::Overloaded, "too many large bodies are being read"))?;
        let (done, is_done) = oneshot::channel();
        let runtime = Handle::current();
        let reading = Box::new(move || {
            let _turn = turn;
            // What is read may be handed on to tasks at once.
            let _runtime = runtime.enter();
            let _ = done.send(read());
        });
        // Without an answer, reading has failed.
        queue.send(reading).map_err(|_| Failure::internal())?;
        is_done.await.map_err(|_| Failure::internal())
    }

    /// Where readings are put; starts the threads, unless they run.
    fn queue(&self) -> Result<Sender<Reading>, Failure> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            return Ok(running.queue.clone());
        }
        let (queue, waiting) = mpsc::channel();
        let (waiting, gives_way) = (Arc::new(Mutex::new(waiting)), self.gives_way);
        let start = |_| {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new().name("dogwatch-body".to_owned()).spawn(move || run(&waiting, gives_way))
        };
        // All of them, or the next body tries again: those that were started end.
        let threads = (0..self.threads).map(start).collect::<Result<_, _>>().map_err(|why| {
            tracing::error!(%why, "a thread that reads large bodies cannot be started");
            Failure::internal()
        })?;
        Ok(running.insert(Running { queue, threads }).queue.clone())
    }
}

impl Drop for Aside {
    /// What is being read may hold the engine, which is closed only then.
    fn drop(&mut self) {
        let Some(Running { queue, threads }) = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take()
        else {
            return;
        };
        drop(queue);
        for thread in threads {
            // A defect was caught within.
            let _ = thread.join();
        }
    }
}

fn run(waiting: &Mutex<Receiver<Reading>>, gives_way: bool) {
    if gives_way {
        give_way();
    }
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(reading) = next else { return };
        // A defect in one must not end the thread; its caller gets `internal_error`.
        let _ = catch_unwind(AssertUnwindSafe(reading));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = SMALL + 1;

    #[tokio::test]
    async fn it_reads_in_turn_and_survives_a_defect() {
        let aside = Aside::new(true);
        assert_eq!(aside.read(LARGE, || tokio::spawn(async { 1 })).await.unwrap().await.unwrap(), 1);
        let failed = aside.read(LARGE, || panic!("a defect")).await.map(|(): ()| ()).unwrap_err();
        assert_eq!(failed.code, Code::Internal);
        assert_eq!(
            aside.read(LARGE, || thread::current().name().map(str::to_owned)).await.unwrap().unwrap(),
            "dogwatch-body"
        );
    }

    /// Whoever goes away leaves what is being read to its end, and nothing that waits.
    #[tokio::test]
    async fn what_nobody_waits_for_is_not_read() {
        let aside = Arc::new(Aside::new(true));
        let (goes_on, waits) = mpsc::channel::<()>();
        let waits = Arc::new(Mutex::new(waits));
        let busy: Vec<_> = (0..aside.threads)
            .map(|_| {
                let (aside, waits) = (Arc::clone(&aside), Arc::clone(&waits));
                tokio::spawn(async move { aside.read(LARGE, move || waits.lock().unwrap().recv().is_err()).await })
            })
            .collect();
        let late = timeout(Duration::from_millis(50), aside.read(LARGE, || panic!("it is read"))).await;
        assert!(late.map(|answer: Result<(), _>| answer.is_ok()).is_err());
        drop(goes_on);
        for busy in busy {
            assert!(busy.await.unwrap().unwrap());
        }
        assert!(aside.read(LARGE, || true).await.unwrap());
    }
}
