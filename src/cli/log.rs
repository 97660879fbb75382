//! The log: standard error, as text or JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Write, sink, stderr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::{Format, Log};

/// Begins to log to standard error.
pub(super) fn start(log: &Log) {
    begin(log, BoxMakeWriter::new(stderr), stderr().is_terminal());
}

/// Begins to log to a file, made with the first line.
pub(super) fn start_in_file(log: &Log, path: PathBuf) {
    let file: OnceLock<Option<File>> = OnceLock::new();
    let writer = move || -> Box<dyn Write> {
        let file =
            file.get_or_init(|| OpenOptions::new().create(true).append(true).mode(0o600).open(&path).ok());
        match file.as_ref().and_then(|file| file.try_clone().ok()) {
            Some(file) => Box::new(file),
            None => Box::new(sink()),
        }
    };
    begin(log, BoxMakeWriter::new(writer), false);
}

/// The level is mcpd's own. Its libraries are kept to warnings: at finer levels some of them write out
/// headers, and keys with them. The HTTP layer calls every client's mistake and every stream that is cut short
/// an error; what matters of it mcpd says itself.
fn begin(log: &Log, writer: BoxMakeWriter, colours: bool) {
    let filter = EnvFilter::new(format!("warn,actix_http=off,mcpd={}", log.level.as_str()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    match log.format {
        Format::Text => builder.init(),
        Format::Json => builder.json().flatten_event(true).init(),
    }
    // A panic is told where everything else is, in the background and in JSON too.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let said = panic.payload_as_str().unwrap_or("no message");
        tracing::error!("a fault in mcpd at {place}: {}", crate::domain::token::redact(said));
    }));
}
