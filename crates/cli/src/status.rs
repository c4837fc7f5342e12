//! `dogwatch status`: a status page as anybody sees it, legible at 80 columns, with colour or without.
//!
//! A sign for each of the last 60 days of a component: `.` operational, `~` maintenance, `o` degraded, `+` a partial outage, `#` a major
//! one, and a space where it was not shown. A status is a word, too, never a colour alone.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use dogwatch_store::rules::status_page::{
    ComponentStatus, MaintenanceState, PublicPage, ShowStatusPage, ShownComponent, ShownIncident, ShownMaintenance,
    Uptime,
};
use dogwatch_store::rules::text::Slug;
use dogwatch_store::rules::{Actor, Timestamp, Validation, Zone};

use crate::cli::StatusArgs;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::look::{BOLD, DIM, clock};

/// The days that are drawn.
const DAYS: usize = 60;

/// Runs the command.
pub(crate) fn run(args: &StatusArgs, desk: &mut Desk) -> Result<(), Failure> {
    let mut check = Validation::new();
    let slug = check.field("--slug", Slug::new(&args.slug));
    let at = check.optional("--at", args.at.as_deref().map(Timestamp::parse));
    let (slug, at) = check.finish(|| Some((slug?, at?)))?;
    let engine = desk.engine(&args.data)?;
    let page = engine.query(&ShowStatusPage::new(slug, at.unwrap_or_else(|| engine.now())), &Actor::Anybody)?;
    Ok(draw(&page, &mut desk.drawing)?)
}

const fn style(status: ComponentStatus) -> Style {
    match status {
        ComponentStatus::Operational => AnsiColor::Green.on_default(),
        ComponentStatus::Maintenance => AnsiColor::Blue.on_default(),
        ComponentStatus::Degraded => AnsiColor::Yellow.on_default(),
        ComponentStatus::PartialOutage => AnsiColor::Magenta.on_default(),
        ComponentStatus::MajorOutage => AnsiColor::Red.on_default().bold(),
    }
}

const fn sign(status: Option<ComponentStatus>) -> char {
    match status {
        None => ' ',
        Some(ComponentStatus::Operational) => '.',
        Some(ComponentStatus::Maintenance) => '~',
        Some(ComponentStatus::Degraded) => 'o',
        Some(ComponentStatus::PartialOutage) => '+',
        Some(ComponentStatus::MajorOutage) => '#',
    }
}

/// The words for a status.
fn words(status: ComponentStatus) -> String {
    status.as_str().replace('_', " ")
}

/// Draws a page.
pub(crate) fn draw(page: &PublicPage, out: &mut dyn Write) -> io::Result<()> {
    let zone = &page.page.zone;
    let style = style(page.banner);
    writeln!(out, "\n  {BOLD}{}{BOLD:#}  {style}{}{style:#}", page.page.name, words(page.banner))?;
    writeln!(out, "  {DIM}days and times of {}{DIM:#}\n", zone.name())?;
    for component in &page.components {
        draw_component(component, out)?;
    }
    let coming = page.maintenances.iter().filter(|it| it.state != MaintenanceState::Over);
    for maintenance in coming {
        draw_maintenance(maintenance, zone, out)?;
    }
    for incident in &page.incidents {
        draw_incident(incident, zone, out)?;
    }
    for day in &page.history {
        writeln!(out, "\n  {BOLD}{}{BOLD:#}", day.date)?;
        for incident in &day.incidents {
            draw_incident(incident, zone, out)?;
        }
    }
    if page.truncated {
        writeln!(out, "\n  {DIM}There is more than is shown here.{DIM:#}")?;
    }
    writeln!(out)
}

fn draw_component(component: &ShownComponent, out: &mut dyn Write) -> io::Result<()> {
    let colour = style(component.status);
    writeln!(out, "  {BOLD}{}{BOLD:#}  {colour}{}{colour:#}", component.name, words(component.status))?;
    let days = component.days.get(component.days.len().saturating_sub(DAYS)..).unwrap_or_default();
    if days.iter().all(|day| day.worst.is_none()) {
        return Ok(());
    }
    write!(out, "  ")?;
    for day in days {
        let colour = day.worst.map_or(DIM, style);
        write!(out, "{colour}{}{colour:#}", sign(day.worst))?;
    }
    match Uptime::mean(days.iter().filter_map(|day| day.uptime)) {
        Some(uptime) => writeln!(out, "  {DIM}{uptime} % up{DIM:#}"),
        None => writeln!(out),
    }
}

fn names(components: &[dogwatch_store::rules::component::ComponentRef]) -> String {
    components.iter().map(|component| component.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn draw_maintenance(it: &ShownMaintenance, zone: &Zone, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n  {BOLD}{}{BOLD:#}  {DIM}maintenance, {}{DIM:#}", it.title, it.state.as_str().replace('_', " "))?;
    let (from, to) = (clock(zone, it.starts_at), clock(zone, it.ends_at));
    writeln!(out, "  {from} to {to}  {DIM}{}{DIM:#}", names(&it.components))
}

fn draw_incident(incident: &ShownIncident, zone: &Zone, out: &mut dyn Write) -> io::Result<()> {
    let (title, severity, status) = (&incident.title, incident.severity, incident.status);
    writeln!(out, "\n  {BOLD}{title}{BOLD:#}  {severity}, {status}  {DIM}{}{DIM:#}", names(&incident.components))?;
    for update in &incident.updates {
        let changed = update.status_change.map(|status| format!("[{status}]"));
        let said = match &update.body {
            Some(body) => Some(body.as_str()),
            None if update.redacted => Some("(removed)"),
            None => None,
        };
        let text: Vec<_> = changed.as_deref().into_iter().chain(said).collect();
        let text = text.join(" ");
        let mut lines = text.lines();
        writeln!(out, "  {DIM}{}{DIM:#}  {}", clock(zone, update.posted_at), lines.next().unwrap_or_default())?;
        for line in lines {
            writeln!(out, "                    {line}")?;
        }
    }
    Ok(())
}
