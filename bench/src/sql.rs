//! What SQLite and PostgreSQL share: the tables, and what is said. `?n` of SQLite is `$n` of PostgreSQL.

use std::time::Duration;

pub(crate) const TITLE: &str = "Checkout is down";
pub(crate) const DESCRIPTION: &str = "All card payments fail. Support sees about forty tickets.";
pub(crate) const UPDATE: &str = "The provider confirms; we are switching to the other one.";

pub(crate) const ORG: [u8; 16] = [1; 16];
pub(crate) const USER: [u8; 16] = [2; 16];

/// The tables; `BYTES` and `NOW` are what a database calls them.
pub(crate) const TABLES: &str = "
create table organization (id BYTES primary key, incidents bigint not null);
create table member (org BYTES, id BYTES, role bigint not null, removed_at bigint, primary key (org, id));
create table incident (org BYTES, id BYTES, number bigint not null, title text not null, description text,
    severity bigint not null, status bigint not null, owner BYTES, created_by BYTES not null, updated_at bigint not null,
    acknowledged_at bigint, acknowledged_by BYTES, primary key (org, id));
create index by_status on incident (org, status, id);
create index by_severity on incident (org, severity, id);
create index by_both on incident (org, status, severity, id);
create table status_entry (org BYTES, incident BYTES, id BYTES, status bigint not null, changed_at bigint not null,
    update_id BYTES, primary key (org, incident, id));
create table post (org BYTES, incident BYTES, id BYTES, body text, status_change bigint, visibility bigint not null,
    posted_by BYTES not null, primary key (org, incident, id));
create table audit (org BYTES, incident BYTES, id BYTES, actor BYTES, event text not null, details text not null,
    primary key (org, incident, id));
create table policy_layer (org BYTES, policy BYTES, position bigint not null, id BYTES not null, user_id BYTES not null,
    timeout bigint not null, primary key (org, policy, position));
create table run (org BYTES, incident BYTES, policy BYTES not null, position bigint not null, due_at bigint,
    primary key (org, incident));
create index run_due on run (due_at);
create table notification (org BYTES, id BYTES, user_id BYTES not null, incident BYTES not null, layer BYTES not null,
    created_at bigint not null, delivered_at bigint, primary key (org, user_id, id));
create table schedule (org BYTES, id BYTES, zone text not null, primary key (org, id));
create table rotation (org BYTES, schedule BYTES, id BYTES, position bigint not null, length_days bigint not null,
    primary key (org, schedule, id));
create table participant (org BYTES, rotation BYTES, position bigint, user_id BYTES not null,
    primary key (org, rotation, position));
create table replacement (org BYTES, schedule BYTES, id BYTES, user_id BYTES not null, starts_at bigint not null,
    ends_at bigint not null, primary key (org, schedule, id));
create index replacement_end on replacement (org, schedule, ends_at);
";

pub(crate) const MEMBER: &str = "select role from member where org = ?1 and id = ?2 and removed_at is null";
pub(crate) const COUNT: &str = "update organization set incidents = incidents + 1 where id = ?1 returning incidents";
pub(crate) const INSERT: &str =
    "insert into incident (org, id, number, title, description, severity, status, owner, created_by, updated_at)
    values (?1, ?2, ?3, ?4, ?5, 2, 1, ?6, ?6, ?7)";
pub(crate) const STEP: &str = "insert into status_entry values (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const POST: &str = "insert into post values (?1, ?2, ?3, ?4, ?5, 1, ?6)";
pub(crate) const AUDIT: &str = "insert into audit values (?1, ?2, ?3, ?4, ?5, ?6)";
pub(crate) const LOOK: &str = "select status, acknowledged_at from incident where org = ?1 and id = ?2";
pub(crate) const MOVE: &str = "update incident set status = ?3, updated_at = ?4 where org = ?1 and id = ?2";
pub(crate) const TOUCH: &str = "update incident set updated_at = ?3 where org = ?1 and id = ?2";
pub(crate) const ACKNOWLEDGE: &str =
    "update incident set acknowledged_at = ?3, acknowledged_by = ?4, updated_at = ?3 where org = ?1 and id = ?2";
const FIELDS: &str =
    "id, number, title, description, severity, status, owner, created_by, updated_at, acknowledged_at, acknowledged_by";
pub(crate) const HISTORY: &str =
    "select id, status, changed_at from status_entry where org = ?1 and incident = ?2 order by id";
pub(crate) const TRAIL: &str =
    "select id, actor, event, details from audit where org = ?1 and incident = ?2 order by id";

pub(crate) const ADD_LAYER: &str = "insert into policy_layer values (?1, ?2, ?3, ?4, ?5, 300000)";
pub(crate) const ADD_SCHEDULE: &str = "insert into schedule values (?1, ?2, ?3)";
pub(crate) const ADD_ROTATION: &str = "insert into rotation values (?1, ?2, ?3, 1, 1)";
pub(crate) const ADD_PARTICIPANT: &str = "insert into participant values (?1, ?2, ?3, ?4)";
pub(crate) const ADD_REPLACEMENT: &str = "insert into replacement values (?1, ?2, ?3, ?4, ?5, ?6)";

pub(crate) const REPLACED: &str = "select user_id from replacement
    where org = ?1 and schedule = ?2 and ends_at > ?3 and starts_at <= ?3 order by id desc limit 1";
pub(crate) const ROTATIONS: &str = "select s.zone, r.id, r.length_days from schedule s
    join rotation r on r.org = s.org and r.schedule = s.id where s.org = ?1 and s.id = ?2 order by r.position";
pub(crate) const PARTICIPANTS: &str =
    "select user_id from participant where org = ?1 and rotation = ?2 order by position";

/// What is due, with the layer that comes next and its user, who must still be a member.
pub(crate) const DUE: &str = "select run.incident, next.id, next.position, next.user_id, next.timeout from run
    join policy_layer next
        on next.org = run.org and next.policy = run.policy and next.position = run.position + 1
    join member on member.org = run.org and member.id = next.user_id and member.removed_at is null
    where run.due_at <= ?1 order by run.due_at limit 1024";
pub(crate) const GO_ON: &str = "update run set position = ?3, due_at = ?4 where org = ?1 and incident = ?2";
pub(crate) const NOTIFY: &str = "insert into notification values (?1, ?2, ?3, ?4, ?5, ?6, null)";

/// The schedule, its rotation and the policy of the alternatives.
pub(crate) const SCHEDULE: [u8; 16] = [3; 16];
pub(crate) const ROTATION: [u8; 16] = [4; 16];
pub(crate) const POLICY: [u8; 16] = [5; 16];
/// How far ahead of the clock a tick is.
pub(crate) const AHEAD: Duration = Duration::from_secs(360);

/// The instant of a tick.
pub(crate) fn soon() -> i64 {
    now() + i64::try_from(AHEAD.as_millis()).unwrap_or_default()
}

pub(crate) fn one() -> String {
    format!("select {FIELDS} from incident where org = ?1 and id = ?2")
}

pub(crate) fn newest() -> String {
    format!("select {FIELDS} from incident where org = ?1 order by id desc limit 21")
}

pub(crate) fn newest_of_status() -> String {
    format!("select {FIELDS} from incident where org = ?1 and status = ?2 order by id desc limit 21")
}

pub(crate) fn fresh() -> [u8; 16] {
    *uuid::Uuid::now_v7().as_bytes()
}

pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or_default()
}
