//! What is wrong with a configuration, in words that say what to change.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::domain::network::InvalidNetwork;
use crate::domain::plan::PlanError;

/// A configuration that cannot be used. The message is one line and never holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// Root found it in the folder that it was started in, and another user can say what is in it.
    #[error(
        "./{path} was found in this folder, and another user than root owns or can write one of the two: root uses \
         it only if it is named. Say which is meant: `--config ./{path}` or `--config /etc/mcpd/mcpd.toml`",
        path = .0.display()
    )]
    NotRoots(PathBuf),
    /// The file is not TOML.
    #[error("{}: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong, and why.
        why: String,
    },
    /// A setting cannot be used as it stands.
    #[error("{origin}: `{setting}`: {problem}")]
    Setting {
        /// Where the setting was written.
        origin: Origin,
        /// Its full path, such as `server.listen`.
        setting: String,
        /// What is wrong with it.
        problem: Box<Problem>,
    },
}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In this file.
    File(PathBuf),
    /// In the environment variable of this name.
    Variable(String),
    /// Nowhere: no file was found, and no variable names it.
    Nowhere,
}

/// What is wrong with one setting.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is no such setting.
    #[error("unknown setting, the nearest known one is `{nearest}`")]
    Unknown {
        /// The known setting or section that is most like it.
        nearest: String,
    },
    /// The setting has no environment variable.
    #[error(
        "upstreams are set in the configuration file only; `api_key_env` there names a variable with a key"
    )]
    FileOnly,
    /// The value is of another type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What the setting takes.
        expected: &'static str,
        /// What was written.
        found: &'static str,
    },
    /// The variable's value is not UTF-8.
    #[error("expected UTF-8 text, found other bytes")]
    NotUtf8,
    /// The number is too small or too large.
    #[error("must be from {least} to {most}, not {found}")]
    OutOfRange {
        /// The smallest number that will do.
        least: i64,
        /// The largest number that will do.
        most: i64,
        /// The number that was written.
        found: i64,
    },
    /// The text is none of the words that will do.
    #[error("must be one of {0}")]
    NoChoice(String),
    /// A setting that is needed is not there.
    #[error("must be set")]
    Missing,
    /// The certificate is given without its key, or the key without its certificate.
    #[error("must be set too: a certificate and its key go together")]
    HalfOfTls,
    /// The text or list is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is no socket address.
    #[error("`{0}` is no IP address with a port, such as 127.0.0.1:8080 or [::1]:8080")]
    NotAnAddress(String),
    /// The text is no network.
    #[error("{}", .0.to_string().escape_debug())]
    NotANetwork(#[from] InvalidNetwork),
    /// The admin listener would be reachable from other machines.
    #[error("must be a loopback address, such as 127.0.0.1:8081, not {0}")]
    NotLoopback(SocketAddr),
    /// The path does not fit a Unix socket's address.
    #[error("must be at most {most} bytes long, as every Unix socket's path, not {found}")]
    SocketPathTooLong {
        /// The longest path that will do, in bytes.
        most: usize,
        /// The length of the path that was written, in bytes.
        found: usize,
    },
    /// The plan cannot be the default.
    #[error("{}", .0.to_string().escape_debug())]
    BadPlan(#[from] PlanError),
    /// The plan's name has other characters than names may have.
    #[error("a plan is named with 1 to 64 of a-z, 0-9, _ and -")]
    BadPlanName,
    /// The text is no length of time.
    #[error("expected a length of time such as 7d or 24h, or forever")]
    NotATime,
    /// The length of time is too short or too long.
    #[error("must be from {least} to {most}, or forever")]
    TimeOutOfRange {
        /// The shortest time that will do.
        least: &'static str,
        /// The longest time that will do.
        most: &'static str,
    },
    /// The upstream's name is blank, too long, or has other characters than names may have.
    #[error("must be 1 to 64 of A-Z, a-z, 0-9, _ and -")]
    BadUpstreamName,
    /// Two upstreams have the same name.
    #[error("another upstream has the same name; each needs its own")]
    NameTaken,
    /// The setting means nothing to the built-in upstream.
    #[error("an echo upstream takes no such setting: remove it, or change `kind`")]
    NotForEcho,
    /// The text is no base URL.
    #[error("{0}")]
    BadUrl(&'static str),
    /// The list holds `*` and other models too.
    #[error("`*` stands for all models: write it alone, or leave it out")]
    StarAmongModels,
    /// The key is given in more than one way.
    #[error("the key is given twice: keep one of `api_key`, `api_key_file` and `api_key_env`")]
    SeveralKeys,
    /// The file with the key cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    KeyFileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The text is no name of an environment variable; it may be the key itself, so it is not repeated.
    #[error("expected the name of an environment variable, such as OPENAI_API_KEY, not the key itself")]
    NotAVariableName,
    /// The environment variable with the key is not set.
    #[error("the environment variable {0} is not set")]
    KeyVariableMissing(String),
    /// There is no key where it should be.
    #[error("the key is empty")]
    KeyEmpty,
    /// The key cannot be sent in an HTTP header.
    #[error("the key must be one line of visible ASCII characters without blanks")]
    KeyUnusable,
}

/// A problem and the setting that has it; where that was written is added by whoever knows.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) setting: String,
    pub(super) problem: Box<Problem>,
}

impl Fault {
    pub(super) fn new(setting: impl Into<String>, problem: impl Into<Problem>) -> Self {
        Self { setting: setting.into(), problem: Box::new(problem.into()) }
    }

    pub(super) fn at(self, origin: Origin) -> Error {
        Error::Setting { origin, setting: self.setting, problem: self.problem }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::Nowhere => f.write_str("the configuration"),
        }
    }
}
