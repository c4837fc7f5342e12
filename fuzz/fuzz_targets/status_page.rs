//! Any text in any field of a status page: every form is what it says that it is. JSON and XML are parsed by others; HTML has no
//! element that is not one with harmless texts, but links.
#![no_main]

use std::str::FromStr;

use dogwatch_store::rules::component::ComponentRef;
use dogwatch_store::rules::id::{Id, IncidentId, MaintenanceId};
use dogwatch_store::rules::incident::{Severity, Status};
use dogwatch_store::rules::status_page::{
    ComponentStatus, Date, MaintenanceState, PublicPage, ShownComponent, ShownDay, ShownHistoryDay, ShownIncident,
    ShownMaintenance, ShownPage, ShownUpdate, Uptime,
};
use dogwatch_store::rules::text::{Description, GroupLabel, Name, Slug, Title, UpdateBody};
use dogwatch_store::rules::{Timestamp, Zone};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    if let Some(slug) = Slug::new(&*text).ok().filter(|slug| slug.as_str() != text) {
        panic!("`{slug}` is not what was given");
    }
    let (given, harmless) = (page(*choice, &text), page(*choice, "x"));
    for ((kind, form), (_, plain)) in
        dogwatch_web::every_form(&given).into_iter().zip(dogwatch_web::every_form(&harmless))
    {
        match kind {
            "application/json" => {
                serde_json::from_str::<serde_json::Value>(&form).unwrap();
            }
            "application/atom+xml; charset=utf-8" | "image/svg+xml" => {
                roxmltree::Document::parse(&form).unwrap();
            }
            _ => {
                let links = form.matches("rel=\"nofollow").count();
                assert_eq!(form.matches('<').count(), plain.matches('<').count() + 2 * links, "{form}");
                assert!(!form.contains("href=\"javascript"), "{form}");
            }
        }
    }
});

/// A page with a text wherever one fits. Where it does not, `x` stands.
fn page(choice: u8, text: &str) -> PublicPage {
    fn fitting<T: FromStr>(text: &str, most: usize) -> T {
        let cut: String = text.chars().take(most).collect();
        // Where there is nothing to show, less is shown.
        let shown = |text: String| if text.trim().is_empty() { "x".to_owned() } else { text };
        let plain = shown(cut.replace(|c: char| c.is_control(), " "));
        let cut = shown(cut);
        cut.parse()
            .or_else(|_| plain.parse())
            .or_else(|_| "x".parse())
            .unwrap_or_else(|_| unreachable!("`x` fits everywhere"))
    }
    let (name, title) = (|| fitting::<Name>(text, 100), || fitting::<Title>(text, 100));
    let status = ComponentStatus::ALL[usize::from(choice) % 5];
    let at = Timestamp::clamped(1_775_556_000_000);
    let (component, incident) = (Id::from_bytes([1; 16]), IncidentId::from_bytes([2; 16]));
    let affected = || vec![ComponentRef { id: component, name: name() }];
    let day = |worst| ShownDay { date: Date { year: 2026, month: 4, day: 7 }, worst, uptime: Some(Uptime::ALL) };
    let update = |redacted: bool| ShownUpdate {
        id: "sh_1".to_owned(),
        status_change: Status::ALL.get(usize::from(choice) % 5).copied(),
        body: (!redacted).then(|| fitting::<UpdateBody>(text, 10_000)),
        redacted,
        redacted_at: redacted.then_some(at),
        posted_at: at,
    };
    let shown = |resolved_at| ShownIncident {
        id: incident,
        title: title(),
        severity: Severity::ALL[usize::from(choice) % 4],
        status: Status::Investigating,
        created_at: at,
        resolved_at,
        components: affected(),
        updates: vec![update(false), update(true), update(false)],
    };
    PublicPage {
        page: ShownPage {
            id: Id::from_bytes([3; 16]),
            name: name(),
            slug: Slug::new("harbour").unwrap(),
            zone: Zone::new("UTC").unwrap(),
            updated_at: at,
        },
        banner: status,
        components: vec![ShownComponent {
            id: component,
            name: name(),
            description: Some(fitting::<Description>(text, 1_000)),
            group_label: Some(fitting::<GroupLabel>(text, 100)),
            status,
            days: vec![day(None), day(Some(status))],
            created_at: at,
            since: at,
        }],
        incidents: vec![shown(None)],
        maintenances: vec![ShownMaintenance {
            id: MaintenanceId::from_bytes([4; 16]),
            title: title(),
            description: Some(fitting::<Description>(text, 1_000)),
            state: MaintenanceState::Scheduled,
            components: affected(),
            starts_at: at,
            ends_at: at,
            created_at: at,
            updated_at: at,
        }],
        history: vec![ShownHistoryDay {
            date: Date { year: 2026, month: 4, day: 7 },
            incidents: vec![shown(Some(at))],
        }],
        truncated: choice > 200,
    }
}
