//! `dogwatch oncall`: a picture of the coming shifts of a schedule, legible at 80 columns, with colour or without.
//!
//! Seven days a row, nine columns a day. A shift begins with a bar and the person's name. The rest of it is filled with a sign
//! for its kind: `-` a turn of a rotation, `=` an override, `!` a gap.

use std::collections::BTreeMap;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use dogwatch_store::Engine;
use dogwatch_store::rules::id::{RotationLayerId, ScheduleId};
use dogwatch_store::rules::oncall::{
    FinalShift, GetSchedule, ListOverrides, ListSchedules, OnCallAt, OnCallTarget, Override, ResolveOnCall,
    ScheduleView, Shifts, ShiftsOnCall,
};
use dogwatch_store::rules::team::ListTeam;
use dogwatch_store::rules::text::ScheduleName;
use dogwatch_store::rules::{Actor, OrgId, Timestamp, UserId, Validation, Zone};

use crate::cli::OncallArgs;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::look::{self, BOLD, DIM, day_name, no_such, open_as_admin};

const NOW: Style = AnsiColor::Green.on_default().bold();
const OVERRIDE: Style = AnsiColor::Yellow.on_default();
const GAP: Style = AnsiColor::Red.on_default().bold();

/// Columns that a day takes.
const DAY: usize = 9;
/// Days in a row.
const DAYS: i32 = 7;
/// Columns of the label before a row.
const LABEL: usize = 15;

/// Runs the command.
pub(crate) fn run(args: &OncallArgs, desk: &mut Desk) -> Result<(), Failure> {
    let mut check = Validation::new();
    let name = check.field("--schedule", ScheduleName::new(&args.schedule));
    let org = check.optional("--org-id", args.org_id.as_deref().map(OrgId::parse));
    let at = check.optional("--at", args.at.as_deref().map(Timestamp::parse));
    let (name, org, at) = check.finish(|| Some((name?, org?, at?)))?;

    let (engine, actor) = open_as_admin(desk, &args.data, org)?;
    let schedules = engine.query(&ListSchedules, &actor)?;
    let found = schedules.iter().find(|schedule| schedule.name == name);
    let names = schedules.iter().map(|schedule| schedule.name.as_str());
    let id = found.map(|schedule| schedule.id).ok_or_else(|| no_such("schedule", name.as_str(), names))?;
    let picture = Picture::read(&engine, &actor, id, at.unwrap_or_else(|| engine.now()), i32::from(args.weeks))?;
    picture.draw(&mut desk.drawing)?;
    Ok(())
}

/// Everything that the picture shows: the schedule, who is on call now, shifts, overrides, and names.
struct Picture {
    schedule: ScheduleView,
    resolved: OnCallAt,
    shifts: Shifts,
    overrides: Vec<Override>,
    people: BTreeMap<UserId, (String, String)>,
    now: Timestamp,
    weeks: i32,
}

/// What a row shows over a stretch of time; a turn and an override hold the first name of the person.
#[derive(Clone, Copy, PartialEq)]
enum Piece<'a> {
    Turn(&'a str),
    Override(&'a str),
    Gap,
    Nothing,
}

/// A stretch of time in a row.
struct Stretch<'a> {
    starts_at: Timestamp,
    ends_at: Timestamp,
    piece: Piece<'a>,
}

impl Picture {
    fn read(engine: &Engine, actor: &Actor, id: ScheduleId, now: Timestamp, weeks: i32) -> Result<Self, Failure> {
        let schedule = engine.query(&GetSchedule { id }, actor)?;
        let day = |days| schedule.timezone.start_of_day(now, days).unwrap_or(Timestamp::MAX);
        let shifts = engine.query(&ShiftsOnCall::new(id, day(0), day(DAYS * weeks)), actor)?;
        let team = engine.query(&ListTeam, actor)?.members;
        let person = |member: &dogwatch_store::rules::team::Member| (member.first_name.to_string(), member.full_name());
        Ok(Self {
            resolved: engine.query(&ResolveOnCall { schedule_id: id, at: now }, actor)?,
            overrides: engine.query(&ListOverrides { schedule_id: id }, actor)?,
            people: team.iter().map(|member| (member.id, person(member))).collect(),
            schedule,
            shifts,
            now,
            weeks,
        })
    }

    fn zone(&self) -> &Zone {
        &self.schedule.timezone
    }

    fn first_name(&self, user: UserId) -> &str {
        self.people.get(&user).map_or("former", |(first, _)| first)
    }

    fn full_name(&self, user: UserId) -> &str {
        self.people.get(&user).map_or("a former member", |(_, full)| full)
    }

    /// An instant on the clock of the schedule's zone.
    fn clock(&self, at: Timestamp) -> String {
        look::clock(self.zone(), at)
    }

    fn draw(&self, out: &mut impl Write) -> Result<(), Failure> {
        writeln!(
            out,
            "\n  {BOLD}{}{BOLD:#}  {DIM}{}, {}{DIM:#}",
            self.schedule.name,
            self.zone(),
            self.clock(self.now)
        )?;
        self.draw_now(out)?;
        for week in 0..self.weeks {
            self.draw_week(out, week * DAYS)?;
        }
        writeln!(out, "\n  {DIM}- turn   {DIM:#}{OVERRIDE}= override{OVERRIDE:#}   {GAP}! nobody{GAP:#}")?;
        self.draw_handoffs(out)?;
        writeln!(out)?;
        Ok(())
    }

    fn draw_now(&self, out: &mut impl Write) -> Result<(), Failure> {
        let until =
            self.resolved.next_change_at.map_or("for good".to_owned(), |next| format!("until {}", self.clock(next)));
        match self.resolved.on_call.owner {
            Some(owner) => {
                let why = self.reason(owner);
                writeln!(out, "  {NOW}On call now: {}{NOW:#} {why}, {until}", self.full_name(owner.user_id))?;
            }
            None => writeln!(out, "  {GAP}On call now: nobody{GAP:#}, {until}")?,
        }
        let rest: Vec<_> =
            self.resolved.on_call.paging_targets.iter().skip(1).map(|target| self.full_name(target.user_id)).collect();
        if !rest.is_empty() {
            writeln!(out, "  Paged as well: {}", rest.join(", "))?;
        }
        Ok(())
    }

    /// Why a person is on call: the override and its reason, or the name of the layer.
    fn reason(&self, target: OnCallTarget) -> String {
        if let Some(id) = target.override_id {
            let reason = self.overrides.iter().find(|one| one.id == id).and_then(|one| one.reason.as_ref());
            let reason = reason.map(|reason| reason.as_str().split_whitespace().collect::<Vec<_>>().join(" "));
            return reason.map_or("(override)".to_owned(), |reason| format!("(override: {reason})"));
        }
        target.layer_id.map_or(String::new(), |id| format!("({})", self.layer_name(id)))
    }

    fn layer_name(&self, id: RotationLayerId) -> &str {
        self.schedule
            .layers
            .iter()
            .flatten()
            .find(|layer| layer.id == id)
            .map_or("removed layer", |layer| layer.name.as_str())
    }

    fn draw_week(&self, out: &mut impl Write, first: i32) -> Result<(), Failure> {
        let days: Vec<Timestamp> =
            (first..=first + DAYS).filter_map(|day| self.zone().start_of_day(self.now, day)).collect();
        let mut header = String::new();
        for day in days.iter().take(days.len().saturating_sub(1)) {
            // Noon is on the right date also when midnight does not exist.
            let name = day_name(self.zone(), day.plus(std::time::Duration::from_secs(43_200)));
            header.push_str(&format!("{:<DAY$}", name.chars().take(6).collect::<String>()));
        }
        writeln!(out, "\n  {:LABEL$}{DIM}{}{DIM:#}", "", header.trim_end())?;
        for layer in &self.shifts.layers {
            let stretches = layer.shifts.iter().map(|shift| Stretch {
                starts_at: shift.starts_at,
                ends_at: shift.ends_at,
                piece: Piece::Turn(self.first_name(shift.user_id)),
            });
            draw_row(out, self.layer_name(layer.layer_id), Style::new(), &days, &stretches.collect::<Vec<_>>())?;
        }
        let piece = |shift: &FinalShift| match shift.target.override_id {
            Some(_) => Piece::Override(self.first_name(shift.target.user_id)),
            None => Piece::Turn(self.first_name(shift.target.user_id)),
        };
        let line = self.shifts.final_shifts.iter().map(|shift| Stretch {
            starts_at: shift.starts_at,
            ends_at: shift.ends_at,
            piece: piece(shift),
        });
        let gaps = self.shifts.gaps.iter().map(|gap| Stretch {
            starts_at: gap.starts_at,
            ends_at: gap.ends_at,
            piece: Piece::Gap,
        });
        draw_row(out, "on call", BOLD, &days, &line.chain(gaps).collect::<Vec<_>>())
    }

    fn draw_handoffs(&self, out: &mut impl Write) -> Result<(), Failure> {
        let mut edges: Vec<(Timestamp, Option<OnCallTarget>)> =
            self.shifts.final_shifts.iter().map(|shift| (shift.starts_at, Some(shift.target))).collect();
        edges.extend(self.shifts.gaps.iter().map(|gap| (gap.starts_at, None)));
        edges.sort_by_key(|(at, _)| *at);
        edges.retain(|(at, _)| *at > self.now);
        writeln!(out, "\n  {BOLD}Handoffs{BOLD:#}  {DIM}{}{DIM:#}", self.zone())?;
        if edges.is_empty() {
            writeln!(out, "  {DIM}none{DIM:#}")?;
        }
        for (at, target) in edges {
            let at = self.clock(at);
            match target {
                Some(target) if target.override_id.is_some() => {
                    let (name, why) = (self.full_name(target.user_id), self.reason(target));
                    writeln!(out, "  {at}   {OVERRIDE}{name}{OVERRIDE:#} {DIM}{why}{DIM:#}")?;
                }
                Some(target) => writeln!(out, "  {at}   {}", self.full_name(target.user_id))?,
                None => writeln!(out, "  {at}   {GAP}nobody{GAP:#}")?,
            }
        }
        Ok(())
    }
}

/// Draws one row: each column shows what holds in the middle of its stretch of time.
fn draw_row(
    out: &mut impl Write,
    label: &str,
    style: Style,
    days: &[Timestamp],
    stretches: &[Stretch<'_>],
) -> Result<(), Failure> {
    let label: String = label.chars().take(LABEL - 1).collect();
    let mut columns: Vec<(Piece<'_>, bool)> = Vec::new();
    let mut last = None;
    for pair in days.windows(2) {
        let [starts, ends] = pair else { continue };
        let width = ends.as_millis() - starts.as_millis();
        for column in 0..i64::try_from(DAY).unwrap_or(1) {
            let middle = starts.as_millis() + width * (2 * column + 1) / (2 * i64::try_from(DAY).unwrap_or(1));
            let holds = |stretch: &&Stretch<'_>| {
                stretch.starts_at.as_millis() <= middle && middle < stretch.ends_at.as_millis()
            };
            let found = stretches.iter().find(holds);
            let key = found.map(|stretch| stretch.starts_at);
            columns.push((found.map_or(Piece::Nothing, |stretch| stretch.piece), columns.is_empty() || key != last));
            last = key;
        }
    }
    while columns.last().is_some_and(|(piece, _)| *piece == Piece::Nothing) {
        columns.pop();
    }
    let label = if columns.is_empty() { label } else { format!("{label:<LABEL$}") };
    write!(out, "  {style}{label}{style:#}")?;
    // The characters of the stretch's label that are left to write, the last one first.
    let mut name: Vec<char> = Vec::new();
    for (piece, begins) in columns {
        if begins {
            let text = match piece {
                Piece::Turn(who) | Piece::Override(who) => format!("|{who}"),
                Piece::Gap => "|nobody".to_owned(),
                Piece::Nothing => String::new(),
            };
            name = text.chars().rev().collect();
        }
        let (style, fill) = match piece {
            Piece::Turn(_) => (Style::new(), '-'),
            Piece::Override(_) => (OVERRIDE, '='),
            Piece::Gap => (GAP, '!'),
            Piece::Nothing => (Style::new(), ' '),
        };
        write!(out, "{style}{}{style:#}", name.pop().unwrap_or(fill))?;
    }
    writeln!(out)?;
    Ok(())
}
