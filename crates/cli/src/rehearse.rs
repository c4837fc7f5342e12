//! `dogwatch rehearse`: who would be paged when, if nobody acknowledged. It only asks queries: nobody is paged, and nothing
//! changes.
//!
//! For each person the clock is their own: that of the schedule that pages them, else of the first schedule in which they take
//! part, else UTC (contract, section 16).

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use dogwatch_store::Engine;
use dogwatch_store::rules::escalation::{
    GetPolicy, ListPolicies, PolicyView, Preview, PreviewPolicy, PreviewedLayer, Target,
};
use dogwatch_store::rules::id::ScheduleId;
use dogwatch_store::rules::oncall::{GetSchedule, ListSchedules, ScheduleView};
use dogwatch_store::rules::team::ListTeam;
use dogwatch_store::rules::text::PolicyName;
use dogwatch_store::rules::{Actor, OrgId, Timestamp, UserId, Validation, Zone};

use crate::cli::RehearseArgs;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::look::{BOLD, DIM, clock, no_such, open_as_admin};

const SKIPPED: Style = AnsiColor::Yellow.on_default();
const END: Style = AnsiColor::Red.on_default();

/// The widest line, in characters.
const WIDTH: usize = 80;
/// Columns of the time since the incident would open.
const SINCE: usize = 17;
/// Columns of a person's name.
const NAME: usize = 22;
/// Columns of a zone's name: those that are left behind the clock.
const ZONE: usize = WIDTH - 2 - SINCE - NAME - 17;

/// Runs the command.
pub(crate) fn run(args: &RehearseArgs, desk: &mut Desk) -> Result<(), Failure> {
    let mut check = Validation::new();
    let name = check.field("--policy", PolicyName::new(&args.policy));
    let org = check.optional("--org-id", args.org_id.as_deref().map(OrgId::parse));
    let at = check.optional("--at", args.at.as_deref().map(Timestamp::parse));
    let (name, org, at) = check.finish(|| Some((name?, org?, at?)))?;

    let (engine, actor) = open_as_admin(desk, &args.data, org)?;
    let policies = engine.query(&ListPolicies, &actor)?;
    let found = policies.iter().find(|policy| policy.name == name);
    let names = policies.iter().map(|policy| policy.name.as_str());
    let id = found.map(|policy| policy.id).ok_or_else(|| no_such("escalation policy", name.as_str(), names))?;
    let at = at.unwrap_or_else(|| engine.now());
    let rehearsal = Rehearsal {
        policy: engine.query(&GetPolicy { id }, &actor)?,
        preview: engine.query(&PreviewPolicy { id, at }, &actor)?,
        people: people(&engine, &actor)?,
        schedules: schedules(&engine, &actor)?,
        at,
    };
    rehearsal.tell(&mut desk.drawing)
}

fn people(engine: &Engine, actor: &Actor) -> Result<BTreeMap<UserId, String>, Failure> {
    let team = engine.query(&ListTeam, actor)?;
    Ok(team.members.iter().map(|member| (member.id, member.full_name())).collect())
}

fn schedules(engine: &Engine, actor: &Actor) -> Result<Vec<ScheduleView>, Failure> {
    let listed = engine.query(&ListSchedules, actor)?;
    listed.iter().map(|schedule| Ok(engine.query(&GetSchedule { id: schedule.id }, actor)?)).collect()
}

/// Everything that the command shows: the policy, its preview, the names of members, and the schedules.
struct Rehearsal {
    policy: PolicyView,
    preview: Preview,
    people: BTreeMap<UserId, String>,
    schedules: Vec<ScheduleView>,
    at: Timestamp,
}

impl Rehearsal {
    fn tell(&self, out: &mut impl Write) -> Result<(), Failure> {
        let (name, opens) = (cut(self.policy.name.as_str(), 36), utc(self.at));
        writeln!(out, "\n  {BOLD}{name}{BOLD:#}  {DIM}an incident opens {opens}{DIM:#}\n")?;
        for layer in &self.preview.layers {
            self.tell_layer(out, layer)?;
        }
        let (since, end) = (self.since(self.preview.exhausted_at), utc(self.preview.exhausted_at));
        writeln!(out, "  {since:<SINCE$}{END}the end{END:#}, {end}: escalation stops\n")?;
        Ok(())
    }

    fn tell_layer(&self, out: &mut impl Write, previewed: &PreviewedLayer) -> Result<(), Failure> {
        let since = self.since(previewed.fires_at);
        let layer = self.policy.layers.iter().flatten().find(|layer| layer.id == previewed.layer_id);
        let schedule = layer.and_then(|layer| match layer.target {
            Target::Schedule(id) => self.schedule(id),
            _ => None,
        });
        let position = format!("layer {}", previewed.position);
        if previewed.skipped {
            let why = match schedule {
                Some(schedule) => format!("nobody is on call in {}", cut(schedule.name.as_str(), 20)),
                None => "all of its users have left".to_owned(),
            };
            writeln!(out, "  {since:<SINCE$}{position}: {SKIPPED}skipped{SKIPPED:#}, {why}\n")?;
            return Ok(());
        }
        let waits = layer.map_or(0, |layer| layer.ack_timeout.minutes());
        let waits = span(Duration::from_secs(u64::from(waits) * 60));
        let rest = ": on call in  (waits )".len() + position.len() + waits.len();
        let room = (WIDTH - 2 - SINCE).saturating_sub(rest);
        let whom = schedule
            .map_or("users by name".to_owned(), |schedule| format!("on call in {}", cut(schedule.name.as_str(), room)));
        writeln!(out, "  {since:<SINCE$}{BOLD}{position}{BOLD:#}: {whom} {DIM}(waits {waits}){DIM:#}")?;
        for user in &previewed.targets {
            let zone = schedule.map(|schedule| &schedule.timezone).or_else(|| self.zone_of(*user));
            let local = zone.map_or_else(|| utc(previewed.fires_at), |zone| local(zone, previewed.fires_at));
            let name = self.people.get(user).map_or("a former member", String::as_str);
            let name = cut(name, NAME - 2);
            writeln!(out, "  {:SINCE$}{name:<NAME$}{local}", "")?;
        }
        writeln!(out)?;
        Ok(())
    }

    fn schedule(&self, id: ScheduleId) -> Option<&ScheduleView> {
        self.schedules.iter().find(|schedule| schedule.id == id)
    }

    /// The zone of the first schedule in which the user takes part.
    fn zone_of(&self, user: UserId) -> Option<&Zone> {
        let takes_part = |schedule: &&ScheduleView| {
            schedule.layers.iter().flatten().any(|layer| layer.participant_ids.contains(&user))
        };
        self.schedules.iter().find(takes_part).map(|schedule| &schedule.timezone)
    }

    fn since(&self, at: Timestamp) -> String {
        match at.since(self.at) {
            Duration::ZERO => "at once".to_owned(),
            since => format!("+{}", span(since)),
        }
    }
}

fn local(zone: &Zone, at: Timestamp) -> String {
    let mut name = zone.name();
    // A name that is too long is shown by its last parts, which say enough.
    while let Some((_, rest)) = name.split_once('/').filter(|_| name.len() > ZONE) {
        name = rest;
    }
    format!("{} {DIM}{}{DIM:#}", clock(zone, at), cut(name, ZONE))
}

/// The first `width` characters of a text.
fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

fn utc(at: Timestamp) -> String {
    Zone::new("UTC").map_or_else(|_| at.to_string(), |zone| format!("{} UTC", clock(&zone, at)))
}

/// A span of time in minutes, hours and days: `1 h 30 min`.
fn span(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    let parts = [(minutes / 1_440, "d"), (minutes / 60 % 24, "h"), (minutes % 60, "min")];
    let shown = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count} {unit}"));
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (minutes, expected) in [
            (1, "1 min"),
            (59, "59 min"),
            (60, "1 h"),
            (90, "1 h 30 min"),
            (1_440, "1 d"),
            (10_080, "7 d"),
            (1_501, "1 d 1 h 1 min"),
        ] {
            assert_eq!(span(Duration::from_secs(minutes * 60)), expected);
        }
    }
}
