//! `mcpd.toml`: a file that is taken can be run with, and one that is not is told where, in one line, without its
//! secrets.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mcpd::clock::Clock;
use mcpd::config::{Config, Error, Problem};
use mcpd::upstream::Upstreams;

/// A shorter one may well stand in a message by chance.
const TELLING: usize = 12;

static FILE: LazyLock<String> = LazyLock::new(|| {
    let name = format!("mcpd-fuzz-{}.toml", std::process::id());
    std::env::temp_dir().join(name).display().to_string()
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A file that a key is read from may be a device that never ends.
    if text.contains("api_key_file") && (text.contains("/dev") || text.contains("/proc")) {
        return;
    }
    std::fs::write(&*FILE, data).unwrap();
    let load = || Config::load_from(Some(Path::new(&*FILE)), []);
    match load() {
        Ok(config) => check_taken(&config, &load().unwrap(), &keys_in(text)),
        Err(error) => check_refused(&error, text),
    }
});

fn check_taken(config: &Config, again: &Config, keys: &[&str]) {
    assert_eq!(config, again, "read twice, it says two things");
    assert_eq!(
        config.with_what_reloads(again.clone()),
        *config,
        "a reload without a change changes something"
    );
    assert!(config.admin.listen.ip().is_loopback());
    assert!(!config.server.listen.is_empty() && !config.upstreams.is_empty());
    if let Err(error) = Upstreams::new(&config.upstreams, Clock::System) {
        panic!("taken, but cannot be run with: {error}");
    }
    let shown = format!("{:?}", config.upstreams);
    for key in keys {
        // One that is also a name, a model or a URL is shown as that.
        let is_key = |upstream: &mcpd::config::Upstream| {
            upstream.api_key.as_ref().is_some_and(|secret| secret.expose() == *key)
        };
        let is_only_key = config.upstreams.iter().any(is_key) && !plain(config).contains(key);
        assert!(!is_only_key || !shown.contains(key), "`Debug` shows a key: {shown}");
    }
}

/// What of the upstreams may be shown.
fn plain(config: &Config) -> String {
    let plain = config.upstreams.iter().map(|upstream| {
        let url = upstream.base_url.as_ref().map(mcpd::config::BaseUrl::as_str);
        format!("{} {url:?} {:?}", upstream.name, upstream.models)
    });
    plain.collect()
}

fn check_refused(error: &Error, text: &str) {
    let message = error.to_string();
    assert!(message.starts_with(&*FILE), "it does not say where: {message}");
    assert!(!message.contains(['\n', '\r']), "more than a line: {message:?}");
    match error {
        Error::Setting { setting, problem, .. } => {
            assert!(!setting.is_empty(), "it names no setting: {message}");
            check_setting(setting, problem);
        }
        Error::Syntax { why, .. } => {
            assert!(!why.is_empty());
            // What cannot be read is not repeated, so that no secret is.
            for key in keys_in(text) {
                assert!(!message.contains(key), "it repeats a key: {message}");
            }
        }
        Error::Unreadable { .. } | Error::NotRoots(_) => panic!("a file like any other: {message}"),
    }
}

/// What is said of a key's setting never has a value in it.
fn check_setting(setting: &str, problem: &Problem) {
    let is_key = setting.ends_with(".api_key");
    let repeats = matches!(
        problem,
        Problem::NotAnAddress(_)
            | Problem::NotANetwork(_)
            | Problem::KeyVariableMissing(_)
            | Problem::NoChoice(_)
    );
    assert!(!is_key || !repeats, "`{setting}`: {problem}");
}

/// Returns what stands in quotes behind `api_key =`, once in the whole text, and is long enough to be told apart.
fn keys_in(text: &str) -> Vec<&str> {
    let behind = text.split("api_key").skip(1);
    let quoted = behind.filter_map(|rest| {
        let rest = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
        let key = &rest[..rest.find('"')?];
        let is_one =
            key.len() >= TELLING && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_one.then_some(key)
    });
    quoted.filter(|key| text.matches(key).count() == 1).collect()
}
