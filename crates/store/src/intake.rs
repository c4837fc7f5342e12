//! Alerts in: what whoever holds the token of an integration reports (contract, section 14).
//!
//! The rules ([`ReceiveAlert`], [`ReceiveBeat`]) are ordinary commands of anybody. Here several alerts become one commit, and they wait in
//! the queue with what their own organization does, so that a storm of one organization keeps no other waiting.

use dogwatch_core::integration::{
    Alert, ConfirmTopic, IntegrationKind, ReceiveAlert, ReceiveBeat, ReceiveFromTopic, Received, holder,
};
use dogwatch_core::text::TopicArn;
use dogwatch_core::{Actor, Code, Command, Error as Refusal, IdSource, OrgId, Secret, decide};

use crate::commit::assembly::Assembly;
use crate::commit::pending::Pending;
use crate::commit::queue::Lane;
use crate::commit::writer::Work;
use crate::engine::Engine;
use crate::error::Error;
use crate::trace;

impl Engine {
    /// The most alerts of one commit. What others have submitted waits for all of them.
    pub const MOST_ALERTS: usize = 200;

    /// Receives alerts from whoever holds the token of an integration of this kind, in their order: all of them, or none, in one commit.
    /// Returns at once; the answer can be waited for or awaited. It says what became of each.
    ///
    /// ```
    /// use dogwatch_store::Engine;
    /// use dogwatch_store::rules::incident::Severity;
    /// use dogwatch_store::rules::integration::{Alert, AlertState, CreateIntegration, Firing, IntegrationKind, Received};
    /// # use dogwatch_store::rules::{Actor, organization::CreateOrganization};
    /// # let engine = Engine::in_memory()?;
    /// # let ada = engine.execute(CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?,
    /// #     "Ada".parse()?, "Byron".parse()?), &Actor::Operator)?.actor();
    /// let kind = IntegrationKind::Generic;
    /// let token = engine.execute(CreateIntegration::new("Disks".parse()?, kind), &ada)?.token;
    /// let firing = |summary: &str| {
    ///     let (title, summary) = ("Disk full".to_owned(), summary.to_owned());
    ///     Firing { severity: Severity::High, title, summary, source: String::new(), description: String::new() }
    /// };
    /// let alert = |key: &str, summary| {
    ///     let state = AlertState::Firing(Box::new(firing(summary)));
    ///     Alert { key: key.to_owned(), group: Some("disks".to_owned()), state, report: None }
    /// };
    /// let alerts = vec![alert("db1", "db1 is full"), alert("db2", "db2 is full")];
    /// let received = engine.submit_alerts(&token, kind, alerts)?.wait()?;
    /// assert_eq!(received, [Received::Opened, Received::Joined]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `invalid_api_key` when no integration of this kind has the token; `limit_reached` for more than [`Engine::MOST_ALERTS`];
    /// `overloaded` when the queue is full; `unavailable` when storage failed earlier. Everything else comes with the answer.
    pub fn submit_alerts(
        &self,
        token: &Secret,
        kind: IntegrationKind,
        alerts: Vec<Alert>,
    ) -> Result<Pending<Vec<Received>>, Error> {
        let org = self.organization_receiving(token, kind)?;
        if alerts.len() > Self::MOST_ALERTS {
            let message = format!("a commit takes at most {} alerts", Self::MOST_ALERTS);
            return Err(Refusal::refused(Code::LimitReached, message).into());
        }
        let receive = |alert| ReceiveAlert::new(token.clone(), kind, alert);
        self.hand_in(Reports { org, commands: alerts.into_iter().map(receive).collect() })
    }

    /// Receives a beat from whoever holds the token of a heartbeat. Returns at once; the answer can be waited for or awaited.
    ///
    /// # Errors
    /// As [`Engine::submit_alerts`].
    pub fn submit_beat(&self, token: &Secret) -> Result<Pending<Vec<Received>>, Error> {
        let org = self.organization_receiving(token, IntegrationKind::Heartbeat)?;
        self.hand_in(Reports { org, commands: vec![ReceiveBeat::new(token.clone())] })
    }

    /// Confirms the subscription of a topic of SNS; the answer says whether it is the one. See [`ConfirmTopic`].
    ///
    /// # Errors
    /// As [`Engine::submit_alerts`].
    pub fn submit_topic(&self, token: &Secret, topic: TopicArn) -> Result<Pending<Vec<bool>>, Error> {
        let org = self.organization_receiving(token, IntegrationKind::CloudWatch)?;
        self.hand_in(Reports { org, commands: vec![ConfirmTopic::new(token.clone(), topic)] })
    }

    /// Receives an alarm from a topic of SNS; `None` when it is not the one that was confirmed. See [`ReceiveFromTopic`].
    ///
    /// # Errors
    /// As [`Engine::submit_alerts`].
    pub fn submit_from_topic(
        &self,
        token: &Secret,
        topic: TopicArn,
        alert: Option<Alert>,
    ) -> Result<Pending<Vec<Option<Received>>>, Error> {
        let org = self.organization_receiving(token, IntegrationKind::CloudWatch)?;
        self.hand_in(Reports { org, commands: vec![ReceiveFromTopic::new(token.clone(), topic, alert)] })
    }

    /// The organization of the integration of this kind that has a token.
    ///
    /// # Errors
    /// `invalid_api_key` when there is none; `internal_error` when the store cannot be read.
    pub fn organization_receiving(&self, token: &Secret, kind: IntegrationKind) -> Result<OrgId, Error> {
        Ok(self.read(|state| holder(token, kind, state))?.0)
    }
}

/// Reports over one integration, which wait with what its organization does.
struct Reports<C> {
    org: OrgId,
    commands: Vec<C>,
}

impl<C: Command> Work for Reports<C> {
    type Reply = Vec<C::Reply>;

    fn lane(&self) -> Lane {
        Lane::Of(Some(self.org))
    }

    fn run(self, batch: &mut Assembly<'_>, ids: &mut IdSource) -> Result<Vec<C::Reply>, Error> {
        let actor = Actor::Anybody;
        batch.all_or_nothing(|batch| {
            let receive = |command| {
                trace::command::<C, _>(&actor, || {
                    let decision = decide(command, &actor, &batch.state(), batch.now, ids)?;
                    batch.acts(Some(actor));
                    batch.add(&decision.writes)?;
                    Ok(decision.reply)
                })
            };
            self.commands.into_iter().map(receive).collect()
        })
    }
}
