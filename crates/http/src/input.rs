//! Reading requests: paths, queries and bodies, field by field, with every offending field named.
//!
//! A route reads its input through an [`Input`] only. The same code describes it: read from nothing, an `Input` notes which
//! fields there are and what they take, and that is what the OpenAPI document says. Reading goes on after a problem, so a
//! route asks for all of its fields before it uses any.

use std::collections::HashMap;

use dogwatch_store::rules::{Error as Refusal, Patch, Problem, Timestamp};
use serde_json::{Map, Value, json};

use crate::error::{Failure, Field};

/// What a field takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// One line of so many characters, not only white space.
    Name(usize, usize),
    /// Text of so many characters, line breaks included.
    Text(usize, usize),
    /// An id with this prefix; none for a plain UUID.
    Id(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number in this range.
    Number(i64, i64),
    /// An RFC 3339 timestamp.
    Time,
    /// A date or an RFC 3339 timestamp.
    DateOrTime,
    /// An e-mail address.
    Email,
    /// `HH:MM`.
    HandoffTime,
    /// An opaque text.
    Opaque,
    /// The target of a policy layer.
    Target,
}

impl Kind {
    pub(crate) fn schema(self) -> Value {
        match self {
            Self::Name(min, max) => json!({ "type": "string", "minLength": min, "maxLength": max,
                "pattern": r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$" }),
            Self::Text(min, max) => json!({ "type": "string", "minLength": min, "maxLength": max,
                "pattern": r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u009F]*$" }),
            Self::Id("") => json!({ "type": "string", "format": "uuid" }),
            Self::Id(prefix) => json!({ "type": "string", "pattern": format!("^{prefix}[0-9a-f]{{32}}$") }),
            Self::Word(words) => json!({ "type": "string", "enum": words }),
            Self::Number(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Self::Time => json!({ "type": "string", "format": "date-time" }),
            Self::DateOrTime => json!({ "type": "string", "anyOf": [{ "format": "date" }, { "format": "date-time" }] }),
            Self::Email => json!({ "type": "string", "format": "email", "maxLength": 320 }),
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
        }
    }
}

/// What a route reads, for the OpenAPI document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    /// Name, and what it takes.
    pub(crate) path: Vec<(&'static str, Kind)>,
    /// Name, and what it takes; all of them optional.
    pub(crate) query: Vec<(&'static str, Kind)>,
    pub(crate) body: Map<String, Value>,
    pub(crate) required: Vec<&'static str>,
}

impl Described {
    /// Where a field stands that has this name in the contract.
    pub(crate) fn pointer(&self, field: &str) -> String {
        let is = |(name, _): &(&'static str, Kind)| *name == field;
        match field {
            name if self.path.iter().any(is) => format!("path.{name}"),
            name if self.query.iter().any(is) => format!("query.{name}"),
            name => format!("/{name}"),
        }
    }
}

/// A request while it is read.
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
        Self { path, query, body, now: Some(now), ..Self::default() }
    }

    /// The present instant, for what is asked about now.
    pub(crate) fn now(&self) -> Timestamp {
        self.now.unwrap_or(Timestamp::MIN)
    }

    /// Runs the code that reads an input only to see what it reads.
    pub(crate) fn describe<T>(read: impl FnOnce(&mut Self) -> T) -> Described {
        let mut input = Self { described: Some(Described::default()), ..Self::default() };
        read(&mut input);
        input.described.unwrap_or_default()
    }

    /// What was read, or every problem.
    pub(crate) fn finish<T>(self, read: Option<Result<T, Refusal>>, described: &Described) -> Result<T, Failure> {
        if !self.problems.is_empty() {
            return Err(Failure::invalid(self.problems));
        }
        let read = read.unwrap_or_else(|| Err(Refusal::broken("an input is missing without a problem")));
        read.map_err(|refusal| Failure::refused(&refusal, described))
    }

    fn problem(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.problems.push(Field { path: path.into(), problem: problem.into() });
    }

    /// The checked value, or `None` with the problem noted.
    fn check<T>(&mut self, path: impl Into<String>, checked: Result<T, Problem>) -> Option<T> {
        checked.map_err(|problem| self.problem(path, problem.to_string())).ok()
    }

    /// A rule that spans fields of the body, where each of them is valid: `checked` is `None` where one is not. What is wrong
    /// is a problem of the field with this name.
    pub(crate) fn rule<T>(&mut self, name: &'static str, checked: Option<Result<T, Problem>>) -> Option<T> {
        self.check(format!("/{name}"), checked?)
    }

    /// As [`Input::rule`], of parameters of the query.
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

    /// An id in the path.
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

    /// An optional parameter of the query.
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

    /// A text that must be there.
    pub(crate) fn need<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        self.note(name, || kind.schema(), true);
        let value = self.body.remove(name).filter(|value| !value.is_null());
        let parsed = match &value {
            None => Err(Problem::new("is required")),
            Some(value) => text(value).and_then(parse),
        };
        self.check(format!("/{name}"), parsed)
    }

    /// A text that may be absent or null, which is the same.
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

    /// A text of a PATCH that cannot be cleared: absent, or a value.
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

    /// A text of a PATCH that null clears.
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

    /// A whole number that must be there.
    pub(crate) fn number<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnOnce(i64) -> Result<T, Problem>,
    ) -> Option<T> {
        self.note(name, || kind.schema(), true);
        let value = self.body.remove(name).filter(|value| !value.is_null());
        let parsed = match &value {
            None => Err(Problem::new("is required")),
            Some(value) => number(value).and_then(parse),
        };
        self.check(format!("/{name}"), parsed)
    }

    /// A whole number that may be absent.
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

    /// A list of texts that must be there. Each item that does not fit is named.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnMut(&str) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        self.note(name, || list_of(kind), true);
        match self.body.remove(name) {
            None | Some(Value::Null) => {
                self.problem(format!("/{name}"), "is required");
                None
            }
            Some(value) => self.items(name, &value, parse),
        }
    }

    /// A list of texts that may be absent or null, which is the same.
    pub(crate) fn may_list<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnMut(&str) -> Result<T, Problem>,
    ) -> Option<Option<Vec<T>>> {
        self.note(name, || nullable(&list_of(kind)), false);
        match self.body.remove(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => self.items(name, &value, parse).map(Some),
        }
    }

    /// A list of texts of a PATCH that cannot be cleared: absent, or a value.
    pub(crate) fn edit_list<T>(
        &mut self,
        name: &'static str,
        kind: Kind,
        parse: impl FnMut(&str) -> Result<T, Problem>,
    ) -> Option<Option<Vec<T>>> {
        self.note(name, || list_of(kind), false);
        match self.body.remove(name) {
            None => Some(None),
            Some(value) => self.items(name, &value, parse).map(Some),
        }
    }

    fn items<T>(
        &mut self,
        name: &'static str,
        value: &Value,
        mut parse: impl FnMut(&str) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        let Value::Array(items) = value else {
            self.problem(format!("/{name}"), "must be an array");
            return None;
        };
        let mut parsed = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            parsed.extend(self.check(format!("/{name}/{place}"), text(item).and_then(&mut parse)));
        }
        (parsed.len() == items.len()).then_some(parsed)
    }

    /// An object that must be there: null is absent.
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

    /// An object of a PATCH that cannot be cleared: absent, or a value.
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
        parse(fields).map_err(|problems| self.problems.extend(problems)).ok()
    }
}

fn text(value: &Value) -> Result<&str, Problem> {
    value.as_str().ok_or_else(|| Problem::new("must be a string"))
}

fn number(value: &Value) -> Result<i64, Problem> {
    value.as_i64().ok_or_else(|| Problem::new("must be a whole number"))
}

fn list_of(kind: Kind) -> Value {
    json!({ "type": "array", "items": kind.schema() })
}

fn nullable(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// Reads a timestamp.
pub(crate) fn time(text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(text)
}
