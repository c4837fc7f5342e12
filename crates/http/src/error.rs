//! Failures as responses: the one place that gives a refusal its status, body and headers (contract, sections 2 and 3).
//!
//! A [`Failure`] holds what the body says; of a `validation_error` also every offending [`Field`].

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use dogwatch_store::Error as EngineError;
use dogwatch_store::rules::{Code, Error as Refusal};
use serde_json::{Value, json};

use crate::input::Described;

/// The most offending fields that a body lists.
pub(crate) const MOST_FIELDS: usize = 100;

/// An offending field, as the body of a `validation_error` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// A JSON pointer into the body (`/title`), or `path.<name>`, `query.<name>`, `header.<Name>`.
    pub(crate) path: String,
    /// What is wrong with the field.
    pub(crate) problem: String,
}

/// The failure of a request, with everything that the body of the response says but the request id.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) fields: Vec<Field>,
    /// The methods that the route takes, for `method_not_allowed`; they go into the header `Allow`.
    pub(crate) allow: Option<String>,
    /// After how many seconds to try again, if it is known.
    pub(crate) after: Option<u64>,
    /// How long the caller waits for the answer, so that it cannot ask again at once.
    pub(crate) delay: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: Vec::new(), allow: None, after: None, delay: None }
    }

    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "something went wrong on our side")
    }

    /// A `validation_error` for these fields of the request.
    pub(crate) fn invalid(fields: Vec<Field>) -> Self {
        // The fields say what is wrong; the message need not repeat them.
        Self { fields, ..Self::new(Code::Validation, "the request does not fit its schema") }
    }

    /// A refusal by the rules; `described` knows where the route reads the fields that the refusal names.
    pub(crate) fn refused(error: &Refusal, described: &Described) -> Self {
        match error {
            Refusal::Invalid(fields) => {
                let field = |it: &dogwatch_store::rules::FieldProblem| Field {
                    path: described.pointer(&it.field),
                    problem: it.problem.clone(),
                };
                Self::invalid(fields.iter().map(field).collect())
            }
            Refusal::Broken(what) => {
                tracing::error!(%what, "an invariant does not hold");
                Self::new(error.code(), error.to_string())
            }
            other => Self::new(other.code(), other.to_string()),
        }
    }

    /// A refusal or an error of the engine; `described` as for [`Failure::refused`].
    pub(crate) fn engine(error: &EngineError, described: &Described) -> Self {
        match error {
            EngineError::Refused(refusal) => Self::refused(refusal, described),
            other => Self::new(other.code(), other.to_string()),
        }
    }

    /// After how many seconds the request may do better.
    pub(crate) const fn retry_after(&self) -> Option<u64> {
        match (self.code, self.after) {
            (_, Some(after)) => Some(after),
            (Code::Overloaded | Code::Unavailable, None) => Some(1),
            // The rules allow something once a minute.
            (Code::TooManyRequests, None) => Some(60),
            _ => None,
        }
    }

    pub(crate) const fn status(&self) -> u16 {
        self.code.http_status()
    }

    /// The body without its request id, as it is recorded under an idempotency key.
    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "statusCode": self.status(),
            "type": self.code.kind().as_str(),
            "code": self.code.as_str(),
            "message": self.message,
        });
        if self.code == Code::Validation {
            let field = |field: &Field| json!({ "path": field.path, "problem": field.problem });
            let fields: Vec<_> = self.fields.iter().take(MOST_FIELDS).map(field).collect();
            if let Some(body) = body.as_object_mut() {
                body.insert("fields".to_owned(), Value::Array(fields));
                if self.fields.len() > MOST_FIELDS {
                    body.insert("truncated".to_owned(), true.into());
                }
            }
        }
        body
    }

    /// Sets the headers that go with the code: `Allow`, `Retry-After`, `WWW-Authenticate`.
    pub(crate) fn headers(&self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        if let Some(allow) = self.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        if let Some(after) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, after.into());
        }
        if self.status() == StatusCode::UNAUTHORIZED.as_u16() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
}

/// For what reads no field of the request, such as authentication.
impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::engine(&error, &Described::default())
    }
}
