//! Operations as data: a member and what they try, naming entities by their place in the model's lists.
//!
//! Two generators in one: *mostly valid* picks entities of the actor's organization; *anything goes* picks from either
//! organization, from what is gone, and from what never was. Which of the two it is, is drawn for each pick.

use arbitrary::{Result, Unstructured};

use crate::rooms::{self, Op, integration, status_page};

/// An entity, by its place in a list of the model; or an id that nobody made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// The organization in whose list the entity is, 0 or 1.
    pub org: usize,
    /// The place in the list, modulo its length; `None` for an id that nobody made.
    pub index: Option<usize>,
}

/// A field of a PATCH request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// Absent.
    #[default]
    Keep,
    /// `null`.
    Clear,
    /// A value.
    Set(T),
}

/// An operation and the member who tries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The acting member, whose organization is that of the operation.
    pub actor: Pick,
    /// The operation that is tried.
    pub op: Op,
}

/// The most steps of one run.
const LONGEST: usize = 120;

/// Makes a sequence of operations from bytes; the same bytes give the same sequence.
#[must_use]
pub fn steps(bytes: &[u8]) -> Vec<Step> {
    let mut source = Unstructured::new(bytes);
    let mut steps = Vec::new();
    while !source.is_empty() && steps.len() < LONGEST {
        // The source gives zeros once it is empty, so this only ends early on a broken invariant of the source.
        match step(&mut source) {
            Ok(step) => steps.push(step),
            Err(_) => break,
        }
    }
    steps
}

/// As [`steps`], about a status page: it is there from the beginning, and most steps change something that it shows.
#[must_use]
pub fn steps_about_a_page(bytes: &[u8]) -> Vec<Step> {
    let admin = Pick { org: 0, index: Some(0) };
    let mut source = Unstructured::new(bytes);
    let mut steps: Vec<_> = status_page::beginning().into_iter().map(|op| Step { actor: admin, op }).collect();
    while !source.is_empty() && steps.len() < LONGEST {
        match step_about_a_page(&mut source) {
            Ok(step) => steps.push(step),
            Err(_) => break,
        }
    }
    steps
}

/// As [`steps`], about alerts: integrations are there from the beginning, and most steps report something or let time pass.
#[must_use]
pub fn steps_about_alerts(bytes: &[u8]) -> Vec<Step> {
    let admin = Pick { org: 0, index: Some(0) };
    let mut source = Unstructured::new(bytes);
    let mut steps: Vec<_> = integration::beginning().into_iter().map(|op| Step { actor: admin, op }).collect();
    while !source.is_empty() && steps.len() < LONGEST {
        let org = usize::from(source.ratio(1_u8, 16).unwrap_or(false));
        match integration::alert_operation(&mut source, org) {
            Ok(op) => steps.push(Step { actor: Pick { org, index: Some(0) }, op }),
            Err(_) => break,
        }
    }
    steps
}

fn step_about_a_page(source: &mut Unstructured<'_>) -> Result<Step> {
    let org = usize::from(source.ratio(1_u8, 16)?);
    Ok(Step { actor: Pick { org, index: Some(0) }, op: status_page::shown_operation(source, org)? })
}

fn step(source: &mut Unstructured<'_>) -> Result<Step> {
    let org = usize::from(source.ratio(1_u8, 4)?);
    // The first members of an organization are most often the ones who act, so that they see their own work again.
    let index = if source.ratio(3_u8, 4)? { source.int_in_range(0..=1)? } else { source.int_in_range(0..=9)? };
    Ok(Step { actor: Pick { org, index: Some(index) }, op: rooms::operation(source, org)? })
}

pub(crate) fn maybe(source: &mut Unstructured<'_>, most: usize) -> Result<Option<usize>> {
    if source.ratio(1_u8, 2)? { Ok(Some(source.int_in_range(0..=most)?)) } else { Ok(None) }
}

pub(crate) fn pick(source: &mut Unstructured<'_>, org: usize) -> Result<Pick> {
    let index = Some(source.int_in_range(0..=7)?);
    Ok(match source.int_in_range(0..=19)? {
        0 => Pick { org, index: None },
        1 => Pick { org: 1 - org, index },
        _ => Pick { org, index },
    })
}

pub(crate) fn picks(source: &mut Unstructured<'_>, org: usize) -> Result<Vec<Pick>> {
    let count = source.int_in_range(0..=3)?;
    (0..count).map(|_| pick(source, org)).collect()
}

pub(crate) fn field(
    source: &mut Unstructured<'_>,
    value: impl Fn(&mut Unstructured<'_>) -> Result<Option<String>>,
) -> Result<Field<String>> {
    Ok(match source.int_in_range(0..=2)? {
        0 => Field::Keep,
        1 => Field::Clear,
        _ => value(source)?.map_or(Field::Keep, Field::Set),
    })
}

/// An e-mail address from a small pool, so that conflicts happen.
pub(crate) fn email(source: &mut Unstructured<'_>) -> Result<String> {
    let pool = [
        "ben@example.com",
        "BEN@example.com",
        "cleo@example.com",
        "dora@example.com",
        "Eve@Example.com",
        "eve@example.com",
    ];
    Ok((*source.choose(&pool)?).to_owned())
}

pub(crate) fn name(source: &mut Unstructured<'_>) -> Result<String> {
    let pool = ["API", "api", "Web", " Web", "Datenbank Ä", "支払い", "x", "Checkout is down"];
    Ok((*source.choose(&pool)?).to_owned())
}

pub(crate) fn label(source: &mut Unstructured<'_>) -> Result<Option<String>> {
    Ok(source.choose(&[None, Some(""), Some("Core"), Some("Rand")])?.map(str::to_owned))
}

/// A text of up to 1,000 characters, or none: short ones stay in a record, long ones are stored in pieces.
pub(crate) fn text(source: &mut Unstructured<'_>) -> Result<Option<String>> {
    let unit = *source.choose(&["", "a", "line\n", "é", "🦀", "\t", "日本"])?;
    let count = source.int_in_range(0..=500)?;
    let times = if count > 100 { count / 5 * 5 } else { count / 10 };
    // The length of every unit divides 1,000, so no text has to be cut.
    let most = 1_000 / unit.chars().count().max(1);
    Ok(if unit.is_empty() { None } else { Some(unit.repeat(times.min(most))) })
}
