//! `mcpd serve --daemon`: in the background, but not before it is known to have started.

use std::env::current_dir;
use std::fs;
use std::io::{PipeWriter, Read as _, Write as _, pipe};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use daemonize::{Daemonize, Outcome};

use crate::clock::Clock;
use crate::config::Config;
use crate::server::{HandOver, Server};
use crate::store::folder::folder_of;

/// What the background process says once it answers.
const STARTED: &str = "started";

/// Starts the server in the background; returns when it answers, or fails with what kept it from it.
pub(super) fn start(config: Option<&Path>) -> Result<()> {
    let config = Config::load(config)?;
    let (mut reader, writer) = pipe().context("cannot make a pipe")?;
    let daemon = Daemonize::new().working_directory(current_dir()?).umask(0o077);
    // Nothing has started a thread yet, so that forking is safe.
    match daemon.execute() {
        Outcome::Parent(Err(error)) => Err(anyhow!("cannot go to the background: {error}")),
        Outcome::Parent(Ok(_)) => {
            drop(writer);
            let mut said = String::new();
            reader.read_to_string(&mut said).context("the background process cannot be heard")?;
            match said.strip_prefix(STARTED) {
                Some(rest) => {
                    super::say(&format!("mcpd: started{rest}"));
                    Ok(())
                }
                None if said.is_empty() => bail!("the background process ended without a word"),
                None => Err(anyhow!(said)),
            }
        }
        Outcome::Child(detached) => {
            drop(reader);
            detached.context("cannot go to the background")?;
            match start_server(config) {
                Ok(started) => started.run(writer),
                // The parent prints it; nobody hears this process itself any more.
                Err(error) => Ok(write!(&writer, "{error:#}")?),
            }
        }
    }
}

/// A server in the background that is ready to answer.
struct Started {
    server: Server,
    log: PathBuf,
    pid_file: PathBuf,
}

fn start_server(config: Config) -> Result<Started> {
    let folder = folder_of(&config.store.path).to_owned();
    let (log, pid_file) = (folder.join("mcpd.log"), folder.join("mcpd.pid"));
    super::log::start_in_file(&config.log, log.clone());
    let server = Server::start(config, Clock::System, HandOver::File)?;
    fs::write(&pid_file, format!("{}\n", std::process::id()))
        .with_context(|| format!("cannot write {}", pid_file.display()))?;
    Ok(Started { server, log, pid_file })
}

impl Started {
    fn run(self, mut parent: PipeWriter) -> Result<()> {
        write!(parent, "{STARTED} as process {}, logging to {}", std::process::id(), self.log.display())?;
        // The parent hears the end of the pipe, and returns.
        drop(parent);
        let result = super::serve::run(self.server);
        // Left behind, it would name a process that is gone.
        let _ = fs::remove_file(self.pid_file);
        result
    }
}
