//! Arguments in, exit code out.

mod alerts;
mod audit;
mod check;
mod client;
mod daemon;
mod explain;
mod fields;
mod interrupt;
mod keys;
mod log;
mod moment;
mod named;
mod output;
mod secret;
mod serve;
mod signals;
mod table;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// API keys in front of your own AI server.
#[derive(Debug, Parser)]
#[command(name = "mcpd", version, max_term_width = 100)]
struct Arguments {
    /// The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests until told to stop
    Serve {
        /// Go on in the background, logging to mcpd.log beside the database
        #[arg(long)]
        daemon: bool,
    },
    /// Read the configuration and say whether it can be used
    Check {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// See how keys are used
    Keys(keys::Arguments),
    /// Tell what was used, or prove that it adds up
    Usage(usage::Arguments),
    /// Tell why a request was refused, or whether one would be
    Explain(explain::Arguments),
    /// List what is unusual, and what watches for it
    Alerts(alerts::Arguments),
    /// List who changed what, prove that nothing is missing, or write it all out
    Audit(audit::Arguments),
}

/// Arguments that cannot be used as they are: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

/// Runs the command that the arguments name: 0 done, 1 refused or failed, 2 wrong usage, 128 and more interrupted.
pub fn run() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    let done = match command {
        Command::Serve { daemon: false } => serve::in_foreground(config.as_deref()),
        Command::Serve { daemon: true } => daemon::start(config.as_deref()),
        Command::Check { json } => check::run(config.as_deref(), json),
        Command::Keys(arguments) => keys::run(&arguments, config.as_deref()),
        Command::Usage(arguments) => usage::run(arguments, config.as_deref()),
        Command::Explain(arguments) => explain::run(&arguments, config.as_deref()),
        Command::Alerts(arguments) => alerts::run(&arguments, config.as_deref()),
        Command::Audit(arguments) => audit::run(&arguments, config.as_deref()),
    };
    match done {
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
        // Those that only have others below them, and the daemon itself.
        assert_eq!(without, ["mcpd", "serve", "keys"]);
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
