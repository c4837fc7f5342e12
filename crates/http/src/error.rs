//! The one place that turns a failure into a response (contract, sections 2 and 3).

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use dogwatch_store::Error as EngineError;
use dogwatch_store::rules::{Code, Error as Refusal};
use serde_json::{Value, json};

use crate::input::Described;

/// A field that does not fit, as the body of a failure shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// A JSON pointer into the body (`/title`), or `path.<name>`, `query.<name>`, `header.<Name>`.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) problem: String,
}

/// A request that failed, with all that its body says.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) fields: Vec<Field>,
    /// The methods of the route, for `method_not_allowed`.
    pub(crate) allow: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: Vec::new(), allow: None }
    }

    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "something went wrong on our side")
    }

    /// Fields of the request that do not fit.
    pub(crate) fn invalid(fields: Vec<Field>) -> Self {
        // The fields say what is wrong; the sentence need not repeat them.
        Self { fields, ..Self::new(Code::Validation, "the request does not fit its schema") }
    }

    /// What the rules refused; a route knows where it reads the fields that they name.
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

    /// What the engine refused or failed in.
    pub(crate) fn engine(error: &EngineError, described: &Described) -> Self {
        match error {
            EngineError::Refused(refusal) => Self::refused(refusal, described),
            other => Self::new(other.code(), other.to_string()),
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
            let fields: Vec<_> = self.fields.iter().map(field).collect();
            if let Some(body) = body.as_object_mut() {
                body.insert("fields".to_owned(), Value::Array(fields));
            }
        }
        body
    }

    /// The headers that go with the code.
    pub(crate) fn headers(&self, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        if let Some(allow) = self.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        if self.code == Code::Overloaded {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status() == StatusCode::UNAUTHORIZED.as_u16() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
    }
}

/// A failure of what reads nothing from the request.
impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::engine(&error, &Described::default())
    }
}
