//! `docs/security.md` names the tests that hold what it says. They are there.

use std::fs;
use std::path::Path;

const REVIEW: &str = include_str!("../../docs/security.md");
/// What else than a test may hold something.
const OTHERWISE: [&str; 3] = ["the compiler", "the lane", "No test"];

/// What stands between backquotes as `file::test`.
fn tests_in(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::"))
}

/// What holds each claim: the last column of every table that says so.
fn holding() -> impl Iterator<Item = &'static str> {
    let last_cell = |line: &'static str| Some(line.strip_suffix(" |")?.rsplit_once("| ")?.1);
    let mut is_within = false;
    REVIEW.lines().filter_map(move |line| {
        let last = last_cell(line);
        let is_head = last == Some("held by");
        is_within = is_head || (is_within && last.is_some());
        last.filter(|last| is_within && !is_head && !last.starts_with("---"))
    })
}

#[test]
fn every_test_that_the_review_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for (file, name) in tests_in(REVIEW).filter(|(file, _)| *file != "file") {
        let place = if file.starts_with("src/") || file.starts_with("tests/") { "" } else { "tests/it" };
        let text = fs::read_to_string(root.join(place).join(file)).unwrap_or_default();
        let is_there = text.contains(&format!("fn {name}(")) || text.contains(&format!("\n{name}() {{"));
        assert!(is_there, "{file}::{name}");
        count += 1;
    }
    assert!(count > 100, "only {count}: the review is read wrongly");
}

#[test]
fn every_claim_of_the_review_says_what_holds_it() {
    let mut count = 0;
    for held_by in holding() {
        let is_held = tests_in(held_by).count() > 0 || OTHERWISE.iter().any(|word| held_by.starts_with(word));
        assert!(is_held, "{held_by}");
        count += 1;
    }
    assert!(count > 50, "only {count}: the review is read wrongly");
}
