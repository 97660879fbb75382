//! `mcpd backup`

use std::io::{IsTerminal as _, Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;
use tokio::signal::unix::SignalKind;

use super::client::{self, Client};
use super::output::{PrivateFile, print};
use super::progress::{Progress, size};
use super::{Misuse, interrupt, say};

#[derive(Debug, Args)]
#[command(after_help = "\
The copy is of one moment, whole and checked, and in nobody's way. It holds what the database holds: keep \
it as safe. `mcpd restore` puts it back.

Examples:
  mcpd backup mcpd-backup.db
  mcpd backup --force /mnt/backup/mcpd.db              in place of the one before
  mcpd backup - | zstd > mcpd-backup.db.zst")]
pub(super) struct Arguments {
    /// A new file, which only its owner can read; - for standard output
    file: PathBuf,
    /// Overwrite a file that is there already
    #[arg(long)]
    force: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Copies the running daemon's database.
pub(super) fn run(arguments: &Arguments, config: Option<&Path>) -> Result<()> {
    let is_piped = arguments.file.as_os_str() == "-";
    if is_piped && stdout().is_terminal() {
        bail!(Misuse(
            "a backup is nothing to read: name a file, or send standard output elsewhere".to_owned()
        ));
    }
    if is_piped && arguments.json {
        bail!(Misuse("standard output cannot take the backup and JSON: name a file".to_owned()));
    }
    client::ask(config, async |client| {
        // A signal ends it like any other failure, so that no half of a backup is left.
        let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        interrupt::unless(&signals, make(client, arguments, is_piped)).await
    })
}

async fn make(client: &Client, arguments: &Arguments, is_piped: bool) -> Result<()> {
    if is_piped {
        return copy(client, &mut stdout()).await.map(drop);
    }
    let path = &arguments.file;
    let mut file = match (arguments.force, path.symlink_metadata()) {
        (false, Ok(_)) => bail!("{} is there already: name another file, or say --force", path.display()),
        (false, Err(_)) => PrivateFile::create(path)?,
        (true, _) => PrivateFile::replace(path)?,
    };
    let bytes = copy(client, &mut file).await?;
    file.keep()?;
    tell(arguments, bytes)
}

async fn copy(client: &Client, to: &mut dyn Write) -> Result<u64> {
    let mut progress = Progress::of("Backing up");
    client.copy(to, |came, all| progress.tell(came, all)).await
}

fn tell(arguments: &Arguments, bytes: u64) -> Result<()> {
    let file = arguments.file.display();
    if arguments.json {
        return print(&format!("{}\n", json!({"file": file.to_string(), "bytes": bytes})));
    }
    say(&format!(
        "Backed up {} to {file}. To put it back: stop mcpd, `mcpd restore {file}`, start mcpd.",
        size(bytes)
    ));
    Ok(())
}
