//! The error contract (contract, section 3) as one exhaustive table.
//!
//! Every failure of dogwatch carries a [`Code`]. A code fixes the type, the HTTP status and the meaning; this file is the only
//! one that says them. Adding a code breaks the build wherever codes are matched, and a test compares the table with
//! `docs/contract.md`.

/// The category of an error: the field `type` of an error body (contract, section 3).
///
/// ```
/// use dogwatch_core::{Code, ErrorKind};
/// assert_eq!(Code::NotFound.kind(), ErrorKind::InvalidRequest);
/// assert_eq!(ErrorKind::InvalidRequest.as_str(), "invalid_request_error");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// Credentials are missing or bad, or the role is too low.
    NotAuthorized,
    /// Well-formed, but against a rule.
    InvalidRequest,
    /// Input that fails its schema.
    Validation,
    /// The engine's own fault.
    Internal,
}

impl ErrorKind {
    /// The word for the category in an error body.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAuthorized => "not_authorized_error",
            Self::InvalidRequest => "invalid_request_error",
            Self::Validation => "validation_error",
            Self::Internal => "internal_error",
        }
    }
}

/// One row of the table: what a code means to a program and to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRow {
    /// The code itself.
    pub code: Code,
    /// The field `code` of an error body; empty for [`Code::Validation`].
    pub name: &'static str,
    /// The category: the field `type` of an error body.
    pub kind: ErrorKind,
    /// The HTTP status that goes with it.
    pub status: u16,
    /// When it is raised, in a few words.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $kind:ident, $status:literal, $meaning:literal;)*) => {
        /// The reason of a failure: the field `code` of an error body (contract, section 3).
        ///
        /// ```
        /// use dogwatch_core::Code;
        /// let code = Code::InvalidStatusTransition;
        /// assert_eq!(code.as_str(), "invalid_status_transition");
        /// assert_eq!(code.http_status(), 400);
        /// assert_eq!(Code::from_name("invalid_status_transition"), Some(code));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the contract's table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code's row of the table.
            #[must_use]
            pub const fn row(self) -> CodeRow {
                match self {
                    $(Self::$variant => CodeRow {
                        code: self, name: $name, kind: ErrorKind::$kind, status: $status, meaning: $meaning,
                    },)*
                }
            }
        }
    };
}

codes! {
    Validation = "", Validation, 422, "input that fails its schema; the offending fields are listed";
    MissingAuthorizationHeader = "missing_authorization_header", NotAuthorized, 401, "no `Authorization: Bearer` header";
    InvalidApiKey = "invalid_api_key", NotAuthorized, 401, "API key unknown, revoked, expired, or its user removed";
    NotAuthorized = "not_authorized", NotAuthorized, 401, "valid actor, but the operation needs a higher role";
    NotFound = "not_found", InvalidRequest, 404, "resource absent, or in another organization";
    NameConflict = "name_conflict", InvalidRequest, 409, "name (or e-mail) already taken";
    InvalidStatusTransition = "invalid_status_transition", InvalidRequest, 400,
        "status change not permitted from the current status";
    PolicyInUse = "policy_in_use", InvalidRequest, 400, "escalation policy attached to an unresolved incident, or named by an integration";
    InvalidParticipant = "invalid_participant", InvalidRequest, 400, "participant or override user is not a member";
    InvalidTarget = "invalid_target", InvalidRequest, 400, "a policy layer's schedule or users do not exist";
    InvalidTimezone = "invalid_timezone", InvalidRequest, 400, "not an IANA time zone identifier";
    CannotRemoveSelf = "cannot_remove_self", InvalidRequest, 400, "an admin removing themselves";
    CannotChangeOwnRole = "cannot_change_own_role", InvalidRequest, 400, "an admin changing their own role";
    IncidentResolved = "incident_resolved", InvalidRequest, 400, "change to a resolved incident";
    NoPublicSurface = "no_public_surface", InvalidRequest, 400,
        "public update, but no published status page shows an affected component";
    InvalidComponentId = "invalid_component_id", InvalidRequest, 400, "a component id does not exist";
    DuplicateComponentId = "duplicate_component_id", InvalidRequest, 400, "the same component id twice";
    InvalidTargetUser = "invalid_target_user", InvalidRequest, 400, "owner or handoff target is not a member";
    OwnerRequired = "owner_required", InvalidRequest, 400, "incident with neither owner nor owner schedule";
    RedactionNotPermitted = "redaction_not_permitted", InvalidRequest, 403,
        "neither an admin nor the author within 5 minutes";
    ScheduleInUse = "schedule_in_use", InvalidRequest, 400, "schedule targeted by a policy layer, or named by an integration";
    ComponentInUse = "component_in_use", InvalidRequest, 400,
        "component tagged on an unresolved incident, selected by a status page, or named by an integration";
    IdempotencyConflict = "idempotency_conflict", InvalidRequest, 409, "idempotency key reused with another request";
    LimitReached = "limit_reached", InvalidRequest, 400, "a stated limit of the contract";
    InvalidContactMethod = "invalid_contact_method", InvalidRequest, 400,
        "contact method unknown or not verified, or the built-in one, which stays as it is";
    InvalidCode = "invalid_code", InvalidRequest, 400, "verification code wrong, too late, or tried too often";
    MalformedRequest = "malformed_request", InvalidRequest, 400,
        "no HTTP that can be read, `Host` missing or twice, or a `Transfer-Encoding` other than `chunked` once";
    RequestTimeout = "request_timeout", InvalidRequest, 408, "the head or the body of a request did not arrive in time";
    UriTooLong = "uri_too_long", InvalidRequest, 414, "a request line that is too long";
    TooManyRequests = "too_many_requests", InvalidRequest, 429, "more requests than the server takes from one caller";
    HeadersTooLarge = "headers_too_large", InvalidRequest, 431, "headers that are too many or too large";
    MethodNotAllowed = "method_not_allowed", InvalidRequest, 405, "the route exists, but not with this method";
    PayloadTooLarge = "payload_too_large", InvalidRequest, 413, "body over 1 MiB";
    UnsupportedMediaType = "unsupported_media_type", InvalidRequest, 415, "a body that is not JSON";
    Internal = "internal_error", Internal, 500, "unexpected failure inside the engine";
    Overloaded = "overloaded", Internal, 503, "the command queue is full; try again";
    Unavailable = "unavailable", Internal, 503, "storage has failed, and the command did not happen; try again later";
    OutcomeUnknown = "outcome_unknown", Internal, 500,
        "storage failed after the write may have happened; reopen the engine";
}

impl Code {
    /// The field `code` of an error body; empty for [`Code::Validation`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The category: the field `type` of an error body.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        self.row().kind
    }

    /// The HTTP status that goes with the code.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        self.row().status
    }

    /// The code with this name, as [`Code::as_str`] gives it; the empty name is [`Code::Validation`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl core::fmt::Display for Code {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Validation => ErrorKind::Validation.as_str(),
            other => other.as_str(),
        })
    }
}
