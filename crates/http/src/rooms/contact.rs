//! Contact methods and notification rules (contract, section 9): the routes, and the shapes of their replies.

use dogwatch_store::rules;
use dogwatch_store::rules::contact::{
    AddContactMethod, ContactAddress, ContactMethodKind, GetNotificationRules, ListContactMethods, NotificationRule,
    NotificationRules, RemoveContactMethod, RenameContactMethod, SetNotificationRules, TestContactMethod,
    VerifyContactMethod,
};
use dogwatch_store::rules::id::{ContactMethodId, Id};
use dogwatch_store::rules::text::Name;
use dogwatch_store::rules::{Code, Error as Refusal, Problem, UserId};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::Field;
use crate::input::{Input, Kind};
use crate::route::{Route, action, action_or, command, delete, get, list, patch, post, put, query};
use crate::shape::{Deleted, each, shown};

const KIND: Kind = Kind::Word(rules::contact::ContactMethodKind::WORDS);

fn method(input: &mut Input) -> Option<ContactMethodId> {
    input.path("id", Kind::Id(""), ContactMethodId::parse)
}

fn rule(value: &Map<String, Value>, place: &str) -> Result<NotificationRule, Vec<Field>> {
    let problem = |name: &str, what: String| Field { path: format!("{place}/{name}"), problem: what };
    let mut problems = Vec::new();
    let method = value.get("contactMethodId").and_then(Value::as_str).unwrap_or_default();
    let method = ContactMethodId::parse(method).unwrap_or_else(|why| {
        problems.push(problem("contactMethodId", why.to_string()));
        // It stands for none while the delay is looked at.
        ContactMethodId::from_bytes([0; 16])
    });
    let delay = value.get("delayMinutes").and_then(Value::as_i64).unwrap_or(-1);
    let rule = NotificationRule::new(method, delay).map_err(|why| problem("delayMinutes", why.what().to_owned()));
    match rule {
        Ok(rule) if problems.is_empty() => Ok(rule),
        rule => {
            problems.extend(rule.err());
            Err(problems)
        }
    }
}

pub(super) fn routes() -> Vec<Route> {
    const PATH: &str = "/contact-methods/{id}";
    vec![
        list(
            get(
                "/contact-methods",
                "listContactMethods",
                "How a member is told of pages; one's own, or any for an admin",
            ),
            |input| {
                let user_id = input.query("userId", Kind::Id("user_"), UserId::parse);
                Some(Ok(ListContactMethods { user_id: user_id? }))
            },
            each::<ContactMethod, _>,
        ),
        command(
            post("/contact-methods", "addContactMethod", "Add a contact method, and send a code to it"),
            |input| {
                let name = input.need("name", Kind::text::<Name>(), str::parse);
                let kind = input.need("kind", KIND, str::parse::<ContactMethodKind>);
                // In Slack a member is found by e-mail.
                let text = input.may("address", Kind::Opaque, |text| Ok::<_, Problem>(text.to_owned()));
                let read = kind.zip(text).map(|(kind, text)| ContactAddress::given(kind, text.as_deref()));
                let address = input.rule("address", read);
                Some(Ok(AddContactMethod { name: name?, address: address? }))
            },
            shown::<ContactMethod, _>,
        ),
        command(
            patch(PATH, "renameContactMethod", "Rename a contact method"),
            |input| {
                let id = method(input);
                let name = input.edit("name", Kind::text::<Name>(), str::parse);
                Some(Ok(RenameContactMethod { id: id?, name: name? }))
            },
            shown::<ContactMethod, _>,
        ),
        command(
            delete(PATH, "removeContactMethod", "Remove a contact method, with its notification rules"),
            |input| Some(Ok(RemoveContactMethod { id: method(input)? })),
            Deleted::of,
        ),
        action_or(
            post("/contact-methods/{id}/verify", "verifyContactMethod", "Verify a contact method with its code"),
            |input| {
                let id = method(input);
                let code = input.need("code", Kind::Opaque, |text| Ok::<_, Problem>(text.to_owned()));
                Some(Ok(VerifyContactMethod::new(id?, code?)))
            },
            |verified| {
                let wrong = || Refusal::refused(Code::InvalidCode, "the code is wrong, too late, or tried too often");
                verified.map(shown::<ContactMethod, _>).ok_or_else(wrong)
            },
        ),
        action(
            post("/contact-methods/{id}/test", "testContactMethod", "Send a test message, at most one a minute"),
            |input| Some(Ok(TestContactMethod { id: method(input)? })),
            Tested::of,
        ),
        query(
            get("/notification-rules", "getNotificationRules", "Which contact methods are told of a page, and when"),
            |_| Some(Ok(GetNotificationRules)),
            shown::<Rules, _>,
        ),
        command(
            put("/notification-rules", "setNotificationRules", "Replace the notification rules"),
            |input| {
                let rules = input.objects("rules", 20, Kind::Rule, rule);
                let rules = input.rule("rules", rules.map(NotificationRules::new));
                Some(Ok(SetNotificationRules { rules: rules? }))
            },
            shown::<Rules, _>,
        ),
    ]
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContactMethod {
    id: String,
    user_id: String,
    kind: String,
    name: String,
    address: Option<String>,
    verified: bool,
    #[schema(format = DateTime)]
    created_at: String,
}

/// The contact method, or the webhook, to which a test is sent.
#[derive(serde::Serialize, ToSchema)]
pub(crate) struct Tested {
    id: String,
}

impl Tested {
    #[allow(clippy::needless_pass_by_value, reason = "ids are small, and a path to this function is passed around")]
    pub(super) fn of(id: impl ToString) -> Self {
        Self { id: id.to_string() }
    }
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
pub(crate) struct Rules {
    rules: Vec<Rule>,
}

#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes the JSON of the rules")]
#[serde(rename_all = "camelCase")]
struct Rule {
    contact_method_id: String,
    delay_minutes: u16,
}
