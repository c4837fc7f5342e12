//! The table of routes: for each its caller, the fields that it reads, the command or query that it makes of them, and its
//! reply.
//!
//! A [`Route`] is one command or one query of the engine. Everything else is read off the table: the axum router, the order of
//! checks, the OpenAPI document.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::Method;
use dogwatch_store::rules::caller::{Caller, CallerKind};
use dogwatch_store::rules::link::MasterKey;
use dogwatch_store::rules::{Actor, Code, Command, Error as Refusal, Query};
use dogwatch_store::{Answer, By, Engine, Error as EngineError, Once};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::error::Failure;
use crate::input::{Described, Input};

/// The reply of a route: its status, the JSON under `data` (or, for a failure, its body without a request id), and whether it
/// is the recorded answer to an earlier request with the same idempotency key.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) json: Bytes,
    pub(crate) again: bool,
}

/// A request whose caller is admitted.
pub(crate) struct Call {
    pub(crate) engine: Engine,
    pub(crate) actor: Actor,
    /// Who gives a command: the same actor, or the API key that they presented, at which is looked again.
    pub(crate) by: By,
    pub(crate) input: Input,
    /// The key from which secrets are derived that are shown once, if the program has one.
    pub(crate) key: Option<Arc<MasterKey>>,
    /// The idempotency key of a POST and the fingerprint of the request; `None` without the header `Idempotency-Key`.
    pub(crate) once: Option<Once>,
}

type Running = Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>;
type Schemas = Vec<(String, RefOr<Schema>)>;

/// One route of the table.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// The kind of caller that may make the request.
    pub(crate) caller: CallerKind,
    /// Refuses an actor who is not such a caller.
    pub(crate) admit: fn(&Engine, &Actor) -> Result<(), EngineError>,
    pub(crate) status: u16,
    /// The codes with which the caller or the rules may refuse; those that every route shares are not listed.
    pub(crate) codes: Vec<Code>,
    /// Whether the reply depends on nothing but the organization, the path with its query, and the durable state, so that it
    /// may be kept.
    pub(crate) repeats: bool,
    /// Whether it is a question for a thread that does nothing else, which has a deadline.
    pub(crate) long: bool,
    pub(crate) described: Arc<Described>,
    /// The schema of what is under `data`, and the schemas that it refers to.
    pub(crate) reply: (RefOr<Schema>, Schemas),
    pub(crate) run: Run,
}

/// Reads a call, and has the engine answer it.
pub(crate) type Run = Arc<dyn Fn(Call) -> Running + Send + Sync>;

/// The method, path, operation id and summary of a route.
pub(crate) struct Named {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) repeats: bool,
    pub(crate) long: bool,
}

pub(crate) const fn get(path: &'static str, id: &'static str, summary: &'static str) -> Named {
    Named { method: Method::GET, path, id, summary, repeats: false, long: false }
}

pub(crate) const fn post(path: &'static str, id: &'static str, summary: &'static str) -> Named {
    Named { method: Method::POST, path, id, summary, repeats: false, long: false }
}

pub(crate) const fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Named {
    Named { method: Method::PATCH, path, id, summary, repeats: false, long: false }
}

pub(crate) const fn put(path: &'static str, id: &'static str, summary: &'static str) -> Named {
    Named { method: Method::PUT, path, id, summary, repeats: false, long: false }
}

pub(crate) const fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Named {
    Named { method: Method::DELETE, path, id, summary, repeats: false, long: false }
}

impl Named {
    /// Marks a route whose reply is the same for every member of the organization until something changes.
    pub(crate) const fn repeats(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Marks a query that may take longer than microseconds: it is answered by a thread of the engine that does nothing else.
    pub(crate) const fn long(mut self) -> Self {
        self.long = true;
        self
    }
}

/// The command or query that a route reads from its input, or a refusal; `None` when a field does not fit.
pub(crate) type Read<T> = Option<Result<T, Refusal>>;

fn json_of<D: Serialize>(shown: &D) -> Result<String, Refusal> {
    serde_json::to_string(shown).map_err(|error| Refusal::broken(error.to_string()))
}

fn schema_of<D: ToSchema>() -> (RefOr<Schema>, Schemas) {
    let mut schemas = Schemas::new();
    D::schemas(&mut schemas);
    schemas.push((D::name().into_owned(), D::schema()));
    let reference = RefOr::Ref(utoipa::openapi::Ref::from_schema_name(D::name()));
    (reference, schemas)
}

fn list_schema_of<D: ToSchema>() -> (RefOr<Schema>, Schemas) {
    let (item, schemas) = schema_of::<D>();
    (RefOr::T(utoipa::openapi::ArrayBuilder::new().items(item).build().into()), schemas)
}

/// A route that is a query; `show` makes the shape of its reply.
pub(crate) fn query<Q, D>(named: Named, read: fn(&mut Input) -> Read<Q>, show: fn(Q::Reply) -> D) -> Route
where
    Q: Query + 'static,
    D: Serialize + ToSchema + 'static,
{
    query_as(named, read, move |reply| json_of(&show(reply)), schema_of::<D>())
}

/// A route that is a query whose reply is an array.
pub(crate) fn list<Q, D>(named: Named, read: fn(&mut Input) -> Read<Q>, show: fn(Q::Reply) -> Vec<D>) -> Route
where
    Q: Query + 'static,
    D: Serialize + ToSchema + 'static,
{
    query_as(named, read, move |reply| json_of(&show(reply)), list_schema_of::<D>())
}

fn query_as<Q: Query + 'static>(
    named: Named,
    read: fn(&mut Input) -> Read<Q>,
    show: impl Fn(Q::Reply) -> Result<String, Refusal> + Copy + Send + Sync + 'static,
    reply: (RefOr<Schema>, Schemas),
) -> Route {
    let described = Arc::new(Input::describe(read));
    let known = Arc::clone(&described);
    let long = named.long;
    let run = move |mut call: Call| -> Running {
        let read = read(&mut call.input);
        let shown = move |reply: Result<Q::Reply, EngineError>| Ok(show(reply?)?);
        let answered = |known: &Described, json: Result<String, EngineError>| {
            let json = json.map_err(|error| Failure::engine(&error, known))?.into();
            Ok(Reply { status: 200, json, again: false })
        };
        let query = match call.input.finish(read, &known) {
            Ok(query) => query,
            Err(failure) => return Box::pin(std::future::ready(Err(failure))),
        };
        if long {
            let known = Arc::clone(&known);
            let pending = call.engine.submit_query_then(query, &call.actor, shown);
            return Box::pin(async move {
                let json = match pending {
                    Ok(pending) => pending.await,
                    Err(error) => Err(error),
                };
                answered(&known, json)
            });
        }
        // Such a query takes microseconds and waits for nothing.
        Box::pin(std::future::ready(answered(&known, shown(call.engine.query(&query, &call.actor)))))
    };
    route::<Q::Caller>(named, Q::CODES, 200, described, reply, Arc::new(run))
}

/// A route that is a command; `show` makes the shape of its reply. The status of a POST is 201.
pub(crate) fn command<C, D>(named: Named, read: fn(&mut Input) -> Read<C>, show: fn(C::Reply) -> D) -> Route
where
    C: Command,
    D: Serialize + ToSchema + 'static,
{
    command_as(named, read, move |reply| json_of(&show(reply)), schema_of::<D>(), true)
}

/// A route that is a command whose reply is an array.
pub(crate) fn command_list<C, D>(named: Named, read: fn(&mut Input) -> Read<C>, show: fn(C::Reply) -> Vec<D>) -> Route
where
    C: Command,
    D: Serialize + ToSchema + 'static,
{
    command_as(named, read, move |reply| json_of(&show(reply)), list_schema_of::<D>(), true)
}

/// A POST that acts on a resource instead of creating one: its status is 200.
pub(crate) fn action<C, D>(named: Named, read: fn(&mut Input) -> Read<C>, show: fn(C::Reply) -> D) -> Route
where
    C: Command,
    D: Serialize + ToSchema + 'static,
{
    command_as(named, read, move |reply| json_of(&show(reply)), schema_of::<D>(), false)
}

/// As [`action`], for a command whose reply may say that what was asked for is refused.
pub(crate) fn action_or<C, D>(
    named: Named,
    read: fn(&mut Input) -> Read<C>,
    show: fn(C::Reply) -> Result<D, Refusal>,
) -> Route
where
    C: Command,
    D: Serialize + ToSchema + 'static,
{
    command_as(named, read, move |reply| json_of(&show(reply)?), schema_of::<D>(), false)
}

/// As [`command`], for a reply with a text that may be taken back: none is recorded under an idempotency key. Whoever repeats
/// the request gets it from `look`, as it is then.
pub(crate) fn command_with_text<C, D>(
    named: Named,
    read: fn(&mut Input) -> Read<C>,
    show: fn(C::Reply) -> D,
    text: Text,
) -> Route
where
    C: Command,
    D: Serialize + ToSchema + 'static,
{
    command_route(named, read, move |reply, _| json_of(&show(reply)), schema_of::<D>(), true, Some(text))
}

/// As [`command`], for a reply with a secret that is derived from the key of the program. It is shown once: no secret is recorded under
/// an idempotency key.
pub(crate) fn command_with_secret<C, D>(
    named: Named,
    read: fn(&mut Input) -> Read<C>,
    show: fn(C::Reply, Option<&MasterKey>) -> D,
    creates: bool,
) -> Route
where
    C: Command,
    D: Serialize + ToSchema + 'static,
{
    command_route(named, read, move |reply, key| json_of(&show(reply, key)), schema_of::<D>(), creates, None)
}

/// A field of a reply with a text that may be taken back.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    pub(crate) field: &'static str,
    /// Gives the text as it is now, of what is in a reply.
    pub(crate) look: fn(&Engine, &Actor, &Value) -> Option<String>,
}

fn command_as<C: Command>(
    named: Named,
    read: fn(&mut Input) -> Read<C>,
    show: impl Fn(C::Reply) -> Result<String, Refusal> + Copy + Send + Sync + 'static,
    reply: (RefOr<Schema>, Schemas),
    creates: bool,
) -> Route {
    command_route(named, read, move |reply, _| show(reply), reply, creates, None)
}

fn command_route<C: Command>(
    named: Named,
    read: fn(&mut Input) -> Read<C>,
    show: impl Fn(C::Reply, Option<&MasterKey>) -> Result<String, Refusal> + Copy + Send + Sync + 'static,
    reply: (RefOr<Schema>, Schemas),
    creates: bool,
    text: Option<Text>,
) -> Route {
    let status = if creates && named.method == Method::POST { 201 } else { 200 };
    let described = Arc::new(Input::describe(read));
    let known = Arc::clone(&described);
    let run = move |mut call: Call| -> Running {
        let read = read(&mut call.input);
        let known = Arc::clone(&known);
        Box::pin(async move {
            let failed = |error: EngineError| Failure::engine(&error, &known);
            let command = call.input.finish(read, &known)?;
            let key = call.key;
            let show = move |reply| show(reply, key.as_deref());
            let Some(once) = call.once else {
                let reply = call.engine.submit(command, call.by).map_err(failed)?.await.map_err(failed)?;
                let json = show(reply).map_err(|error| Failure::refused(&error, &known))?.into();
                return Ok(Reply { status, json, again: false });
            };
            let for_render = Arc::clone(&known);
            let render =
                move |outcome: Result<C::Reply, Refusal>| answers(outcome.and_then(show), status, &for_render, text);
            let recorded = call.engine.submit_once(command, call.by, once, render).map_err(failed)?;
            let recorded = recorded.await.map_err(failed)?;
            let json = match text.filter(|_| recorded.again && recorded.answer.status < 400) {
                Some(text) => with_text(&recorded.answer.body, text, &call.engine, &call.actor).into(),
                None => recorded.answer.body.into(),
            };
            Ok(Reply { status: recorded.answer.status, json, again: recorded.again })
        })
    };
    route::<C::Caller>(named, C::CODES, status, described, reply, Arc::new(run))
}

/// The answer for the caller, and the one to record under the idempotency key: without secrets, which are shown once, and without
/// a text that may be taken back.
fn answers(
    outcome: Result<String, Refusal>,
    status: u16,
    described: &Described,
    text: Option<Text>,
) -> (Answer, Answer) {
    let (status, body) = match outcome {
        Ok(body) => (status, body),
        Err(refusal) => {
            let failure = Failure::refused(&refusal, described);
            (failure.status(), failure.body().to_string())
        }
    };
    let left_out = [Some("secret"), Some("token"), text.map(|text| text.field)];
    let secret = body.contains("\"secret\":") || body.contains("\"token\":");
    let record = if text.is_some() || secret { without(&body, &left_out) } else { body.clone() };
    let answer = |body: String| Answer { status, body: body.into_bytes() };
    (answer(body), answer(record))
}

/// A recorded reply with its text as it is now.
fn with_text(json: &[u8], text: Text, engine: &Engine, actor: &Actor) -> Vec<u8> {
    let mut reply: Value = serde_json::from_slice(json).unwrap_or_default();
    let now = (text.look)(engine, actor, &reply);
    if let Some(field) = reply.get_mut(text.field) {
        *field = now.into();
    }
    reply.to_string().into_bytes()
}

/// JSON in which fields with these names are null.
fn without(body: &str, names: &[Option<&str>]) -> String {
    let mut value: Value = serde_json::from_str(body).unwrap_or_default();
    blot_out(&mut value, names);
    value.to_string()
}

fn blot_out(value: &mut Value, names: &[Option<&str>]) {
    if let Value::Object(fields) = value {
        for name in names.iter().flatten() {
            if let Some(field) = fields.get_mut(*name) {
                *field = Value::Null;
            }
        }
        fields.values_mut().for_each(|value| blot_out(value, names));
    }
}

fn route<C: Caller>(
    named: Named,
    codes: &[Code],
    status: u16,
    described: Arc<Described>,
    reply: (RefOr<Schema>, Schemas),
    run: Run,
) -> Route {
    let Named { method, path, id, summary, repeats, long } = named;
    let admit = |engine: &Engine, actor: &Actor| engine.admit::<C>(actor).map(|_| ());
    let codes = [C::CODES, codes].concat();
    Route { method, path, id, summary, caller: C::KIND, admit, status, codes, repeats, long, described, reply, run }
}
