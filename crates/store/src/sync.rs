//! Locks, counters and threads of the engine: those of the standard library. When this crate's own tests are built with
//! `--cfg shuttle`, they are those of shuttle, which runs a test again and again, each time with the threads taking turns in
//! another order.

#[cfg(not(all(test, shuttle)))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic, mpsc},
    thread, thread_local,
};

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic, mpsc},
    thread, thread_local,
};

// What never makes a thread wait is the standard library's in both.
pub(crate) use std::sync::{Arc, OnceLock, PoisonError, Weak};
