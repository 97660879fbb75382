//! A configuration that cannot be used changes nothing.

use std::fs;

use serde_json::json;

use super::{key, reload, reread, write};
use crate::harness::binary::{CONFIG, make_certificate};
use crate::harness::{Binary, Folder, Request};
use crate::supervised::supervised;

#[test]
fn an_invalid_file_is_refused_whole_by_name_and_setting() {
    let binary = Binary::start("plans.free.requests_per_minute = 50\n");
    let free = key(&binary, json!({"plan": "free"}));
    let change = "plans.free.requests_per_minute = 9\nserver.max_json_bytes = 10\n";
    let openai = "[[upstreams]]\nname = \"x\"\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1\"\n";
    let cases = [
        ("log.levle = \"info\"\n".to_owned(), "mcpd.toml: `log.levle`: unknown setting, the nearest"),
        ("limits.default_plan = \"none\"\n".to_owned(), "mcpd.toml: `limits.default_plan`: there is no plan"),
        ("signing.max_skew_seconds = 0\n".to_owned(), "mcpd.toml: `signing.max_skew_seconds`: must be"),
        ("admin.listen = \n".to_owned(), "mcpd.toml: "),
        (
            format!("{openai}api_key_file = \"none\"\n"),
            "mcpd.toml: `upstreams[0].api_key_file`: cannot read none",
        ),
        (
            "[server.tls]\ncert = \"none.pem\"\nkey = \"none.key\"\n".to_owned(),
            "mcpd.toml: server.tls.cert: cannot use none.pem: ",
        ),
    ];
    for (wrong, said) in cases {
        let told = reload(&binary, &format!("{change}{wrong}"));
        let line = told.lines().find(|line| line.contains(" ERROR ")).unwrap_or_else(|| panic!("{told}"));
        assert!(line.contains(said) && line.contains("`mcpd check`, and reload again"), "{line}");
        assert!(!told.contains("reloaded mcpd.toml"), "{told}");
        let answer = binary.call(&free, Request::get("/v1/key")).expect(200);
        assert_eq!(answer.header("x-ratelimit-limit"), Some("50"));
        binary.call(&binary.default_key(), Request::chat("Hello")).expect(200);
    }
    let told = reload(&binary, "plans.free.requests_per_minute = 9\n");
    assert!(told.contains("new are plans"), "{told}");
}

#[test]
fn a_file_that_is_gone_does_not_mean_the_defaults() {
    let binary = Binary::start("plans.free.requests_per_minute = 50\n");
    fs::remove_file(binary.path("mcpd.toml")).unwrap();
    let told = reread(&binary);
    assert!(told.contains("still holds: mcpd.toml: cannot be read: No such file"), "{told}");
    let server = binary.admin(Request::get("/admin/v1/server")).expect(200).json();
    assert_eq!(server["plans"]["free"], 50);
}

#[test]
fn a_certificate_that_does_not_fit_leaves_the_old_one() {
    let folder = Folder::new();
    let tls = "server.tls = { cert = \"own.pem\", key = \"own.key\" }\n";
    fs::write(folder.path().join("mcpd.toml"), format!("{CONFIG}{tls}")).unwrap();
    make_certificate(folder.path(), "own");
    make_certificate(folder.path(), "other");
    let binary = Binary::start_in(folder);
    fs::copy(binary.path("own.pem"), binary.path("kept.pem")).unwrap();
    fs::copy(binary.path("other.pem"), binary.path("own.pem")).unwrap();
    write(&binary, &format!("{tls}plans.free.requests_per_minute = 77\n"));
    binary.signal("HUP");
    crate::harness::eventually("it is refused", || {
        binary.log().contains("mcpd.toml: server.tls.key: cannot use own.key: does not fit the certificate")
    });
    let server = binary.admin(Request::get("/admin/v1/server")).expect(200).json();
    assert_eq!(server["plans"]["free"], 10);
    super::load::expect_certificate(&binary, "kept.pem", "other.pem");
}

#[test]
fn a_service_manager_hears_of_a_reload_and_of_one_that_was_refused() {
    let (binary, manager) = supervised("", &[]);
    assert!(manager.hears_news().starts_with("READY=1\n"));
    for (toml, end) in
        [("log.level = \"warn\"\n", ""), ("log.levle = 1\n", "; not reloaded: mcpd.toml: `log.levle`")]
    {
        let clock = || {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
        };
        write(&binary, toml);
        let before = clock();
        binary.signal("HUP");
        let reloading = manager.hears();
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let time: i64 = time.lines().next().unwrap().parse().unwrap();
        assert!((before..=clock()).contains(&time), "{reloading}");
        let ready = manager.hears();
        let status = format!("READY=1\nSTATUS=Answering on http://{}{end}", binary.public);
        assert!(ready.starts_with(&status), "{ready}");
        assert_eq!(ready.lines().count(), 2);
    }
}
