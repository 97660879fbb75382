//! How the running daemon is.

use serde_json::Value;

use super::run;
use crate::harness::{Binary, Request};

#[test]
fn the_daemon_tells_how_it_is() {
    let binary = Binary::start("");
    binary.call(&binary.default_key(), Request::chat("Hello")).expect(200);
    let told = run(&binary.folder, &["status"]).done();
    assert!(told.starts_with(&format!("version      {}\n", env!("CARGO_PKG_VERSION"))), "{told}");
    assert!(told.contains(&format!("http://{}/v1\n", binary.public)), "{told}");
    assert!(told.contains("1 active, 0 disabled") && told.contains("standard 60/min (default)"), "{told}");
    let echo = told.lines().find(|line| line.starts_with("echo")).unwrap();
    assert_eq!(
        echo.split_whitespace().collect::<Vec<_>>(),
        ["echo", "echo", "up", "1", "1", "0", "echo"],
        "{told}"
    );
    let told = run(&binary.folder, &["status", "--json"]).done();
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["keys"]["active"], 1);
}

#[test]
fn metrics_are_printed_as_they_are_scraped() {
    let binary = Binary::start("");
    let told = run(&binary.folder, &["metrics"]).done();
    assert!(told.starts_with("# ") && told.contains("mcpd_keys{status=\"active\"} 1\n"), "{told}");
}
