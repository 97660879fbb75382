//! `mcpd restore`

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::signal::unix::SignalKind;
use tokio::sync::oneshot;

use super::origin::{absolute, named_by};
use super::output::print;
use super::progress::{Progress, size};
use super::{interrupt, say, terminal};
use crate::config::Config;
use crate::store::restore::{Restore, RestoreError, Restored, Stage};

/// What names the database before any file does.
const PATH_VARIABLE: &str = "MCPD__STORE__PATH";

#[derive(Debug, Args)]
#[command(after_help = "\
mcpd must be stopped. The backup is checked first; the database that it replaces is kept beside it, as \
mcpd.db.before-restore-<date>. All is then as it was when the backup was made: a key that was revoked since works \
again until you revoke it again.

Examples:
  mcpd restore mcpd-backup.db
  sudo systemctl stop mcpd && sudo mcpd restore --yes mcpd-backup.db && sudo systemctl start mcpd")]
pub(super) struct Arguments {
    /// A backup, as `mcpd backup` makes it
    file: PathBuf,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Puts a backup in the place of the database that the configuration names.
pub(super) fn run(arguments: &Arguments, config: Option<&Path>) -> Result<()> {
    let config = Config::load(config)?;
    let database = config.store.path;
    let origin = config.origin.as_deref();
    let named_by = named_by(PATH_VARIABLE, origin);
    terminal::check_can_ask(arguments.yes)?;
    let restore = Restore::begin(&arguments.file, &database)?;
    let fate = if restore.replaces() { "it is replaced, and kept beside it" } else { "there is none yet" };
    let question = format!(
        "Restore {} ({}) to {} (store.path, {named_by})? The database there: {fate}.",
        arguments.file.display(),
        size(restore.bytes()),
        restore.database().display()
    );
    terminal::confirm(&question, arguments.yes)?;
    let database = restore.database().display().to_string();
    let place = Place { database, named_by, configuration: origin.map(absolute) };
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let restored = runtime.block_on(unless_interrupted(restore))?;
    tell(arguments, &place, &restored)
}

/// Restores, on a thread of its own; a signal makes that clear up, and is told of once it has.
async fn unless_interrupted(restore: Restore) -> Result<Restored> {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let listening = interrupt::listen(&signals)?;
    let stop = restore.stop();
    let (sender, ended) = oneshot::channel::<()>();
    let work = move || {
        // Its end is told by this going away.
        let _sender = sender;
        carry_out(restore)
    };
    let working = thread::Builder::new().name("restore".to_owned()).spawn(work)?;
    let waited = listening.unless(async { Ok(ended.await.is_err()) }).await;
    stop.store(waited.is_err(), Ordering::Release);
    match working.join().unwrap_or_else(|panic| resume_unwind(panic)) {
        // A signal may come too late to change anything.
        Ok(restored) => Ok(restored),
        Err(RestoreError::Interrupted) => {
            Err(waited.err().unwrap_or_else(|| RestoreError::Interrupted.into()))
        }
        Err(error) => Err(error.into()),
    }
}

fn carry_out(restore: Restore) -> Result<Restored, RestoreError> {
    let bytes = restore.bytes();
    let mut progress = Progress::of("Restoring");
    let mut checking = None;
    restore.run(&mut |stage| match stage {
        Stage::Copied(copied) => progress.tell(copied, bytes),
        Stage::Checking => checking = Some(Progress::of("Checking")),
    })
}

/// Where the backup was brought, and what said so.
struct Place {
    database: String,
    named_by: String,
    configuration: Option<String>,
}

fn tell(arguments: &Arguments, place: &Place, restored: &Restored) -> Result<()> {
    let Place { database, named_by, configuration } = place;
    let kept = restored.kept.as_deref().map(|kept| kept.display().to_string());
    let stale = restored.stale_default_key.as_deref().map(|path| path.display().to_string());
    if arguments.json {
        let done = json!({"database": database, "configuration": configuration, "schema": restored.schema, "kept": kept,
            "stale_default_key": stale});
        return print(&format!("{done}\n"));
    }
    say(&format!("Restored {} to {database} (store.path, {named_by}).", arguments.file.display()));
    if let Some(kept) = kept {
        say(&format!("The database before it is kept as {kept}: delete that once all is well."));
    }
    if let Some(stale) = stale {
        say(&format!("The key in {stale} is not in this database: delete that file too."));
    }
    say("Now start mcpd.");
    Ok(())
}
