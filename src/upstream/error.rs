//! What can go wrong with the model servers, in their clients' words.

/// Why there is no answer, or no more of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No upstream has the model.
    #[error("no upstream has the model")]
    UnknownModel,
    /// The upstream cannot be asked this.
    #[error("{0}")]
    Invalid(String),
    /// The upstream refused the request in a way that is the client's to see.
    #[error("{0:?}")]
    Rejected(Rejection),
    /// No upstream with the model could be reached.
    #[error("no upstream could be reached")]
    Unavailable,
    /// The upstream took too long.
    #[error("the upstream took too long")]
    Timeout,
    /// The upstream failed, refused mcpd itself, or answered with garbage.
    #[error("the upstream failed")]
    Failed,
    /// The upstream told of an error within a stream.
    #[error("{0}")]
    FailedSaying(String),
}

/// A refusal as the upstream put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// 400, 404, 413, 422 or 429.
    pub status: u16,
    /// The upstream's words, if it had any.
    pub message: Option<String>,
    /// The upstream's code, if it had one.
    pub code: Option<String>,
    /// Its `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
}
