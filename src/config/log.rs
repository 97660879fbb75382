//! `[log]`: what is logged, and in which form.

use super::bounds::choice;
use super::error::Fault;
use super::file::LogFile;

/// What is logged, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least important messages that are logged.
    pub level: Level,
    /// The form of a message.
    pub format: Format,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Someone should act.
    Error,
    /// Something is odd.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// The form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Level {
    const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Returns the level's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl TryFrom<LogFile> for Log {
    type Error = Fault;

    fn try_from(file: LogFile) -> Result<Self, Fault> {
        let levels = Level::ALL.map(|level| (level.as_str(), level));
        let formats = [("text", Format::Text), ("json", Format::Json)];
        Ok(Self {
            level: choice("log.level", &file.level, &levels)?,
            format: choice("log.format", &file.format, &formats)?,
        })
    }
}
