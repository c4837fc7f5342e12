//! What senders of alerts may send, any bytes at all: read, and received by the rules in memory.

use std::sync::LazyLock;

use dogwatch_core::incident::{ListIncidents, ListLimit};
use dogwatch_core::integration::{
    AlertState, CreateIntegration, IntegrationKind, ListSignals, ReceiveAlert, Received, Settings,
};
use dogwatch_core::memory::MemoryState;
use dogwatch_core::{Actor, IdSource, Secret, Timestamp};
use dogwatch_intake::{Alert, Refusal};

use crate::fixture::create_organization;

/// The most alerts of one request that are received: the parsers see all of them.
const MOST: usize = 60;

/// An organization with an integration, from which every run begins.
struct Beginning {
    rules: MemoryState,
    admin: Actor,
    token: Secret,
    now: Timestamp,
}

static BEGINNING: LazyLock<Beginning> = LazyLock::new(|| {
    let (mut rules, mut ids) = (MemoryState::new(), IdSource::from_seed([3; 32]));
    let now = "2026-04-07T09:00:00Z".parse().unwrap();
    let admin = rules.execute(create_organization(), &Actor::Operator, now, &mut ids).unwrap().actor();
    let settings = Settings { resolve_after_seconds: 0, ..Settings::default() };
    let create = CreateIntegration { name: "Monitor".parse().unwrap(), kind: IntegrationKind::Generic, settings };
    let token = rules.execute(create, &admin, now, &mut ids).unwrap().token;
    Beginning { rules, admin, token, now }
});

/// Reads bytes as a sender of some kind would have sent them, and receives what they say, twice: what fires the second time counts.
pub fn check(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    let alerts = match kind % 3 {
        0 => dogwatch_intake::pagerduty(body).map(|event| vec![event.alert]),
        1 => dogwatch_intake::alertmanager(body),
        _ => dogwatch_intake::generic(body).map(|alert| vec![alert]),
    };
    match alerts {
        Ok(alerts) => received(&alerts),
        Err(Refusal { errors }) => assert!(!errors.is_empty(), "a refusal says why"),
    }
}

fn received(alerts: &[Alert]) {
    let Beginning { rules, admin, token, now } = &*BEGINNING;
    let (mut rules, mut ids) = (rules.clone(), IdSource::from_seed([4; 32]));
    let mut receive = |rules: &mut MemoryState, alert: &Alert| {
        let receive = ReceiveAlert::new(token.clone(), IntegrationKind::Generic, alert.clone());
        rules.execute(receive, &Actor::Anybody, *now, &mut ids).unwrap()
    };
    let (mut fired, mut counted) = (0_u64, 0_u64);
    for alert in alerts.iter().take(MOST) {
        receive(&mut rules, alert);
        fired += u64::from(matches!(alert.state, AlertState::Firing(_)));
        if matches!(alert.state, AlertState::Firing(_)) {
            assert_eq!(receive(&mut rules, alert), Received::Counted, "it fires already");
            fired += 1;
        } else {
            assert_eq!(receive(&mut rules, alert), Received::Nothing, "there is nothing left");
        }
    }
    let all = ListIncidents { limit: ListLimit::MAX, ..ListIncidents::default() };
    for incident in rules.query(&all, admin).unwrap().incidents {
        let list = ListSignals { limit: ListLimit::MAX, ..ListSignals::new(incident.id) };
        let signals = rules.query(&list, admin).unwrap().signals;
        assert!(!signals.is_empty(), "an incident without a signal");
        counted += signals.iter().map(|signal| signal.count).sum::<u64>();
    }
    assert_eq!(counted, fired, "every alert that fires is in one signal");
}
