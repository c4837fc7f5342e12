//! Followers: whoever wants to know what happened, in order and without a gap ([`Engine::follow`]).
//!
//! A follower reads the journal behind the commits, and nothing waits for it: it costs a commit one look whether somebody is to be
//! woken. Its bookmark keeps the journal from forgetting what it has not given yet, up to the quota of all bookmarks
//! ([`EngineBuilder::follower_quota`](crate::EngineBuilder::follower_quota)).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use dogwatch_core::text::Name;
use dogwatch_core::{Code, Error as Refusal, IdSource};

use crate::backend::BackendError;
use crate::changes::{self, Change, Unread};
use crate::commit::assembly::Assembly;
use crate::commit::bookmarks::Bookmark;
use crate::commit::overlay::Source;
use crate::commit::writer::{Shared, Work};
use crate::engine::Engine;
use crate::error::Error;
use crate::format;
use crate::journal::{Head, Position, Reading};
use crate::record::hex;
use crate::sync::Arc;

/// The bytes of rows that are read from the journal at once.
const READ_AT_ONCE: usize = 256 << 10;
/// The most bookmarks that have a name.
const MOST_BOOKMARKS: usize = 16;

/// Why a follower cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The journal has forgotten commits after the position, or never had a commit there. Take a copy of what there is
    /// ([`Engine::view`]), and follow from there.
    #[error("the journal has no commits from position {from} on: it has forgotten them, or is another")]
    Forgotten {
        /// The position after which commits were wanted.
        from: Position,
    },
    /// The engine is closed, or its storage has failed; there are no more commits.
    #[error("the engine is closed, or its storage has failed: there are no more commits")]
    Ended,
    /// The journal cannot be read.
    #[error(transparent)]
    Storage(#[from] BackendError),
    /// A row of a commit is not what was written.
    #[error("a commit holds a row that cannot be read, at key {key}: {why}")]
    Damaged {
        /// The key of the row, in hexadecimal digits.
        key: String,
        /// The problem.
        why: String,
    },
}

/// Whoever follows an engine's commits: see [`Engine::follow`]. It does not keep the engine open, but the folder in use.
pub struct Follower {
    shared: Arc<Shared>,
    bookmark: Bookmark,
    /// What has been given to the caller.
    position: Position,
    /// What has been read from the journal.
    read: Head,
    ready: VecDeque<(Position, Vec<Change>)>,
}

impl Engine {
    /// Follows the commits after a position, oldest first, each as the changes that it made: `created`, `changed` or `deleted`, by
    /// whom, and the entity. Nothing waits for a follower.
    ///
    /// To keep a copy of something in step, follow from [`Engine::head`], then read all from [`Engine::view`], and leave out
    /// changes up to the view's head. To go on after a restart, note the last position that was dealt with, and have the journal
    /// keep what follows with [`Engine::bookmark`].
    ///
    /// ```
    /// use dogwatch_store::rules::component::CreateComponent;
    /// use dogwatch_store::{Engine, Subject, What};
    /// # use dogwatch_store::rules::{Actor, organization::CreateOrganization};
    /// # let engine = Engine::in_memory()?;
    /// # let created = engine.execute(CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?,
    /// #     "Ada".parse()?, "Byron".parse()?), &Actor::Operator)?;
    /// # let ada = created.actor();
    /// let mut follower = engine.follow(engine.head().position)?;
    /// engine.execute(CreateComponent::new("Checkout".parse()?), &ada)?;
    /// let changes = follower.next_changes()?;
    /// assert_eq!(changes[0].actor, Some(ada));
    /// assert!(matches!(&changes[0].what, What::Created(Subject::Component(it)) if it.name.as_str() == "Checkout"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FollowError::Forgotten`] when the journal does not reach back to the position; [`FollowError::Storage`].
    pub fn follow(&self, from: Position) -> Result<Follower, FollowError> {
        let shared = Arc::clone(self.shared());
        // It comes first: what the journal still has is kept from then on.
        let bookmark = shared.bookmarks.put(from);
        let read = shared.journal.head_at(from)?.ok_or(FollowError::Forgotten { from })?;
        Ok(Follower { shared, bookmark, position: from, read, ready: VecDeque::new() })
    }

    /// Has the journal keep all commits after a position, also when the engine is closed and opened again, until the bookmark of this
    /// name is moved or [removed](Engine::remove_bookmark). All bookmarks and followers together keep no more than the quota.
    ///
    /// # Errors
    /// `not_found` when the journal has no commits from there on; `limit_reached` when there are 16 bookmarks of other names; else as
    /// [`Engine::execute`].
    pub fn bookmark(&self, name: &Name, from: Position) -> Result<(), Error> {
        // What the journal still has is kept until the bookmark is there.
        let _kept = self.shared().bookmarks.put(from);
        if self.shared().journal.head_at(from).is_ok_and(|head| head.is_none()) {
            let message = format!("the journal has no commits from position {from} on");
            return Err(Refusal::refused(Code::NotFound, message).into());
        }
        self.set_bookmark(name, Some(from))
    }

    /// Removes a bookmark; nothing happens when there is none of this name.
    ///
    /// # Errors
    /// As [`Engine::execute`].
    pub fn remove_bookmark(&self, name: &Name) -> Result<(), Error> {
        self.set_bookmark(name, None)
    }

    fn set_bookmark(&self, name: &Name, from: Option<Position>) -> Result<(), Error> {
        self.carry_out(SetBookmark { name: name.clone(), from })?;
        // Of two who set it at the same time, the row says who was last.
        let bookmarks = || self.read(|state| state.bookmarks());
        Ok(self.shared().bookmarks.set_named(&*self.shared().journal, bookmarks)?)
    }

    /// The bookmarks with names, and the position of each.
    ///
    /// # Errors
    /// `internal_error` when the store cannot be read.
    pub fn bookmarks(&self) -> Result<Vec<(Name, Position)>, Error> {
        Ok(self.read(|state| state.bookmarks())?)
    }
}

impl Follower {
    /// The changes of the next commit that has some. Blocks until there is one.
    ///
    /// # Errors
    /// [`FollowError`]. After `Ended`, all commits have been given.
    pub fn next_changes(&mut self) -> Result<Vec<Change>, FollowError> {
        loop {
            if let Some(changes) = self.next_changes_within(Duration::MAX)? {
                return Ok(changes);
            }
        }
    }

    /// As [`Follower::next_changes`], for `most` at the longest; `None` when none has come by then.
    ///
    /// # Errors
    /// As [`Follower::next_changes`].
    pub fn next_changes_within(&mut self, most: Duration) -> Result<Option<Vec<Change>>, FollowError> {
        let began = Instant::now();
        loop {
            let seen = self.shared.published.count();
            if let Some(changes) = self.take()? {
                return Ok(Some(changes));
            }
            let left = most.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            self.shared.published.wait(seen, left);
        }
    }

    /// As [`Follower::next_changes`], to be awaited; it needs no particular executor. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// As [`Follower::next_changes`].
    pub async fn changes(&mut self) -> Result<Vec<Change>, FollowError> {
        poll_fn(|cx| self.poll_changes(cx)).await
    }

    /// The step of [`Follower::changes`], for streams.
    ///
    /// # Errors
    /// As [`Follower::next_changes`].
    pub fn poll_changes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<Change>, FollowError>> {
        // Registered before looking: a commit that comes in between wakes the task.
        self.shared.published.register(cx.waker());
        match self.take() {
            Ok(None) => Poll::Pending,
            Ok(Some(changes)) => Poll::Ready(Ok(changes)),
            Err(why) => Poll::Ready(Err(why)),
        }
    }

    /// The position of the last commit that was given. Following from there gives those after it.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Takes the changes of the next commit, if there is one.
    fn take(&mut self) -> Result<Option<Vec<Change>>, FollowError> {
        let goes_on = self.shared.goes_on();
        while self.ready.is_empty() && self.read_on()? {}
        match self.ready.pop_front() {
            Some((position, changes)) => {
                self.position = position;
                self.bookmark.has_read(position);
                Ok(Some(changes))
            }
            None if goes_on => Ok(None),
            None => Err(FollowError::Ended),
        }
    }

    /// Reads more commits from the journal, none of which readers do not see yet; `false` when there is none.
    fn read_on(&mut self) -> Result<bool, FollowError> {
        let view = self.shared.versions.view();
        let last = view.head().position.number;
        if self.read.position.number >= last {
            return Ok(false);
        }
        let Reading::Commits(commits) = self.shared.journal.read(&self.read, READ_AT_ONCE)? else {
            return Err(FollowError::Forgotten { from: self.read.position });
        };
        for commit in commits.iter().take_while(|commit| commit.head.position.number <= last) {
            let changes = changes::of(commit, &|key| view.get(key)).map_err(|unread| match unread {
                Unread::Storage(why) => FollowError::Storage(why),
                Unread::Damaged(key, why) => FollowError::Damaged { key: hex(&key), why: why.to_string() },
            })?;
            self.read = commit.head;
            if !changes.is_empty() {
                self.ready.push_back((commit.head.position, changes));
            }
        }
        if self.ready.is_empty() {
            // Commits without changes that are shown need not be read again.
            self.position = self.read.position;
            self.bookmark.has_read(self.position);
        }
        Ok(true)
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower").field("position", &self.position).finish_non_exhaustive()
    }
}

/// Sets or removes a bookmark.
struct SetBookmark {
    name: Name,
    from: Option<Position>,
}

impl Work for SetBookmark {
    type Reply = ();

    fn run(self, batch: &mut Assembly<'_>, _: &mut IdSource) -> Result<(), Error> {
        let bookmarks = batch.state().bookmarks()?;
        let is_new = bookmarks.iter().all(|(name, _)| *name != self.name);
        if is_new && self.from.is_some() && bookmarks.len() >= MOST_BOOKMARKS {
            let message = format!("a store has at most {MOST_BOOKMARKS} bookmarks in its journal");
            return Err(Refusal::refused(Code::LimitReached, message).into());
        }
        let row = format::bookmark(&self.name, self.from).map_err(|why| Refusal::broken(why.to_string()))?;
        Ok(batch.add_with(&[], vec![row])?)
    }
}
