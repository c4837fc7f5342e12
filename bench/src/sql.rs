//! What SQLite and PostgreSQL share: the tables, and what is said. `?n` of SQLite is `$n` of PostgreSQL.

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
