//! Keys, made and changed from the command line.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::asked::FakeDaemon;
use super::{Said, key, run, run_with};
use crate::harness::binary::{CONFIG, command};
use crate::harness::pty::Terminal;
use crate::harness::{Binary, Request};

fn ids(binary: &Binary) -> Vec<String> {
    let keys = binary.admin(Request::get("/admin/v1/keys")).expect(200).json();
    keys["data"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
}

fn find(binary: &Binary, id: &str) -> Value {
    binary.admin(Request::get(&format!("/admin/v1/keys/{id}"))).expect(200).json()
}

/// The newest key.
fn newest(binary: &Binary) -> Value {
    find(binary, &ids(binary)[0])
}

#[test]
fn a_new_key_stands_alone_on_standard_output() {
    let binary = Binary::start("");
    let made = run(
        &binary.folder,
        &["keys", "create", "--name", "laptop", "--scope", "chats:create", "models:read"],
    );
    assert_eq!(made.status, Some(0), "{}", made.err);
    let secret = made.out.strip_suffix('\n').unwrap();
    assert!(secret.starts_with("mcp_sk_") && secret.len() == 39, "{secret}");
    binary.call(secret, Request::chat("Hello")).expect(200);
    let key = newest(&binary);
    assert_eq!((&key["name"], &key["scopes"]), (&json!("laptop"), &json!(["chats:create", "models:read"])));
    assert!(made.err.contains(key["id"].as_str().unwrap()), "{}", made.err);
    assert!(made.err.contains(&format!("curl http://{}/v1/chat/completions", binary.public)), "{}", made.err);
    assert!(made.err.contains("Bearer $KEY") && !made.err.contains("mcp_sk_"), "{}", made.err);

    // The line that was told works as it stands.
    let line = made.err.split("Try it:\n\n").nth(1).unwrap().trim_end();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{line} --silent --fail")])
        .env("KEY", secret)
        .current_dir(binary.folder.path());
    assert!(run_with(shell, "").done_with_out().contains("Hello"));

    let script = "KEY=$(\"$0\" keys create --name script --scope all 2>/dev/null) && printf %s \"$KEY\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_mcpd")]).current_dir(binary.folder.path());
    binary.call(&run_with(shell, "").done_with_out(), Request::get("/v1/files")).expect(200);
}

impl Said {
    /// The results of a command that may have said something besides.
    fn done_with_out(self) -> String {
        assert_eq!(self.status, Some(0), "{}{}", self.out, self.err);
        self.out
    }
}

#[test]
fn all_that_a_key_can_be_made_with_can_be_said() {
    let binary = Binary::start("");
    let arguments = [
        "keys",
        "create",
        "--name",
        "all of it",
        "--scope",
        "files:read,files:write",
        "--plan",
        "enterprise",
        "--requests-per-minute",
        "7",
        "--max-concurrent",
        "3",
        "--expires-at",
        "2099-01-01T00:00:00Z",
        "--allow-ip",
        "10.0.0.5/8",
        "--allow-ip",
        "::1",
        "--allow-model",
        "llama*",
        "--metadata",
        "owner=ann",
        "--metadata",
        "note=a=b",
        "--require-signature",
        "--report-only",
        "allowed_ips",
        "--json",
    ];
    let made = run(&binary.folder, &arguments).done();
    let made: Value = serde_json::from_str(&made).unwrap();
    assert!(made["key"].as_str().unwrap().starts_with("mcp_sk_"));
    let expected = json!({
        "name": "all of it", "scopes": ["files:read", "files:write"], "plan": "enterprise", "requests_per_minute": 7,
        "max_concurrent": 3, "expires_at": "2099-01-01T00:00:00Z", "allowed_ips": ["10.0.0.0/8", "::1/128"],
        "allowed_models": ["llama*"], "metadata": {"owner": "ann", "note": "a=b"}, "require_signature": true,
        "report_only": ["allowed_ips"]
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }

    let cleared = [
        "keys",
        "update",
        "all of it",
        "--plan",
        "free",
        "--plan-limit",
        "--any-concurrent",
        "--no-expiry",
        "--any-ip",
        "--any-model",
        "--no-metadata",
        "--no-require-signature",
        "--no-report-only",
        "--disable",
        "--name",
        "less",
        "--scope",
        "all",
    ];
    let told = run(&binary.folder, &cleared).done();
    assert!(
        told.contains("limit       10 requests a minute (plan free)") && told.contains("--enable"),
        "{told}"
    );
    let key = find(&binary, made["id"].as_str().unwrap());
    let expected = json!({
        "name": "less", "scopes": ["*"], "plan": "free", "requests_per_minute": 10, "max_concurrent": null,
        "expires_at": null, "allowed_ips": [], "allowed_models": [], "metadata": {}, "require_signature": false,
        "report_only": [], "status": "disabled"
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&key[field], value, "{field}");
    }
    let told =
        run(&binary.folder, &["keys", "update", "less", "--enable", "--expires-in", "24h", "--json"]).done();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["status"], "active");
    assert!(told["expires_at"].is_string());
}

/// Arguments that make a key, but for what is wrong with them.
fn made<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["keys", "create", "--name", "x", "--scope", "all"], more].concat()
}

#[test]
fn what_cannot_be_made_is_wrong_usage_and_what_is_refused_is_not() {
    let binary = Binary::start("");
    let (_, id) = key(&binary, "laptop");
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (vec!["keys", "create"], "with --name"),
        (vec!["keys", "create", "--name", "x"], "some of chats:create, "),
        (vec!["keys", "create", "--name", "x", "--scope", "chat"], "chats:create"),
        (made(&["--plan", "gold"]), "there is no plan `gold`"),
        (made(&["--plan", "enterprise"]), "enterprise"),
        (made(&["--requests-per-minute", "0"]), "--requests-per-minute"),
        (made(&["--expires-in", "soon"]), "length of time"),
        (made(&["--expires-in", "1d", "--expires-at", "2099-01-01T00:00:00Z"]), "cannot be used with"),
        (made(&["--expires-at", "2001-01-01T00:00:00Z"]), "not in the future"),
        (made(&["--allow-ip", "10.0.0.0/33"]), "10.0.0.0/33"),
        (made(&["--metadata", "owner"]), "owner=ann"),
        (
            made(&["--allow-model", "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"]),
            "must not stand among the arguments",
        ),
        (
            vec!["keys", "create", "--name", "x", "--scope", "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"],
            "must not stand",
        ),
        (vec!["keys", "update", "laptop"], "say what to change"),
        (vec!["keys", "update", "laptop", "--enable", "--disable"], "cannot be used with"),
        (vec!["keys", "update", "laptop", "--any-ip", "--allow-ip", "::1"], "cannot be used with"),
        (vec!["keys", "update", "laptop", "--revoke-when-quiet", "1h"], "rotated"),
        (vec!["keys", "rotate", "laptop", "--expire-old-in", "soon"], "--expire-old-in"),
        (vec!["keys", "create", "-i"], "on a terminal"),
        (vec!["keys", "revoke", "laptop"], "--yes"),
        (vec!["keys", "delete", "laptop"], "--yes"),
    ];
    for (arguments, told) in cases {
        let said = run(&binary.folder, &arguments);
        assert_eq!((said.status, said.out.as_str()), (Some(2), ""), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(told) && !said.err.contains("ABCDEFG"), "{arguments:?}: {}", said.err);
    }
    assert_eq!(ids(&binary).len(), 2, "nothing was made");
    run(&binary.folder, &["keys", "revoke", &id, "--yes"]).done();
    let none = "key_0123456789ABCDEFGHIJKLMN";
    for (arguments, told) in [
        (&["keys", "show", none][..], "no key"),
        (&["keys", "show", "nobody"], "mcpd keys list"),
        (&["keys", "rotate", &id], "revoked"),
        (&["keys", "delete", none, "-y"], "no key"),
    ] {
        let said = run(&binary.folder, arguments).failed(1);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

#[test]
fn a_rotation_says_how_to_see_it_through() {
    let binary = Binary::start("");
    let (old_secret, old) = key(&binary, "laptop");
    let said = run(
        &binary.folder,
        &["keys", "rotate", "laptop", "--expire-old-in", "2h", "--revoke-when-quiet", "1h"],
    );
    assert_eq!(said.status, Some(0), "{}", said.err);
    let (new_secret, new) = (said.out.trim(), newest(&binary));
    assert_eq!(new["rotated_from"], old.as_str());
    binary.call(new_secret, Request::get("/v1/key")).expect(200);
    binary.call(&old_secret, Request::get("/v1/key")).expect(200);
    let before = find(&binary, &old);
    assert_eq!(before["revoke_when_quiet"], "1h");
    let end = before["expires_at"].as_str().unwrap();
    assert!(said.err.contains(&end[..19]), "{}: {end}", said.err);
    assert!(said.err.contains(&format!("    mcpd keys migration {old}\n")), "{}", said.err);
    assert!(
        run(&binary.folder, &["keys", "show", &old]).done().contains(&format!("mcpd keys migration {old}"))
    );
    // The name is the new key's.
    let told = run(&binary.folder, &["keys", "rotate", "laptop", "--expires-in", "1d", "--json"]).done();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["rotated_from"], new["id"]);
    assert!(told["key"].is_string() && told["expires_at"].is_string());
}

#[test]
fn a_key_that_cannot_be_written_is_named() {
    let binary = Binary::start("");
    key(&binary, "laptop");
    for arguments in [
        &["create", "--name", "lost", "--scope", "all"][..],
        &["create", "--name", "again", "--scope", "all", "--json"],
        &["rotate", "laptop"],
        &["rotate", "laptop", "--json"],
    ] {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" keys \"$@\" > /dev/full", env!("CARGO_BIN_EXE_mcpd")]).args(arguments);
        shell.current_dir(binary.folder.path());
        let told = run_with(shell, "").failed(1);
        let id = newest(&binary)["id"].as_str().unwrap().to_owned();
        assert!(
            told.contains(&format!("`mcpd keys delete {id}`")) && told.contains("No space left"),
            "{told}"
        );
    }
}

#[test]
fn a_key_that_nobody_takes_is_named() {
    let binary = Binary::start("");
    key(&binary, "laptop");
    for arguments in [
        &["keys", "create", "--name", "lost", "--scope", "all"][..],
        &["keys", "create", "--name", "lost too", "--scope", "all", "--json"],
        &["keys", "rotate", "laptop"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(&binary.folder, arguments).stdout(writer).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        let id = newest(&binary)["id"].as_str().unwrap().to_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains(&format!("`mcpd keys delete {id}`")) && told.contains("Broken pipe"), "{told}");
    }
    // Whoever has seen enough of a list is no error.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(&binary.folder, &["keys", "list"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}

#[test]
fn a_name_that_another_key_has_is_warned_of() {
    let binary = Binary::start("");
    let (_, first) = key(&binary, "laptop");
    key(&binary, "laptop two");
    let warning = |said: Said| {
        assert_eq!(said.status, Some(0), "{}", said.err);
        said.err.lines().find(|line| line.starts_with("Warning: ")).map(ToOwned::to_owned)
    };
    let named = |ids: &str| {
        Some(format!(
            "Warning: another key has this name: {ids}. Name each by its id, or give one another name."
        ))
    };
    let create = |more: &[&str]| {
        run(&binary.folder, &[&["keys", "create", "--scope", "all", "--name"], more].concat())
    };
    assert_eq!(warning(create(&["desk"])), None);
    assert_eq!(warning(create(&["laptop"])), named(&first));
    let second = newest(&binary)["id"].as_str().unwrap().to_owned();
    let json = create(&["laptop", "--json"]);
    assert!(serde_json::from_str::<Value>(&json.out).is_ok(), "{}", json.out);
    assert!(warning(json).is_some_and(|line| line.contains(&first) && line.contains(&second)));
    let third = newest(&binary)["id"].as_str().unwrap().to_owned();
    run(&binary.folder, &["keys", "delete", &third, "--yes"]).done();
    // One that is revoked, or handed over, stands in no name's way.
    run(&binary.folder, &["keys", "update", &second, "--name", "desk two"]).done();
    assert_eq!(warning(run(&binary.folder, &["keys", "rotate", "laptop"])), None);
    let rotated = newest(&binary)["id"].as_str().unwrap().to_owned();
    assert_eq!(
        warning(run(&binary.folder, &["keys", "update", &second, "--name", "laptop"])),
        named(&rotated)
    );
    run(&binary.folder, &["keys", "revoke", &second, "--yes"]).done();
    assert_eq!(warning(create(&["laptop"])), named(&rotated));
}

#[test]
fn a_plan_that_is_gone_is_told_as_such() {
    let binary = Binary::start("plans.batch.requests_per_minute = 500\n");
    let make = |name: &str, more: &[&str]| {
        let made = ["keys", "create", "--scope", "all", "--plan", "batch", "--name", name];
        assert_eq!(run(&binary.folder, &[&made[..], more].concat()).status, Some(0));
    };
    make("on it", &[]);
    make("its own", &["--requests-per-minute", "7"]);
    let list = run(&binary.folder, &["keys", "list"]).done();
    assert!(list.contains("500/min batch ") && !list.contains("gone"), "{list}");
    let binary = Binary::start_in({
        let folder = binary.end("TERM");
        fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
        folder
    });
    let list = run(&binary.folder, &["keys", "list"]).done();
    let line = |name: &str| list.lines().find(|line| line.starts_with(name)).unwrap_or(&list).to_owned();
    assert!(line("on it").contains("60/min batch (gone)"), "{list}");
    assert!(line("its own").contains("7/min batch (gone)"), "{list}");
    assert!(line("default").contains("60/min standard  "), "{list}");
    let note = "(gone): the plan is not in the configuration. A key on it that has no limit of its own gets that of \
                `standard`.\n";
    assert!(list.ends_with(note), "{list}");
    let told = run(&binary.folder, &["keys", "show", "on it"]).done();
    assert!(told.contains("60 requests a minute (plan batch (gone))") && told.contains(note), "{told}");
    let json = run(&binary.folder, &["keys", "list", "--json"]).done();
    assert!(json.contains("\"batch\"") && !json.contains("gone") && !json.contains("in_force"), "{json}");
}

#[test]
fn a_key_ends_at_once_with_yes() {
    let binary = Binary::start("");
    let (secret, id) = key(&binary, "laptop");
    let told = run(&binary.folder, &["keys", "revoke", "laptop", "--yes"]).done();
    assert!(told.starts_with(&format!("Revoked `laptop` ({id}, mcp_sk_")), "{told}");
    binary.call(&secret, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
    let told = run(&binary.folder, &["keys", "revoke", "laptop", "--yes", "--json"]).done();
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["status"], "revoked");
    // A new key takes over the name of one that is gone.
    let (_, next) = key(&binary, "laptop");
    assert!(run(&binary.folder, &["keys", "show", "laptop"]).done().contains(&next));
    run(&binary.folder, &["keys", "delete", &id, "-y"]).done();
    let told = run(&binary.folder, &["keys", "delete", "laptop", "--yes", "--json"]).done();
    assert_eq!(
        serde_json::from_str::<Value>(&told).unwrap(),
        json!({"id": next, "object": "key", "deleted": true})
    );
    assert_eq!(ids(&binary).len(), 1);
    run(&binary.folder, &["keys", "rm", "default", "--yes"]).done();
    assert!(run(&binary.folder, &["keys", "ls"]).done().contains("mcpd keys create -i"));
}

#[test]
fn keys_are_listed_all_of_them() {
    let binary = Binary::start("");
    let (secret, id) = key(&binary, "laptop");
    binary.call(&secret, Request::chat("Hello")).expect(200);
    let told = run(&binary.folder, &["keys", "list"]).done();
    let row = told.lines().find(|line| line.starts_with("laptop")).unwrap();
    assert!(row.contains(&id) && row.contains("60/min standard") && row.contains("s ago"), "{told}");
    assert!(told.starts_with("NAME ") && told.ends_with("\n2 keys.\n"), "{told}");
    run(&binary.folder, &["keys", "revoke", &id, "--yes"]).done();
    let told =
        run(&binary.folder, &["keys", "list", "--status", "revoked", "--search", "lap", "--json"]).done();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["data"][0]["id"], &told["has_more"]), (&json!(id), &json!(false)));
    assert_eq!(told["data"].as_array().unwrap().len(), 1);
    assert!(run(&binary.folder, &["keys", "list", "--search", "nothing"]).done().starts_with("No such keys"));
}

#[test]
fn a_connection_that_breaks_makes_no_second_key() {
    let made = json!({"id": "key_0123456789ABCDEFGHIJKLMN", "name": "x", "key": "mcp_sk_x", "scopes": ["*"]})
        .to_string();
    let head = format!("HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", made.len());
    let whole = format!("{head}{made}").into_bytes();
    let half = whole[..whole.len() - 10].to_vec();
    let create = ["keys", "create", "--name", "x", "--scope", "all"];
    for broken in [Vec::new(), half.clone()] {
        let daemon = FakeDaemon::answering_in_turn(vec![broken, whole.clone()]);
        assert_eq!(daemon.run(&create).done_with_out(), "mcp_sk_x\n");
        let asked = daemon.seen();
        assert_eq!(asked[0], asked[1]);
        assert_eq!(asked[0].0, "POST /admin/v1/keys");
        let wishes = daemon.wishes.lock().unwrap();
        assert!(wishes.len() == 2 && wishes[0] == wishes[1] && wishes[0].len() == 24, "{wishes:?}");
    }
    let daemon = FakeDaemon::answering_in_turn(vec![Vec::new()]);
    let told = daemon.run(&create).failed(1);
    assert!(told.contains("not known whether this was done") && daemon.seen().len() == 2, "{told}");
    let lost = made.replace("\"key\":\"mcp_sk_x\",", "");
    let daemon = FakeDaemon::json("201 Created", &serde_json::from_str(&lost).unwrap());
    let told = daemon.run(&create).failed(1);
    assert!(told.contains("mcpd keys delete key_0123456789ABCDEFGHIJKLMN"), "{told}");
}

#[test]
fn a_key_is_made_by_answering_questions() {
    let binary = Binary::start("");
    let mut terminal = Terminal::start(&command(&binary.folder, &["keys", "create", "-i"]), 80);
    for (question, answer) in [
        ("Name, what it is for: ", ""),
        ("it is blank", "lap\u{7f}\u{7f}\u{7f}laptop"),
        ("Scopes [chats:create, models:read]: ", "chat"),
        ("unknown scope `chat`", "files:read, chats:create"),
        ("Plan [standard]: ", "gold"),
        ("no such plan", "enterprise"),
        ("Requests a minute [60]: ", "5"),
        ("End [90d]: ", "next week"),
        ("none of these", ""),
        ("From [anywhere]: ", "10.0.0.0/8, ::1"),
        ("Models [all]: ", ""),
    ] {
        terminal.wait_for(question);
        terminal.keys(&format!("{answer}\n"));
    }
    terminal.wait_for(
        "`laptop`: chats:create, files:read; 5 requests a minute; ends in 90d; from 10.0.0.0/8, ::1; models: all",
    );
    // Typed before it is asked for, the line's end would stand before the question, and the key behind it.
    terminal.wait_for("Make it? [Y/n] ");
    terminal.keys("\n");
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(0), "{shown}");
    let key = newest(&binary);
    assert_eq!((&key["name"], &key["requests_per_minute"]), (&json!("laptop"), &json!(5)));
    assert_eq!(key["scopes"], json!(["chats:create", "files:read"]));
    assert_eq!(key["allowed_ips"], json!(["10.0.0.0/8", "::1/128"]));
    // On a terminal the line to paste has the key in it.
    let secret = shown.lines().find(|line| line.starts_with("mcp_sk_")).unwrap();
    assert!(shown.contains(&format!("Bearer {secret}\"")), "{shown}");
}

#[test]
fn what_was_said_is_not_asked() {
    let binary = Binary::start("");
    let arguments = [
        "keys",
        "create",
        "-i",
        "--name",
        "x",
        "--scope",
        "all",
        "--plan",
        "free",
        "--expires-in",
        "1d",
        "--allow-ip",
        "::1",
    ];
    let mut terminal = Terminal::start(&command(&binary.folder, &arguments), 80);
    terminal.wait_for("Models [all]: ");
    terminal.keys("llama*\n");
    terminal.wait_for("Make it? [Y/n] ");
    terminal.keys("y\n");
    let (status, shown) = terminal.end();
    assert!(status == Some(0) && !shown.contains("Name, what") && !shown.contains("Plan ["), "{shown}");
    assert_eq!(newest(&binary)["allowed_models"], json!(["llama*"]));
}

#[test]
fn an_interview_that_is_left_makes_nothing() {
    let binary = Binary::start("");
    for (at, leave) in
        [("what it is for: ", "\x04"), ("what it is for: ", "\x03"), ("Make it? [Y/n] ", "n\n")]
    {
        let arguments: &[&str] = if at.starts_with("Make") {
            &["keys", "create", "-i", "--name", "x", "--scope", "all", "--plan", "free", "--expires-in", "1d"]
        } else {
            &["keys", "create", "-i"]
        };
        let mut terminal = Terminal::start(&command(&binary.folder, arguments), 80);
        if at.starts_with("Make") {
            for question in ["From [", "Models ["] {
                terminal.wait_for(question);
                terminal.keys("\n");
            }
        }
        terminal.wait_for(at);
        terminal.keys(leave);
        let (status, shown) = terminal.end();
        assert_ne!(status, Some(0), "{shown}");
        assert!(!shown.contains("Made") && !shown.contains("mcp_sk_"), "{shown}");
    }
    assert_eq!(ids(&binary).len(), 1);
}

#[test]
fn a_key_is_ended_once_somebody_agreed() {
    let binary = Binary::start("");
    let (secret, id) = key(&binary, "laptop");
    for (action, answer, ended) in [
        ("revoke", "\n", false),
        ("revoke", "n\n", false),
        ("delete", "\x04", false),
        ("revoke", "y\n", true),
    ] {
        let mut terminal = Terminal::start(&command(&binary.folder, &["keys", action, "laptop"]), 80);
        terminal.wait_for("? ");
        terminal.wait_for("[y/N] ");
        terminal.keys(answer);
        let (status, shown) = terminal.end();
        assert_eq!(status, Some(i32::from(!ended)), "{shown}");
        assert!(shown.contains(&id), "{shown}");
        assert_eq!(shown.contains("nothing was done"), !ended, "{shown}");
        let status = if ended { 401 } else { 200 };
        assert_eq!(binary.call(&secret, Request::get("/v1/key")).status, status, "{action} {answer:?}");
    }
}

#[test]
fn a_list_of_keys_fits_the_terminal_and_is_coloured_only_there() {
    let binary = Binary::start("");
    key(&binary, "a key with a name that is much longer than it would have to be");
    for columns in [72, 100, 200] {
        let (status, shown) = Terminal::start(&command(&binary.folder, &["keys", "list"]), columns).end();
        assert_eq!(status, Some(0), "{shown}");
        assert!(shown.contains("\x1b[32mactive\x1b[0m"), "{shown}");
        let plain = shown.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[32m", "");
        assert!(
            plain.lines().take(3).all(|line| line.chars().count() <= usize::from(columns)),
            "{columns}: {plain}"
        );
    }
    let mut plain = command(&binary.folder, &["keys", "list"]);
    plain.env("NO_COLOR", "1");
    let (_, shown) = Terminal::start(&plain, 100).end();
    assert!(shown.contains("active") && !shown.contains('\x1b'), "{shown}");
}
