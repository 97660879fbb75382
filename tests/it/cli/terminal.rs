//! What commands show on a terminal, which has a width, and elsewhere.

use std::process::Command;

use super::{key, run, run_with};
use crate::harness::binary::command;
use crate::harness::{Binary, Folder};

/// Runs a command on a terminal of so many columns; returns the lines that it shows.
fn on_a_terminal(folder: &Folder, columns: u16, said: Option<&str>, arguments: &str) -> Vec<String> {
    let line = format!("stty cols {columns}; exec {} {arguments}", env!("CARGO_BIN_EXE_mcpd"));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(folder.path()).env("NO_COLOR", "1");
    script.env_remove("COLUMNS").envs(said.map(|columns| ("COLUMNS", columns)));
    let shown = run_with(script, "").done();
    shown.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

#[test]
fn a_table_fits_the_terminal_and_is_whole_where_there_is_none() {
    let binary = Binary::start("");
    key(&binary, "laptop");
    let whole: Vec<String> = run(&binary.folder, &["audit"]).done().lines().map(ToOwned::to_owned).collect();
    let longest = |lines: &[String]| lines.iter().map(|line| line.chars().count()).max().unwrap();
    let width = longest(&whole);
    assert!(width > 80 && !whole.concat().contains('…'), "{whole:?}");
    for (columns, said, fits) in
        [(60, None, 60), (200, Some("50"), 50), (40, Some("nonsense"), 40), (50, Some("0"), 50)]
    {
        let shown = on_a_terminal(&binary.folder, columns, said, "audit");
        assert_eq!(shown.len(), whole.len(), "{shown:?}");
        assert!(longest(&shown) <= fits && shown[1].ends_with('…'), "{columns} {said:?}: {shown:?}");
    }
    assert_eq!(on_a_terminal(&binary.folder, 250, None, "audit"), whole);
    // Who reads it from a pipe gets all of it, whatever COLUMNS says.
    let mut piped = command(&binary.folder, &["audit"]);
    piped.env("COLUMNS", "20");
    assert_eq!(run_with(piped, "").done().lines().collect::<Vec<_>>(), whole);
}
