//! SIGHUP at any moment: it never ends the process.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{outcomes, upstream};
use crate::harness::binary::{CONFIG, command};
use crate::harness::upstream::{begin_stream, end_stream, send_event};
use crate::harness::{Binary, FakeUpstream, Folder, Request, eventually};

#[test]
fn a_hangup_while_it_starts_is_a_reload_once_it_has() {
    let folder = Folder::new();
    fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
    let path = folder.path().to_owned();
    let hasty = std::thread::spawn(move || {
        let start = Instant::now();
        // The first that is made at a start; its lock has the process.
        while !path.join("data/mcpd.db.lock").exists() {
            assert!(start.elapsed() < Duration::from_secs(5));
            std::thread::yield_now();
        }
        let pid = fs::read_to_string(path.join("pid")).unwrap();
        Command::new("kill").args(["-HUP", pid.trim()]).status().unwrap()
    });
    let binary = Binary::start_with(folder, |command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo $$ > pid && exec \"$0\" serve"]).arg(command.get_program());
        shell.current_dir(command.get_current_dir().unwrap());
        *command = shell;
    });
    assert!(hasty.join().unwrap().success());
    eventually("it reads the configuration", || binary.log().contains("mcpd.toml: nothing is new"));
    binary.call(&binary.default_key(), Request::chat("Hello")).expect(200);
}

#[test]
fn a_hangup_while_it_stops_changes_nothing() {
    let (go_on, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let fake = FakeUpstream::start(move |_, connection| {
        begin_stream(connection);
        send_event(connection, r#"{"choices":[{"delta":{"content":"x"}}]}"#);
        wait.lock().unwrap().recv().unwrap();
        send_event(connection, "[DONE]");
        end_stream(connection);
        false
    });
    let binary = Binary::start(&upstream("x", fake.address, "models = [\"m\"]"));
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let body = json!({"model": "m", "stream": true, "messages": messages});
    let ask = Request::post("/v1/chat/completions", &body).bearer(&binary.default_key());
    let mut running = ask.open(binary.public);
    running.event().unwrap();
    binary.signal("TERM");
    for times in 1..3 {
        binary.signal("HUP");
        let told = "the configuration is not read again: the server is stopping";
        eventually("it says so", || binary.log().matches(told).count() == times);
    }
    go_on.send(()).unwrap();
    assert_eq!(running.events(), ["[DONE]"]);
    assert!(running.complete);
    let log = binary.log();
    assert_eq!((binary.wait().0, outcomes(&log)), (Some(0), 0));
}

#[test]
fn a_daemon_in_the_background_reloads_too() {
    let folder = Folder::new();
    fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
    let started = command(&folder, &["serve", "--daemon"]).output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let file = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let pid = file("data/mcpd.pid");
    let kill = |signal| assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
    fs::write(folder.path().join("mcpd.toml"), format!("{CONFIG}plans.free.requests_per_minute = 77\n"))
        .unwrap();
    kill("-HUP");
    eventually("it reloads", || file("data/mcpd.log").contains("reloaded mcpd.toml: new are plans\n"));
    kill("-TERM");
    eventually("it ends", || !folder.path().join("data/mcpd.pid").exists());
}
