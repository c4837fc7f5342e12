//! The rules on a storage of one's own: members and incidents in two maps. Of all else there is nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example fails by panicking, and prints")]
use std::collections::HashMap;

use dogwatch::rules::id::{Id, IncidentId};
use dogwatch::rules::incident::{ChangeStatus, CreateIncident, Incident, IncidentPort, Severity, Status};
use dogwatch::rules::organization::{Counts, OrganizationPort};
use dogwatch::rules::team::{Member, TeamPort};
use dogwatch::rules::{Code, Error, IdSource, OrgId, Timestamp, UserId, decide_in, world::Write};

struct Shelf {
    counts: Counts,
    members: HashMap<UserId, Member>,
    incidents: HashMap<IncidentId, Incident>,
}
impl OrganizationPort for Shelf {
    fn org_id(&self) -> OrgId {
        self.counts.org_id
    }
    fn counts(&self) -> Result<Counts, Error> {
        Ok(self.counts)
    }
}
impl TeamPort for Shelf {
    fn member(&self, id: UserId) -> Result<Option<Member>, Error> {
        Ok(self.members.get(&id).cloned())
    }
}
impl IncidentPort for Shelf {
    fn incident(&self, id: IncidentId) -> Result<Option<Incident>, Error> {
        Ok(self.incidents.get(&id).cloned())
    }
}
impl dogwatch::rules::api_key::ApiKeyPort for Shelf {}
impl dogwatch::rules::component::ComponentPort for Shelf {}
impl dogwatch::rules::escalation::EscalationPort for Shelf {}
impl dogwatch::rules::oncall::OnCallPort for Shelf {}
impl dogwatch::rules::contact::ContactPort for Shelf {}
impl dogwatch::rules::org_audit::OrgAuditPort for Shelf {}
impl dogwatch::rules::status_page::StatusPagePort for Shelf {}
impl dogwatch::rules::integration::IntegrationPort for Shelf {}
impl dogwatch::rules::removal::RemovalPort for Shelf {}
impl dogwatch::rules::webhook::WebhookPort for Shelf {}
impl dogwatch::rules::outbox::OutboxPort for Shelf {}

fn main() -> Result<(), Error> {
    let (org, ada, now) = (OrgId::from_bytes([1; 16]), UserId::from_bytes([2; 16]), Timestamp::MIN);
    let mut shelf = Shelf { counts: Counts::empty(org), members: HashMap::new(), incidents: HashMap::new() };
    let member = Member::new(org, ada, "ada@example.com".parse()?, ("Ada".parse()?, "Byron".parse()?), now);
    shelf.members.insert(ada, member);
    let mut ids = IdSource::from_seed([7; 32]);
    let open = CreateIncident::new("Checkout is down".parse()?, Severity::High, ada);
    let opened = decide_in(open, ada, &shelf, now, &mut ids)?;
    for write in opened.writes {
        match write {
            Write::Incident(change) => shelf.incidents.extend(change.after.map(|it| (it.id, it))),
            Write::Counts(change) => shelf.counts = change.after.unwrap_or(shelf.counts),
            other => println!("not kept: {other:?}"),
        }
    }
    let skipped = decide_in(ChangeStatus::new(opened.reply.id, Status::Resolved), ada, &shelf, now, &mut ids);
    assert_eq!(skipped.map(|it| it.reply).unwrap_err().code(), Code::InvalidStatusTransition);
    println!("#{} {}", opened.reply.sequential_id, opened.reply.title);
    Ok(())
}
