//! The escalation run: a total state machine without any I/O (contract, section 9).
//!
//! A [`Run`] and an [`Input`] give the run afterwards and [`Output`]s, in every state. The machine knows nothing of schedules,
//! stores or clocks: a [`Chain`] tells it whom a layer reaches at this instant, and its outputs tell the caller what to write
//! down and whom to page. Layers fire in ascending position and the position never goes back, so no layer fires twice in one
//! run, unless an incident that was acknowledged becomes worse.

use std::time::Duration;

use crate::error::Error;
use crate::id::{PolicyLayerId, UserId};
use crate::time::Timestamp;
use crate::validation::Problem;

/// The timeout of a policy layer: minutes that it waits for somebody to acknowledge before the next layer fires, 1–10,080
/// (contract, section 9).
///
/// ```
/// use dogwatch_core::escalation::AckTimeout;
/// assert_eq!(AckTimeout::from_minutes(5).unwrap().minutes(), 5);
/// assert!(AckTimeout::from_minutes(0).is_err());
/// assert!(AckTimeout::from_minutes(10_081).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AckTimeout(u16);

impl AckTimeout {
    /// The longest timeout: a week, in minutes.
    const MOST: i64 = 10_080;

    /// A timeout of 1–10,080 minutes.
    ///
    /// # Errors
    /// A [`Problem`] for any other number.
    pub fn from_minutes(minutes: i64) -> Result<Self, Problem> {
        let fits = u16::try_from(minutes).ok().filter(|_| (1..=Self::MOST).contains(&minutes));
        fits.map(Self).ok_or_else(|| Problem::new("timeout", format!("must be a number from 1 to {}", Self::MOST)))
    }

    /// Minutes until the next layer fires, 1–10,080.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }

    /// The instant at which the time is up, for a layer that fires at `fired`.
    #[must_use]
    pub fn after(self, fired: Timestamp) -> Timestamp {
        fired.plus(Duration::from_secs(u64::from(self.0) * 60))
    }
}

/// A policy layer as a run remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunLayer {
    /// The layer's id; the layer may have been changed or removed since the run started.
    pub id: PolicyLayerId,
    /// The position that it had when the run started.
    pub position: u32,
    /// The timeout that it had when the run started: minutes until the next layer fires, 1–10,080.
    pub ack_timeout: AckTimeout,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// The current layer has been paged; the next one fires when its time is up.
    Waiting {
        /// The instant at which the time is up and the next layer fires.
        due: Timestamp,
    },
    /// Somebody has acknowledged; only a handoff makes the run wait again.
    Acknowledged,
    /// The timeout of the last layer has passed, or no layer reached anybody.
    Exhausted,
    /// The incident is resolved; nothing moves the run any more.
    Resolved,
}

/// One run of a policy for one incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    /// The layer that was paged last; `None` if no layer was.
    pub current: Option<RunLayer>,
    /// Its state.
    pub state: RunState,
}

/// What happens to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// Time has passed.
    Tick,
    /// Somebody acknowledges.
    Acknowledge,
    /// The incident is handed off: the timeout of the current layer begins anew.
    HandOff,
    /// The incident is worse than when it was acknowledged: the current layer fires again.
    PageAgain,
    /// The incident is resolved.
    Resolve,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Output {
    /// The timeout of a layer has passed.
    TimedOut(RunLayer),
    /// A layer reaches nobody, so the next one fires at once.
    Skipped(RunLayer),
    /// A layer fires: each of these users is to be paged once.
    Paged(RunLayer, Vec<UserId>),
    /// There is no further layer.
    Exhausted,
    /// The run was waiting and does not any more: the incident was acknowledged or resolved.
    Stopped,
}

/// A layer, and whom it reaches at this instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The layer.
    pub(crate) layer: RunLayer,
    /// The users whom it pages, each once; empty when it is skipped.
    pub(crate) users: Vec<UserId>,
}

/// The layers along which a run goes, as they were when it started.
pub(crate) trait Chain {
    /// The layer with the lowest position above this one, and whom it reaches now; 0 is below all positions.
    ///
    /// # Errors
    /// When the layers cannot be read.
    fn above(&mut self, position: u32) -> Result<Option<Reach>, Error>;
}

impl Run {
    /// Starts a run: the first layer that reaches anybody fires.
    ///
    /// # Errors
    /// Those of the chain.
    pub(crate) fn start(now: Timestamp, chain: &mut dyn Chain) -> Result<(Self, Vec<Output>), Error> {
        let mut outputs = Vec::new();
        let run = Self { current: None, state: RunState::Exhausted }.fire(0, now, chain, &mut outputs)?;
        Ok((run, outputs))
    }

    /// The run after an input, and what it did. An input that means nothing in a state changes nothing.
    ///
    /// # Errors
    /// Those of the chain.
    pub(crate) fn step(
        self,
        input: Input,
        now: Timestamp,
        chain: &mut dyn Chain,
    ) -> Result<(Self, Vec<Output>), Error> {
        let mut outputs = Vec::new();
        let run = match (self.state, input) {
            (RunState::Resolved, _) => self,
            (RunState::Waiting { due }, Input::Tick) if due <= now => {
                outputs.extend(self.current.map(Output::TimedOut));
                let fired = self.current.map_or(0, |layer| layer.position);
                self.fire(fired, now, chain, &mut outputs)?
            }
            (RunState::Acknowledged, Input::PageAgain) => {
                let below = self.current.map_or(0, |layer| layer.position.saturating_sub(1));
                self.fire(below, now, chain, &mut outputs)?
            }
            (_, Input::Tick | Input::PageAgain) | (RunState::Acknowledged, Input::Acknowledge) => self,
            (state, Input::Acknowledge | Input::Resolve) => {
                if matches!(state, RunState::Waiting { .. }) {
                    outputs.push(Output::Stopped);
                }
                let resolved = input == Input::Resolve;
                Self { state: if resolved { RunState::Resolved } else { RunState::Acknowledged }, ..self }
            }
            (_, Input::HandOff) => {
                // Without a current layer there is no timeout to begin anew.
                let waiting = |layer: RunLayer| RunState::Waiting { due: layer.ack_timeout.after(now) };
                Self { state: self.current.map_or(RunState::Exhausted, waiting), ..self }
            }
        };
        Ok((run, outputs))
    }

    /// When the next layer fires, if nobody does anything; `None` when the run does not wait.
    #[must_use]
    pub const fn due(&self) -> Option<Timestamp> {
        match self.state {
            RunState::Waiting { due } => Some(due),
            RunState::Acknowledged | RunState::Exhausted | RunState::Resolved => None,
        }
    }

    /// Fires the first layer above a position that reaches anybody; without one the run is exhausted.
    fn fire(
        self,
        mut position: u32,
        now: Timestamp,
        chain: &mut dyn Chain,
        outputs: &mut Vec<Output>,
    ) -> Result<Self, Error> {
        // Invariant [only-upwards]: the chain gives the layer above.
        while let Some(Reach { layer, users }) = chain.above(position)? {
            position = layer.position;
            if users.is_empty() {
                outputs.push(Output::Skipped(layer));
                continue;
            }
            outputs.push(Output::Paged(layer, users));
            return Ok(Self { current: Some(layer), state: RunState::Waiting { due: layer.ack_timeout.after(now) } });
        }
        outputs.push(Output::Exhausted);
        Ok(Self { state: RunState::Exhausted, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;

    fn user(n: u8) -> UserId {
        UserId::from_bytes([n; 16])
    }

    fn layer(position: u32) -> RunLayer {
        let timeout = AckTimeout::from_minutes(i64::from(position) * 10).unwrap();
        RunLayer {
            id: PolicyLayerId::from_bytes([u8::try_from(position).unwrap(); 16]),
            position,
            ack_timeout: timeout,
        }
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(minutes * 60_000).unwrap()
    }

    /// Layers, each with its position and the number of users that it reaches.
    struct Layers(Vec<(u32, u8)>);

    impl Chain for Layers {
        fn above(&mut self, position: u32) -> Result<Option<Reach>, Error> {
            let next = self.0.iter().find(|(p, _)| *p > position);
            Ok(next.map(|(p, users)| Reach { layer: layer(*p), users: (1..=*users).map(user).collect() }))
        }
    }

    /// A run in words: `waiting@2 until 30`, `exhausted@-`.
    fn run_in_words(run: &Run) -> String {
        let current = run.current.map_or("-".to_owned(), |layer| layer.position.to_string());
        match run.state {
            RunState::Waiting { due } => format!("waiting@{current} until {}", due.as_millis() / 60_000),
            RunState::Acknowledged => format!("acknowledged@{current}"),
            RunState::Exhausted => format!("exhausted@{current}"),
            RunState::Resolved => format!("resolved@{current}"),
        }
    }

    fn outputs_in_words(outputs: &[Output]) -> String {
        let words = outputs.iter().map(|output| match output {
            Output::TimedOut(layer) => format!("timed-out {}", layer.position),
            Output::Skipped(layer) => format!("skipped {}", layer.position),
            Output::Paged(layer, users) => format!("paged {} ({})", layer.position, users.len()),
            Output::Exhausted => "exhausted".to_owned(),
            Output::Stopped => "stopped".to_owned(),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    fn run(text: &str) -> Run {
        let (what, rest) = text.split_once('@').unwrap();
        let (position, due) = rest.split_once(" until ").unwrap_or((rest, ""));
        let state = match what {
            "waiting" => RunState::Waiting { due: at(due.parse().unwrap()) },
            "acknowledged" => RunState::Acknowledged,
            "exhausted" => RunState::Exhausted,
            "resolved" => RunState::Resolved,
            other => panic!("{other}"),
        };
        Run { current: position.parse().ok().map(layer), state }
    }

    #[test]
    fn timeouts() {
        for minutes in [1, 2, 10_080] {
            let timeout = AckTimeout::from_minutes(minutes).unwrap();
            assert_eq!((i64::from(timeout.minutes()), timeout.after(at(100))), (minutes, at(100 + minutes)));
        }
    }

    #[test]
    fn starting() {
        for (layers, expected, did) in [
            (&[(1, 1), (2, 1)][..], "waiting@1 until 110", "paged 1 (1)"),
            (&[(3, 2)], "waiting@3 until 130", "paged 3 (2)"),
            (&[(1, 0), (4, 1)], "waiting@4 until 140", "skipped 1, paged 4 (1)"),
            (&[(1, 0), (2, 0)], "exhausted@-", "skipped 1, skipped 2, exhausted"),
            (&[], "exhausted@-", "exhausted"),
        ] {
            let (run, outputs) = Run::start(at(100), &mut Layers(layers.to_vec())).unwrap();
            assert_eq!(
                (run_in_words(&run).as_str(), outputs_in_words(&outputs).as_str()),
                (expected, did),
                "{layers:?}"
            );
        }
    }

    /// Every state times every input, at minute 100. The layers: 1 and 2 reach one user each, 3 reaches nobody, 4 two.
    /// A layer waits ten minutes times its position.
    #[test]
    fn every_input_in_every_state() {
        use Input::{Acknowledge, HandOff, Resolve, Tick};
        for (before, input, after, did) in [
            ("waiting@1 until 101", Tick, "waiting@1 until 101", ""),
            ("waiting@1 until 100", Tick, "waiting@2 until 120", "timed-out 1, paged 2 (1)"),
            ("waiting@1 until 7", Tick, "waiting@2 until 120", "timed-out 1, paged 2 (1)"),
            ("waiting@2 until 100", Tick, "waiting@4 until 140", "timed-out 2, skipped 3, paged 4 (2)"),
            ("waiting@4 until 101", Tick, "waiting@4 until 101", ""),
            ("waiting@4 until 100", Tick, "exhausted@4", "timed-out 4, exhausted"),
            ("waiting@1 until 101", Acknowledge, "acknowledged@1", "stopped"),
            ("waiting@1 until 100", Acknowledge, "acknowledged@1", "stopped"),
            ("waiting@4 until 100", Acknowledge, "acknowledged@4", "stopped"),
            ("waiting@1 until 101", HandOff, "waiting@1 until 110", ""),
            ("waiting@1 until 7", HandOff, "waiting@1 until 110", ""),
            ("waiting@4 until 101", HandOff, "waiting@4 until 140", ""),
            ("waiting@1 until 101", Resolve, "resolved@1", "stopped"),
            ("waiting@4 until 7", Resolve, "resolved@4", "stopped"),
            ("acknowledged@1", Tick, "acknowledged@1", ""),
            ("acknowledged@-", Tick, "acknowledged@-", ""),
            ("acknowledged@1", Acknowledge, "acknowledged@1", ""),
            ("acknowledged@-", Acknowledge, "acknowledged@-", ""),
            ("acknowledged@2", HandOff, "waiting@2 until 120", ""),
            ("acknowledged@-", HandOff, "exhausted@-", ""),
            ("acknowledged@1", Resolve, "resolved@1", ""),
            ("acknowledged@-", Resolve, "resolved@-", ""),
            ("exhausted@4", Tick, "exhausted@4", ""),
            ("exhausted@-", Tick, "exhausted@-", ""),
            ("exhausted@4", Acknowledge, "acknowledged@4", ""),
            ("exhausted@-", Acknowledge, "acknowledged@-", ""),
            ("exhausted@4", HandOff, "waiting@4 until 140", ""),
            ("exhausted@-", HandOff, "exhausted@-", ""),
            ("exhausted@4", Resolve, "resolved@4", ""),
            ("exhausted@-", Resolve, "resolved@-", ""),
            ("resolved@1", Tick, "resolved@1", ""),
            ("resolved@1", Acknowledge, "resolved@1", ""),
            ("resolved@1", HandOff, "resolved@1", ""),
            ("resolved@1", Resolve, "resolved@1", ""),
            ("resolved@-", Tick, "resolved@-", ""),
            ("resolved@-", Acknowledge, "resolved@-", ""),
            ("resolved@-", HandOff, "resolved@-", ""),
            ("resolved@-", Resolve, "resolved@-", ""),
        ] {
            let mut layers = Layers(vec![(1, 1), (2, 1), (3, 0), (4, 2)]);
            let (run, outputs) = run(before).step(input, at(100), &mut layers).unwrap();
            let got = (run_in_words(&run), outputs_in_words(&outputs));
            assert_eq!((got.0.as_str(), got.1.as_str()), (after, did), "{before} and {input:?}");
        }
    }

    /// However late, a tick fires one layer, and its timeout counts from then.
    #[test]
    fn a_late_tick_fires_one_layer() {
        let mut layers = Layers(vec![(1, 1), (2, 1), (4, 1)]);
        let (mut run, _) = Run::start(at(0), &mut layers).unwrap();
        let mut told = Vec::new();
        for minute in [1_000, 1_000, 1_019, 1_020, 5_000, 5_001] {
            let (next, outputs) = run.step(Input::Tick, at(minute), &mut layers).unwrap();
            told.push(format!("{minute}: {} {}", outputs_in_words(&outputs), run_in_words(&next)));
            run = next;
        }
        assert_eq!(
            told,
            [
                "1000: timed-out 1, paged 2 (1) waiting@2 until 1020",
                "1000:  waiting@2 until 1020",
                "1019:  waiting@2 until 1020",
                "1020: timed-out 2, paged 4 (1) waiting@4 until 1060",
                "5000: timed-out 4, exhausted exhausted@4",
                "5001:  exhausted@4",
            ]
        );
    }
}
