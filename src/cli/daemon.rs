//! `mcpd serve --daemon`: in the background, but not before it is known to have started.

use std::env::current_dir;
use std::fs;
use std::io::{PipeWriter, Read as _, Write as _, pipe};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix_web::rt::System;
use anyhow::{Context as _, Result, anyhow, bail};
use daemonize::{Daemonize, Outcome};

use super::log::LogFile;
use super::signals::Signals;
use crate::config::Config;
use crate::server::{HandOver, Passed, Server};
use crate::store::folder::folder_of;

/// What the background process says once it answers.
const STARTED: &str = "started";

/// Starts the server in the background; returns when it answers, or fails with what kept it from it.
pub(super) fn start(config: Option<&Path>) -> Result<()> {
    let config = Config::load(config)?;
    // They are meant for this process, and go with it to the background.
    let passed = Passed::take()?;
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
            System::new().block_on(async {
                match start_server(config, passed).await {
                    Ok(Some(started)) => started.run(writer).await,
                    Ok(None) => Ok(write!(&writer, "told to stop before it answered")?),
                    // The parent prints it; nobody hears this process itself any more.
                    Err(error) => Ok(write!(&writer, "{error:#}")?),
                }
            })
        }
    }
}

/// A server in the background that is ready to answer.
struct Started {
    server: Server,
    signals: Signals,
    log: Arc<LogFile>,
    pid_file: PathBuf,
}

/// Returns none where a signal ended the start.
async fn start_server(config: Config, passed: Passed) -> Result<Option<Started>> {
    let folder = folder_of(&config.store.path).to_owned();
    let (log, pid_file) = (LogFile::at(folder.join("mcpd.log"))?, folder.join("mcpd.pid"));
    super::log::start_in_file(&config.log, &log);
    let mut signals = Signals::listen()?;
    let server = super::serve::start(config, HandOver::File, passed, &mut signals).await?;
    let Some(server) = server else { return Ok(None) };
    // Nobody would hear of it later.
    log.open()?;
    fs::write(&pid_file, format!("{}\n", std::process::id()))
        .with_context(|| format!("cannot write {}", pid_file.display()))?;
    Ok(Some(Started { server, signals, log, pid_file }))
}

impl Started {
    async fn run(self, mut parent: PipeWriter) -> Result<()> {
        write!(
            parent,
            "{STARTED} as process {}, logging to {}",
            std::process::id(),
            self.log.path().display()
        )?;
        // The parent hears the end of the pipe, and returns.
        drop(parent);
        let result = super::serve::run(self.server, self.signals).await;
        if let Err(error) = &result {
            // Standard error leads nowhere here.
            tracing::error!("{error:#}");
        }
        // Left behind, it would name a process that is gone.
        let _ = fs::remove_file(self.pid_file);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::{env, thread};

    use super::*;

    /// Names the folder, in a process that is to panic.
    const PANIC_IN: &str = "PANIC_IN";

    /// What a background process is once it has left its parent, with a fault in one of its threads.
    fn panic_in_the_background(folder: &Path) {
        let config = Config::load(Some(&folder.join("mcpd.toml"))).unwrap();
        let _started = System::new().block_on(start_server(config, Passed::default())).unwrap().unwrap();
        let thread =
            thread::spawn(|| panic!("lost its way, mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38 in hand"));
        assert!(thread.join().is_err());
    }

    #[test]
    fn a_panic_in_the_background_is_told_in_the_log_file() {
        if let Some(folder) = env::var_os(PANIC_IN) {
            return panic_in_the_background(Path::new(&folder));
        }
        let folder = env::temp_dir().join(format!("mcpd-panic-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let config = "server.listen = [\"127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\n";
        fs::write(folder.join("mcpd.toml"), config).unwrap();
        // The log and the panic hook are a whole process's: another one has them.
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "cli::daemon::tests::a_panic_in_the_background_is_told_in_the_log_file"])
            .current_dir(&folder)
            .env(PANIC_IN, &folder)
            .output()
            .unwrap();
        let log = fs::read_to_string(folder.join("data/mcpd.log"));
        fs::remove_dir_all(&folder).unwrap();
        assert!(output.status.success(), "{output:?}");
        let log = log.unwrap();
        let told = log.lines().find(|line| line.contains("a fault in mcpd at")).unwrap_or(&log);
        assert!(told.contains("ERROR") && told.contains("daemon.rs"), "{told}");
        assert!(told.contains("lost its way, mcp_sk_… in hand"), "{told}");
    }
}
