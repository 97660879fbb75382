//! What keeps `serve --daemon` from going on unheard.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;
use std::{fs, io};

use crate::harness::Folder;
use crate::harness::binary::{CONFIG, command};

/// Starts it where `make` has put something in the log's place; it must not go to the background.
fn refused(make: impl FnOnce(&Path) -> io::Result<()>) -> (Folder, Output) {
    let folder = Folder::new();
    fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    make(&folder.path().join("data/mcpd.log")).unwrap();
    let output = command(&folder, &["serve", "--daemon"]).output().unwrap();
    if let Ok(pid) = fs::read_to_string(folder.path().join("data/mcpd.pid")) {
        std::process::Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
        panic!("it runs: {output:?}");
    }
    (folder, output)
}

fn expect_told(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("mcpd: cannot write the log ") && said.matches('\n').count() == 1, "{said}");
    assert!(said.contains("data/mcpd.log") && said.contains("may write"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_log_that_cannot_be_written_keeps_it_from_starting() {
    let (folder, output) = refused(|log| fs::create_dir(log));
    expect_told(&output);
    let names = fs::read_dir(folder.path().join("data")).unwrap().count();
    assert_eq!(names, 1, "nothing was made");
    let (_folder, output) = refused(|log| symlink("/no/such/folder/mcpd.log", log));
    expect_told(&output);
}
