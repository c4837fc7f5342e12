//! The [`Applier`]: the thread that brings published commits into the backend, behind the answers.
//!
//! It waits until there are many, or some have waited for a while, and brings them in together: a row that several of them have
//! changed is written once. They are durable in the backend before the journal may forget them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::commit::writer::Shared;
use crate::sync::Arc;
use crate::sync::thread::{self, JoinHandle, ThreadId};

/// The handle of the applier's thread. When it is dropped, the thread brings in what is left and ends.
pub(crate) struct Applier {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    id: ThreadId,
}

impl Applier {
    pub(crate) fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let run = {
            let shared = Arc::clone(&shared);
            move || run(&shared)
        };
        let thread = thread::Builder::new().name("dogwatch-applier".to_owned()).spawn(run)?;
        let id = thread.thread().id();
        Ok(Self { shared, thread: Some(thread), id })
    }

    pub(crate) const fn thread_id(&self) -> ThreadId {
        self.id
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        self.shared.versions.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has already poisoned the engine.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let applied = catch_unwind(AssertUnwindSafe(|| shared.versions.apply_all(&*shared.journal, &shared.bookmarks)));
    shared.versions.end();
    // What was answered is in the journal; opening the store again brings it in.
    match applied {
        Ok(Ok(())) => return,
        Ok(Err(why)) => shared.poison(&why),
        Err(_) => shared.poison(&"the storage panicked while commits were brought into it"),
    }
    shared.deadlines.raise();
}
