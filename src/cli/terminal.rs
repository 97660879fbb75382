//! What is asked on a terminal. Where there is none, nothing is asked, and nothing is done for want of an answer.

use std::io::{IsTerminal as _, stderr, stdin};

use anyhow::{Context as _, Result, bail};

use super::Misuse;

/// Tells whether somebody can read a question and type an answer.
pub(super) fn is_here() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Returns the line that is typed after a prompt, without blanks around it; fails if there will be none.
pub(super) fn line(prompt: &str) -> Result<String> {
    super::ask(prompt);
    let mut line = String::new();
    let length = stdin().read_line(&mut line).context("what was typed cannot be read")?;
    if length == 0 {
        super::say("");
        bail!("nothing was done");
    }
    Ok(line.trim().to_owned())
}

/// Asks whether something shall be done, unless that was said already; fails if it shall not.
pub(super) fn confirm(question: &str, said_yes: bool) -> Result<()> {
    if said_yes {
        return Ok(());
    }
    check_can_ask(said_yes)?;
    if agreed(&line(&format!("{question} [y/N] "))?, false) { Ok(()) } else { bail!("nothing was done") }
}

/// Fails if there is something to be asked and nobody to answer.
pub(super) fn check_can_ask(said_yes: bool) -> Result<()> {
    if said_yes || is_here() {
        return Ok(());
    }
    bail!(Misuse("this asks first, on a terminal, and here is none: say --yes to do it without".to_owned()))
}

/// Tells whether an answer agrees; an empty one is what is usual.
pub(super) fn agreed(answer: &str, usual: bool) -> bool {
    match answer.to_lowercase().as_str() {
        "" => usual,
        "y" | "yes" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_agrees() {
        for answer in ["y", "Y", "yes", "YES"] {
            assert!(agreed(answer, false), "{answer}");
        }
        for answer in ["n", "no", "yesterday", "1"] {
            assert!(!agreed(answer, true), "{answer}");
        }
        assert!(agreed("", true) && !agreed("", false));
    }
}
