//! Topics of Amazon SNS, over which alarms of CloudWatch come (contract, section 14). That a message is one of SNS has been checked, by its
//! signature; here it is about which topic may report: the one whose subscription was confirmed first.

use super::receive::within;
use super::{Alert, IntegrationKind, Received};
use crate::caller::ByAnybody;
use crate::code::Code;
use crate::command::{Command, GlobalContext, seal};
use crate::error::Error;
use crate::secret::Secret;
use crate::text::TopicArn;

seal!(ConfirmTopic, ReceiveFromTopic);

/// Confirms the subscription of a topic to an integration of the kind `cloudwatch` (contract, section 14): the first is the only one. The reply
/// says whether it is this one. Codes: `invalid_api_key` (no such integration has the token).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmTopic {
    /// The token of the integration.
    pub token: Secret,
    /// The topic.
    pub topic: TopicArn,
}

impl ConfirmTopic {
    /// The confirmation of this topic.
    #[must_use]
    pub const fn new(token: Secret, topic: TopicArn) -> Self {
        Self { token, topic }
    }
}

impl Command for ConfirmTopic {
    type Caller = ByAnybody;
    type Reply = bool;
    const CODES: &'static [Code] = &[Code::InvalidApiKey];

    fn decide(self, _: ByAnybody, cx: &mut GlobalContext<'_>) -> Result<bool, Error> {
        within(cx, &self.token, IntegrationKind::CloudWatch, |_, intake| {
            let confirmed = intake.traffic.topic.get_or_insert_with(|| self.topic.clone());
            Ok(*confirmed == self.topic)
        })
    }
}

/// Receives an alarm from a topic (contract, section 14). `None` when another topic was confirmed, or none was. Codes: `invalid_api_key` (no
/// integration of the kind `cloudwatch` has the token).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveFromTopic {
    /// The token of the integration.
    pub token: Secret,
    /// The topic.
    pub topic: TopicArn,
    /// The alarm, if the message tells of one that is to be received.
    pub alert: Option<Alert>,
}

impl ReceiveFromTopic {
    /// An alarm from this topic.
    #[must_use]
    pub const fn new(token: Secret, topic: TopicArn, alert: Option<Alert>) -> Self {
        Self { token, topic, alert }
    }
}

impl Command for ReceiveFromTopic {
    type Caller = ByAnybody;
    type Reply = Option<Received>;
    const CODES: &'static [Code] = &[Code::InvalidApiKey];

    fn decide(self, _: ByAnybody, cx: &mut GlobalContext<'_>) -> Result<Option<Received>, Error> {
        within(cx, &self.token, IntegrationKind::CloudWatch, |cx, intake| {
            if intake.traffic.topic.as_ref() != Some(&self.topic) {
                return Ok(None);
            }
            match self.alert {
                Some(alert) => intake.receive(cx, alert).map(Some),
                None => Ok(Some(Received::Nothing)),
            }
        })
    }
}
