//! The forms of a page that are templates: HTML, the feed, the badge, the picture in the tab. What is in them is escaped by the
//! templates; a text of people becomes paragraphs with links to `http` and `https`, and nothing else.

use askama::Template;
use dogwatch_store::rules::component::ComponentRef;
use dogwatch_store::rules::id::Id;
use dogwatch_store::rules::incident::{Severity, Status};
use dogwatch_store::rules::status_page::{
    ComponentStatus, Date, MaintenanceState, PublicPage, ShownComponent, ShownHistoryDay, ShownIncident,
    ShownMaintenance, ShownUpdate,
};
use dogwatch_store::rules::{Timestamp, Zone};

use super::bars::Bars;
use super::kept;
use super::look::{self, Look};

/// What is said where there is no page.
pub(super) const NO_SUCH_PAGE: (&str, &str) = ("There is no such page", "There is no status page at this address.");
/// What is said when a page cannot be shown.
pub(super) const UNAVAILABLE: (&str, &str) = ("Not now", "The status cannot be read at the moment. Try again soon.");

/// What the banner says.
pub(super) const fn banner(status: ComponentStatus) -> &'static str {
    match status {
        ComponentStatus::Operational => "All systems operational",
        ComponentStatus::Maintenance => "Maintenance under way",
        ComponentStatus::Degraded => "Degraded",
        ComponentStatus::PartialOutage => "Partial outage",
        ComponentStatus::MajorOutage => "Major outage",
    }
}

/// A status as it is shown: a word and a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sign(pub(super) ComponentStatus);

impl Sign {
    /// What the banner says.
    const fn banner(self) -> &'static str {
        banner(self.0)
    }

    /// The word for it.
    const fn word(self) -> &'static str {
        match self.0 {
            ComponentStatus::Operational => "Operational",
            ComponentStatus::Maintenance => "Maintenance",
            ComponentStatus::Degraded => "Degraded",
            ComponentStatus::PartialOutage => "Partial outage",
            ComponentStatus::MajorOutage => "Major outage",
        }
    }

    /// Its class in the stylesheet, and the name of its shape.
    const fn shape(self) -> &'static str {
        match self.0 {
            ComponentStatus::Operational => "o",
            ComponentStatus::Maintenance => "w",
            ComponentStatus::Degraded => "d",
            ComponentStatus::PartialOutage => "p",
            ComponentStatus::MajorOutage => "m",
        }
    }
}

const fn stage(status: Status) -> &'static str {
    match status {
        Status::Investigating => "Investigating",
        Status::Identified => "Identified",
        Status::Monitoring => "Monitoring",
        Status::Resolved => "Resolved",
    }
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::High => "High",
        Severity::Medium => "Medium",
        Severity::Low => "Low",
    }
}

/// A day for people, as in `7 Apr`, where the year is plain.
pub(super) fn day(day: Date) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.get(usize::from(day.month).saturating_sub(1)).copied().unwrap_or_default();
    format!("{} {month}", day.day)
}

/// A day for people, as in `7 Apr 2026`.
pub(super) fn date(date: Date) -> String {
    format!("{} {}", day(date), date.year)
}

/// Where something is on the page: the last digits of its id, which are drawn by chance.
pub(super) fn anchor(id: impl Id) -> String {
    let [.., a, b, c, d] = id.to_bytes();
    [a, b, c, d].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An instant in the zone of the page: for programs, and for people.
struct When {
    datetime: String,
    date: String,
    time: String,
}

impl When {
    fn of(at: Timestamp, zone: &Zone) -> Self {
        let local = zone.local_time(at);
        // To the minute, in UTC.
        let mut datetime = at.to_string();
        datetime.truncate("2026-04-07T10:00".len());
        datetime.push('Z');
        Self {
            datetime,
            date: date(Date { year: local.year, month: local.month, day: local.day }),
            time: format!("{:02}:{:02}", local.hour, local.minute),
        }
    }
}

/// A piece of a text: a link, or not.
#[derive(Debug, PartialEq, Eq)]
struct Piece<'a> {
    text: &'a str,
    is_link: bool,
}

/// A text in pieces: what begins with `http://` or `https://` is a link, up to where it ends.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut rest, mut from) = (text, 0);
    let begins = |rest: &str| {
        let places = ["http://", "https://"].map(|scheme| rest.find(scheme));
        places.into_iter().flatten().min()
    };
    while let Some(start) = rest.get(from..).and_then(begins).map(|start| start + from) {
        let Some((before, link)) = rest.split_at_checked(start) else { break };
        let ends = |c: char| c.is_whitespace() || c.is_control() || "<>\"'`{}|\\^[]".contains(c);
        let end = link.find(ends).unwrap_or(link.len());
        let link = link.get(..end).unwrap_or(link).trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '*', '_']);
        let host = link.split_once("://").map_or("", |(_, rest)| rest);
        if !host.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            from = start + "http".len();
            continue;
        }
        if !before.is_empty() {
            pieces.push(Piece { text: before, is_link: false });
        }
        pieces.push(Piece { text: link, is_link: true });
        rest = rest.get(start + link.len()..).unwrap_or_default();
        from = 0;
    }
    if !rest.is_empty() {
        pieces.push(Piece { text: rest, is_link: false });
    }
    pieces
}

/// Names of components, one after another.
fn names(components: &[ComponentRef]) -> String {
    components.iter().map(|component| component.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What an update says, for forms that are one text: nothing, where only the status changed.
pub(super) fn said(update: &ShownUpdate) -> &str {
    match &update.body {
        Some(body) => body.as_str(),
        None if update.redacted => "This update was removed.",
        None => "",
    }
}

/// The page in HTML.
#[derive(Template)]
#[template(path = "status/page.html")]
pub(super) struct Html<'a> {
    name: &'a str,
    slug: &'a str,
    zone: &'a str,
    style: String,
    has_logo: bool,
    status: Sign,
    incidents: Vec<Incident<'a>>,
    maintenances: Vec<Maintenance<'a>>,
    groups: Vec<Group<'a>>,
    history: Vec<Day<'a>>,
    past: Vec<Maintenance<'a>>,
    truncated: bool,
}

struct Group<'a> {
    label: Option<&'a str>,
    components: Vec<Component<'a>>,
}

struct Component<'a> {
    name: &'a str,
    description: Option<&'a str>,
    status: Sign,
    bars: Bars,
}

struct Incident<'a> {
    id: String,
    title: &'a str,
    severity: &'static str,
    stage: &'static str,
    components: String,
    opened: When,
    latest: Option<Update<'a>>,
    earlier: Vec<Update<'a>>,
}

struct Update<'a> {
    stage: Option<&'static str>,
    body: Vec<Piece<'a>>,
    redacted: bool,
    when: When,
}

struct Maintenance<'a> {
    id: String,
    title: &'a str,
    description: Vec<Piece<'a>>,
    under_way: bool,
    components: String,
    starts: When,
    ends: When,
}

struct Day<'a> {
    date: String,
    incidents: Vec<Past<'a>>,
}

struct Past<'a> {
    id: String,
    title: &'a str,
    severity: &'static str,
    components: String,
    opened: When,
    resolved: When,
    /// Whether it was opened on another day.
    is_long: bool,
    said: Vec<Update<'a>>,
}

impl<'a> Html<'a> {
    pub(super) fn of(page: &'a PublicPage, look: Option<&Look>) -> Self {
        let zone = &page.page.zone;
        let of = |over: bool| {
            let some = page.maintenances.iter().filter(move |it| (it.state == MaintenanceState::Over) == over);
            some.map(|it| Maintenance::of(it, zone)).collect()
        };
        Self {
            name: page.page.name.as_str(),
            slug: page.page.slug.as_str(),
            zone: zone.name(),
            style: style_tag(look),
            has_logo: look.is_some_and(|look| look.logo.is_some()),
            status: Sign(page.banner),
            incidents: page.incidents.iter().map(|it| Incident::of(it, zone)).collect(),
            maintenances: of(false),
            past: of(true),
            groups: groups(&page.components),
            history: page.history.iter().map(|day| Day::of(day, zone)).collect(),
            truncated: page.truncated,
        }
    }
}

/// Components under their headings, in the order in which these come first.
fn groups(components: &[ShownComponent]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for component in components {
        let label = component.group_label.as_ref().map(|label| label.as_str()).filter(|label| !label.trim().is_empty());
        let shown = Component {
            name: component.name.as_str(),
            description: component.description.as_ref().map(|text| text.as_str()).filter(|text| !text.is_empty()),
            status: Sign(component.status),
            bars: Bars::of(component.name.as_str(), &component.days),
        };
        match groups.iter_mut().find(|group| group.label == label) {
            Some(group) => group.components.push(shown),
            None => groups.push(Group { label, components: vec![shown] }),
        }
    }
    groups
}

impl<'a> Incident<'a> {
    fn of(incident: &'a ShownIncident, zone: &Zone) -> Self {
        let mut updates = incident.updates.iter().map(|update| Update::of(update, zone));
        Self {
            id: anchor(incident.id),
            title: incident.title.as_str(),
            severity: severity(incident.severity),
            stage: stage(incident.status),
            components: names(&incident.components),
            opened: When::of(incident.created_at, zone),
            latest: updates.next(),
            earlier: updates.collect(),
        }
    }
}

impl<'a> Update<'a> {
    fn of(update: &'a ShownUpdate, zone: &Zone) -> Self {
        Self {
            stage: update.status_change.map(stage),
            body: update.body.as_ref().map(|body| pieces(body.as_str())).unwrap_or_default(),
            redacted: update.redacted,
            when: When::of(update.posted_at, zone),
        }
    }
}

impl<'a> Maintenance<'a> {
    fn of(it: &'a ShownMaintenance, zone: &Zone) -> Self {
        Self {
            id: anchor(it.id),
            title: it.title.as_str(),
            description: it.description.as_ref().map(|text| pieces(text.as_str())).unwrap_or_default(),
            under_way: it.state == MaintenanceState::UnderWay,
            components: names(&it.components),
            starts: When::of(it.starts_at, zone),
            ends: When::of(it.ends_at, zone),
        }
    }
}

impl<'a> Day<'a> {
    fn of(day: &'a ShownHistoryDay, zone: &Zone) -> Self {
        let first = day.incidents.first().and_then(|incident| incident.resolved_at);
        let date = first.map_or_else(|| day.date.to_string(), |at| When::of(at, zone).date);
        Self { date, incidents: day.incidents.iter().map(|it| Past::of(it, zone)).collect() }
    }
}

impl<'a> Past<'a> {
    fn of(incident: &'a ShownIncident, zone: &Zone) -> Self {
        let opened = When::of(incident.created_at, zone);
        let resolved = When::of(incident.resolved_at.unwrap_or(incident.created_at), zone);
        // What was said; that the status changed is not told again.
        let said = incident.updates.iter().filter(|update| update.body.is_some() || update.redacted);
        Self {
            id: anchor(incident.id),
            title: incident.title.as_str(),
            severity: severity(incident.severity),
            components: names(&incident.components),
            is_long: opened.date != resolved.date,
            opened,
            resolved,
            said: said.map(|update| Update::of(update, zone)).collect(),
        }
    }
}

/// The Atom feed: an entry for each incident and each maintenance.
#[derive(Template)]
#[template(path = "status/feed.xml")]
pub(super) struct Feed<'a> {
    id: String,
    name: &'a str,
    url: String,
    updated: String,
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    id: String,
    anchor: String,
    title: String,
    published: String,
    updated: String,
    lines: Vec<Line<'a>>,
}

/// What happened: when, what, and what was said.
struct Line<'a> {
    when: String,
    what: &'a str,
    said: &'a str,
}

impl<'a> Feed<'a> {
    pub(super) fn of(page: &'a PublicPage, public_url: &str) -> Self {
        let zone = &page.page.zone;
        let resolved = page.history.iter().flat_map(|day| &day.incidents);
        let incidents = page.incidents.iter().chain(resolved).map(|it| Entry::of_incident(it, zone));
        let maintenances = page.maintenances.iter().map(|it| Entry::of_maintenance(it, zone));
        let mut entries: Vec<_> = incidents.chain(maintenances).collect();
        entries.sort_by(|a, b| b.updated.cmp(&a.updated));
        Self {
            id: page.page.id.to_string(),
            name: page.page.name.as_str(),
            url: format!("{public_url}/status/{}", page.page.slug),
            updated: page.page.updated_at.to_string(),
            entries,
        }
    }
}

fn minute(at: Timestamp, zone: &Zone) -> String {
    let when = When::of(at, zone);
    format!("{}, {}", when.date, when.time)
}

impl<'a> Entry<'a> {
    fn of_incident(incident: &'a ShownIncident, zone: &Zone) -> Self {
        let line = |update: &'a ShownUpdate| Line {
            when: minute(update.posted_at, zone),
            what: update.status_change.map_or("Update", stage),
            said: said(update),
        };
        Self {
            id: incident.id.to_string(),
            anchor: format!("i-{}", anchor(incident.id)),
            title: format!("{}: {}", stage(incident.status), incident.title),
            published: incident.created_at.to_string(),
            updated: incident.updated_at().to_string(),
            lines: incident.updates.iter().map(line).collect(),
        }
    }

    fn of_maintenance(it: &'a ShownMaintenance, zone: &Zone) -> Self {
        Self {
            id: it.id.to_string(),
            anchor: format!("m-{}", anchor(it.id)),
            title: format!("Maintenance: {}", it.title),
            published: it.created_at.to_string(),
            updated: it.updated_at.to_string(),
            lines: vec![Line {
                when: format!("{} to {}", minute(it.starts_at, zone), minute(it.ends_at, zone)),
                what: "Maintenance",
                said: it.description.as_ref().map_or("", |text| text.as_str()),
            }],
        }
    }
}

/// A small picture that says the status.
#[derive(Template)]
#[template(path = "status/badge.svg")]
pub(super) struct Badge {
    word: &'static str,
    colour: &'static str,
    width: usize,
}

impl Badge {
    pub(super) fn of(page: &PublicPage) -> Self {
        let word = banner(page.banner);
        // The text is stretched to this length, whatever the font.
        Self { word, colour: colour(page.banner), width: word.len() * 7 }
    }
}

/// The picture in the tab of the browser.
#[derive(Template)]
#[template(path = "status/icon.svg")]
pub(super) struct Icon {
    status: ComponentStatus,
    colour: &'static str,
}

impl Icon {
    pub(super) const fn of(page: &PublicPage) -> Self {
        Self { status: page.banner, colour: colour(page.banner) }
    }
}

/// The colour of a status in pictures, on which white can be read.
const fn colour(status: ComponentStatus) -> &'static str {
    match status {
        ComponentStatus::Operational => "#1a7f37",
        ComponentStatus::Maintenance => "#0550ae",
        ComponentStatus::Degraded => "#7d5200",
        ComponentStatus::PartialOutage => "#a84300",
        ComponentStatus::MajorOutage => "#b3261e",
    }
}

/// What is said in place of a page.
#[derive(Template)]
#[template(path = "status/instead.html")]
pub(super) struct Instead<'a> {
    title: &'a str,
    text: &'a str,
    style: String,
}

impl<'a> Instead<'a> {
    /// It looks the same for every address, so that it says nothing about what is there.
    pub(super) fn of((title, text): (&'a str, &'a str)) -> Self {
        Self { title, text, style: style_tag(None) }
    }
}

/// What stands behind the address of a stylesheet, so that it changes with it.
fn style_tag(look: Option<&Look>) -> String {
    kept::hash(look::style(look).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_end_where_they_should() {
        for (text, expected) in [
            ("", vec![]),
            ("no link", vec![("no link", false)]),
            ("see https://example.com/a.", vec![("see ", false), ("https://example.com/a", true), (".", false)]),
            ("(http://a.b/c?d=e&f)", vec![("(", false), ("http://a.b/c?d=e&f", true), (")", false)]),
            ("https://a https://b", vec![("https://a", true), (" ", false), ("https://b", true)]),
            ("javascript:alert(1)", vec![("javascript:alert(1)", false)]),
            ("https://", vec![("https://", false)]),
            ("https:// http://a", vec![("https:// ", false), ("http://a", true)]),
            ("https://a\"onclick=\"x", vec![("https://a", true), ("\"onclick=\"x", false)]),
            ("http://é.example", vec![("http://é.example", false)]),
            ("hhttps://a", vec![("h", false), ("https://a", true)]),
        ] {
            let found: Vec<_> = pieces(text).into_iter().map(|piece| (piece.text, piece.is_link)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
