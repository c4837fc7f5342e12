//! `dogwatch integration`: alerts in, set up by the operator, who holds the data folder, as the first admin of the organization.
//!
//! Adding one prints what to paste into the configuration of the sender. Trying one out goes over the network, as the sender does.

use dogwatch_deliver::try_out;
use dogwatch_store::rules::id::IntegrationId;
use dogwatch_store::rules::incident::Severity;
use dogwatch_store::rules::integration::{
    CreateIntegration, DeleteIntegration, Heartbeat, IntegrationKind, ListIntegrations, RotateIntegrationToken,
    Settings, Severities, SeverityOutcome,
};
use dogwatch_store::rules::oncall::ListSchedules;
use dogwatch_store::rules::text::{HttpUrl, Name};
use dogwatch_store::rules::{OrgId, Problem, Secret, Validation};
use serde_json::{Value, json};

use crate::cli::{AddIntegrationArgs, IntegrationArgs, ListIntegrationsArgs, TestIntegrationArgs};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::look::{no_such, open_as_admin};

/// The severities that are dropped: their words, with commas in between.
fn severities(dropped: &[String]) -> Result<Severities, Problem> {
    let mut read = Severities::ALL;
    for word in dropped {
        let place = match word.parse::<Severity>()? {
            Severity::Critical => &mut read.critical,
            Severity::High => &mut read.high,
            Severity::Medium => &mut read.medium,
            Severity::Low => &mut read.low,
        };
        *place = SeverityOutcome::Drop;
    }
    Ok(read)
}

/// `dogwatch integration add`
pub(crate) fn add(args: &AddIntegrationArgs, desk: &mut Desk) -> Result<(), Failure> {
    let mut check = Validation::new();
    let org = check.optional("--org-id", args.store.org_id.as_deref().map(OrgId::parse));
    let name = check.field("--name", Name::new(&args.name));
    let kind = check.field("--kind", args.kind.parse::<IntegrationKind>());
    let url = check.field("--url", HttpUrl::new(&args.url));
    let severities = check.field("--drop", severities(&args.drop));
    let heartbeat = args.period.map(|period| Heartbeat::new(period, args.grace));
    let heartbeat = check.optional("--period", heartbeat);
    let read = check.finish(|| Some((org?, name?, kind?, url?, severities?, heartbeat?)))?;
    let (org, name, kind, url, severities, heartbeat) = read;
    let (engine, admin) = open_as_admin(desk, &args.store.data, org)?;
    let mut settings = Settings {
        severities,
        pause_seconds: args.pause,
        resolve_after_seconds: args.resolve_after,
        heartbeat,
        ..Settings::default()
    };
    if let Some(schedule) = &args.schedule {
        let all = engine.query(&ListSchedules, &admin)?;
        let found = all.iter().find(|it| it.name.as_str() == schedule).map(|it| it.id);
        let names = || no_such("schedule", schedule, all.iter().map(|it| it.name.as_str()));
        settings.owner_schedule_id = Some(found.ok_or_else(names)?);
    }
    let made = engine.execute(CreateIntegration { name, kind, settings }, &admin)?;
    let token = made.token.reveal();
    desk.print(&json!({ "integrationId": made.integration.setting.id.to_string(), "token": token }))?;
    Ok(writeln!(desk.drawing, "\n{}", snippet(kind, url.as_str().trim_end_matches('/'), token))?)
}

/// What to paste into the configuration of a sender.
fn snippet(kind: IntegrationKind, url: &str, token: &str) -> String {
    match kind {
        IntegrationKind::Alertmanager => format!(
            "# alertmanager.yml, or a contact point of Grafana of the kind \"webhook\" with this URL\n\
             receivers:\n  - name: dogwatch\n    webhook_configs:\n      - url: {url}/integrations/alertmanager/{token}\n        \
             send_resolved: true\n"
        ),
        IntegrationKind::PagerDuty => format!(
            "# alertmanager.yml; any other sender to PagerDuty whose URL can be set has the same key and URL\n\
             receivers:\n  - name: dogwatch\n    pagerduty_configs:\n      - routing_key: {token}\n        \
             url: {url}/integrations/pagerduty/v2/enqueue\n        \
             severity: '{{{{ if .CommonLabels.severity }}}}{{{{ .CommonLabels.severity }}}}{{{{ else }}}}error{{{{ end }}}}'\n"
        ),
        IntegrationKind::Generic => format!(
            "# Fires; with \"state\": \"resolved\" it is over.\n\
             curl -fsS {url}/integrations/generic/{token} -d '{{\"key\": \"disk/db1\", \"state\": \"firing\", \
             \"title\": \"Disk full on db1\", \"severity\": \"high\"}}'\n"
        ),
        IntegrationKind::CloudWatch => format!(
            "# The topic of the alarms signs with version 2, and sends to the server. TOPIC is its ARN.\n\
             aws sns set-topic-attributes --topic-arn TOPIC --attribute-name SignatureVersion --attribute-value 2\n\
             aws sns subscribe --topic-arn TOPIC --protocol https --notification-endpoint {url}/integrations/cloudwatch/{token}\n"
        ),
        IntegrationKind::Heartbeat => format!(
            "# At the end of a job, in a crontab, or in a loop:\ncurl -fsS {url}/integrations/heartbeat/{token}\n"
        ),
    }
}

/// `dogwatch integration list`
pub(crate) fn list(args: &ListIntegrationsArgs, desk: &mut Desk) -> Result<(), Failure> {
    let mut check = Validation::new();
    let org = check.optional("--org-id", args.store.org_id.as_deref().map(OrgId::parse));
    let org = check.finish(|| org)?;
    let (engine, admin) = open_as_admin(desk, &args.store.data, org)?;
    for it in engine.query(&ListIntegrations, &admin)? {
        let setting = &it.setting;
        desk.print(&json!({
            "integrationId": setting.id.to_string(),
            "name": setting.name.as_str(),
            "kind": setting.kind.as_str(),
            "lastSignalAt": it.last_signal_at.map(|at| at.to_string()),
        }))?;
    }
    Ok(())
}

fn named(args: &IntegrationArgs) -> Result<(Option<OrgId>, IntegrationId), Failure> {
    let mut check = Validation::new();
    let org = check.optional("--org-id", args.store.org_id.as_deref().map(OrgId::parse));
    let id = check.field("--id", IntegrationId::parse(&args.id));
    Ok(check.finish(|| Some((org?, id?)))?)
}

/// `dogwatch integration rotate-token`
pub(crate) fn rotate(args: &IntegrationArgs, desk: &mut Desk) -> Result<(), Failure> {
    let (org, id) = named(args)?;
    let (engine, admin) = open_as_admin(desk, &args.store.data, org)?;
    let made = engine.execute(RotateIntegrationToken::new(id), &admin)?;
    desk.print(&json!({ "integrationId": id.to_string(), "token": made.token.reveal() }))
}

/// `dogwatch integration delete`
pub(crate) fn delete(args: &IntegrationArgs, desk: &mut Desk) -> Result<(), Failure> {
    let (org, id) = named(args)?;
    let (engine, admin) = open_as_admin(desk, &args.store.data, org)?;
    let id = engine.execute(DeleteIntegration::new(id), &admin)?;
    desk.print(&json!({ "integrationId": id.to_string(), "deleted": true }))
}

/// `dogwatch integration test`
pub(crate) fn test(args: &TestIntegrationArgs) -> Result<(), Failure> {
    let mut check = Validation::new();
    let kind = check.field("--kind", args.kind.parse::<IntegrationKind>());
    let url = check.field("--url", HttpUrl::new(&args.url));
    let (kind, url) = check.finish(|| Some((kind?, url?)))?;
    let mut desk = Desk::own();
    let mut taken = true;
    for (path, body) in requests(kind, &Secret::new(&args.token)) {
        let answer = try_out(&format!("{}{path}", url.as_str().trim_end_matches('/')), body.to_string().as_bytes());
        let (status, answer) = answer.map_err(|why| Failure::Settings(why.to_string()))?;
        taken = taken && (200..300).contains(&status);
        let mut sent = body.clone();
        if let Some(key) = sent.get_mut("routing_key") {
            *key = "…".into();
        }
        desk.print(&json!({ "sent": sent, "status": status, "answer": answer.trim() }))?;
    }
    if taken { Ok(()) } else { Err(Failure::Settings("the test was not received".to_owned())) }
}

/// What a sender of this kind would send of an alert that fires and is over at once: paths and bodies.
fn requests(kind: IntegrationKind, token: &Secret) -> Vec<(String, Value)> {
    const KEY: &str = "dogwatch-test";
    const TITLE: &str = "Test of an integration";
    let token = token.reveal();
    let path = |kind: &str| format!("/integrations/{kind}/{token}");
    match kind {
        IntegrationKind::PagerDuty => {
            let event = |action: &str| {
                let payload = json!({ "summary": TITLE, "source": "dogwatch", "severity": "info" });
                let event =
                    json!({ "routing_key": token, "event_action": action, "dedup_key": KEY, "payload": payload });
                ("/integrations/pagerduty/v2/enqueue".to_owned(), event)
            };
            vec![event("trigger"), event("resolve")]
        }
        IntegrationKind::Alertmanager => {
            let group = |status: &str| {
                let alert = json!({ "status": status, "labels": { "alertname": TITLE }, "fingerprint": KEY });
                (path("alertmanager"), json!({ "version": "4", "groupKey": KEY, "status": status, "alerts": [alert] }))
            };
            vec![group("firing"), group("resolved")]
        }
        IntegrationKind::Generic => {
            let alert = |state: &str| {
                (path("generic"), json!({ "key": KEY, "state": state, "title": TITLE, "severity": "low" }))
            };
            vec![alert("firing"), alert("resolved")]
        }
        IntegrationKind::Heartbeat => vec![(path("heartbeat"), json!({}))],
        // Only SNS can sign: what it would be refused for says that the token is right.
        IntegrationKind::CloudWatch => vec![(path("cloudwatch"), json!({}))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed stands in the document for it, with a placeholder for the token.
    #[test]
    fn snippets_are_documented() {
        let document = include_str!("../../../docs/integrations.md");
        for kind in IntegrationKind::ALL {
            let snippet = snippet(kind, "https://oncall.example.com", "TOKEN");
            assert!(document.contains(&snippet), "{kind}:\n{snippet}");
        }
    }

    #[test]
    fn what_is_dropped() {
        let read = severities(&["low".to_owned(), "medium".to_owned()]).unwrap();
        assert_eq!(
            (read.low, read.medium, read.high),
            (SeverityOutcome::Drop, SeverityOutcome::Drop, SeverityOutcome::Incident)
        );
        assert!(severities(&["sev1".to_owned()]).is_err());
    }
}
