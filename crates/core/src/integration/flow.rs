//! What a group does: a total state machine without any I/O (contract, section 14).
//!
//! A [`GroupState`] and an [`Input`] give a [`Step`], in every state. The machine knows no store and no incident: it says that one is to be
//! opened or resolved, and whoever carries that out makes the state that follows.

use std::time::Duration;

use super::{FirstAlert, GroupState};
use crate::id::IncidentId;
use crate::incident::Severity;
use crate::time::Timestamp;

/// What happens to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// A signal fires that did not fire before.
    Fire(Severity),
    /// A signal that fires has a worse severity.
    Worse(Severity),
    /// The last signal that fired is over.
    Quiet,
    /// Time has passed.
    Tick,
    /// The incident is resolved, by whomever.
    Resolved,
}

/// What a group does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// It goes on in another state.
    Become(GroupState),
    /// Its incident is opened; then it is open.
    Open(Box<FirstAlert>),
    /// Its incident is resolved; then it is closed.
    Resolve(IncidentId),
    /// There never was an incident, and need not be one.
    Forget,
}

/// The waits of an integration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waits {
    pub(super) pause: u32,
    pub(super) resolve_after: u32,
}

/// The instant that is some seconds after another.
fn later(now: Timestamp, seconds: u32) -> Timestamp {
    now.plus(Duration::from_secs(u64::from(seconds)))
}

/// How a group begins.
pub(super) fn begin(first: FirstAlert, now: Timestamp, waits: Waits) -> Step {
    let first = Box::new(first);
    match waits.pause {
        0 => Step::Open(first),
        pause => Step::Become(GroupState::Pausing { opens_at: later(now, pause), first }),
    }
}

/// What a group does with an input. An input that means nothing in a state changes nothing.
pub(super) fn step(state: &GroupState, input: Input, now: Timestamp, waits: Waits) -> Step {
    match (state, input) {
        (GroupState::Pausing { opens_at, first }, Input::Fire(severity) | Input::Worse(severity)) => {
            // Severities sort worst first.
            match severity < first.severity {
                true => {
                    let first = Box::new(FirstAlert { severity, ..(**first).clone() });
                    Step::Become(GroupState::Pausing { opens_at: *opens_at, first })
                }
                false => Step::Stay,
            }
        }
        (GroupState::Pausing { .. }, Input::Quiet) => Step::Forget,
        (GroupState::Pausing { opens_at, first }, Input::Tick) if *opens_at <= now => Step::Open(first.clone()),
        (GroupState::Open { incident_id }, Input::Quiet) => match waits.resolve_after {
            0 => Step::Resolve(*incident_id),
            wait => Step::Become(GroupState::Quiet { incident_id: *incident_id, resolves_at: later(now, wait) }),
        },
        (GroupState::Quiet { incident_id, .. }, Input::Fire(_)) => {
            Step::Become(GroupState::Open { incident_id: *incident_id })
        }
        (GroupState::Quiet { incident_id, resolves_at }, Input::Tick) if *resolves_at <= now => {
            Step::Resolve(*incident_id)
        }
        (GroupState::Open { incident_id } | GroupState::Quiet { incident_id, .. }, Input::Resolved) => {
            Step::Become(GroupState::Closed { incident_id: *incident_id })
        }
        (GroupState::Pausing { .. }, Input::Tick | Input::Resolved)
        | (GroupState::Open { .. }, Input::Fire(_) | Input::Worse(_) | Input::Tick)
        | (GroupState::Quiet { .. }, Input::Worse(_) | Input::Quiet | Input::Tick)
        | (GroupState::Closed { .. }, _) => Step::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000).unwrap()
    }

    fn first(severity: Severity) -> FirstAlert {
        FirstAlert { title: "Disk full".parse().unwrap(), description: None, severity }
    }

    /// A state in words: `pausing high until 60`, `quiet until 400`.
    fn in_words(state: &GroupState) -> String {
        let seconds = |at: &Timestamp| at.as_millis() / 1_000;
        match state {
            GroupState::Pausing { opens_at, first } => {
                format!("pausing {} until {}", first.severity, seconds(opens_at))
            }
            GroupState::Open { .. } => "open".to_owned(),
            GroupState::Quiet { resolves_at, .. } => format!("quiet until {}", seconds(resolves_at)),
            GroupState::Closed { .. } => "closed".to_owned(),
        }
    }

    fn step_in_words(step: &Step) -> String {
        match step {
            Step::Stay => "stays".to_owned(),
            Step::Become(state) => in_words(state),
            Step::Open(first) => format!("opens {}", first.severity),
            Step::Resolve(_) => "resolves".to_owned(),
            Step::Forget => "is forgotten".to_owned(),
        }
    }

    fn state(text: &str) -> GroupState {
        let incident_id = IncidentId::from_bytes([7; 16]);
        match text.split(' ').collect::<Vec<_>>()[..] {
            ["pausing", severity, "until", until] => GroupState::Pausing {
                opens_at: at(until.parse().unwrap()),
                first: Box::new(first(severity.parse().unwrap())),
            },
            ["open"] => GroupState::Open { incident_id },
            ["quiet", "until", until] => GroupState::Quiet { incident_id, resolves_at: at(until.parse().unwrap()) },
            ["closed"] => GroupState::Closed { incident_id },
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn beginnings() {
        for (pause, expected) in [(0, "opens high"), (1, "pausing high until 101"), (3_600, "pausing high until 3700")]
        {
            let step = begin(first(Severity::High), at(100), Waits { pause, resolve_after: 300 });
            assert_eq!(step_in_words(&step), expected);
        }
    }

    #[test]
    fn every_state_and_input() {
        use Severity::{Critical, Low};
        // All at second 100, with 300 seconds of quiet before an incident is resolved, or with none.
        for (from, input, expected, at_once) in [
            ("pausing high until 160", Input::Fire(Critical), "pausing critical until 160", None),
            ("pausing high until 160", Input::Fire(Low), "stays", None),
            ("pausing high until 160", Input::Worse(Critical), "pausing critical until 160", None),
            ("pausing high until 160", Input::Quiet, "is forgotten", None),
            ("pausing high until 160", Input::Tick, "stays", None),
            ("pausing high until 100", Input::Tick, "opens high", None),
            ("pausing high until 40", Input::Tick, "opens high", None),
            ("pausing high until 160", Input::Resolved, "stays", None),
            ("open", Input::Fire(Critical), "stays", None),
            ("open", Input::Worse(Critical), "stays", None),
            ("open", Input::Quiet, "quiet until 400", Some("resolves")),
            ("open", Input::Tick, "stays", None),
            ("open", Input::Resolved, "closed", None),
            ("quiet until 160", Input::Fire(Low), "open", None),
            ("quiet until 160", Input::Worse(Critical), "stays", None),
            ("quiet until 160", Input::Quiet, "stays", None),
            ("quiet until 160", Input::Tick, "stays", None),
            ("quiet until 100", Input::Tick, "resolves", None),
            ("quiet until 100", Input::Resolved, "closed", None),
            ("closed", Input::Fire(Critical), "stays", None),
            ("closed", Input::Worse(Critical), "stays", None),
            ("closed", Input::Quiet, "stays", None),
            ("closed", Input::Tick, "stays", None),
            ("closed", Input::Resolved, "stays", None),
        ] {
            let waits = |resolve_after| Waits { pause: 60, resolve_after };
            let did = step(&state(from), input, at(100), waits(300));
            assert_eq!(step_in_words(&did), expected, "{from}, {input:?}");
            let did = step(&state(from), input, at(100), waits(0));
            assert_eq!(step_in_words(&did), at_once.unwrap_or(expected), "{from}, {input:?}, without a wait");
        }
    }
}
