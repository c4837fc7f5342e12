//! The threads that answer queries for those who await them: started with the first such query, ended with the engine.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dogwatch_core::{Actor, Error as Refusal, Query, ask};

use crate::commit::pending::{Pending, pending};
use crate::commit::queue::Queue;
use crate::commit::writer::{Shared, lane_of};
use crate::engine::Engine;
use crate::error::Error;
use crate::priority::give_way;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Arc, Mutex, PoisonError};
use crate::trace;

/// The most threads. A query takes microseconds, so a few do for many tasks.
const THREADS: usize = 4;

type Question = Box<dyn FnOnce(&Shared) + Send>;

/// The threads of an engine, and the queries that wait for one.
pub(crate) struct Readers {
    queue: Arc<Queue<Question>>,
    wanted: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    pub(crate) fn new(capacity: usize) -> Self {
        let wanted = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        Self { queue: Arc::new(Queue::new(capacity)), wanted, threads: Mutex::default() }
    }

    /// Starts the threads, unless they run already.
    fn start(&self, shared: &Arc<Shared>) -> Result<(), Error> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while threads.len() < self.wanted {
            let (queue, shared) = (Arc::clone(&self.queue), Arc::clone(shared));
            let run = move || {
                // What is asked here may take long, and others wait for what does not.
                give_way();
                while let Some(questions) = queue.take(1) {
                    for question in questions {
                        // A defect in one query must not end the thread; its caller gets `outcome_unknown`.
                        let _ = catch_unwind(AssertUnwindSafe(|| question(&shared)));
                    }
                }
            };
            match thread::Builder::new().name("dogwatch-reader".to_owned()).spawn(run) {
                Ok(thread) => threads.push(thread),
                // One is enough to go on.
                Err(_) if !threads.is_empty() => break,
                Err(why) => return Err(Refusal::broken(format!("cannot start a thread: {why}")).into()),
            }
        }
        Ok(())
    }

    /// Ends the threads, once they have answered what waits.
    pub(crate) fn end(&self) {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // When a waker holds the last handle of the engine, it is dropped in one of these threads.
        let here = thread::current().id();
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != here) {
            // A thread does not panic; if it did, its callers were answered.
            let _ = thread.join();
        }
    }
}

impl Engine {
    /// As [`Engine::query`], but returns at once: the answer can be awaited, without blocking the executor, or waited for.
    ///
    /// Dropping the future takes nothing back and leaves nothing behind: a query changes nothing.
    ///
    /// # Errors
    /// `overloaded` when as many queries wait as commands may; `internal_error` when no thread can be started. Everything else
    /// comes with the answer.
    pub fn submit_query<Q: Query>(&self, query: Q, actor: &Actor) -> Result<Pending<Q::Reply>, Error> {
        self.submit_query_then(query, actor, |reply| reply)
    }

    /// As [`Engine::submit_query`], and the thread that answers it makes something of the reply, such as the bytes to send.
    ///
    /// # Errors
    /// As [`Engine::submit_query`].
    pub fn submit_query_then<Q: Query, R: Send + 'static>(
        &self,
        query: Q,
        actor: &Actor,
        then: impl FnOnce(Result<Q::Reply, Error>) -> Result<R, Error> + Send + 'static,
    ) -> Result<Pending<R>, Error> {
        let (shared, readers) = self.readers();
        readers.start(shared)?;
        let (promise, answer) = pending();
        let actor = *actor;
        let question: Question = Box::new(move |shared| {
            // Whoever asked may have given up while it waited.
            if !promise.is_awaited() {
                return;
            }
            let answer = || Ok(shared.read(|state| ask(&query, &actor, state))?);
            promise.answer(then(trace::query::<Q, _>(&actor, answer)));
        });
        if readers.queue.push(question, lane_of(&actor)) { Ok(answer) } else { Err(Error::Overloaded) }
    }
}
