//! What commands share: opening a store as an admin, finding the organization, and writing instants.

use std::path::Path;
use std::str::FromStr;

use anstyle::Style;
use dogwatch_store::Engine;
use dogwatch_store::rules::{Actor, Code, Error as Refusal, OrgId, Problem, Timestamp, Zone};

use crate::desk::Desk;
use crate::failure::Failure;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();

/// Opens an existing store, to act as the first admin of the organization that was named, or of the only one.
pub(crate) fn open_as_admin(desk: &Desk, data: &Path, named: Option<OrgId>) -> Result<(Engine, Actor), Failure> {
    let engine = desk.engine(data)?;
    let admin = engine.first_admin(organization(&engine, named)?)?;
    Ok((engine, admin))
}

/// The organization that was named, or the only one. Without a name, none is a `not_found`, several are a `validation_error`.
pub(crate) fn organization(engine: &Engine, named: Option<OrgId>) -> Result<OrgId, Failure> {
    if let Some(org) = named {
        return Ok(org);
    }
    match engine.organizations()?.as_slice() {
        [only] => Ok(only.id),
        [] => Err(Refusal::not_found("organization").into()),
        several => {
            let ids: Vec<_> = several.iter().map(|org| format!("{} ({})", org.id, org.name)).collect();
            let problem = format!("is needed, since there are several: {}", ids.join(", "));
            Err(Refusal::invalid("--org-id", problem).into())
        }
    }
}

/// Reads a text that is written in the program itself, so that a problem with it is an `internal_error`.
pub(crate) fn valid<T: FromStr<Err = Problem>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|problem: Problem| Refusal::broken(problem.to_string()).into())
}

/// The `not_found` for a name that no schedule or policy has; its message lists the names that there are.
pub(crate) fn no_such<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str>) -> Refusal {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Refusal::refused(Code::NotFound, format!("no {what} is named `{name}`; there are: {names}"))
}

/// An instant on the clock of a zone: `Tue 07 Apr 09:00`.
pub(crate) fn clock(zone: &Zone, at: Timestamp) -> String {
    let t = zone.local_time(at);
    format!("{} {:02}:{:02}", day_name(zone, at), t.hour, t.minute)
}

/// A date on the clock of a zone: `Tue 07 Apr`.
pub(crate) fn day_name(zone: &Zone, at: Timestamp) -> String {
    const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let t = zone.local_time(at);
    let weekday = WEEKDAYS.get(usize::from(t.weekday())).unwrap_or(&"");
    let month = MONTHS.get(usize::from(t.month).saturating_sub(1)).unwrap_or(&"");
    format!("{weekday} {:02} {month}", t.day)
}
