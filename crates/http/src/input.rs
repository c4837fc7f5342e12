//! Reading requests: path, query parameters and body, field by field, with every offending field named (contract, section 3).
//!
//! A route reads its request through an [`Input`] only. The same code describes the route: run without a request
//! ([`Input::describe`]), it notes the fields that there are and the [`Kind`] of each, and the OpenAPI document is made from
//! that. Reading goes on after a problem, so a route must ask for all of its fields before it uses any.

use std::collections::HashMap;

use dogwatch_store::rules::incident::Severity;
use dogwatch_store::rules::integration::SeverityOutcome;
use dogwatch_store::rules::status_page::ComponentStatus;
use dogwatch_store::rules::text::{HttpUrl, TextForm, TextRule};
use dogwatch_store::rules::{Error as Refusal, Patch, Problem, Timestamp};
use serde_json::{Map, Value, json};

use crate::error::{Failure, Field, MOST_FIELDS};

/// The most items of a list whose length the rules judge, once each of its items fits: those of a longer list are not looked at.
pub(crate) const LONGEST_LIST: usize = 1_000;

/// The kind of value that a body field, path parameter or query parameter takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text of this form, of at least and at most so many characters.
    Text(TextForm, usize, usize),
    /// An id with this prefix; the empty prefix stands for a plain UUID.
    Id(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number in this range, both ends included.
    Number(i64, i64),
    /// An RFC 3339 timestamp.
    Time,
    /// A date or an RFC 3339 timestamp.
    DateOrTime,
    /// An e-mail address.
    Email,
    /// A URL that begins with `https://`.
    Https,
    /// `true` or `false`.
    Flag,
    /// A time of day, `HH:MM`.
    HandoffTime,
    /// Any string; its form is not part of the contract.
    Opaque,
    /// The target of a policy layer: a schedule or 1–50 users.
    Target,
    /// A notification rule: a contact method and a delay.
    Rule,
    /// What stands for a status page in addresses.
    Slug,
    /// The status of a component on a status page, set by hand.
    StatusOverride,
    /// What becomes of alerts, by severity.
    Severities,
}

impl Kind {
    /// Text that satisfies the rule of a type of core.
    pub(crate) const fn text<T: TextRule>() -> Self {
        Self::Text(T::FORM, T::SHORTEST, T::LONGEST)
    }

    pub(crate) fn schema(self) -> Value {
        match self {
            Self::Text(form, min, max) => {
                let pattern = match form {
                    TextForm::Name => {
                        r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$"
                    }
                    TextForm::Line => r"^[^\u0000-\u001F\u007F-\u009F]*$",
                    TextForm::Block => r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]*$",
                };
                json!({ "type": "string", "minLength": min, "maxLength": max, "pattern": pattern })
            }
            Self::Id("") => json!({ "type": "string", "format": "uuid" }),
            Self::Id(prefix) => json!({ "type": "string", "pattern": format!("^{prefix}[0-9a-f]{{32}}$") }),
            Self::Word(words) => json!({ "type": "string", "enum": words }),
            Self::Number(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Self::Time => json!({ "type": "string", "format": "date-time" }),
            Self::DateOrTime => json!({ "type": "string", "anyOf": [{ "format": "date" }, { "format": "date-time" }] }),
            Self::Email => json!({ "type": "string", "format": "email", "maxLength": 320 }),
            Self::Https => {
                json!({ "type": "string", "format": "uri", "pattern": "^https://", "maxLength": HttpUrl::MAX })
            }
            Self::Flag => json!({ "type": "boolean" }),
            Self::HandoffTime => json!({ "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" }),
            Self::Opaque => json!({ "type": "string" }),
            Self::Target => json!({ "oneOf": [
                { "type": "object", "required": ["type", "scheduleId"], "properties": {
                    "type": { "const": "schedule" }, "scheduleId": Self::Id("").schema() } },
                { "type": "object", "required": ["type", "userIds"], "properties": {
                    "type": { "const": "users" },
                    "userIds": { "type": "array", "minItems": 1, "maxItems": 50, "uniqueItems": true,
                        "items": Self::Id("user_").schema() } } },
            ] }),
            Self::Rule => json!({ "type": "object", "required": ["contactMethodId", "delayMinutes"], "properties": {
                "contactMethodId": Self::Id("").schema(), "delayMinutes": Self::Number(0, 1_440).schema() } }),
            Self::Slug => json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$" }),
            Self::Severities => {
                let outcome = Self::Word(SeverityOutcome::WORDS).schema();
                let properties: Map<_, _> =
                    Severity::WORDS.iter().map(|it| ((*it).to_owned(), outcome.clone())).collect();
                json!({ "type": "object", "properties": properties })
            }
            Self::StatusOverride => json!({ "type": "object", "required": ["componentId", "status"], "properties": {
                "componentId": Self::Id("").schema(), "status": Self::Word(ComponentStatus::WORDS).schema() } }),
        }
    }
}

/// The fields that a route reads, for the OpenAPI document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    /// The path parameters: name and kind.
    pub(crate) path: Vec<(&'static str, Kind)>,
    /// The query parameters, all of them optional: name and kind.
    pub(crate) query: Vec<(&'static str, Kind)>,
    /// The fields of the body: name and JSON schema.
    pub(crate) body: Map<String, Value>,
    /// The names of the required fields of the body.
    pub(crate) required: Vec<&'static str>,
}

impl Described {
    /// The place of the field with this name, as a `validation_error` gives it: `path.<name>`, `query.<name>`, or a JSON
    /// pointer into the body.
    pub(crate) fn pointer(&self, field: &str) -> String {
        let is = |(name, _): &(&'static str, Kind)| *name == field;
        match field {
            name if self.path.iter().any(is) => format!("path.{name}"),
            name if self.query.iter().any(is) => format!("query.{name}"),
            name => format!("/{name}"),
        }
    }
}

/// A request while it is read: the fields not read yet, and the problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Input {
    path: HashMap<String, String>,
    query: Vec<(String, String)>,
    body: Map<String, Value>,
    problems: Vec<Field>,
    now: Option<Timestamp>,
    described: Option<Described>,
}

impl Input {
    pub(crate) fn new(
        path: HashMap<String, String>,
        query: Vec<(String, String)>,
        body: Map<String, Value>,
        now: Timestamp,
    ) -> Self {
        let mut input = Self { path, body, now: Some(now), ..Self::default() };
        for (name, value) in query {
            if input.query.iter().any(|(other, _)| *other == name) {
                input.problem(format!("query.{name}"), "must be given once");
            } else {
                input.query.push((name, value));
            }
        }
        input
    }

    /// The present instant on the engine's clock, the default for queries about an instant.
    pub(crate) fn now(&self) -> Timestamp {
        self.now.unwrap_or(Timestamp::MIN)
    }

    /// Runs the code that reads an input without a request, only to see which fields it reads.
    pub(crate) fn describe<T>(read: impl FnOnce(&mut Self) -> T) -> Described {
        let mut input = Self { described: Some(Described::default()), ..Self::default() };
        read(&mut input);
        input.described.unwrap_or_default()
    }

    /// The command or query that was read; else a `validation_error` with every problem, or the refusal that reading ended in.
    pub(crate) fn finish<T>(self, read: Option<Result<T, Refusal>>, described: &Described) -> Result<T, Failure> {
        if !self.problems.is_empty() {
            return Err(Failure::invalid(self.problems));
        }
        let read = read.unwrap_or_else(|| Err(Refusal::broken("an input is missing without a problem")));
        read.map_err(|refusal| Failure::refused(&refusal, described))
    }

    /// Notes a problem; those beyond one more than are shown are dropped.
    fn problem(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        if self.problems.len() > MOST_FIELDS {
            return;
        }
        self.problems.push(Field { path: path.into(), problem: problem.into() });
    }

    /// The checked value, or `None` with the problem noted under this path.
    fn check<T>(&mut self, path: impl Into<String>, checked: Result<T, Problem>) -> Option<T> {
        checked.map_err(|problem| self.problem(path, problem.to_string())).ok()
    }

    /// Checks a rule that spans fields of the body where each of them is valid: `checked` is `None` where one is not. A problem
    /// is noted under the field with this name.
    pub(crate) fn rule<T>(&mut self, name: &'static str, checked: Option<Result<T, Problem>>) -> Option<T> {
        self.check(format!("/{name}"), checked?)
    }

    /// As [`Input::rule`], for query parameters.
    pub(crate) fn query_rule<T>(&mut self, name: &'static str, checked: Option<Result<T, Problem>>) -> Option<T> {
        self.check(format!("query.{name}"), checked?)
    }

    fn note(&mut self, name: &'static str, schema: impl FnOnce() -> Value, required: bool) {
        if let Some(described) = &mut self.described {
            described.body.insert(name.to_owned(), schema());
            if required {
                described.required.push(name);
            }
        }
    }

    /// A path parameter.
    pub(crate) fn path<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        if let Some(described) = &mut self.described {
            described.path.push((name, kind));
            return None;
        }
        let text = self.path.get(name).cloned().unwrap_or_default();
        self.check(format!("path.{name}"), parse(&text))
    }

    /// An optional query parameter.
    pub(crate) fn query<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        if let Some(described) = &mut self.described {
            described.query.push((name, kind));
        }
        let given = self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        match given {
            None => Some(None),
            Some(text) => self.check(format!("query.{name}"), parse(&text)).map(Some),
        }
    }

    /// A required string of the body; null counts as absent.
    pub(crate) fn need<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        self.note(name, || kind.schema(), true);
        let value = self.body.remove(name).filter(|value| !value.is_null());
        let parsed = match &value {
            None => Err(Problem::new("value", "is required")),
            Some(value) => text(value).and_then(parse),
        };
        self.check(format!("/{name}"), parsed)
    }

    /// An optional string of the body; absent and null are the same.
    pub(crate) fn may<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        self.note(name, || nullable(&kind.schema()), false);
        let value = self.body.remove(name).filter(|value| !value.is_null());
        match value {
            None => Some(None),
            Some(value) => self.check(format!("/{name}"), text(&value).and_then(parse)).map(Some),
        }
    }

    /// An optional string of a PATCH that cannot be cleared: null is a problem.
    pub(crate) fn edit<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        self.note(name, || kind.schema(), false);
        let value = self.body.remove(name);
        match value {
            None => Some(None),
            Some(value) => self.check(format!("/{name}"), text(&value).and_then(parse)).map(Some),
        }
    }

    /// An optional string of a PATCH that null clears.
    pub(crate) fn patch<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<Patch<T>> {
        self.note(name, || nullable(&kind.schema()), false);
        match self.body.remove(name) {
            None => Some(Patch::Keep),
            Some(Value::Null) => Some(Patch::Clear),
            Some(value) => self.check(format!("/{name}"), text(&value).and_then(parse)).map(Patch::Set),
        }
    }

    /// A required whole number of the body; null counts as absent.
    pub(crate) fn number<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(i64) -> Result<T, Problem>,
    ) -> Option<T> {
        self.note(name, || kind.schema(), true);
        let value = self.body.remove(name).filter(|value| !value.is_null());
        let parsed = match &value {
            None => Err(Problem::new("value", "is required")),
            Some(value) => number(value).and_then(parse),
        };
        self.check(format!("/{name}"), parsed)
    }

    /// An optional whole number of the body; absent and null are the same.
    pub(crate) fn may_number<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(i64) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        self.note(name, || nullable(&kind.schema()), false);
        match self.body.remove(name).filter(|value| !value.is_null()) {
            None => Some(None),
            Some(value) => self.check(format!("/{name}"), number(&value).and_then(parse)).map(Some),
        }
    }

    /// An optional whole number of a PATCH that cannot be cleared: null is a problem.
    pub(crate) fn edit_number<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(i64) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        self.note(name, || kind.schema(), false);
        let value = self.body.remove(name);
        match value {
            None => Some(None),
            Some(value) => self.check(format!("/{name}"), number(&value).and_then(parse)).map(Some),
        }
    }

    /// An optional flag of the body that cannot be cleared: null is a problem.
    pub(crate) fn edit_flag(&mut self, name: &'static str) -> Option<Option<bool>> {
        self.note(name, || Kind::Flag.schema(), false);
        match self.body.remove(name) {
            None => Some(None),
            Some(Value::Bool(flag)) => Some(Some(flag)),
            Some(_) => {
                self.problem(format!("/{name}"), "must be `true` or `false`");
                None
            }
        }
    }

    /// A required array of strings, of `most` items at most; null counts as absent. Each item that does not fit is named by its index,
    /// those of a list that is too long are not looked at.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        most: usize,
        kind: Kind,
        parse: impl FnMut(&str) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        self.note(name, || list_of(kind), true);
        match self.body.remove(name) {
            None | Some(Value::Null) => {
                self.problem(format!("/{name}"), "is required");
                None
            }
            Some(value) => self.items(name, most, &value, parse),
        }
    }

    /// An optional array of strings; absent and null are the same.
    pub(crate) fn may_list<T>(
        &mut self,
        name: &'static str,
        most: usize,
        kind: Kind,
        parse: impl FnMut(&str) -> Result<T, Problem>,
    ) -> Option<Option<Vec<T>>> {
        self.note(name, || nullable(&list_of(kind)), false);
        match self.body.remove(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.items(name, most, &value, parse).map(Some),
        }
    }

    /// An optional array of strings of a PATCH that cannot be cleared: null is a problem.
    pub(crate) fn edit_list<T>(
        &mut self,
        name: &'static str,
        most: usize,
        kind: Kind,
        parse: impl FnMut(&str) -> Result<T, Problem>,
    ) -> Option<Option<Vec<T>>> {
        self.note(name, || list_of(kind), false);
        match self.body.remove(name) {
            None => Some(None),
            Some(value) => self.items(name, most, &value, parse).map(Some),
        }
    }

    /// The items of an array that has not too many.
    fn array<'a>(&mut self, name: &'static str, most: usize, value: &'a Value) -> Option<&'a [Value]> {
        let problem = match value {
            Value::Array(items) if items.len() <= most => return Some(items),
            Value::Array(_) => format!("must have at most {most} items"),
            _ => "must be an array".to_owned(),
        };
        self.problem(format!("/{name}"), problem);
        None
    }

    fn items<T>(
        &mut self,
        name: &'static str,
        most: usize,
        value: &Value,
        mut parse: impl FnMut(&str) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        let items = self.array(name, most, value)?;
        let mut parsed = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            parsed.extend(self.check(format!("/{name}/{place}"), text(item).and_then(&mut parse)));
        }
        (parsed.len() == items.len()).then_some(parsed)
    }

    /// A required array of objects, of `most` items at most; null counts as absent. `parse` gets each with its place, such as
    /// `/rules/0`, and names what does not fit.
    pub(crate) fn objects<T>(
        &mut self,
        name: &'static str,
        most: usize,
        kind: Kind,
        parse: impl Fn(&Map<String, Value>, &str) -> Result<T, Vec<Field>>,
    ) -> Option<Vec<T>> {
        self.note(name, || objects_of(kind, most), true);
        match self.body.remove(name).filter(|value| !value.is_null()) {
            None => {
                self.problem(format!("/{name}"), "is required");
                None
            }
            Some(value) => self.read_objects(name, most, &value, parse),
        }
    }

    /// As [`Input::objects`], for an optional array that cannot be cleared: null is a problem.
    pub(crate) fn edit_objects<T>(
        &mut self,
        name: &'static str,
        most: usize,
        kind: Kind,
        parse: impl Fn(&Map<String, Value>, &str) -> Result<T, Vec<Field>>,
    ) -> Option<Option<Vec<T>>> {
        self.note(name, || objects_of(kind, most), false);
        match self.body.remove(name) {
            None => Some(None),
            Some(value) => self.read_objects(name, most, &value, parse).map(Some),
        }
    }

    fn read_objects<T>(
        &mut self,
        name: &'static str,
        most: usize,
        value: &Value,
        parse: impl Fn(&Map<String, Value>, &str) -> Result<T, Vec<Field>>,
    ) -> Option<Vec<T>> {
        let items = self.array(name, most, value)?;
        let mut parsed = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            let place = format!("/{name}/{place}");
            let read = match item {
                Value::Object(fields) => parse(fields, &place),
                _ => Err(vec![Field { path: place, problem: "must be an object".to_owned() }]),
            };
            match read {
                Ok(item) => parsed.push(item),
                Err(problems) => problems.into_iter().for_each(|it| self.problem(it.path, it.problem)),
            }
        }
        (parsed.len() == items.len()).then_some(parsed)
    }

    /// A required object of the body; null counts as absent.
    pub(crate) fn object<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(&Map<String, Value>) -> Result<T, Vec<Field>>,
    ) -> Option<T> {
        self.note(name, || kind.schema(), true);
        match self.body.remove(name).filter(|value| !value.is_null()) {
            None => {
                self.problem(format!("/{name}"), "is required");
                None
            }
            Some(value) => self.parsed_object(name, &value, parse),
        }
    }

    /// An optional object of a PATCH that cannot be cleared: null is a problem.
    pub(crate) fn edit_object<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(&Map<String, Value>) -> Result<T, Vec<Field>>,
    ) -> Option<Option<T>> {
        self.note(name, || kind.schema(), false);
        match self.body.remove(name) {
            None => Some(None),
            Some(value) => self.parsed_object(name, &value, parse).map(Some),
        }
    }

    fn parsed_object<T>(
        &mut self,
        name: &'static str,
        value: &Value,
        parse: impl FnOnce(&Map<String, Value>) -> Result<T, Vec<Field>>,
    ) -> Option<T> {
        let Value::Object(fields) = value else {
            self.problem(format!("/{name}"), "must be an object");
            return None;
        };
        let noted = |problems: Vec<Field>| problems.into_iter().for_each(|it| self.problem(it.path, it.problem));
        parse(fields).map_err(noted).ok()
    }
}

fn text(value: &Value) -> Result<&str, Problem> {
    value.as_str().ok_or_else(|| Problem::new("value", "must be a string"))
}

fn number(value: &Value) -> Result<i64, Problem> {
    value.as_i64().ok_or_else(|| Problem::new("value", "must be a whole number"))
}

/// The schema of an array of objects.
fn objects_of(kind: Kind, most: usize) -> Value {
    json!({ "type": "array", "maxItems": most, "items": kind.schema() })
}

fn list_of(kind: Kind) -> Value {
    json!({ "type": "array", "items": kind.schema() })
}

fn nullable(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// Reads an RFC 3339 timestamp.
pub(crate) fn time(text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(text)
}
