//! Consumers in a simulated night: they claim, deliver and confirm, are slow or crash; and a webhook that is told of every event.

use std::time::Duration;

use dogwatch_core::contact::{
    NotificationRule, NotificationRules, SetNotificationRules, VerifyContactMethod, built_in,
};
use dogwatch_core::outbox::{DeliveryState, Message, Notification, Recipient, Retried, Transport};
use dogwatch_core::{Actor, Secret, Timestamp};
use dogwatch_store::Wanted;

use super::super::Complaint;
use super::super::auditor::ensure;
use super::{MINUTE, Night};

impl Night {
    /// A consumer claims notifications, and confirms each, gives it back, keeps it for later, or crashes.
    pub(super) fn consume(&mut self) -> Result<(), Complaint> {
        let limit = self.random.between(1, 6);
        let lease = Duration::from_secs(*self.random.pick(&[1, 30, 120, 600]).unwrap());
        let now = self.now();
        let claimed = self.engine().claim(usize::try_from(limit).unwrap(), lease).map_err(|e| e.to_string())?;
        let mut touched = Vec::new();
        for row in claimed {
            self.report.claims += 1;
            if let Recipient::Webhook(_) = row.recipient {
                self.tell(&row, now.plus(lease))?;
                continue;
            }
            self.auditor.claimed(&row, now, now.plus(lease))?;
            if let Message::Code { code: Some(code) } = &row.message {
                let code = code.clone();
                self.verify(&row, &code)?;
                continue;
            }
            match self.random.below(10) {
                // The consumer crashes before it delivers, or after.
                0 => {}
                1 => self.auditor.delivered(&row)?,
                2 => {
                    let after = Duration::from_secs(self.random.below(90));
                    let back = self.engine().give_back(&[row.receipt()], after).map_err(|e| e.to_string())?;
                    ensure!(back == 1, "{} was held, but could not be given back", row.id);
                    self.auditor.released(&row)?;
                }
                5 if row.user().is_some() && self.random.one_in(3) => {
                    let failed = self.engine().fail(&[row.receipt()], "no such mailbox").map_err(|e| e.to_string())?;
                    ensure!(failed == 1, "{} was held, but could not fail", row.id);
                    self.auditor.failed(&row)?;
                    touched.extend(row.incident());
                }
                6 if row.user().is_some() => {
                    let retried = self.engine().retry(&row.receipt(), "greylisted", None).map_err(|e| e.to_string())?;
                    match retried {
                        Retried::NotHeld => return Err(format!("{} was held, but could not be retried", row.id)),
                        Retried::At(at) => {
                            ensure!(now < at, "{} is tried again at {at}, in no time", row.id);
                            self.auditor.waits(&row, at)?;
                        }
                        Retried::Failed => {
                            let hour = row.due_at.plus(Duration::from_secs(3_600));
                            ensure!(hour <= now, "{} has failed before an hour had passed", row.id);
                            self.auditor.failed(&row)?;
                            touched.extend(row.incident());
                        }
                    }
                }
                3 | 4 => {
                    self.auditor.delivered(&row)?;
                    self.held.push((row, now.plus(lease)));
                }
                _ => {
                    self.auditor.delivered(&row)?;
                    let confirmed = self.engine().confirm(&[row.receipt()]).map_err(|e| e.to_string())?;
                    ensure!(confirmed == 1, "{} was held, but could not be confirmed", row.id);
                    self.auditor.confirmed(&row)?;
                    touched.extend(row.incident());
                }
            }
        }
        self.audit(&touched, None)
    }

    /// A consumer has seen the code of a contact method: its member verifies it, and is told over it from then on.
    pub(super) fn verify(&mut self, row: &Notification, code: &Secret) -> Result<(), Complaint> {
        let confirmed = self.engine().confirm(&[row.receipt()]).map_err(|e| e.to_string())?;
        ensure!(confirmed == 1, "{} was held, but could not be confirmed", row.id);
        self.auditor.confirmed(row)?;
        let Recipient::Method { user, method, .. } = row.recipient else { return Ok(()) };
        let actor = Actor::member(self.org, user);
        let verify = VerifyContactMethod::new(method, code.reveal());
        // It may be too late for the code, or the member has left.
        let Ok(Some(_)) = self.engine().execute(verify, &actor) else { return Ok(()) };
        let minutes = *self.random.pick(&[0, 1, 7, 45]).unwrap();
        let rules =
            [(built_in(user), 0), (method, minutes)].map(|(id, minutes)| NotificationRule::new(id, minutes).unwrap());
        let set = SetNotificationRules::new(NotificationRules::new(rules.to_vec()).unwrap());
        self.engine().execute(set, &actor).map_err(|error| error.to_string())?;
        let delay = Duration::from_secs(u64::try_from(minutes).unwrap() * 60);
        self.auditor.rules.insert(user, vec![(method, delay)]);
        Ok(())
    }

    /// The webhook is told of an event: it takes it, refuses it for now, or whoever tells it crashes before or after.
    pub(super) fn tell(&mut self, row: &Notification, until: Timestamp) -> Result<(), Complaint> {
        let now = self.now();
        self.auditor.told.claimed(row, now, until)?;
        match self.random.below(8) {
            0 => {}
            1 => self.auditor.told.arrived(row),
            2 => {
                let after = Duration::from_secs(self.random.below(90));
                let back = self.engine().give_back(&[row.receipt()], after).map_err(|e| e.to_string())?;
                ensure!(back == 1, "{} was held, but could not be given back", row.id);
                self.auditor.told.waits(now.plus(after));
            }
            // After ten it would be disabled.
            3 | 4 if row.failures < 5 => {
                match self.engine().retry(&row.receipt(), "busy", None).map_err(|e| e.to_string())? {
                    Retried::At(at) if now < at => self.auditor.told.waits(at),
                    other => return Err(format!("{} was held, and is {other:?}", row.id)),
                }
            }
            _ => self.took(row)?,
        }
        Ok(())
    }

    /// The webhook has taken what it was told, and that is confirmed.
    pub(super) fn took(&mut self, row: &Notification) -> Result<(), Complaint> {
        self.auditor.told.arrived(row);
        let confirmed = self.engine().confirm(&[row.receipt()]).map_err(|e| e.to_string())?;
        ensure!(confirmed == 1, "{} was held, but could not be confirmed", row.id);
        self.auditor.told.confirmed();
        Ok(())
    }

    /// The webhook is told of all that waits.
    pub(super) fn tell_all(&mut self) -> Result<(), Complaint> {
        let wanted = [Wanted { transport: Transport::OrganizationWebhook, limit: 1, lease: MINUTE }];
        loop {
            let now = self.now();
            let claims = self.engine().claim_over(&wanted).map_err(|error| error.to_string())?;
            let [row] = &claims.notifications[..] else { return Ok(()) };
            self.auditor.told.claimed(row, now, now.plus(MINUTE))?;
            self.took(row)?;
        }
    }

    /// A slow consumer confirms at last; perhaps another one was faster.
    pub(super) fn confirm_late(&mut self) -> Result<(), Complaint> {
        let Some((row, until)) = self.held.pop() else { return Ok(()) };
        let now = self.now();
        let confirmed = self.engine().confirm(&[row.receipt()]).map_err(|e| e.to_string())?;
        ensure!(confirmed == 1 || until <= now, "{} was held, but could not be confirmed", row.id);
        let mut touched = Vec::new();
        if confirmed == 1 {
            self.auditor.confirmed(&row)?;
            touched.extend(row.incident());
        }
        self.audit(&touched, None)
    }

    /// All notifications are delivered, until none waits.
    pub(super) fn deliver_all(&mut self) -> Result<(), Complaint> {
        let mut rounds = 0;
        loop {
            self.clock.advance(Duration::from_secs(2 * 3_600));
            self.tell_all()?;
            let now = self.now();
            let claimed = self.engine().claim(100, MINUTE).map_err(|error| error.to_string())?;
            let waits = |one: &Notification| one.state() == DeliveryState::Waiting;
            if claimed.is_empty() {
                // What is behind a contact method that was removed ends one by one, and nobody is handed it.
                let rest = self.engine().undelivered(usize::MAX).map_err(|error| error.to_string())?;
                if !rest.iter().any(waits) {
                    break;
                }
                rounds += 1;
                ensure!(rounds < 1_000, "it never ends: {:?}", rest.into_iter().find(waits));
            }
            for row in &claimed {
                // What has failed in this claim makes events for the webhook.
                if let Recipient::Webhook(_) = row.recipient {
                    self.auditor.told.claimed(row, now, now.plus(MINUTE))?;
                    self.auditor.told.arrived(row);
                    self.auditor.told.confirmed();
                    continue;
                }
                self.auditor.claimed(row, now, now.plus(MINUTE))?;
                self.auditor.delivered(row)?;
                self.auditor.confirmed(row)?;
            }
            let receipts: Vec<_> = claimed.iter().map(Notification::receipt).collect();
            let confirmed = self.engine().confirm(&receipts).map_err(|error| error.to_string())?;
            ensure!(confirmed == receipts.len(), "{confirmed} of {} could be confirmed", receipts.len());
            let touched: Vec<_> = claimed.iter().filter_map(Notification::incident).collect();
            self.audit(&touched, None)?;
        }
        self.audit_all(None)
    }
}
