//! What the command line says of itself.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::run;
use crate::harness::Folder;
use crate::harness::binary::command;
use crate::harness::pty::Terminal;

/// Set to anything, it makes the snapshot anew.
const ANEW: &str = "HELP_ANEW";

/// The help of a command and of all below it, each behind its own name.
fn tour(folder: &Folder, path: &[&str], told: &mut Vec<(String, String)>) {
    let help = run(folder, &[path, &["--help"]].concat()).done();
    told.push((["mcpd"].iter().chain(path).copied().collect::<Vec<_>>().join(" "), help.clone()));
    let Some(commands) = help.split("\nCommands:\n").nth(1) else { return };
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '));
        let Some(name) = name.and_then(|rest| rest.split(' ').next()).filter(|name| *name != "help") else {
            continue;
        };
        tour(folder, &[path, &[name]].concat(), told);
    }
}

#[test]
fn the_help_of_every_command_is_as_it_was_looked_at() {
    let folder = Folder::new();
    let mut told = Vec::new();
    tour(&folder, &[], &mut told);
    let told: Vec<_> = told.iter().map(|(name, help)| format!("$ {name} --help\n{help}\n")).collect();
    let whole = told.concat();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cli/help.txt");
    if std::env::var_os(ANEW).is_some() {
        fs::write(&path, &whole).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let differs = whole.lines().zip(expected.lines()).find(|(is, was)| is != was);
    assert!(
        whole == expected,
        "the help has changed, {differs:?}: read it, and run this test with {ANEW}=1 to keep it in help.txt"
    );
}

#[test]
fn every_command_has_examples_and_no_line_is_too_long() {
    let folder = Folder::new();
    let mut told = Vec::new();
    tour(&folder, &[], &mut told);
    assert!(told.len() > 30, "{told:?}");
    for (name, help) in &told {
        let longest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 120, "{name}: {longest}");
        let is_leaf = !help.contains("\nCommands:\n");
        assert!(!is_leaf || help.contains("Examples:\n  "), "{name}: {help}");
        // Each example is of the command itself.
        let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
        assert!(examples.is_empty() || examples.contains(name.as_str()), "{name}: {examples}");
    }
}

#[test]
fn help_is_cut_to_a_terminal_s_width() {
    let folder = Folder::new();
    let (status, shown) = Terminal::start(&command(&folder, &["keys", "update", "--help"]), 60).end();
    assert_eq!(status, Some(0));
    let options = shown.split("Options:").nth(1).unwrap().split("\n\nA list").next().unwrap();
    let plain: String =
        options.split('\x1b').map(|piece| piece.split_once('m').map_or(piece, |(_, text)| text)).collect();
    let longest = plain.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= 60, "{longest}: {plain}");
}

#[test]
fn completions_are_scripts_that_the_shell_takes() {
    let folder = Folder::new();
    for (shell, mark) in
        [("bash", "complete -F _mcpd"), ("zsh", "#compdef mcpd"), ("fish", "complete -c mcpd")]
    {
        let script = run(&folder, &["completions", shell]).done();
        assert!(script.contains(mark) && script.contains("requests-per-minute"), "{shell}");
        fs::write(folder.path().join(shell), script).unwrap();
    }
    let look = "source ./bash && COMP_WORDS=(mcpd keys cr) COMP_CWORD=2 && _mcpd mcpd cr keys && echo \"${COMPREPLY[@]}\"";
    let bash = Command::new("bash")
        .args(["-c", look])
        .current_dir(folder.path())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(bash.stdout).unwrap(), "create\n");
    run(&folder, &["completions", "tcsh"]).failed(2);
    run(&folder, &["completions"]).failed(2);
}

#[test]
fn the_manual_page_needs_no_configuration() {
    let folder = Folder::new();
    fs::write(folder.path().join("mcpd.toml"), "nonsense").unwrap();
    let page = run(&folder, &["man"]).done();
    assert!(page.contains(".TH MCPD 1") && page.contains(".SS \"mcpd keys create\""), "{page}");
    assert!(page.lines().all(|line| !line.starts_with(' ') || page.contains(".EX")), "{page}");
}
