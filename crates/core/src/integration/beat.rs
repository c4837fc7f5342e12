//! Heartbeats: being alive, and what happens when that ends (contract, section 14).

use super::receive::{Intake, within};
use super::{Alert, AlertState, Firing, Integration, IntegrationKind, Received};
use crate::caller::ByAnybody;
use crate::code::Code;
use crate::command::{Command, Context, GlobalContext, seal};
use crate::error::Error;
use crate::id::IntegrationId;
use crate::incident::Severity;
use crate::secret::Secret;

seal!(ReceiveBeat);

/// The key of the one alert of a heartbeat.
const SILENCE: &str = "heartbeat";
/// How bad it is when a beat is missed.
const SEVERITY: Severity = Severity::High;

/// Receives a beat from whoever holds the token of a heartbeat (contract, section 14): it is alive. The next is expected from now on; an
/// incident about its silence is resolved as after any alert that is over. Codes: `invalid_api_key` (no heartbeat has the token).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveBeat {
    /// The token of the heartbeat.
    pub token: Secret,
}

impl ReceiveBeat {
    /// A beat of the heartbeat that has the token.
    #[must_use]
    pub const fn new(token: Secret) -> Self {
        Self { token }
    }
}

impl Command for ReceiveBeat {
    type Caller = ByAnybody;
    type Reply = Received;
    const CODES: &'static [Code] = &[Code::InvalidApiKey];

    fn decide(self, _: ByAnybody, cx: &mut GlobalContext<'_>) -> Result<Received, Error> {
        within(cx, &self.token, IntegrationKind::Heartbeat, |cx, intake| {
            let alert = Alert { key: SILENCE.to_owned(), group: None, state: AlertState::Resolved, report: None };
            let received = intake.receive(cx, alert)?;
            intake.traffic.last_signal_at = Some(cx.now);
            intake.traffic.silent_at = intake.integration.heartbeat.map(|beats| beats.missed_after(cx.now));
            Ok(received)
        })
    }
}

/// Notices that a beat is missed, if it is at the instant of the context; `false` when it is not.
pub(crate) fn fall_silent(cx: &mut Context<'_>, id: IntegrationId) -> Result<bool, Error> {
    let Some(integration) = cx.world.integration(id)?.filter(Integration::is_live) else { return Ok(false) };
    let mut intake = Intake::of(cx, integration)?;
    if intake.traffic.silent_at.is_none_or(|at| cx.now < at) {
        return Ok(false);
    }
    let last = intake.traffic.last_signal_at;
    let name = intake.integration.name.clone();
    let since = last.map_or_else(String::new, |at| format!(" since {at}"));
    let firing = Firing {
        severity: SEVERITY,
        title: format!("{name} is silent"),
        summary: format!("no heartbeat{since}"),
        source: name.to_string(),
        description: format!("{name} has not given a sign of life{since}."),
    };
    let state = AlertState::Firing(Box::new(firing));
    let alert = Alert { key: SILENCE.to_owned(), group: None, state, report: None };
    intake.receive(cx, alert)?;
    intake.traffic.last_signal_at = last;
    intake.traffic.silent_at = None;
    intake.finish(cx);
    Ok(true)
}
