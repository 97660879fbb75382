//! `mcpd man` and `mcpd completions`

use std::io::Write;

use anyhow::Result;
use clap::{Args, Command, CommandFactory as _, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::output::print;

/// Which shell to complete commands in.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcpd completions bash > ~/.local/share/bash-completion/completions/mcpd
  mcpd completions zsh > \"${fpath[1]}/_mcpd\"
  mcpd completions fish > ~/.config/fish/completions/mcpd.fish
  . <(mcpd completions bash)                           in this shell alone")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints what a shell reads to complete commands.
pub(super) fn complete(arguments: &Completions) -> Result<()> {
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::Arguments::command(), "mcpd", &mut script);
    print(&String::from_utf8(script)?)
}

/// Prints the manual page.
pub(super) fn show() -> Result<()> {
    let mut command = super::Arguments::command();
    command.build();
    print(&String::from_utf8(page(&command)?)?)
}

/// The manual page of all commands, as roff.
fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).title("MCPD").section("1").manual("User Commands");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("mcpd"), roman(" [--config FILE] COMMAND [OPTIONS]")]);
    text(&mut roff, "DESCRIPTION", DESCRIPTION);
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    roff.to_writer(&mut page)?;
    describe(command, "mcpd", &mut page)?;
    let mut roff = Roff::new();
    terms(&mut roff, "FILES", &FILES);
    terms(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
    terms(&mut roff, "EXIT STATUS", &EXIT_STATUS);
    roff.control("SH", ["EXAMPLES"]);
    example(&mut roff, EXAMPLES);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("mcpd.toml"),
        roman("(5), "),
        bold("systemctl"),
        roman("(1), "),
        bold("curl"),
        roman("(1)"),
    ]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// Describes each command below one, and those below it, a section each.
fn describe(command: &Command, name: &str, page: &mut Vec<u8>) -> Result<()> {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let name = format!("{name} {}", sub.get_name());
        let mut roff = Roff::new();
        roff.control("SS", [name.as_str()]);
        roff.to_writer(page)?;
        // What all commands have is said once.
        let own = sub.clone().mut_args(|arg| {
            let is_common = ["config", "help"].contains(&arg.get_id().as_str());
            if is_common { arg.hide(true) } else { arg }
        });
        let man = Man::new(own.bin_name(&name));
        body(page, |section| man.render_synopsis_section(section))?;
        let mut roff = Roff::new();
        roff.control("PP", []);
        roff.text([roman(sub.get_about().map(|about| format!("{about}.")).unwrap_or_default())]);
        roff.to_writer(page)?;
        body(page, |section| man.render_options_section(section))?;
        if let Some(more) = sub.get_after_help() {
            let mut roff = Roff::new();
            example(&mut roff, &more.to_string());
            roff.to_writer(page)?;
        }
        describe(sub, &name, page)?;
    }
    Ok(())
}

/// Appends a section without its heading.
fn body(page: &mut Vec<u8>, render: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let mut section = Vec::new();
    render(&mut section)?;
    let section = String::from_utf8(section)?;
    for line in section.lines().filter(|line| !line.starts_with(".SH ")) {
        writeln!(page, "{}", line.replace("<subcommands>", "COMMAND"))?;
    }
    Ok(())
}

fn text(roff: &mut Roff, heading: &str, paragraphs: &[&str]) {
    roff.control("SH", [heading]);
    for paragraph in paragraphs {
        roff.control("PP", []);
        roff.text([roman(*paragraph)]);
    }
}

fn terms(roff: &mut Roff, heading: &str, terms: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (term, meaning) in terms {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*meaning)]);
    }
}

/// Text that stands as it is.
fn example(roff: &mut Roff, lines: &str) {
    roff.control("PP", []);
    roff.control("EX", []);
    for line in lines.lines() {
        roff.text([roman(line)]);
    }
    roff.control("EE", []);
}

const DESCRIPTION: &[&str] = &[
    "mcpd puts API keys in front of your own AI server: each with its own scopes, limits, addresses, models and \
     expiry. It speaks OpenAI's /v1 to clients and passes requests on to Ollama, vLLM, llama.cpp or a provider.",
    "mcpd serve is the daemon. Most other commands speak to it over its admin socket, so they are for the user that \
     it runs as, for members of the socket's group, and for root. check, restore, completions and man need no daemon.",
    "Results go to standard output, as tables cut to the terminal, or with --json as the admin API's answer. All else \
     goes to standard error. KEY is a key's id, or its name if no other key has it.",
];
const FILES: [(&str, &str); 5] = [
    (
        "/etc/mcpd/mcpd.toml",
        "The configuration, where no other is named and none is in the working directory.",
    ),
    ("/var/lib/mcpd/mcpd.db", "The database, as packaged; store.path names it."),
    (
        "/var/lib/mcpd/default-key",
        "The first key, until you delete it, where mcpd was not started on a terminal.",
    ),
    ("/var/lib/mcpd/admin-token", "The token of the admin API by TCP; admin.token_file names it."),
    ("/run/mcpd/admin.sock", "The admin socket, as packaged; admin.socket names it."),
];
const ENVIRONMENT: [(&str, &str); 3] = [
    ("MCPD_CONFIG", "The configuration, where --config names none."),
    ("MCPD__SECTION__NAME", "Overrides a setting of the configuration, such as MCPD__STORE__PATH."),
    ("NO_COLOR", "Switches colours off, if it is set to anything."),
];
const EXIT_STATUS: [(&str, &str); 3] = [
    ("0", "Done."),
    ("1", "Refused or failed."),
    ("2", "Wrong usage: an argument is missing, unknown, or has a value that mcpd cannot make sense of."),
];
const EXAMPLES: &str = "\
mcpd serve
mcpd status
mcpd keys create -i
KEY=$(mcpd keys create --name script --scope chats:create --expires-in 90d)
mcpd keys rotate laptop --expire-old-in 24h
mcpd usage --from 7d --group-by key
mcpd backup mcpd-backup.db";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_page_has_every_command() {
        let mut command = super::super::Arguments::command();
        command.build();
        let page = String::from_utf8(page(&command).unwrap()).unwrap();
        let mut left = vec![(String::from("mcpd"), command)];
        while let Some((name, command)) = left.pop() {
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                let name = format!("{name} {}", sub.get_name());
                assert!(page.contains(&format!(".SS \"{name}\"\n")), "{name}");
                left.push((name, sub.clone()));
            }
        }
        for heading in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "FILES", "ENVIRONMENT", "\"EXIT STATUS\"", "EXAMPLES"]
        {
            assert!(page.contains(&format!(".SH {heading}\n")), "{heading}");
        }
    }
}
