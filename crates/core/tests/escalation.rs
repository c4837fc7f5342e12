//! Section 9 of the contract: what escalation does to incidents, and the outbox. Each story is a table of what happens.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use dogwatch_core::escalation::{EditPolicyLayer, PreviewPolicy, RemovePolicyLayer, Target};
use dogwatch_core::id::Id;
use dogwatch_core::id::{IncidentId, PolicyId, PolicyLayerId, ScheduleId};
use dogwatch_core::incident::{AcknowledgeIncident, CreateIncident, Event, HandOffIncident, Severity, Status};
use dogwatch_core::oncall::{CreateOverride, DeleteSchedule};
use dogwatch_core::outbox::{ListNotifications, Notification, PageReason, ReadyInbox, claim, confirm};
use dogwatch_core::team::RemoveMember;
use dogwatch_core::world::Write;
use dogwatch_core::{Actor, Timestamp, UserId};
use support::{Harbour, policy_layer, user, valid, word};

/// Harbour with a policy, and one incident on it.
struct Story {
    harbour: Harbour,
    opened: Timestamp,
    night: ScheduleId,
    policy: PolicyId,
    layers: Vec<PolicyLayerId>,
    incident: IncidentId,
    told: usize,
}

/// Does the named thing; the names are those of the tables below.
impl Story {
    /// A policy of layers like `ben,cleo for 5`; `night` is a schedule without anybody, until somebody stands in.
    fn policy(layers: &[&str]) -> Self {
        let mut harbour = Harbour::new();
        let (night, policy) = (harbour.schedule("Night"), harbour.policy("Night"));
        let mut story = Self {
            opened: harbour.now,
            harbour,
            night,
            policy,
            layers: Vec::new(),
            incident: IncidentId::from_bytes([0; 16]),
            told: 0,
        };
        for (position, layer) in (1..).zip(layers) {
            let (who, minutes) = layer.split_once(" for ").unwrap();
            let target = match who {
                "night" => Target::Schedule(night),
                users => Target::users(users.split(',').map(|name| story.named(name)).collect()).unwrap(),
            };
            let ada = story.harbour.ada;
            let add = policy_layer(policy, position * 10, minutes.parse().unwrap(), target);
            story.layers.push(story.harbour.run(add, &ada).unwrap().id);
        }
        story
    }

    fn actor(&self, name: &str) -> Actor {
        match name {
            "ada" => self.harbour.ada,
            "ben" => self.harbour.ben,
            "cleo" => self.harbour.cleo,
            other => panic!("{other}"),
        }
    }

    fn named(&self, name: &str) -> UserId {
        user(&self.actor(name))
    }

    fn name_of(&self, id: UserId) -> &'static str {
        ["ada", "ben", "cleo"].into_iter().find(|name| self.named(name) == id).unwrap()
    }

    fn minute(&self, at: Timestamp) -> i64 {
        (at.as_millis() - self.opened.as_millis()) / 60_000
    }

    fn open(&mut self) {
        let ada = self.harbour.ada;
        let open = CreateIncident {
            escalation_policy_id: Some(self.policy),
            ..CreateIncident::new(valid("Checkout is down"), Severity::High, user(&ada))
        };
        self.incident = self.harbour.run(open, &ada).unwrap().id;
    }

    /// Something happens at a minute; gives the word of its outcome.
    fn act(&mut self, minute: i64, act: &str) -> &'static str {
        self.harbour.now = Timestamp::from_millis(self.opened.as_millis() + minute * 60_000).unwrap();
        let (id, ada) = (self.incident, self.harbour.ada);
        let (verb, rest) = act.split_once(' ').unwrap_or((act, ""));
        match verb {
            "open" => self.open(),
            "tick" => drop(self.harbour.world.tick(self.harbour.now, &mut self.harbour.ids).unwrap()),
            "ack" => {
                let who = self.actor(rest);
                return word(&self.harbour.run(AcknowledgeIncident::new(id), &who));
            }
            "handoff" => {
                let target = self.named(rest);
                return word(&self.harbour.run(HandOffIncident { id, target_user_id: target }, &ada));
            }
            "status" => {
                let to = rest.parse::<Status>().unwrap();
                return word(&self.harbour.run(dogwatch_core::incident::ChangeStatus::new(id, to), &ada));
            }
            "resolve" => {
                for to in [Status::Identified, Status::Monitoring, Status::Resolved] {
                    self.harbour.run(dogwatch_core::incident::ChangeStatus::new(id, to), &ada).unwrap();
                }
            }
            "stand-in" => {
                let (from, to) = (self.harbour.now, self.harbour.now.plus(Duration::from_secs(86_400)));
                let create = CreateOverride::new(self.night, self.named(rest), from, to);
                return word(&self.harbour.run(create, &ada));
            }
            "remove" => {
                let user = self.named(rest);
                return word(&self.harbour.run(RemoveMember { user_id: user }, &ada));
            }
            "drop-layer" => {
                let layer = self.layers[rest.parse::<usize>().unwrap()];
                return word(&self.harbour.run(RemovePolicyLayer { policy_id: self.policy, layer_id: layer }, &ada));
            }
            "retarget" => {
                let (layer, to) = rest.split_once(' ').unwrap();
                let target = Some(Target::users(vec![self.named(to)]).unwrap());
                let layer = self.layers[layer.parse::<usize>().unwrap()];
                let edit = EditPolicyLayer { target, ..EditPolicyLayer::new(self.policy, layer) };
                return word(&self.harbour.run(edit, &ada));
            }
            "delete-schedule" => return word(&self.harbour.run(DeleteSchedule { id: self.night }, &ada)),
            other => panic!("{other}"),
        }
        "ok"
    }

    /// The events of escalation since this was last asked.
    fn news(&mut self) -> String {
        let trail = self.harbour.detail(self.incident).audit_trail;
        let shown = trail[self.told..].iter().filter_map(|event| {
            let what = match &event.event {
                Event::LayerPaged { position, user_ids: users, .. } => {
                    let users: Vec<_> = users.iter().map(|user| self.name_of(*user)).collect();
                    format!("paged {position} {}", users.join(","))
                }
                Event::LayerSkipped { position, .. } => format!("skipped {position}"),
                Event::LayerTimedOut { position, .. } => format!("timed-out {position}"),
                Event::EscalationExhausted => "exhausted".to_owned(),
                Event::EscalationStopped => "stopped".to_owned(),
                Event::IncidentAcknowledged { .. } => "acknowledged".to_owned(),
                Event::IncidentHandedOff { previous_owner_id: previous, new_owner_id: new } => {
                    format!("handed {}>{}", previous.map_or("-", |user| self.name_of(user)), self.name_of(*new))
                }
                _ => return None,
            };
            Some(match event.actor_id {
                Some(actor) => format!("{what} by {}", self.name_of(actor.user().unwrap())),
                None => what,
            })
        });
        let news = shown.collect::<Vec<_>>().join("; ");
        self.told = trail.len();
        news
    }

    /// `current layer, next escalation in minutes from the opening`.
    fn shown(&self) -> String {
        let incident = self.harbour.detail(self.incident).incident;
        let next = incident.next_escalation_at.map_or("-".to_owned(), |at| self.minute(at).to_string());
        format!("{}, {next}", incident.current_layer_position.map_or("-".to_owned(), |at| at.to_string()))
    }

    /// Everybody's pages that wait for delivery: `escalation ben 0`.
    fn pages(&self) -> String {
        let mut pages: Vec<Notification> = Vec::new();
        for name in ["ada", "ben", "cleo"] {
            let query = ListNotifications::new(self.named(name));
            pages.extend(self.harbour.ask(&query, &self.harbour.ada).unwrap());
        }
        pages.sort_by_key(|page| (page.created_at, page.id));
        let shown = |page: &Notification| {
            let (reason, user) = (page.reason().unwrap(), page.user().unwrap());
            format!("{reason} {} {}", self.name_of(user), self.minute(page.created_at))
        };
        pages.iter().map(shown).collect::<Vec<_>>().join("; ")
    }
}

/// Tells a story: at a minute something is done, comes to a word, and brings these events; then the incident shows this.
fn check(layers: &[&str], acts: &[(i64, &str, &str, &str)], pages: &str) {
    let mut story = Story::policy(layers);
    for (minute, act, news, shown) in acts {
        let (act, expected) = act.split_once(": ").unwrap_or((act, "ok"));
        let before = story.harbour.world.clone();
        assert_eq!(story.act(*minute, act), expected, "{layers:?}, {minute}: {act}");
        if expected != "ok" {
            assert!(story.harbour.world == before, "{act} changed something");
        }
        if story.incident != IncidentId::from_bytes([0; 16]) {
            let got = (story.news(), story.shown());
            assert_eq!((got.0.as_str(), got.1.as_str()), (*news, *shown), "{layers:?}, {minute}: {act}");
        }
    }
    assert_eq!(story.pages(), pages, "{layers:?}");
}

#[test]
fn nobody_answers() {
    check(
        &["ben for 5", "cleo,ada for 10"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (4, "tick", "", "10, 5"),
            (5, "tick", "timed-out 10; paged 20 cleo,ada", "20, 15"),
            (5, "tick", "", "20, 15"),
            (14, "tick", "", "20, 15"),
            (15, "tick", "timed-out 20; exhausted", "20, -"),
            (99, "tick", "", "20, -"),
        ],
        "escalation ben 0; escalation cleo 5; escalation ada 5",
    );
}

#[test]
fn after_a_long_stop_each_layer_fires_once_and_counts_from_then() {
    check(
        &["ben for 5", "cleo for 10", "ada for 5"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (1_000, "tick", "timed-out 10; paged 20 cleo", "20, 1010"),
            (1_000, "tick", "", "20, 1010"),
            (1_010, "tick", "timed-out 20; paged 30 ada", "30, 1015"),
            (999, "tick", "", "30, 1015"),
        ],
        "escalation ben 0; escalation cleo 1000; escalation ada 1010",
    );
}

#[test]
fn acknowledging() {
    check(
        &["ben for 5", "cleo for 10"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (3, "ack ben", "acknowledged by ben; stopped by ben", "10, -"),
            (3, "ack cleo", "", "10, -"),
            (9, "tick", "", "10, -"),
            (9, "resolve", "", "10, -"),
            (9, "ack cleo", "", "10, -"),
        ],
        "escalation ben 0",
    );
    // At the very instant at which it is due, whoever comes first wins.
    check(
        &["ben for 5", "cleo for 10"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (5, "ack ben", "acknowledged by ben; stopped by ben", "10, -"),
            (5, "tick", "", "10, -"),
        ],
        "escalation ben 0",
    );
    // Also when nobody was asked any more.
    check(
        &["ben for 5"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (5, "tick", "timed-out 10; exhausted", "10, -"),
            (6, "ack cleo", "acknowledged by cleo", "10, -"),
        ],
        "escalation ben 0",
    );
}

#[test]
fn handing_off() {
    check(
        &["ben for 5", "cleo for 10"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (3, "handoff cleo", "handed ada>cleo by ada", "10, 8"),
            (5, "tick", "", "10, 8"),
            (6, "ack cleo", "acknowledged by cleo; stopped by cleo", "10, -"),
            (7, "handoff cleo", "handed cleo>cleo by ada", "10, 12"),
            (12, "tick", "timed-out 10; paged 20 cleo", "20, 22"),
            (22, "tick", "timed-out 20; exhausted", "20, -"),
            (30, "handoff ben", "handed cleo>ben by ada", "20, 40"),
            (40, "tick", "timed-out 20; exhausted", "20, -"),
            (41, "resolve", "", "20, -"),
            (42, "handoff ada: incident_resolved", "", "20, -"),
        ],
        "escalation ben 0; handoff cleo 3; handoff cleo 7; escalation cleo 12; handoff ben 30",
    );
    check(
        &["ben for 5"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (1, "remove cleo", "", "10, 5"),
            (2, "handoff cleo: invalid_target_user", "", "10, 5"),
        ],
        "escalation ben 0",
    );
}

#[test]
fn only_resolving_stops_a_run() {
    check(
        &["ben for 5", "cleo for 10"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (1, "status identified", "", "10, 5"),
            (5, "tick", "timed-out 10; paged 20 cleo", "20, 15"),
            (6, "status monitoring", "", "20, 15"),
            (7, "status resolved", "stopped by ada", "20, -"),
            (15, "tick", "", "20, -"),
            (16, "handoff ben: incident_resolved", "", "20, -"),
        ],
        "escalation ben 0; escalation cleo 5",
    );
}

#[test]
fn layers_that_reach_nobody() {
    check(
        &["night for 5", "night for 5", "cleo for 10", "night for 1"],
        &[
            (0, "open", "skipped 10; skipped 20; paged 30 cleo", "30, 10"),
            (10, "tick", "timed-out 30; skipped 40; exhausted", "30, -"),
        ],
        "escalation cleo 0",
    );
    // Nobody at all: there is no layer to wait on, also after a handoff.
    check(
        &["night for 5"],
        &[
            (0, "open", "skipped 10; exhausted", "-, -"),
            (1, "ack ben", "acknowledged by ben", "-, -"),
            (2, "handoff ben", "handed ada>ben by ada", "-, -"),
            (90, "tick", "", "-, -"),
        ],
        "handoff ben 2",
    );
    check(&[], &[(0, "open", "exhausted", "-, -"), (1, "resolve", "", "-, -")], "");
}

#[test]
fn schedules_are_resolved_when_a_layer_fires() {
    check(
        &["ben for 5", "night for 5", "night for 5"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (1, "stand-in cleo", "", "10, 5"),
            (5, "tick", "timed-out 10; paged 20 cleo", "20, 10"),
            (6, "stand-in ada", "", "20, 10"),
            (10, "tick", "timed-out 20; paged 30 ada", "30, 15"),
        ],
        "escalation ben 0; escalation cleo 5; escalation ada 10",
    );
}

#[test]
fn a_run_keeps_the_layers_it_started_on() {
    check(
        &["ben for 5", "cleo for 5", "night for 5"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (1, "retarget 1 ben", "", "10, 5"),
            (1, "drop-layer 2", "", "10, 5"),
            (2, "stand-in ada", "", "10, 5"),
            (5, "tick", "timed-out 10; paged 20 cleo", "20, 10"),
            (10, "tick", "timed-out 20; paged 30 ada", "30, 15"),
        ],
        "escalation ben 0; escalation cleo 5; escalation ada 10",
    );
    // The policy has let go of the schedule, so it can go; the run finds nobody there.
    check(
        &["ben for 5", "night for 5"],
        &[
            (0, "stand-in ada", "", ""),
            (0, "open", "paged 10 ben", "10, 5"),
            (1, "delete-schedule: schedule_in_use", "", "10, 5"),
            (1, "drop-layer 1", "", "10, 5"),
            (2, "delete-schedule", "", "10, 5"),
            (5, "tick", "timed-out 10; skipped 20; exhausted", "10, -"),
        ],
        "escalation ben 0",
    );
}

#[test]
fn who_has_left_is_not_paged() {
    check(
        &["ben for 5", "cleo,ada for 5", "cleo for 5"],
        &[
            (0, "open", "paged 10 ben", "10, 5"),
            (1, "remove cleo", "", "10, 5"),
            (5, "tick", "timed-out 10; paged 20 ada", "20, 10"),
            (10, "tick", "timed-out 20; skipped 30; exhausted", "20, -"),
        ],
        "escalation ben 0; escalation ada 5",
    );
}

#[test]
fn without_a_policy() {
    let mut story = Story::policy(&[]);
    let (ada, ben, cleo) = (story.harbour.ada, story.harbour.ben, story.harbour.cleo);
    story.incident = story.harbour.incident();
    let id = story.incident;
    let acknowledged = story.harbour.run(AcknowledgeIncident::new(id), &ben).unwrap();
    assert_eq!((acknowledged.acknowledged_by, acknowledged.status), (Some(user(&ben).into()), Status::Investigating));
    assert_eq!(acknowledged.acknowledged_at, Some(story.harbour.now));
    let again = story.harbour.run_unchanged(AcknowledgeIncident::new(id), &cleo).unwrap();
    assert_eq!(again, acknowledged);
    let handed = story.harbour.run(HandOffIncident { id, target_user_id: user(&cleo) }, &ada).unwrap();
    assert_eq!((handed.owner_id, handed.acknowledged_at, handed.acknowledged_by), (Some(user(&cleo)), None, None));
    assert_eq!((handed.current_layer_position, handed.next_escalation_at), (None, None));
    assert_eq!(story.news(), "acknowledged by ben; handed ben>cleo by ada");
    assert_eq!(story.pages(), "handoff cleo 0");
    let nobody = HandOffIncident { id, target_user_id: UserId::from_bytes([9; 16]) };
    assert_eq!(word(&story.harbour.run_unchanged(nobody, &ada)), "invalid_target_user");
    for unknown in [IncidentId::from_bytes([9; 16]), IncidentId::from_bytes([0; 16])] {
        assert_eq!(word(&story.harbour.run_unchanged(AcknowledgeIncident::new(unknown), &ada)), "not_found");
        let handoff = HandOffIncident { id: unknown, target_user_id: UserId::from_bytes([9; 16]) };
        assert_eq!(word(&story.harbour.run_unchanged(handoff, &ada)), "not_found");
    }
}

#[test]
fn a_preview_is_the_run_that_nobody_acknowledges() {
    let mut story = Story::policy(&["night for 5", "ben,cleo for 10", "night for 1", "ada for 60"]);
    story.act(12, "stand-in cleo");
    for (opened, expected, end) in [
        (0, "10 at 0: -; 20 at 0: ben,cleo; 30 at 10: -; 40 at 10: ada", 70),
        (2, "10 at 2: -; 20 at 2: ben,cleo; 30 at 12: cleo; 40 at 13: ada", 73),
        (12, "10 at 12: cleo; 20 at 17: ben,cleo; 30 at 27: cleo; 40 at 28: ada", 88),
    ] {
        let at = Timestamp::from_millis(story.opened.as_millis() + opened * 60_000).unwrap();
        let preview = story.harbour.ask(&PreviewPolicy { id: story.policy, at }, &story.harbour.ben).unwrap();
        let shown = preview.layers.iter().map(|layer| {
            assert_eq!(layer.skipped, layer.targets.is_empty());
            let users: Vec<_> = layer.targets.iter().map(|user| story.name_of(*user)).collect();
            let users = if users.is_empty() { "-".to_owned() } else { users.join(",") };
            format!("{} at {}: {users}", layer.position, story.minute(layer.fires_at))
        });
        assert_eq!(shown.collect::<Vec<_>>().join("; "), expected, "opened at {opened}");
        assert_eq!(story.minute(preview.exhausted_at), end);
    }
    let empty = story.harbour.policy("Empty");
    let preview = story.harbour.ask(&PreviewPolicy { id: empty, at: story.opened }, &story.harbour.ben).unwrap();
    assert_eq!((preview.layers.len(), preview.exhausted_at), (0, story.opened));
    let unknown = PreviewPolicy { id: PolicyId::from_bytes([9; 16]), at: story.opened };
    assert_eq!(word(&story.harbour.ask(&unknown, &story.harbour.ben)), "not_found");
}

/// A user's inbox: claimed from one at a time, confirmed or back again, always in order.
#[test]
fn the_outbox() {
    let mut story = Story::policy(&["ben for 5", "ben,cleo for 5"]);
    story.act(0, "open");
    story.act(5, "tick");
    let minute = |minute: i64| Timestamp::from_millis(story.opened.as_millis() + minute * 60_000).unwrap();
    let (world, ids) = (&mut story.harbour.world, &mut story.harbour.ids);
    let lease = Duration::from_secs(120);
    // Ben has two waiting, Cleo one: one each is handed out.
    let claimed = world.claim(10, lease, minute(6), ids).unwrap();
    let shown = |claimed: &[Notification]| claimed.iter().map(|one| (one.number, one.attempts)).collect::<Vec<_>>();
    assert_eq!(shown(&claimed), [(1, 1), (1, 1)]);
    let [ben, cleo] = &claimed[..] else { panic!("{claimed:?}") };
    assert_eq!(world.claim(10, lease, minute(7), ids).unwrap(), [], "both are held");
    // Cleo's is delivered; Ben's comes back when the lease is over, before his next.
    assert!(world.confirm(&cleo.receipt(), None, minute(7), ids).unwrap());
    assert!(!world.confirm(&cleo.receipt(), None, minute(7), ids).unwrap(), "delivered once");
    let again = world.claim(10, lease, minute(8), ids).unwrap();
    assert_eq!((again[0].id, again[0].attempts, again.len()), (ben.id, 2, 1));
    // A claim that is over cannot give back what somebody else holds, but what it delivered is delivered.
    assert!(!world.give_back(&ben.receipt(), Duration::ZERO, minute(8), ids).unwrap());
    assert!(world.give_back(&again[0].receipt(), Duration::from_secs(60), minute(8), ids).unwrap());
    assert_eq!(world.claim(10, lease, minute(8), ids).unwrap(), [], "given back for a minute");
    let third = world.claim(10, lease, minute(9), ids).unwrap();
    assert_eq!((third[0].id, third[0].attempts), (ben.id, 3));
    assert!(world.confirm(&ben.receipt(), None, minute(9), ids).unwrap());
    assert!(
        !world.confirm(&ben.receipt(), None, minute(9), ids).unwrap(),
        "a late confirmation is not for the next of his line"
    );
    assert!(!world.give_back(&third[0].receipt(), Duration::ZERO, minute(9), ids).unwrap());
    let next = world.claim(10, lease, minute(9), ids).unwrap();
    assert_eq!((next[0].user(), next[0].number), (ben.user(), 2), "the next of his line");
    // A lease is an hour at most.
    assert_eq!(world.claim(10, lease, minute(10), ids).unwrap(), []);
    let long = world.claim(0, Duration::from_secs(1 << 40), minute(11), ids).unwrap();
    assert_eq!(long, [], "none asked for");
    let held = world.claim(1, Duration::from_secs(1 << 40), minute(11), ids).unwrap();
    assert_eq!(held[0].attempts, 2);
    assert_eq!(world.claim(1, lease, minute(70), ids).unwrap(), []);
    assert_eq!(world.claim(1, lease, minute(71), ids).unwrap()[0].attempts, 3);
}

/// What whoever delivers was told a while ago: it hands out and gives back nothing that it should not.
#[test]
fn stale_claims_and_receipts() {
    let mut story = Story::policy(&["ben for 5", "ben for 5"]);
    story.act(0, "open");
    story.act(5, "tick");
    let minute = |minute: i64| Timestamp::from_millis(story.opened.as_millis() + minute * 60_000).unwrap();
    let (incident, org) = (story.incident, story.harbour.org);
    let (world, ids) = (&mut story.harbour.world, &mut story.harbour.ids);
    let lease = Duration::from_secs(120);
    let first = world.claim(10, lease, minute(6), ids).unwrap().remove(0);
    assert_eq!((first.incident(), first.reason()), (Some(incident), Some(PageReason::Escalation)));
    // Somebody else has seen the inbox when it was ready, but it is held now.
    let stale = ReadyInbox { ready_at: minute(5), org_id: org, recipient: first.recipient };
    assert_eq!(claim(&stale, lease, world, minute(7), ids).unwrap().reply.notification, None, "held");
    // The lease ends at minute 8: from then on it is not held any more.
    assert!(!world.give_back(&first.receipt(), Duration::ZERO, minute(8), ids).unwrap());

    let decided = confirm(&first.receipt(), None, world, minute(8), ids).unwrap();
    let delivered = decided.writes.iter().find_map(|write| match write {
        Write::Notification(change) => change.after.clone(),
        _ => None,
    });
    assert_eq!(delivered.unwrap().delivered_at(), Some(minute(8)));
    world.apply(decided.writes);
    let second = world.claim(10, lease, minute(9), ids).unwrap().remove(0);
    assert_eq!((second.number, second.attempts), (2, 1));
    assert!(
        !world.give_back(&first.receipt(), Duration::ZERO, minute(9), ids).unwrap(),
        "the receipt of the one before"
    );
    assert!(world.confirm(&second.receipt(), None, minute(9), ids).unwrap());
    assert_eq!(claim(&stale, lease, world, minute(20), ids).unwrap().reply.notification, None, "empty");
}
