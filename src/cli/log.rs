//! The log: standard error or a file, as text or JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write, sink, stderr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Result, anyhow};

use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::{EnvFilter, reload};

use crate::config::{Format, Level, Log};

/// Puts another filter into the log, once it has begun.
static FILTER: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

/// Sets the level of the log that has begun.
pub(super) fn set_level(level: Level) {
    if let Some(set) = FILTER.get() {
        set(filter(level));
    }
}

/// Begins to log to standard error.
pub(super) fn start(log: &Log) {
    begin(log, BoxMakeWriter::new(stderr), stderr().is_terminal());
}

/// Begins to log to a file.
pub(super) fn start_in_file(log: &Log, file: &Arc<LogFile>) {
    let file = Arc::clone(file);
    let writer = move || -> Box<dyn Write> {
        match file.opened().as_ref().ok().and_then(|file| file.try_clone().ok()) {
            Some(file) => Box::new(file),
            None => Box::new(sink()),
        }
    };
    begin(log, BoxMakeWriter::new(writer), false);
}

/// A file to log to, made with the first line.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    opened: OnceLock<io::Result<File>>,
}

impl LogFile {
    /// Returns the log file at a path; fails if what is there cannot be written to.
    pub(super) fn at(path: PathBuf) -> Result<Arc<Self>> {
        let file = Arc::new(Self { path, opened: OnceLock::new() });
        if file.path.symlink_metadata().is_ok() {
            file.open()?;
        }
        Ok(file)
    }

    /// Fails if nothing can be written to it; makes it if it is not there yet.
    pub(super) fn open(&self) -> Result<()> {
        let unwritable = |cause| {
            let path = self.path.display();
            anyhow!(
                "cannot write the log {path}: {cause}; make it a file that this user may write, or remove it"
            )
        };
        self.opened().as_ref().map(drop).map_err(unwritable)
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn opened(&self) -> &io::Result<File> {
        let open = || OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path);
        self.opened.get_or_init(open)
    }
}

/// The level is mcpd's own. Its libraries are kept to warnings: at finer levels some of them write out
/// headers, and keys with them. The HTTP layer calls every client's mistake and every stream that is cut short
/// an error; what matters of it mcpd says itself.
fn filter(level: Level) -> EnvFilter {
    EnvFilter::new(format!("warn,actix_http=off,actix_multipart=off,mcpd={}", level.as_str()))
}

fn told(result: Result<(), reload::Error>) {
    if let Err(error) = result {
        tracing::error!("the level of the log stays as it is: {error}");
    }
}

fn begin(log: &Log, writer: BoxMakeWriter, colours: bool) {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(log.level));
    let builder = builder.with_writer(writer).with_ansi(colours);
    // Each form has its own type of handle.
    match log.format {
        Format::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            FILTER.get_or_init(|| Box::new(move |filter| told(handle.reload(filter))));
            builder.init();
        }
        Format::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            FILTER.get_or_init(|| Box::new(move |filter| told(handle.reload(filter))));
            builder.init();
        }
    }
    // A panic is told where everything else is, in the background and in JSON too.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let said = panic.payload_as_str().unwrap_or("no message");
        tracing::error!("a fault in mcpd at {place}: {}", crate::domain::token::redact(said));
    }));
}
