//! Notification rules: which contact methods are told of a page, and when.

use std::time::Duration;

use super::{ContactSettings, NotificationRule, built_in};
use crate::caller::ByMember;
use crate::code::Code;
use crate::command::{Command, Context, Query, View, seal};
use crate::error::Error;
use crate::id::{ContactMethodId, UserId};
use crate::outbox::Recipient;
use crate::validation::Problem;
use crate::world::{Change, World, Write};

seal!(SetNotificationRules, GetNotificationRules);

/// The longest delay of a rule: a day.
const LONGEST_DELAY: u16 = 1_440;
/// The most rules of a member.
const MOST: usize = 20;

impl NotificationRule {
    /// A rule, if its delay is one: 0–1,440 minutes.
    ///
    /// # Errors
    /// A [`Problem`] of `delayMinutes`.
    pub fn new(contact_method_id: ContactMethodId, delay_minutes: i64) -> Result<Self, Problem> {
        match u16::try_from(delay_minutes) {
            Ok(delay_minutes) if delay_minutes <= LONGEST_DELAY => Ok(Self { contact_method_id, delay_minutes }),
            _ => Err(Problem::new("delayMinutes", "must be a number from 0 to 1440")),
        }
    }
}

/// The notification rules of a member: at most 20, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NotificationRules {
    rules: Vec<NotificationRule>,
}

impl NotificationRules {
    /// Rules, if they are few enough and none is there twice.
    ///
    /// # Errors
    /// A [`Problem`] of `rules`.
    pub fn new(rules: Vec<NotificationRule>) -> Result<Self, Problem> {
        if rules.len() > MOST {
            return Err(Problem::new("rules", "must be at most 20"));
        }
        let twice = rules.iter().enumerate().any(|(place, rule)| rules.iter().take(place).any(|other| other == rule));
        if twice { Err(Problem::new("rules", "must not hold a rule twice")) } else { Ok(Self { rules }) }
    }

    /// The rules, in the order given.
    #[must_use]
    pub fn as_slice(&self) -> &[NotificationRule] {
        &self.rules
    }
}

/// Sets the notification rules of the acting user, in place of those before (contract, section 9). Without any, the built-in e-mail
/// is told at once. What was paged before keeps its deliveries. Codes: `invalid_contact_method` (unknown or not verified).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetNotificationRules {
    /// The rules from now on.
    pub rules: NotificationRules,
}

impl SetNotificationRules {
    /// These rules.
    #[must_use]
    pub const fn new(rules: NotificationRules) -> Self {
        Self { rules }
    }
}

impl Command for SetNotificationRules {
    type Caller = ByMember;
    type Reply = NotificationRules;
    const CODES: &'static [Code] = &[Code::InvalidContactMethod];

    fn decide(self, by: ByMember, cx: &mut Context<'_>) -> Result<NotificationRules, Error> {
        let me = by.user_id;
        for rule in self.rules.as_slice() {
            let id = rule.contact_method_id;
            if id != built_in(me) && !cx.world.contact_method(me, id)?.is_some_and(|method| method.is_verified()) {
                return Err(unknown_or_unverified());
            }
        }
        set_rules(cx, me, |rules| rules.clone_from(&self.rules.rules))?;
        Ok(self.rules)
    }
}

pub(super) fn unknown_or_unverified() -> Error {
    Error::refused(Code::InvalidContactMethod, "the contact method is unknown, or is not verified")
}

/// What a member has set, as it is stored, and to be changed.
pub(super) fn settings(world: &dyn World, user: UserId) -> Result<(Option<ContactSettings>, ContactSettings), Error> {
    let before = world.contact_settings(user)?;
    let after = before.clone().unwrap_or_else(|| ContactSettings::none(world.org_id(), user));
    Ok((before, after))
}

/// Changes the rules of a member. Settings that say nothing are not stored.
pub(super) fn set_rules(
    cx: &mut Context<'_>,
    user: UserId,
    change: impl FnOnce(&mut Vec<NotificationRule>),
) -> Result<(), Error> {
    let (before, mut after) = settings(cx.world, user)?;
    change(&mut after.rules);
    let after = Some(after).filter(|after| !after.says_nothing());
    if before != after {
        cx.write(Write::ContactSettings(Box::new(Change { before, after })));
    }
    Ok(())
}

/// The notification rules of the acting user (contract, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetNotificationRules;

impl Query for GetNotificationRules {
    type Caller = ByMember;
    type Reply = NotificationRules;
    const CODES: &'static [Code] = &[];

    fn answer(&self, by: ByMember, view: &View<'_>) -> Result<NotificationRules, Error> {
        let settings = view.world.contact_settings(by.user_id)?;
        Ok(NotificationRules { rules: settings.map(|settings| settings.rules).unwrap_or_default() })
    }
}

/// One way in which a page reaches a member.
pub(crate) struct Way {
    pub(crate) recipient: Recipient,
    /// How long after the page.
    pub(crate) delay: Duration,
}

/// The ways in which a page reaches a member.
pub(crate) fn deliveries(world: &dyn World, user: UserId) -> Result<Vec<Way>, Error> {
    let rules = world.contact_settings(user)?.map(|settings| settings.rules).unwrap_or_default();
    if rules.is_empty() {
        let recipient = Recipient::Member(user);
        return Ok(vec![Way { recipient, delay: Duration::ZERO }]);
    }
    let way = |rule: NotificationRule| {
        let method = rule.contact_method_id;
        let recipient = if method == built_in(user) {
            Recipient::Member(user)
        } else {
            let found = world.contact_method(user, method)?;
            let found = found.ok_or_else(|| Error::broken("a notification rule without its contact method"))?;
            found.recipient()
        };
        let delay = Duration::from_secs(u64::from(rule.delay_minutes) * 60);
        Ok(Way { recipient, delay })
    };
    rules.into_iter().map(way).collect()
}
