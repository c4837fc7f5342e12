//! Nothing of another organization can be seen, named or changed (contract, section 2).
//!
//! Two organizations with random contents. Every command and query of one is tried with the ids of the other: it must come
//! to exactly what it comes to with ids that nobody ever made, and leave the other organization as it was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use dogwatch_core::api_key::{CreateApiKey, ListApiKeys, RevokeApiKey};
use dogwatch_core::component::{CreateComponent, DeleteComponent, EditComponent, GetComponent, ListComponents};
use dogwatch_core::contact::{
    ListContactMethods, NotificationRule, NotificationRules, RemoveContactMethod, RenameContactMethod,
    SetNotificationRules, TestContactMethod, VerifyContactMethod, built_in,
};
use dogwatch_core::escalation::{
    AckTimeout, AddPolicyLayer, CreatePolicy, DeletePolicy, EditPolicy, EditPolicyLayer, GetPolicy, ListPolicies,
    OrderPolicyLayers, Position, PreviewPolicy, RemovePolicyLayer, Target,
};
use dogwatch_core::id::{
    ApiKeyId, ComponentId, Id, IncidentId, IntegrationId, InvitationId, MaintenanceId, OverrideId, PolicyId,
    PolicyLayerId, RotationLayerId, ScheduleId, StatusPageId, UpdateId, WebhookId,
};
use dogwatch_core::incident::{
    AcknowledgeIncident, Author, ChangeStatus, CreateIncident, EditIncident, GetIncident, GetUpdate, HandOffIncident,
    ListAuditEvents, ListIncidents, ListLimit, ListUpdates, Owner, PostUpdate, RedactUpdate, SetComponents, Severity,
    Status,
};
use dogwatch_core::integration::{
    CreateIntegration, DeleteIntegration, EditIntegration, GetIntegration, IntegrationKind, ListIntegrations,
    ListSignals, Received, RotateIntegrationToken, Settings,
};
use dogwatch_core::oncall::{
    AddRotationLayer, CreateOverride, CreateSchedule, DeleteOverride, DeleteSchedule, EditRotationLayer, EditSchedule,
    GetSchedule, LayerSettings, ListOverrides, ListSchedules, OnCallNow, OrderRotationLayers, RemoveRotationLayer,
    ResolveOnCall, RotationLength, ShiftsOnCall,
};
use dogwatch_core::org_audit::ListOrgAudit;
use dogwatch_core::outbox::{ListNotifications, ListPages};
use dogwatch_core::status_page::{
    ComponentStatus, CreateMaintenance, CreateStatusPage, DeleteMaintenance, DeleteStatusPage, EditMaintenance,
    EditStatusPage, GetMaintenance, GetStatusPage, ListMaintenances, ListStatusPages, ShowStatusPage, StatusOverride,
};
use dogwatch_core::team::{ChangeRole, GetMember, InviteMember, ListTeam, RemoveMember, RevokeInvitation, Role};
use dogwatch_core::webhook::{
    CreateWebhook, DeleteWebhook, EditWebhook, EnableWebhook, GetWebhook, ListWebhookDeliveries, ListWebhooks,
    RotateWebhookSecret, TestWebhook,
};
use dogwatch_core::{Actor, Code, Command, Patch, Query, Secret, Timestamp, UserId};
use dogwatch_store::backend::MemoryBackend;
use dogwatch_store::{Engine, Error, ManualClock};
use dogwatch_testkit::rooms::integration::{firing, over};
use dogwatch_testkit::{ops, run::Run};
use proptest::prelude::*;

/// Ids of one organization, or of none.
struct Names {
    user: UserId,
    invitation: InvitationId,
    key: ApiKeyId,
    component: ComponentId,
    incident: IncidentId,
    update: UpdateId,
    schedule: ScheduleId,
    layer: RotationLayerId,
    stand_in: OverrideId,
    policy: PolicyId,
    policy_layer: PolicyLayerId,
    webhook: WebhookId,
    page: StatusPageId,
    maintenance: MaintenanceId,
    integration: IntegrationId,
    /// Of an incident that the integration has opened.
    alerted: IncidentId,
    /// What its sender presents; nobody has the token of none.
    token: Secret,
}

const NOBODYS: [u8; 16] = [0xEE; 16];

fn nobodys() -> Names {
    Names {
        user: Id::from_bytes(NOBODYS),
        invitation: Id::from_bytes(NOBODYS),
        key: Id::from_bytes(NOBODYS),
        component: Id::from_bytes(NOBODYS),
        incident: Id::from_bytes(NOBODYS),
        update: Id::from_bytes(NOBODYS),
        schedule: Id::from_bytes(NOBODYS),
        layer: Id::from_bytes(NOBODYS),
        stand_in: Id::from_bytes(NOBODYS),
        policy: Id::from_bytes(NOBODYS),
        policy_layer: Id::from_bytes(NOBODYS),
        webhook: Id::from_bytes(NOBODYS),
        page: Id::from_bytes(NOBODYS),
        maintenance: Id::from_bytes(NOBODYS),
        integration: Id::from_bytes(NOBODYS),
        alerted: Id::from_bytes(NOBODYS),
        token: Secret::new("x".repeat(32)),
    }
}

/// Whoever holds a token of ours reports what they have a signal of, too: it is ours, and they have nothing of it. With an old token,
/// or over another kind, nobody reports anything.
fn report(engine: &Engine, admin: &Actor, ours: &Names) {
    let kind = IntegrationKind::Generic;
    let received = |token: &Secret, alert| engine.submit_alerts(token, kind, vec![alert]).map(|it| it.wait().unwrap());
    let fires = || firing("disk", None, Severity::Critical, "fuller");
    assert_eq!(received(&ours.token, fires()).unwrap(), [Received::Counted]);
    assert_eq!(received(&ours.token, over("disk")).unwrap(), [Received::Over]);
    let old = engine.execute(RotateIntegrationToken::new(ours.integration), admin).unwrap().token;
    let now = engine.execute(RotateIntegrationToken::new(ours.integration), admin).unwrap().token;
    for token in [&ours.token, &old] {
        assert_eq!(received(token, fires()).err().map(|error| error.code()), Some(Code::InvalidApiKey));
    }
    assert_eq!(engine.submit_beat(&now).err().map(|error| error.code()), Some(Code::InvalidApiKey));
    let of_another_kind = engine.submit_alerts(&now, IntegrationKind::PagerDuty, vec![fires()]);
    assert_eq!(of_another_kind.err().map(|error| error.code()), Some(Code::InvalidApiKey));
    assert_eq!(received(&now, fires()).unwrap(), [Received::Counted], "it has been quiet for a moment only");
}

/// What an attempt came to: the whole error, or success.
fn outcome<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        // Messages may repeat the id that was asked for, and nothing else.
        Err(error) => format!("{} {:?} {error}", error.code(), error.fields()),
    }
}

/// Every command and query that takes an id, tried with these.
fn try_all(engine: &Engine, actor: &Actor, own: &Names, names: &Names) -> Vec<String> {
    let mut outcomes = Vec::new();
    let hide = |text: String| {
        [
            names.user.to_string(),
            names.invitation.to_string(),
            names.key.to_string(),
            names.component.to_string(),
            names.incident.to_string(),
            names.update.to_string(),
            names.schedule.to_string(),
            names.layer.to_string(),
            names.stand_in.to_string(),
            names.policy.to_string(),
            names.policy_layer.to_string(),
            names.webhook.to_string(),
            names.page.to_string(),
            names.maintenance.to_string(),
            names.integration.to_string(),
            names.alerted.to_string(),
        ]
        .iter()
        .fold(text, |text, id| text.replace(id, "ID"))
    };
    fn run<C: Command + Clone>(engine: &Engine, actor: &Actor, command: C) -> String {
        let again = command.clone();
        let refused = outcome(engine.execute(command, actor));
        assert_eq!(outcome(engine.transact(actor, |tx| tx.execute(again))), refused, "in a transaction");
        refused
    }
    fn ask<Q: Query>(engine: &Engine, actor: &Actor, query: &Q) -> String {
        outcome(engine.query(query, actor))
    }
    let create = |owner: UserId, components: &[ComponentId]| CreateIncident {
        component_ids: components.to_vec(),
        ..CreateIncident::new("x".parse().unwrap(), Severity::Low, owner)
    };
    let title = EditIncident { title: Some("x".parse().unwrap()), ..EditIncident::new(names.incident) };
    let rename = EditComponent {
        id: names.component,
        name: Some("x".parse().unwrap()),
        description: Patch::Clear,
        group_label: Patch::Keep,
    };
    let body = || "x".parse().unwrap();
    outcomes.push(run(engine, actor, ChangeRole { user_id: names.user, role: Role::Admin }));
    outcomes.push(run(engine, actor, RemoveMember { user_id: names.user }));
    outcomes.push(run(engine, actor, RevokeInvitation { id: names.invitation }));
    outcomes.push(run(engine, actor, RevokeApiKey { id: names.key }));
    outcomes.push(run(engine, actor, rename));
    outcomes.push(run(engine, actor, DeleteComponent { id: names.component }));
    outcomes.push(run(engine, actor, create(names.user, &[])));
    outcomes.push(run(engine, actor, create(own.user, &[names.component])));
    outcomes.push(run(
        engine,
        actor,
        CreateIncident { owner: Owner::of(Some(own.user), Some(names.schedule)), ..create(own.user, &[]) },
    ));
    outcomes.push(run(
        engine,
        actor,
        CreateIncident { escalation_policy_id: Some(names.policy), ..create(own.user, &[]) },
    ));
    outcomes.push(run(engine, actor, title));
    outcomes.push(run(engine, actor, ChangeStatus::new(names.incident, Status::Identified)));
    outcomes.push(run(engine, actor, PostUpdate::internal(names.incident, body())));
    outcomes.push(run(engine, actor, SetComponents { id: names.incident, component_ids: vec![] }));
    outcomes.push(run(engine, actor, SetComponents { id: own.incident, component_ids: vec![names.component] }));
    outcomes.push(run(engine, actor, RedactUpdate { incident_id: names.incident, update_id: names.update }));
    outcomes.push(run(engine, actor, RedactUpdate { incident_id: own.incident, update_id: names.update }));
    let (from, to) = (Timestamp::MIN, Timestamp::clamped(1));
    let zone = EditSchedule {
        id: names.schedule,
        name: None,
        description: Patch::Keep,
        timezone: Some("Asia/Tokyo".to_owned()),
    };
    let people = |schedule, layer, user| EditRotationLayer {
        participant_ids: Some(vec![user]),
        ..EditRotationLayer::new(schedule, layer)
    };
    let settings = |user| LayerSettings::new(RotationLength::DAILY, "09:00".parse().unwrap(), from, vec![user]);
    let add = |schedule, user| AddRotationLayer {
        schedule_id: schedule,
        name: "new".parse().unwrap(),
        settings: settings(user),
    };
    let stand_in = |schedule, user| CreateOverride::new(schedule, user, from, Timestamp::clamped(9_999_999));
    let order = |schedule, layer| OrderRotationLayers { schedule_id: schedule, layer_ids: vec![layer] };
    outcomes.push(run(engine, actor, zone));
    outcomes.push(run(engine, actor, DeleteSchedule { id: names.schedule }));
    outcomes.push(run(engine, actor, add(names.schedule, own.user)));
    outcomes.push(run(engine, actor, add(own.schedule, names.user)));
    outcomes.push(run(engine, actor, people(names.schedule, names.layer, own.user)));
    outcomes.push(run(engine, actor, people(own.schedule, names.layer, own.user)));
    outcomes.push(run(engine, actor, people(own.schedule, own.layer, names.user)));
    outcomes.push(run(engine, actor, RemoveRotationLayer { schedule_id: names.schedule, layer_id: names.layer }));
    outcomes.push(run(engine, actor, RemoveRotationLayer { schedule_id: own.schedule, layer_id: names.layer }));
    outcomes.push(run(engine, actor, order(names.schedule, names.layer)));
    outcomes.push(run(engine, actor, order(own.schedule, names.layer)));
    outcomes.push(run(engine, actor, stand_in(names.schedule, own.user)));
    outcomes.push(run(engine, actor, stand_in(own.schedule, names.user)));
    outcomes.push(run(engine, actor, DeleteOverride { schedule_id: names.schedule, id: names.stand_in }));
    outcomes.push(run(engine, actor, DeleteOverride { schedule_id: own.schedule, id: names.stand_in }));
    let add = |policy, target| AddPolicyLayer {
        policy_id: policy,
        position: Position::new(9).unwrap(),
        ack_timeout: AckTimeout::from_minutes(5).unwrap(),
        target,
    };
    let one = |user| Target::users(vec![user]).unwrap();
    let edit = |policy, layer, target| EditPolicyLayer { target: Some(target), ..EditPolicyLayer::new(policy, layer) };
    let rename = EditPolicy { id: names.policy, name: Some("x".parse().unwrap()), description: Patch::Keep };
    let order = |policy, layer| OrderPolicyLayers { policy_id: policy, layer_ids: vec![layer] };
    outcomes.push(run(engine, actor, rename));
    outcomes.push(run(engine, actor, DeletePolicy { id: names.policy }));
    outcomes.push(run(engine, actor, add(names.policy, one(own.user))));
    outcomes.push(run(engine, actor, add(own.policy, one(names.user))));
    outcomes.push(run(engine, actor, add(own.policy, Target::Schedule(names.schedule))));
    outcomes.push(run(engine, actor, edit(names.policy, names.policy_layer, one(own.user))));
    outcomes.push(run(engine, actor, edit(own.policy, names.policy_layer, one(own.user))));
    outcomes.push(run(engine, actor, edit(own.policy, own.policy_layer, one(names.user))));
    outcomes.push(run(engine, actor, edit(own.policy, own.policy_layer, Target::Schedule(names.schedule))));
    outcomes.push(run(engine, actor, RemovePolicyLayer { policy_id: names.policy, layer_id: names.policy_layer }));
    outcomes.push(run(engine, actor, RemovePolicyLayer { policy_id: own.policy, layer_id: names.policy_layer }));
    outcomes.push(run(engine, actor, order(names.policy, names.policy_layer)));
    outcomes.push(run(engine, actor, order(own.policy, names.policy_layer)));
    outcomes.push(run(engine, actor, AcknowledgeIncident::new(names.incident)));
    outcomes.push(run(engine, actor, HandOffIncident { id: names.incident, target_user_id: own.user }));
    outcomes.push(run(engine, actor, HandOffIncident { id: own.incident, target_user_id: names.user }));
    let method = built_in(names.user);
    let rules = NotificationRules::new(vec![NotificationRule::new(method, 0).unwrap()]).unwrap();
    outcomes.push(run(engine, actor, RenameContactMethod::new(method, "x".parse().unwrap())));
    outcomes.push(run(engine, actor, RemoveContactMethod::new(method)));
    outcomes.push(run(engine, actor, VerifyContactMethod::new(method, "000000")));
    outcomes.push(run(engine, actor, TestContactMethod::new(method)));
    outcomes.push(run(engine, actor, SetNotificationRules::new(rules)));
    outcomes.push(ask(engine, actor, &ListContactMethods { user_id: Some(names.user) }));
    let rename = EditWebhook { name: Some("x".parse().unwrap()), ..EditWebhook::new(names.webhook) };
    outcomes.push(run(engine, actor, rename));
    outcomes.push(run(engine, actor, DeleteWebhook::new(names.webhook)));
    outcomes.push(run(engine, actor, RotateWebhookSecret::new(names.webhook)));
    outcomes.push(run(engine, actor, TestWebhook::new(names.webhook)));
    outcomes.push(run(engine, actor, EnableWebhook::new(names.webhook)));
    outcomes.push(ask(engine, actor, &GetWebhook::new(names.webhook)));
    outcomes.push(ask(engine, actor, &ListWebhookDeliveries::new(names.webhook)));
    outcomes.push(run(engine, actor, PostUpdate::public(names.incident, body())));
    let shows = |page, component| EditStatusPage { component_ids: Some(vec![component]), ..EditStatusPage::new(page) };
    let by_hand = |page, component_id| EditStatusPage {
        overrides: Some(vec![StatusOverride { component_id, status: ComponentStatus::Operational }]),
        ..EditStatusPage::new(page)
    };
    let slug = || "of-another-kind".parse().unwrap();
    let create = |components: &[ComponentId]| CreateStatusPage {
        component_ids: components.to_vec(),
        ..CreateStatusPage::new("x".parse().unwrap(), slug())
    };
    let announce = |status_page_id, component| CreateMaintenance {
        status_page_id,
        title: "x".parse().unwrap(),
        description: None,
        component_ids: vec![component],
        starts_at: from,
        ends_at: Timestamp::clamped(1),
    };
    let change = |page, maintenance| EditMaintenance {
        title: Some("x".parse().unwrap()),
        ..EditMaintenance::new(page, maintenance)
    };
    let works_on =
        |component| EditMaintenance { component_ids: Some(vec![component]), ..change(own.page, own.maintenance) };
    outcomes.push(run(engine, actor, create(&[names.component])));
    outcomes.push(run(engine, actor, shows(names.page, own.component)));
    outcomes.push(run(engine, actor, shows(own.page, names.component)));
    outcomes.push(run(engine, actor, by_hand(names.page, own.component)));
    outcomes.push(run(engine, actor, by_hand(own.page, names.component)));
    outcomes.push(run(engine, actor, DeleteStatusPage::new(names.page)));
    outcomes.push(run(engine, actor, announce(names.page, own.component)));
    outcomes.push(run(engine, actor, announce(own.page, names.component)));
    outcomes.push(run(engine, actor, change(names.page, names.maintenance)));
    outcomes.push(run(engine, actor, change(own.page, names.maintenance)));
    outcomes.push(run(engine, actor, change(names.page, own.maintenance)));
    outcomes.push(run(engine, actor, works_on(names.component)));
    outcomes.push(run(engine, actor, DeleteMaintenance::new(names.page, names.maintenance)));
    outcomes.push(run(engine, actor, DeleteMaintenance::new(own.page, names.maintenance)));
    outcomes.push(run(engine, actor, DeleteMaintenance::new(names.page, own.maintenance)));
    outcomes.push(ask(engine, actor, &GetStatusPage::new(names.page)));
    outcomes.push(ask(engine, actor, &ListMaintenances::new(names.page)));
    outcomes.push(ask(engine, actor, &GetMaintenance::new(names.page, names.maintenance)));
    outcomes.push(ask(engine, actor, &GetMaintenance::new(own.page, names.maintenance)));
    outcomes.push(ask(engine, actor, &GetMaintenance::new(names.page, own.maintenance)));
    outcomes.push(ask(engine, actor, &ListPages::new(names.incident)));
    outcomes.push(ask(engine, actor, &GetPolicy { id: names.policy }));
    outcomes.push(ask(engine, actor, &PreviewPolicy { id: names.policy, at: from }));
    outcomes.push(ask(engine, actor, &ListNotifications::new(names.user)));
    outcomes.push(ask(engine, actor, &GetSchedule { id: names.schedule }));
    outcomes.push(ask(engine, actor, &ListOverrides { schedule_id: names.schedule }));
    outcomes.push(ask(engine, actor, &ResolveOnCall { schedule_id: names.schedule, at: from }));
    outcomes.push(ask(engine, actor, &ShiftsOnCall::new(names.schedule, from, to)));
    outcomes.push(ask(engine, actor, &GetMember { user_id: names.user }));
    outcomes.push(ask(engine, actor, &GetComponent { id: names.component }));
    outcomes.push(ask(engine, actor, &GetIncident { id: names.incident }));
    outcomes.push(ask(engine, actor, &ListUpdates::new(names.incident)));
    outcomes.push(ask(engine, actor, &ListAuditEvents::new(names.incident)));
    outcomes.push(ask(engine, actor, &GetUpdate::new(names.incident, names.update)));
    outcomes.push(ask(engine, actor, &GetUpdate::new(own.incident, names.update)));
    let rename = |id| EditIntegration { name: Some("y".parse().unwrap()), ..EditIntegration::new(id) };
    outcomes.push(run(engine, actor, rename(names.integration)));
    outcomes.push(run(engine, actor, DeleteIntegration::new(names.integration)));
    outcomes.push(run(engine, actor, RotateIntegrationToken::new(names.integration)));
    outcomes.push(ask(engine, actor, &GetIntegration::new(names.integration)));
    outcomes.push(ask(engine, actor, &ListSignals::new(names.alerted)));
    let names_theirs: [fn(&mut EditIntegration, &Names); 3] = [
        |edit, names| edit.component_id = Patch::Set(names.component),
        |edit, names| edit.owner_schedule_id = Patch::Set(names.schedule),
        |edit, names| edit.escalation_policy_id = Patch::Set(names.policy),
    ];
    for set in names_theirs {
        let mut edit = EditIntegration::new(own.integration);
        set(&mut edit, names);
        outcomes.push(run(engine, actor, edit));
    }
    let names_theirs: [fn(&mut Settings, &Names); 3] = [
        |settings, names| settings.component_id = Some(names.component),
        |settings, names| settings.owner_schedule_id = Some(names.schedule),
        |settings, names| settings.escalation_policy_id = Some(names.policy),
    ];
    for set in names_theirs {
        let kind = IntegrationKind::Generic;
        let mut create = CreateIntegration::new("z".parse().unwrap(), kind);
        set(&mut create.settings, names);
        outcomes.push(run(engine, actor, create));
    }
    outcomes.into_iter().map(hide).collect()
}

/// All that an admin can see.
fn everything(engine: &Engine, admin: &Actor) -> String {
    let mut text = format!("{:?}", engine.query(&ListTeam, admin).unwrap());
    text += &format!("{:?}", engine.query(&ListApiKeys, admin).unwrap());
    text += &format!("{:?}", engine.query(&ListComponents, admin).unwrap());
    text += &format!("{:?}", engine.query(&ListOrgAudit { limit: ListLimit::MAX, cursor: None }, admin).unwrap());
    let now = engine.now();
    text += &format!("{:?}", engine.query(&OnCallNow { at: now }, admin).unwrap());
    for schedule in engine.query(&ListSchedules, admin).unwrap() {
        text += &format!("{:?}", engine.query(&GetSchedule { id: schedule.id }, admin).unwrap());
        text += &format!("{:?}", engine.query(&ListOverrides { schedule_id: schedule.id }, admin).unwrap());
    }
    for policy in engine.query(&ListPolicies, admin).unwrap() {
        text += &format!("{:?}", engine.query(&GetPolicy { id: policy.id }, admin).unwrap());
    }
    for member in engine.query(&ListTeam, admin).unwrap().members {
        text += &format!("{:?}", engine.query(&ListNotifications::new(member.id), admin).unwrap());
        text += &format!("{:?}", engine.query(&ListContactMethods { user_id: Some(member.id) }, admin).unwrap());
    }
    for webhook in engine.query(&ListWebhooks, admin).unwrap() {
        text += &format!("{webhook:?}");
        text += &format!("{:?}", engine.query(&ListWebhookDeliveries::new(webhook.id), admin).unwrap());
    }
    for page in engine.query(&ListStatusPages, admin).unwrap() {
        text += &format!("{page:?}");
        text += &format!("{:?}", engine.query(&ListMaintenances::new(page.id), admin).unwrap());
        text += &format!("{:?}", engine.query(&ShowStatusPage::new(page.slug, now), &Actor::Anybody).ok());
    }
    text += &format!("{:?}", engine.query(&ListIntegrations, admin).unwrap());
    let all = ListIncidents { limit: ListLimit::MAX, ..Default::default() };
    for incident in engine.query(&all, admin).unwrap().incidents {
        text += &format!("{:?}", engine.query(&GetIncident { id: incident.id }, admin).unwrap());
        text += &format!("{:?}", engine.query(&ListPages::new(incident.id), admin).unwrap());
        text += &format!("{:?}", engine.query(&ListUpdates::new(incident.id), admin).unwrap().updates);
        text += &format!("{:?}", engine.query(&ListSignals::new(incident.id), admin).unwrap());
    }
    text
}

/// Adds one of each thing to an organization and names them.
fn one_of_each(engine: &Engine, admin: &Actor, user: UserId) -> Names {
    let email = format!("new{}@example.com", engine.query(&ListTeam, admin).unwrap().invitations.len() + 100);
    let name = format!("component {}", engine.query(&ListComponents, admin).unwrap().len() + 100);
    let invite = InviteMember { email_address: email.parse().unwrap(), role: Role::Member };
    let component = CreateComponent { name: name.parse().unwrap(), description: None, group_label: None };
    let key = CreateApiKey { name: "a key".parse().unwrap(), expires_at: None };
    let component = engine.execute(component, admin).unwrap().id;
    let open = CreateIncident {
        component_ids: vec![component],
        ..CreateIncident::new("down".parse().unwrap(), Severity::High, user)
    };
    let incident = engine.execute(open, admin).unwrap().id;
    let create = CreateSchedule { name: name.parse().unwrap(), description: None, timezone: "UTC".to_owned() };
    let schedule = engine.execute(create, admin).unwrap().id;
    let settings = LayerSettings::new(RotationLength::DAILY, "09:00".parse().unwrap(), Timestamp::MIN, vec![user]);
    let add = AddRotationLayer { schedule_id: schedule, name: "layer".parse().unwrap(), settings };
    let policy = CreatePolicy { name: name.parse().unwrap(), description: None };
    let policy = engine.execute(policy, admin).unwrap().id;
    let policy_layer = AddPolicyLayer {
        policy_id: policy,
        position: Position::new(1).unwrap(),
        ack_timeout: AckTimeout::from_minutes(5).unwrap(),
        target: Target::Schedule(schedule),
    };
    let hour = |hours: u64| engine.now().plus(std::time::Duration::from_secs(hours * 3_600));
    let stand_in = CreateOverride::new(schedule, user, hour(1), hour(2));
    let webhook = CreateWebhook::new(name.parse().unwrap(), "https://hooks.example.com/".parse().unwrap());
    // A slug is nobody else's.
    let mut page = CreateStatusPage::new(name.parse().unwrap(), incident.to_string().parse().unwrap());
    (page.published, page.component_ids) = (true, vec![component]);
    let page = engine.execute(page, admin).unwrap().id;
    let maintenance = CreateMaintenance {
        status_page_id: page,
        title: name.parse().unwrap(),
        description: None,
        component_ids: vec![component],
        starts_at: hour(1),
        ends_at: hour(2),
    };
    let kind = IntegrationKind::Generic;
    let added = engine.execute(CreateIntegration::new(name.parse().unwrap(), kind), admin).unwrap();
    let alert = firing("disk", None, Severity::High, "full");
    engine.submit_alerts(&added.token, kind, vec![alert]).unwrap().wait().unwrap();
    let newest = engine.query(&ListIncidents { limit: ListLimit::MAX, ..Default::default() }, admin).unwrap().incidents;
    let alerted = newest.iter().find(|it| it.created_by == Author::Integration(added.integration.setting.id));
    Names {
        integration: added.integration.setting.id,
        alerted: alerted.unwrap().id,
        token: added.token,
        page,
        maintenance: engine.execute(maintenance, admin).unwrap().id,
        policy,
        policy_layer: engine.execute(policy_layer, admin).unwrap().id,
        schedule,
        layer: engine.execute(add, admin).unwrap().id,
        stand_in: engine.execute(stand_in, admin).unwrap().id,
        user,
        invitation: engine.execute(invite, admin).unwrap().invitation.id,
        key: engine.execute(key, admin).unwrap().key.id,
        component,
        incident,
        update: engine.execute(PostUpdate::internal(incident, "words".parse().unwrap()), admin).unwrap().id,
        webhook: engine.execute(webhook, admin).unwrap().id,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(dogwatch_testkit::cases(40)))]

    #[test]
    fn the_other_organization_is_as_if_it_did_not_exist(bytes in prop::collection::vec(any::<u8>(), 0..1_500)) {
        let backend = MemoryBackend::new();
        let mut open = |clock: ManualClock, seed| {
            Engine::builder().clock(clock).id_seed(seed).with_backend(backend.clone()).unwrap()
        };
        let mut run = Run::begin(&mut open);
        ops::steps(&bytes).iter().for_each(|step| run.step(step));
        let admins: Vec<usize> = run.orgs.iter()
            .map(|org| org.members.iter().position(|member| !member.removed && member.admin).unwrap())
            .collect();
        for (here, there) in [(0, 1), (1, 0)] {
            let engine = run.engine();
            let (us, them) = (run.actor(here, admins[here]), run.actor(there, admins[there]));
            let user = |org: usize| run.orgs[org].members[admins[org]].id.parse().unwrap();
            let ours = one_of_each(engine, &us, user(here));
            let theirs = one_of_each(engine, &them, user(there));
            let before = everything(engine, &them);
            let with_theirs = try_all(engine, &us, &ours, &theirs);
            let with_nobodys = try_all(engine, &us, &ours, &nobodys());
            prop_assert_eq!(&with_theirs, &with_nobodys);
            prop_assert!(with_theirs.iter().all(|outcome| outcome != "ok"), "{:?}", with_theirs);
            report(engine, &us, &ours);
            prop_assert_eq!(before, everything(engine, &them));
            let seen = everything(engine, &us);
            for id in [theirs.integration.to_string(), theirs.alerted.to_string(), theirs.page.to_string(), theirs.maintenance.to_string(), theirs.policy.to_string(), theirs.policy_layer.to_string(), theirs.schedule.to_string(), theirs.layer.to_string(), theirs.stand_in.to_string(), theirs.incident.to_string(), theirs.component.to_string(), theirs.key.to_string(), theirs.update.to_string(), theirs.webhook.to_string()] {
                prop_assert!(!seen.contains(&id));
            }
            // A member of one organization who claims to act in the other is nobody there.
            let Actor::Member { user_id: user, .. } = us else { panic!("an admin is a member") };
            let Actor::Member { org_id: org, .. } = them else { panic!("an admin is a member") };
            let impostor = Actor::member(org, user);
            let refused = engine.query(&ListComponents, &impostor).unwrap_err();
            prop_assert_eq!(refused.code(), Code::InvalidApiKey);
        }
    }
}
