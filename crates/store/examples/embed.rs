#![expect(clippy::print_stdout, reason = "an example prints")]
//! Incident response in thirty lines: open a folder, open an incident, move it forward, see what is refused.

use dogwatch_store::Engine;
use dogwatch_store::rules::Actor;
use dogwatch_store::rules::incident::{ChangeStatus, CreateIncident, ListIncidents, Severity, Status};
use dogwatch_store::rules::organization::CreateOrganization;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "dogwatch-data".to_owned());
    let engine = Engine::open(folder)?;

    let created = engine.execute(
        CreateOrganization::new("Harbour".parse()?, "ada@example.com".parse()?, "Ada".parse()?, "Byron".parse()?),
        &Actor::Operator,
    )?;
    let ada = created.actor();
    let owner = created.admin.member.id;

    let open = CreateIncident::new("Checkout is down".parse()?, Severity::Critical, owner);
    let incident = engine.execute(open, &ada)?;
    engine.execute(ChangeStatus::new(incident.id, Status::Identified), &ada)?;
    if let Err(refused) = engine.execute(ChangeStatus::new(incident.id, Status::Resolved), &ada) {
        println!("refused: {refused} ({})", refused.code());
    }
    for incident in engine.query(&ListIncidents::default(), &ada)?.incidents {
        println!("#{} {} is {}", incident.sequential_id, incident.title, incident.status);
    }
    Ok(())
}
