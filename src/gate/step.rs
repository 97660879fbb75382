//! The steps of the gate, in the contract's order.

/// A step that lets a request through or refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Step {
    BearerToken,
    Format,
    Key,
    Status,
    ClientAddress,
    Route,
    Scope,
    Concurrency,
    RateLimit,
    Signature,
    Model,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 11] = [
        Self::BearerToken,
        Self::Format,
        Self::Key,
        Self::Status,
        Self::ClientAddress,
        Self::Route,
        Self::Scope,
        Self::Concurrency,
        Self::RateLimit,
        Self::Signature,
        Self::Model,
    ];

    /// Returns the step's name, such as `client_address`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BearerToken => "bearer_token",
            Self::Format => "format",
            Self::Key => "key",
            Self::Status => "status",
            Self::ClientAddress => "client_address",
            Self::Route => "route",
            Self::Scope => "scope",
            Self::Concurrency => "concurrency",
            Self::RateLimit => "rate_limit",
            Self::Signature => "signature",
            Self::Model => "model",
        }
    }
}
