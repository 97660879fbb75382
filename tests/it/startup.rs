//! How the binary starts, and what keeps it from starting.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::binary::{CONFIG, command, make_certificate};
use crate::harness::{Binary, Folder, Request, eventually};

/// Everything below a folder: mode, size, time of change and contents.
type Listing = BTreeMap<String, (u32, u64, SystemTime, Vec<u8>)>;

fn list(folder: &Path) -> Listing {
    let mut listing = Listing::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(path) = folders.pop() {
        let found = path.symlink_metadata().unwrap();
        if found.is_dir() {
            folders.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let contents = if found.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let digest = ring::digest::digest(&ring::digest::SHA256, &contents).as_ref().to_vec();
        let entry = (found.permissions().mode(), found.len(), found.modified().unwrap(), digest);
        listing.insert(path.to_str().unwrap().to_owned(), entry);
    }
    listing
}

/// Runs it to its end; kills it, and fails the test, if it goes on.
fn run(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("it started: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// What is wrong with a refusal to start: it must be status 1, one line that names these, and no change.
fn faults_of(folder: &Path, command: Command, names: &[&str]) -> Vec<String> {
    let before = list(folder);
    let output = run(command);
    let after = list(folder);
    let mut faults = Vec::new();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() != Some(1) {
        faults.push(format!("status {:?}: {said}", output.status.code()));
    }
    if !said.starts_with("mcpd: ") || said.matches('\n').count() != 1 || !said.ends_with('\n') {
        faults.push(format!("not one line: {said:?}"));
    }
    let missing = names.iter().filter(|name| !said.contains(**name));
    faults.extend(missing.map(|name| format!("does not name `{name}`: {said}")));
    if !output.stdout.is_empty() {
        faults.push(format!("standard output: {}", String::from_utf8_lossy(&output.stdout)));
    }
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    faults.extend(changed.map(|path| format!("changed {path}")));
    faults
}

/// A folder with a configuration.
fn folder(toml: &str) -> Folder {
    let folder = Folder::new();
    fs::write(folder.path().join("mcpd.toml"), toml).unwrap();
    folder
}

/// A folder with a configuration on free ports.
fn ready(toml: &str) -> Folder {
    folder(&format!("{CONFIG}{toml}"))
}

/// A folder in which mcpd ran before, cleanly.
fn used() -> Folder {
    let binary = Binary::start("");
    let key = binary.default_key();
    binary.call(&key, Request::chat("Hello")).expect(200);
    let folder = binary.end("TERM");
    fs::remove_file(folder.path().join("log")).unwrap();
    folder
}

fn expect_all(faults: impl IntoIterator<Item = (String, Vec<String>)>) {
    let faults: Vec<_> = faults.into_iter().filter(|(_, faults)| !faults.is_empty()).collect();
    let text = faults.iter().map(|(name, faults)| format!("\n{name}:\n  {}", faults.join("\n  ")));
    assert!(faults.is_empty(), "{}", text.collect::<String>());
}

#[test]
fn a_bad_configuration_is_refused_in_one_line_that_says_where() {
    let cases: &[(&str, &[&str])] = &[
        ("server.lisen = []", &["mcpd.toml", "server.lisen", "server.listen"]),
        ("[sever]\nlisten = []", &["mcpd.toml", "sever", "server"]),
        ("\"a\\nb\" = 1", &["mcpd.toml", "unknown setting"]),
        ("[plans.\"a\\nb\"]\nrequests_per_minute = 1", &["mcpd.toml"]),
        ("[[upstreams]]\nname = \"a\\nb\"\nkind = \"echo\"", &["mcpd.toml", "upstreams[0].name"]),
        ("server = [", &["mcpd.toml", "line 1"]),
        ("log.level = \"info", &["mcpd.toml", "line 1"]),
        ("log.level = \"loud\"", &["mcpd.toml", "log.level", "trace"]),
        ("log.format = 7", &["mcpd.toml", "log.format", "text"]),
        ("server.listen = [\"localhost:8080\"]", &["mcpd.toml", "server.listen", "localhost:8080"]),
        ("server.listen = []", &["mcpd.toml", "server.listen"]),
        ("server.trusted_proxies = [\"10.0.0.0/33\"]", &["mcpd.toml", "server.trusted_proxies"]),
        ("server.workers = 0", &["mcpd.toml", "server.workers", "1"]),
        ("admin.listen = \"0.0.0.0:8081\"", &["mcpd.toml", "admin.listen", "loopback"]),
        ("admin.listen = \"[::]:8081\"", &["mcpd.toml", "admin.listen", "loopback"]),
        ("admin.listen = \"192.0.2.1:8081\"", &["mcpd.toml", "admin.listen", "loopback"]),
        ("limits.failed_auth_per_minute = 0", &["mcpd.toml", "limits.failed_auth_per_minute"]),
        ("limits.default_plan = \"platinum\"", &["mcpd.toml", "limits.default_plan", "platinum"]),
        ("limits.default_plan = \"enterprise\"", &["mcpd.toml", "limits.default_plan"]),
        ("usage.keep_days = \"soon\"", &["mcpd.toml", "usage.keep_days"]),
        ("store.path = \"\"", &["mcpd.toml", "store.path"]),
        ("server.tls.cert = \"cert.pem\"", &["mcpd.toml", "server.tls.key"]),
        ("server.tls = { cert = \"none.pem\", key = \"none.key\" }", &["server.tls.cert", "none.pem"]),
        ("server.tls = { cert = \"mcpd.toml\", key = \"none.key\" }", &["server.tls.cert", "mcpd.toml"]),
        ("[[upstreams]]\nname = \"x\"", &["mcpd.toml", "upstreams[0].kind"]),
        ("[[upstreams]]\nname = \"x\"\nkind = \"openai\"", &["mcpd.toml", "upstreams[0].base_url"]),
        (
            "[[upstreams]]\nname = \"x\"\nkind = \"openai\"\nbase_url = \"http://x/v1\"\napi_key_env = \"NOT_SET\"",
            &["mcpd.toml", "upstreams[0].api_key_env", "NOT_SET"],
        ),
        (
            "[[upstreams]]\nname = \"x\"\nkind = \"openai\"\nbase_url = \"http://x/v1\"\napi_key_file = \"none\"",
            &["mcpd.toml", "upstreams[0].api_key_file", "none"],
        ),
    ];
    expect_all(cases.iter().flat_map(|(toml, names)| {
        ["serve", "check"].map(|word| {
            let folder = folder(toml);
            (format!("{word}: {toml}"), faults_of(folder.path(), command(&folder, &[word]), names))
        })
    }));
}

#[test]
fn a_bad_override_is_refused_by_the_variable_s_name() {
    let cases = [
        ("MCPD__SERVER__LISEN", "x", "server.listen"),
        ("MCPD__LOG__LEVEL", "loud", "trace"),
        ("MCPD__ADMIN__LISTEN", "0.0.0.0:1", "loopback"),
        ("MCPD__LIMITS__FAILED_AUTH_PER_MINUTE", "lots", "expected"),
        ("MCPD__SERVER__LISTEN", "127.0.0.1", "port"),
        ("MCPD__PLANS__FREE__REQUESTS_PER_MINUTE", "0", "1"),
        ("MCPD__UPSTREAMS__0__NAME", "x", "file only"),
    ];
    expect_all(cases.map(|(variable, value, hint)| {
        let folder = ready("");
        let mut command = command(&folder, &["serve"]);
        command.env(variable, value);
        (variable.to_owned(), faults_of(folder.path(), command, &[variable, hint]))
    }));
}

#[test]
fn a_configuration_that_was_named_must_be_there() {
    let folder = ready("");
    let named = command(&folder, &["serve", "--config", "other.toml"]);
    let mut in_environment = command(&folder, &["serve"]);
    in_environment.env("MCPD_CONFIG", "other.toml");
    let is_folder = command(&folder, &["serve", "--config", "."]);
    expect_all([
        ("--config".to_owned(), faults_of(folder.path(), named, &["other.toml"])),
        ("MCPD_CONFIG".to_owned(), faults_of(folder.path(), in_environment, &["other.toml"])),
        ("a folder".to_owned(), faults_of(folder.path(), is_folder, &["cannot be read"])),
    ]);
}

#[test]
fn root_uses_what_it_happens_to_find_only_where_nobody_else_can_write_it() {
    let is_root = rustix::process::geteuid().is_root();
    // What a folder and the file in it are to be: whose, and with which mode.
    let cases = [
        ((0, 0o755), (0, 0o644), 0),
        ((0, 0o775), (0, 0o664), 0),
        ((0, 0o777), (0, 0o644), 1),
        ((0, 0o1777), (0, 0o644), 1),
        ((0, 0o755), (0, 0o666), 1),
        ((54_321, 0o755), (0, 0o644), 1),
        ((0, 0o755), (54_321, 0o644), 1),
    ];
    // Only root can give something away.
    for (of_folder, of_file, status) in cases.into_iter().filter(|(a, b, _)| is_root || a.0 + b.0 == 0) {
        let folder = ready("");
        let file = folder.path().join("mcpd.toml");
        for (path, (user, mode)) in [(folder.path(), of_folder), (&file, of_file)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            if is_root {
                std::os::unix::fs::chown(path, Some(user), None).unwrap();
            }
        }
        let check = |arguments: &[&str]| {
            let plain = command(&folder, arguments);
            let mut as_root = Command::new(if is_root { "env" } else { "unshare" });
            as_root.args((!is_root).then_some("-r")).arg(plain.get_program()).args(arguments);
            as_root.current_dir(folder.path()).env_remove("MCPD_CONFIG");
            run(as_root)
        };
        let found = check(&["check"]);
        let said = String::from_utf8_lossy(&found.stderr).into_owned();
        assert_eq!(found.status.code(), Some(status), "{of_folder:?} {of_file:?}: {said}");
        let names = ["./mcpd.toml was found", "`--config ./mcpd.toml`", "`--config /etc/mcpd/mcpd.toml`"];
        assert!(status == 0 || names.iter().all(|name| said.contains(name)), "{said}");
        assert_eq!(said.lines().count(), usize::from(status == 1), "{said}");
        // Named, it is root's own choice.
        assert_eq!(check(&["check", "--config", "./mcpd.toml"]).status.code(), Some(0));
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let folder = ready("");
    let cases: [&[&str]; 5] =
        [&[], &["server"], &["serve", "--demon"], &["check", "--daemon"], &["serve", "--config"]];
    for arguments in cases {
        let output = run(command(&folder, arguments));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    assert_eq!(list(folder.path()).len(), 2);
}

#[test]
fn an_address_in_use_is_refused_by_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let public =
        format!("server.listen = [\"127.0.0.1:0\", \"{address}\"]\nadmin.listen = \"127.0.0.1:0\"\n");
    let admin = format!("server.listen = [\"127.0.0.1:0\"]\nadmin.listen = \"{address}\"\n");
    let nowhere = "server.listen = [\"192.0.2.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\n";
    let cases: [(&str, &str, &[&str]); 3] = [
        (&public, "server.listen", &[&address, "stop the program"]),
        (&admin, "admin.listen", &[&address, "stop the program"]),
        (nowhere, "server.listen", &["192.0.2.1", "no such address"]),
    ];
    expect_all(cases.iter().flat_map(|(toml, setting, names)| {
        let names = [&[*setting], *names].concat();
        [&["serve"][..], &["serve", "--daemon"]].map(|arguments| {
            let folder = folder(toml);
            let faults = faults_of(folder.path(), command(&folder, arguments), &names);
            (format!("{arguments:?} {setting}"), faults)
        })
    }));
}

#[test]
fn a_place_that_cannot_be_written_to_is_refused_by_its_setting() {
    let settings = ["store.path", "admin.token_file", "admin.socket"];
    // Below a file, below one that may be executed, and where nobody can make a folder.
    let places = ["mcpd.toml/x", "script/x", "folder", "/proc/mcpd/x"];
    // Only trying tells that nobody can make anything there, not even root: too late for nothing to change.
    let all = settings.iter().flat_map(|setting| places.map(|place| (*setting, place)));
    let all = all.filter(|(setting, place)| *setting == "store.path" || !place.starts_with("/proc"));
    expect_all(all.map(|(setting, place)| {
        let folder = ready(&format!("{setting} = \"{place}\"\n"));
        fs::write(folder.path().join("script"), "").unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path().join("script"), executable).unwrap();
        let faults = faults_of(folder.path(), command(&folder, &["serve"]), &[setting]);
        (format!("{setting} = {place}"), faults)
    }));
}

#[test]
fn what_stands_in_the_way_of_the_admin_api_is_refused() {
    let folder = ready("admin.socket = \"taken.sock\"\n");
    let _listener = UnixListener::bind(folder.path().join("taken.sock")).unwrap();
    let taken = faults_of(folder.path(), command(&folder, &["serve"]), &["admin.socket", "taken.sock"]);

    let folder = ready("admin.socket = \"mcpd.toml\"\n");
    let is_file = faults_of(folder.path(), command(&folder, &["serve"]), &["admin.socket", "mcpd.toml"]);

    let folder = ready("admin.token_file = \"token\"\n");
    fs::write(folder.path().join("token"), "\n").unwrap();
    let empty = faults_of(folder.path(), command(&folder, &["serve"]), &["admin.token_file", "token"]);
    expect_all([
        ("a socket in use".to_owned(), taken),
        ("a file for a socket".to_owned(), is_file),
        ("an empty token".to_owned(), empty),
    ]);
}

#[test]
fn a_database_that_is_not_mcpd_s_is_left_as_it_is() {
    let used = used();
    let whole = fs::read(used.path().join("data/mcpd.db")).unwrap();
    let page = usize::from(u16::from_be_bytes(whole[16..18].try_into().unwrap()));
    let foreign = |journal: &str| {
        let folder = Folder::new();
        let path = folder.path().join("x.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", journal).unwrap();
        connection.execute_batch("CREATE TABLE songs (title TEXT); PRAGMA user_version = 1;").unwrap();
        drop(connection);
        fs::read(path).unwrap()
    };
    let mut future = whole.clone();
    future[60..64].copy_from_slice(&99_u32.to_be_bytes());
    let cases: [(&str, Vec<u8>, &[&str]); 10] = [
        ("a text", b"hello, world\n".repeat(100), &["not an mcpd database"]),
        ("a short text", b"x".into(), &["not an mcpd database"]),
        ("another program's", foreign("DELETE"), &["not an mcpd database"]),
        ("another program's, with a log", foreign("WAL"), &["not an mcpd database"]),
        ("a later mcpd's", future, &["schema 99", "newer mcpd"]),
        ("cut in its header", whole[..50].into(), &[]),
        ("cut in its first page", whole[..page / 2].into(), &[]),
        ("cut after its first page", whole[..page].into(), &[]),
        ("cut in half", whole[..whole.len() / page / 2 * page].into(), &[]),
        ("cut by a byte", whole[..whole.len() - 1].into(), &[]),
    ];
    expect_all(cases.iter().flat_map(|(name, contents, names)| {
        let names = [&["store.path", "mcpd.db"], *names].concat();
        [false, true].map(|with_token| {
            let folder = ready("");
            fs::create_dir(folder.path().join("data")).unwrap();
            fs::write(folder.path().join("data/mcpd.db"), contents).unwrap();
            // As after a crash: all that mcpd makes but the database is there already.
            if with_token {
                fs::copy(used.path().join("data/admin-token"), folder.path().join("data/admin-token"))
                    .unwrap();
            }
            let faults = faults_of(folder.path(), command(&folder, &["serve"]), &names);
            (format!("{name}, with a token: {with_token}"), faults)
        })
    }));
    // Uncut, it is taken.
    drop(Binary::start_in(used));
}

#[test]
fn a_later_schema_is_seen_in_the_write_ahead_log_too() {
    let used = used();
    let folder = ready("");
    fs::create_dir(folder.path().join("data")).unwrap();
    let connection = Connection::open(used.path().join("data/mcpd.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    // As a crash leaves it: the header in the file is still the old one.
    for name in ["mcpd.db", "mcpd.db-wal"] {
        let name = format!("data/{name}");
        fs::copy(used.path().join(&name), folder.path().join(&name)).unwrap();
    }
    drop(connection);
    let output = run(command(&folder, &["serve"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.contains("schema 99")), (Some(1), true), "{said}");
    let connection = Connection::open(folder.path().join("data/mcpd.db")).unwrap();
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_second_daemon_on_the_same_database_is_refused() {
    let first = Binary::start("");
    // All that a start leaves to be written is written.
    first.admin(Request::get("/admin/v1/usage")).expect(200);
    let folder = first.folder.path();
    let same = command(&first.folder, &["serve"]);
    let in_background = command(&first.folder, &["serve", "--daemon"]);
    let names = ["store.path", "mcpd.db", "in use by another mcpd"];
    expect_all([
        ("serve".to_owned(), faults_of(folder, same, &names)),
        ("--daemon".to_owned(), faults_of(folder, in_background, &names)),
    ]);
    let health = Request::get("/admin/v1/server").send_unix(&first.path("data/admin.sock"));
    health.expect(200);
    first.call(&first.default_key(), Request::chat("Hello")).expect(200);
}

#[test]
fn check_says_whether_a_configuration_is_good() {
    let folder = ready("log.level = \"debug\"\n");
    let before = list(folder.path());
    let output = run(command(&folder, &["check"]));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("mcpd.toml: ok") && said.contains("echo"), "{said}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let output = run(command(&folder, &["check", "--json"]));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["ok"], &told["file"], &told["upstreams"]),
        (&json!(true), &json!("mcpd.toml"), &json!(["echo"]))
    );
    assert_eq!(list(folder.path()), before);
    let other = folder.path().join("other.toml");
    fs::write(&other, "log.levels = \"debug\"\n").unwrap();
    let output = run(command(&folder, &["check", "--config", other.to_str().unwrap()]));
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "mcpd: {}: `log.levels`: unknown setting, the nearest known one is `log.level`\n",
        other.display()
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    // Beside a daemon that runs, too.
    let binary = Binary::start("");
    assert_eq!(run(command(&binary.folder, &["check"])).status.code(), Some(0));
}

fn names_of_keys(binary: &Binary) -> Vec<Value> {
    let keys = binary.admin(Request::get("/admin/v1/keys")).expect(200).json();
    keys["data"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect()
}

#[test]
fn what_the_first_start_makes_is_its_owner_s_alone() {
    let binary = Binary::start("");
    binary.call(&binary.default_key(), Request::chat("Hello")).expect(200);
    let data = binary.path("data");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        let expected = if entry.file_type().unwrap().is_socket() { 0o660 } else { 0o600 };
        let name = entry.file_name().into_string().unwrap();
        assert_eq!(mode(&entry.path()), expected, "{name}");
        names.push(name);
    }
    for needed in ["admin-token", "admin.sock", "default-key", "mcpd.db"] {
        assert!(names.iter().any(|name| name == needed), "{needed} in {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains(".new")), "{names:?}");
}

#[test]
fn only_the_first_start_makes_a_key() {
    let binary = Binary::start("");
    let (key, token) = (binary.default_key(), binary.token());
    assert_eq!(names_of_keys(&binary), ["default"]);
    let binary = Binary::start_in(binary.end("TERM"));
    assert_eq!(names_of_keys(&binary), ["default"]);
    assert_eq!((binary.default_key(), binary.token()), (key.clone(), token));
    fs::remove_file(binary.path("data/default-key")).unwrap();
    let binary = Binary::start_in(binary.end("TERM"));
    assert!(!binary.path("data/default-key").exists());
    binary.call(&key, Request::chat("Hello")).expect(200);
    // Not even when there is none left.
    let keys = binary.admin(Request::get("/admin/v1/keys")).json();
    let path = format!("/admin/v1/keys/{}", keys["data"][0]["id"].as_str().unwrap());
    binary.admin(Request::new("DELETE", &path)).expect(200);
    let binary = Binary::start_in(binary.end("KILL"));
    assert_eq!(names_of_keys(&binary), [] as [Value; 0]);
    assert!(!binary.path("data/default-key").exists());
}

/// A daemon that went to the background; killed with the test.
struct Background(String);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.0]).stderr(Stdio::null()).status();
    }
}

#[test]
fn a_daemon_answers_logs_and_ends_by_its_pid_file() {
    let folder = ready("");
    let path = |name: &str| folder.path().join("data").join(name);
    let output = run(command(&folder, &["serve", "--daemon"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let pid = fs::read_to_string(path("mcpd.pid")).unwrap().trim().to_owned();
    let background = Background(pid.clone());
    assert!(said.starts_with("mcpd: started") && said.contains(&pid) && said.contains("mcpd.log"), "{said}");
    assert!(output.stdout.is_empty());
    let log = || fs::read_to_string(path("mcpd.log")).unwrap();
    let address = |mark: &str| -> Option<SocketAddr> {
        log().split(mark).nth(1)?.split_whitespace().next()?.parse().ok()
    };
    eventually("it logs where it listens", || address("listening on http://").is_some());
    let key = fs::read_to_string(path("default-key")).unwrap().trim().to_owned();
    let public = address("listening on http://").unwrap();
    Request::chat("Hello").bearer(&key).send(public).expect(200);
    for name in ["mcpd.log", "mcpd.pid"] {
        assert_eq!(path(name).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let names = ["store.path", "in use by another mcpd"];
    let second = faults_of(folder.path(), command(&folder, &["serve", "--daemon"]), &names);
    expect_all([("a second one".to_owned(), second)]);

    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    eventually("it ends", || !Path::new(&format!("/proc/{pid}")).exists() || is_zombie(&pid));
    assert!(!path("mcpd.pid").exists() && !path("admin.sock").exists());
    assert!(log().contains("stopped"));
    assert!(!log().contains(&key[7..]));
    drop(background);
}

#[test]
fn a_daemon_that_fails_in_the_end_says_so_in_its_log() {
    let folder = ready("usage.flush_milliseconds = 60000\n");
    let path = |name: &str| folder.path().join("data").join(name);
    let output = run(command(&folder, &["serve", "--daemon"]));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let pid = fs::read_to_string(path("mcpd.pid")).unwrap().trim().to_owned();
    let background = Background(pid.clone());
    let log = || fs::read_to_string(path("mcpd.log")).unwrap_or_default();
    let address = || -> Option<SocketAddr> {
        log().split("listening on http://").nth(1)?.split_whitespace().next()?.parse().ok()
    };
    eventually("it logs where it listens", || address().is_some());
    let full = "CREATE TRIGGER full BEFORE INSERT ON usage BEGIN SELECT RAISE(ABORT, 'no room left'); END";
    Connection::open(path("mcpd.db")).unwrap().execute_batch(full).unwrap();
    Request::get("/v1/models").send(address().unwrap()).expect(401);
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    eventually("it ends", || !Path::new(&format!("/proc/{pid}")).exists() || is_zombie(&pid));
    assert!(log().lines().last().unwrap().contains("could not be written"), "{}", log());
    assert!(!path("mcpd.pid").exists());
    drop(background);
}

/// Ended, though nobody has asked for its status yet: in a container there may be no one who does.
fn is_zombie(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

#[test]
fn a_daemon_that_cannot_start_says_why() {
    let cases = [
        ("log.level = \"loud\"\n", "log.level"),
        ("store.path = \"mcpd.toml\"\n", "not an mcpd database"),
        ("server.tls = { cert = \"none.pem\", key = \"none.key\" }\n", "none.pem"),
    ];
    expect_all(cases.map(|(toml, hint)| {
        let folder = ready(toml);
        let command = command(&folder, &["serve", "--daemon"]);
        (toml.to_owned(), faults_of(folder.path(), command, &[hint]))
    }));
}

#[test]
fn a_certificate_without_its_own_key_is_refused() {
    let cases = [
        ("cert = \"own.pem\", key = \"other.key\"", ["server.tls.key", "other.key"]),
        ("cert = \"own.key\", key = \"own.key\"", ["server.tls.cert", "own.key"]),
        ("cert = \"own.pem\", key = \"own.pem\"", ["server.tls.key", "own.pem"]),
        ("cert = \"own.pem\", key = \"none.key\"", ["server.tls.key", "none.key"]),
        ("cert = \"empty\", key = \"own.key\"", ["server.tls.cert", "empty"]),
    ];
    expect_all(cases.map(|(files, names)| {
        let folder = ready(&format!("server.tls = {{ {files} }}\n"));
        make_certificate(folder.path(), "own");
        make_certificate(folder.path(), "other");
        fs::write(folder.path().join("empty"), "").unwrap();
        (files.to_owned(), faults_of(folder.path(), command(&folder, &["serve"]), &names))
    }));
}

#[test]
fn an_encrypted_upstream_is_refused_where_no_certificate_is_trusted() {
    let upstream = "[[upstreams]]\nname = \"u\"\nkind = \"openai\"\nbase_url = \"https://127.0.0.1:9\"\nmodels = [\"m\"]\n";
    expect_all(["serve", "check"].map(|what| {
        let folder = ready(upstream);
        let mut command = command(&folder, &[what]);
        command.env("SSL_CERT_FILE", "/dev/null").env_remove("SSL_CERT_DIR");
        (
            what.to_owned(),
            faults_of(folder.path(), command, &["upstreams", "https", "install ca-certificates"]),
        )
    }));
}

#[test]
fn what_a_crash_left_behind_is_in_nobody_s_way() {
    let binary = Binary::start("");
    let folder = binary.end("KILL");
    assert!(folder.path().join("data/admin.sock").exists());
    let binary = Arc::new(Binary::start_in(folder));
    Request::get("/admin/v1/server").send_unix(&binary.path("data/admin.sock")).expect(200);
}

#[test]
fn all_addresses_of_both_families_can_be_listened_on() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = Folder::new();
    let config =
        format!("server.listen = [\"0.0.0.0:{port}\", \"[::]:{port}\"]\nadmin.listen = \"127.0.0.1:0\"\n");
    fs::write(folder.path().join("mcpd.toml"), config).unwrap();
    let _binary = Binary::start_in(folder);
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        Request::get("/healthz").send(address.parse().unwrap()).expect(200);
    }
}
