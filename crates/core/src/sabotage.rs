//! Known bugs, put in on demand: for tests of tests, behind a feature of that name.
//!
//! A simulation that never complains proves nothing unless it can. [`put_in`] makes the rules of the whole process wrong in
//! one way until it is taken out again. Without the feature none of this exists.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Escalation goes on after an acknowledgement.
    AcknowledgementStopsNothing,
    /// Escalation goes on after a resolution.
    ResolutionStopsNothing,
    /// A layer whose time is up fires once more, instead of the next.
    LayerFiresAgain,
    /// Of several users of a layer only the first is paged.
    OnlyTheFirstIsPaged,
    /// A late layer's timeout counts from when it should have fired.
    CountsFromTheDeadline,
    /// A layer that reaches nobody ends the run.
    SkippedLayerEndsTheRun,
    /// A handoff does not start the timer again.
    HandoffKeepsTheTimer,
    /// Whoever an incident is handed to is not paged.
    HandoffPagesNobody,
    /// Edits of a policy reach runs under way.
    SnapshotIsLive,
    /// Former members are paged.
    FormerMembersArePaged,
    /// A claim holds nothing.
    ClaimHoldsNothing,
    /// The newest of a line is handed out first.
    NewestFirst,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::AcknowledgementStopsNothing,
        Self::ResolutionStopsNothing,
        Self::LayerFiresAgain,
        Self::OnlyTheFirstIsPaged,
        Self::CountsFromTheDeadline,
        Self::SkippedLayerEndsTheRun,
        Self::HandoffKeepsTheTimer,
        Self::HandoffPagesNobody,
        Self::SnapshotIsLive,
        Self::FormerMembersArePaged,
        Self::ClaimHoldsNothing,
        Self::NewestFirst,
    ];
}

/// The place of the bug in the list, counted from one; zero is none.
static PRESENT: AtomicUsize = AtomicUsize::new(0);

fn number(bug: Bug) -> usize {
    Bug::ALL.iter().position(|other| *other == bug).map_or(0, |place| place + 1)
}

/// Puts a bug in, or takes it out.
pub fn put_in(bug: Option<Bug>) {
    PRESENT.store(bug.map_or(0, number), Ordering::SeqCst);
}

pub(crate) fn is_in(bug: Bug) -> bool {
    PRESENT.load(Ordering::SeqCst) == number(bug)
}
