//! Alert rules, made and changed from the command line.

use serde_json::{Value, json};

use super::{key, run, run_with};
use crate::harness::binary::command;
use crate::harness::pty::Terminal;
use crate::harness::{Binary, Request};

fn rules(binary: &Binary) -> Vec<Value> {
    binary.admin(Request::get("/admin/v1/alert-rules")).expect(200).json()["data"].as_array().unwrap().clone()
}

#[test]
fn a_rule_is_made_changed_and_deleted() {
    let binary = Binary::start("");
    let (_, id) = key(&binary, "laptop");
    let before = rules(&binary).len();
    let add = [
        "alerts",
        "rules",
        "add",
        "error_rate",
        "--key",
        "laptop",
        "--threshold",
        "0.2",
        "--window",
        "15m",
        "--webhook",
        "https://ntfy.example/mcpd",
        "--webhook-format",
        "ntfy",
        "--webhook-secret-stdin",
        "--disabled",
    ];
    let said = run_with(command(&binary.folder, &add), "much too secret\n");
    assert_eq!(said.status, Some(0), "{}", said.err);
    assert!(said.out.contains("error_rate  no") && said.out.contains("(ntfy, signed)"), "{}", said.out);
    let rule = rules(&binary).pop().unwrap();
    let name = rule["id"].as_str().unwrap();
    assert!(said.err.contains(&format!("mcpd alerts test {name}")), "{}", said.err);
    assert!(!format!("{}{}", said.out, said.err).contains("much too secret"));
    let expected = json!({"kind": "error_rate", "enabled": false, "key": id, "threshold": 0.2, "window": "15m",
        "webhook": {"url": "https://ntfy.example/mcpd", "format": "ntfy", "signed": true}});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&rule[field], value, "{field}");
    }

    let change = |more: &[&str]| {
        let told =
            run(&binary.folder, &[&["alerts", "rules", "update", name, "--json"], more].concat()).done();
        serde_json::from_str::<Value>(&told).unwrap()
    };
    let changed = change(&["--enable", "--usual-threshold", "--usual-window", "--no-webhook"]);
    assert_eq!((&changed["enabled"], &changed["threshold"]), (&json!(true), &json!(0.5)));
    assert_eq!((&changed["window"], &changed["webhook"]), (&json!("5m"), &json!(null)));
    assert_eq!(change(&["--disable", "--threshold", "1"])["enabled"], false);
    let mut piped = command(&binary.folder, &["alerts", "rules", "update", name, "--webhook", "-"]);
    piped.env("TERM", "dumb");
    assert!(
        run_with(piped, "https://hooks.example/secret\n").out.contains("https://hooks.example/secret (json)")
    );

    let mut terminal = Terminal::start(&command(&binary.folder, &["alerts", "rules", "delete", name]), 100);
    terminal.wait_for("(error_rate)? Its alerts stay. [y/N] ");
    terminal.keys("n\n");
    assert_eq!((terminal.end().0, rules(&binary).len()), (Some(1), before + 1));
    let told = run(&binary.folder, &["alerts", "rules", "delete", name, "--yes"]).done();
    assert_eq!((told, rules(&binary).len()), (format!("Deleted the rule {name} (error_rate).\n"), before));
    let listed = run(&binary.folder, &["alerts", "rules"]).done();
    assert_eq!(listed.lines().count(), before + 1);
}

#[test]
fn what_makes_no_rule_is_wrong_usage() {
    let binary = Binary::start("");
    let rule = rules(&binary)[0]["id"].as_str().unwrap().to_owned();
    let before = rules(&binary);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["add"], 2, "<KIND>"),
        (&["add", "error_rat"], 2, "error_rate"),
        (&["add", "error_rate", "--threshold", "7"], 2, "threshold"),
        (&["add", "error_rate", "--window", "soon"], 2, "length of time"),
        (&["add", "error_rate", "--webhook", "nowhere"], 2, "webhook.url"),
        (&["add", "error_rate", "--webhook-format", "ntfy"], 2, "--webhook <URL>"),
        (&["add", "error_rate", "--webhook", "-", "--webhook-secret-stdin"], 2, "cannot be both"),
        (&["add", "error_rate", "--key", "nobody"], 1, "no key"),
        (&["update", &rule], 2, "say what to change"),
        (&["update", &rule, "--enable", "--disable"], 2, "cannot be used with"),
        (&["update", "rule_000000000000000000000000", "--enable"], 1, "no alert rule"),
        (&["delete", &rule], 2, "--yes"),
    ];
    for (arguments, status, told) in cases {
        let said = run(&binary.folder, &[&["alerts", "rules"], *arguments].concat()).failed(*status);
        assert!(said.to_lowercase().contains(&told.to_lowercase()), "{arguments:?}: {said}");
    }
    assert_eq!(rules(&binary), before);
}
