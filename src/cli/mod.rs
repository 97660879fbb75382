//! Arguments in, exit code out.

mod alert_rules;
mod alerts;
mod audit;
mod backup;
mod check;
mod client;
mod daemon;
mod dashboard;
mod descriptors;
mod explain;
mod fields;
mod interrupt;
mod keys;
mod log;
mod manual;
mod moment;
mod named;
mod origin;
mod output;
mod progress;
mod relative;
mod restore;
mod secret;
mod serve;
mod sheet;
mod signals;
mod status;
mod stored;
mod table;
mod terminal;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// API keys in front of your own AI server.
#[derive(Debug, Parser)]
#[command(
    name = "mcpd",
    version,
    max_term_width = 100,
    after_help = "\
Begin with `mcpd serve`, then in another terminal `mcpd status` and `mcpd keys create -i`.
`mcpd COMMAND --help` has examples of each; `mcpd man | man -l -` has all of it."
)]
struct Arguments {
    /// The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml
    #[arg(long, global = true, value_name = "FILE", display_order = 1_000)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests until told to stop
    #[command(after_help = "\
The first start makes the database, the admin token and a first key, which it prints on a terminal, and \
else writes to default-key beside the database.

Examples:
  mcpd serve                                           Ctrl-C stops it
  mcpd serve --daemon --config /etc/mcpd/mcpd.toml")]
    Serve {
        /// Go on in the background, logging to mcpd.log beside the database
        #[arg(long)]
        daemon: bool,
    },
    /// Read the configuration and say whether it can be used
    #[command(after_help = "Examples:\n  mcpd check\n  mcpd check --config new.toml")]
    Check {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell how the running daemon is: upstreams, keys, database
    Status(status::Arguments),
    /// Make, list, change, rotate, revoke and delete keys, and see how they are used
    Keys(keys::Arguments),
    /// Tell what was used, or prove that it adds up
    Usage(usage::Arguments),
    /// Tell why a request was refused, or whether one would be
    Explain(explain::Arguments),
    /// List what is unusual, and what watches for it
    Alerts(alerts::Arguments),
    /// List who changed what, prove that nothing is missing, or write it all out
    Audit(audit::Arguments),
    /// List the conversations that clients have stored, and delete them
    #[command(after_help = "Examples:\n  mcpd contexts\n  mcpd contexts delete ctx_0UaLfs3kFvLNR8k4M9K7HGTa")]
    Contexts(stored::Arguments),
    /// List the files that clients have stored, and delete them
    #[command(
        after_help = "Examples:\n  mcpd files\n  mcpd files delete file_0UaLfs3kFvLNR8k4M9K7HGTa --yes"
    )]
    Files(stored::Arguments),
    /// Print a link that signs in to the dashboard, once
    Dashboard(dashboard::Arguments),
    /// Print the metrics, as Prometheus reads them
    #[command(after_help = "Examples:\n  mcpd metrics | grep mcpd_requests_total")]
    Metrics,
    /// Copy the running daemon's database to a file
    Backup(backup::Arguments),
    /// Put a backup in the place of the database, while mcpd is stopped
    Restore(restore::Arguments),
    /// Print what a shell reads to complete commands
    Completions(manual::Completions),
    /// Print the manual page, as roff
    #[command(after_help = "Examples:\n  mcpd man | man -l -")]
    Man,
}

/// Arguments that cannot be used as they are: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

/// Runs the command that the arguments name: 0 done, 1 refused or failed, 2 wrong usage, 128 and more interrupted.
pub fn run() -> ExitCode {
    // Before anything repeats what it cannot make sense of.
    let has_secret = std::env::args_os().try_for_each(|text| named::refuse_secret(&text.to_string_lossy()));
    match has_secret.and_then(|()| obey(Arguments::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(interrupt::Interrupted(status)) = error.downcast_ref() {
                return ExitCode::from(*status);
            }
            say(&format!("mcpd: {error:#}"));
            if error.is::<Misuse>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn obey(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { config, command } = arguments;
    match command {
        Command::Serve { daemon: false } => serve::in_foreground(config.as_deref()),
        Command::Serve { daemon: true } => daemon::start(config.as_deref()),
        Command::Check { json } => check::run(config.as_deref(), json),
        Command::Status(arguments) => status::run(&arguments, config.as_deref()),
        Command::Contexts(arguments) => stored::contexts(&arguments, config.as_deref()),
        Command::Files(arguments) => stored::files(&arguments, config.as_deref()),
        Command::Dashboard(arguments) => dashboard::run(&arguments, config.as_deref()),
        Command::Metrics => status::metrics(config.as_deref()),
        Command::Keys(arguments) => keys::run(arguments, config.as_deref()),
        Command::Usage(arguments) => usage::run(arguments, config.as_deref()),
        Command::Explain(arguments) => explain::run(&arguments, config.as_deref()),
        Command::Alerts(arguments) => alerts::run(&arguments, config.as_deref()),
        Command::Audit(arguments) => audit::run(&arguments, config.as_deref()),
        Command::Backup(arguments) => backup::run(&arguments, config.as_deref()),
        Command::Restore(arguments) => restore::run(&arguments, config.as_deref()),
        Command::Completions(shell) => manual::complete(&shell),
        Command::Man => manual::show(),
    }
}

/// Words go to standard error; standard output is for results.
#[expect(clippy::print_stderr, reason = "this is where the command line speaks")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// Asks for something to be typed in, on the same line.
#[expect(clippy::print_stderr, reason = "this is where the command line asks")]
fn ask(prompt: &str) {
    eprint!("{prompt}");
}

/// Results go to standard output.
#[expect(clippy::print_stdout, reason = "this is where the command line answers")]
fn answer(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn every_command_that_answers_does_so_as_json_too() {
        let mut without = Vec::new();
        look(&super::Arguments::command(), &mut without);
        // Those that only have others below them, the daemon itself, and what has a format of its own.
        assert_eq!(without, ["mcpd", "serve", "keys", "metrics", "completions", "man"]);
    }

    fn look(command: &clap::Command, without: &mut Vec<String>) {
        if !command.get_arguments().any(|argument| argument.get_id() == "json") {
            without.push(command.get_name().to_owned());
        }
        command.get_subcommands().for_each(|below| look(below, without));
    }

    #[test]
    fn the_command_line_is_well_formed() {
        super::Arguments::command().debug_assert();
    }
}
