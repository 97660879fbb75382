//! Backups, made and put back from the command line.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::asked::FakeDaemon;
use super::{key, run, run_with};
use crate::harness::binary::{CONFIG, command};
use crate::harness::pty::Terminal;
use crate::harness::{Binary, Folder, Request, eventually};

/// The schema of this mcpd.
const SCHEMA: u32 = 5;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// The names in a folder that begin so.
fn named(folder: &Path, begin: &str) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(begin)).collect();
    names.sort();
    names
}

/// A folder with a configuration and nothing else.
fn fresh() -> Folder {
    let folder = Folder::new();
    fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
    folder
}

/// A backup, and the secret of a key that is in it.
fn backup() -> (Folder, PathBuf, String) {
    let binary = Binary::start("");
    let (secret, _) = key(&binary, "kept");
    binary.call(&secret, Request::chat("Hello")).expect(200);
    let said = run(&binary.folder, &["backup", "copy.db"]);
    assert_eq!((said.status, said.out.as_str()), (Some(0), ""), "{}", said.err);
    let folder = binary.end("TERM");
    let path = folder.path().join("copy.db");
    (folder, path, secret)
}

#[test]
fn a_backup_restored_onto_a_fresh_install_has_all_there_was() {
    let (_folder, copy, secret) = backup();
    assert_eq!(mode(&copy), 0o600);
    let folder = fresh();
    let said = run(&folder, &["restore", copy.to_str().unwrap(), "--yes"]);
    assert_eq!((said.status, said.out.as_str()), (Some(0), ""), "{}", said.err);
    assert!(said.err.ends_with("Now start mcpd.\n") && !said.err.contains("is kept"), "{}", said.err);
    let data = folder.path().join("data");
    assert_eq!((mode(&data), mode(&data.join("mcpd.db"))), (0o700, 0o600));
    assert_eq!(named(&data, "mcpd.db"), ["mcpd.db", "mcpd.db.lock"]);
    let binary = Binary::start_in(folder);
    binary.call(&secret, Request::get("/v1/key")).expect(200);
    let told = run(&binary.folder, &["usage", "--from", "1h", "--key", "kept", "--json"]).done();
    assert!(
        serde_json::from_str::<Value>(&told).unwrap()["totals"]["requests"].as_u64() >= Some(1),
        "{told}"
    );
    run(&binary.folder, &["audit", "verify"]).done();
    run(&binary.folder, &["usage", "verify"]).done();
    // Once, however often it starts.
    let binary = Binary::start_in(binary.end("TERM"));
    let rows = binary.admin(Request::get("/admin/v1/audit?action=server.restore")).expect(200).json();
    let rows = rows["data"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["actor"], &rows[0]["target"]), (&json!({"via": "system"}), &json!("database")));
    let after = json!({"file": copy.to_str(), "bytes": copy.metadata().unwrap().len(), "schema": SCHEMA});
    assert_eq!(rows[0]["after"], after);
}

#[test]
fn a_backup_overwrites_nothing_unless_it_is_told_to() {
    let binary = Binary::start("");
    let path = binary.folder.path().join("copy.db");
    fs::write(&path, "mine").unwrap();
    let told = run(&binary.folder, &["backup", "copy.db"]).failed(1);
    assert!(told.contains("is there already") && told.contains("--force"), "{told}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    let told = run(&binary.folder, &["backup", "--force", "copy.db", "--json"]).done();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told, json!({"file": "copy.db", "bytes": path.metadata().unwrap().len()}));
    assert_eq!(mode(&path), 0o600);
    for (arguments, status) in [
        (&["backup", "data"][..], 1),
        (&["backup", "--force", "data"], 1),
        (&["backup", "no/such/folder"], 1),
        (&["backup"], 2),
        (&["backup", "-", "--json"], 2),
    ] {
        run(&binary.folder, arguments).failed(status);
    }
    let mut piped = Command::new("sh");
    piped
        .args(["-c", "\"$0\" backup - > piped.db", env!("CARGO_BIN_EXE_mcpd")])
        .current_dir(binary.folder.path());
    run_with(piped, "").done();
    let database = Connection::open(binary.folder.path().join("piped.db")).unwrap();
    let keys: u32 = database.query_row("SELECT count(*) FROM keys", [], |row| row.get(0)).unwrap();
    assert_eq!(keys, 1);
    assert_eq!(named(binary.folder.path(), "copy.db"), ["copy.db"]);
}

#[test]
fn a_backup_that_does_not_come_whole_is_none() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nSQLite format 3";
    let daemon = FakeDaemon::answering_in_turn(vec![head.into()]);
    let told = daemon.run(&["backup", "copy.db"]).failed(1);
    assert!(told.contains("15 of 100 bytes came"), "{told}");
    assert_eq!(named(daemon.folder.path(), "copy.db"), [""; 0]);
    fs::write(daemon.folder.path().join("copy.db"), "mine").unwrap();
    daemon.run(&["backup", "--force", "copy.db"]).failed(1);
    assert_eq!(fs::read_to_string(daemon.folder.path().join("copy.db")).unwrap(), "mine");
    let refused =
        json!({"error": {"code": "backup_running", "message": "wait until it is done", "type": "x"}});
    let daemon = FakeDaemon::json("409 Conflict", &refused);
    assert_eq!(daemon.run(&["backup", "copy.db"]).failed(1), "mcpd: wait until it is done\n");
}

#[test]
fn a_backup_removes_what_a_killed_one_left_and_nothing_else() {
    let binary = Binary::start("");
    let folder = binary.folder.path();
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let left = format!("copy.db.unfinished-{}", gone.id());
    // What another process makes just now, one of another machine or container with the same folder, and other files.
    let locked = format!("copy.db.unfinished-{}", gone.id() + 1_000_000_000);
    let others = [
        format!("copy.db.unfinished-{}", std::process::id()),
        locked.clone(),
        "copy.db.unfinished-".to_owned(),
        "copy.db.unfinished-1x".to_owned(),
        format!("other.db.unfinished-{}", gone.id()),
    ];
    for name in others.iter().chain([&left]) {
        fs::write(folder.join(name), "half").unwrap();
    }
    let held = fs::File::open(folder.join(&locked)).unwrap();
    held.lock().unwrap();
    for _ in 0..2 {
        let said = run(&binary.folder, &["backup", "--force", "copy.db"]);
        assert_eq!(said.status, Some(0), "{}", said.err);
        assert!(!folder.join(&left).exists());
        assert!(others.iter().all(|name| folder.join(name).exists()), "{:?}", named(folder, "copy"));
    }
}

#[test]
fn a_backup_that_is_interrupted_leaves_nothing() {
    // Its end never comes.
    let folder = fresh();
    fs::create_dir(folder.path().join("data")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(folder.path().join("data/admin.sock")).unwrap();
    let mut terminal = Terminal::start(&command(&folder, &["backup", "copy.db"]), 80);
    terminal.wait_for("Backing up …");
    eventually("it has begun", || named(folder.path(), "copy.db").len() == 1);
    terminal.keys("\x03");
    let (status, shown) = terminal.end();
    assert_eq!(status, Some(130), "{shown}");
    assert_eq!(named(folder.path(), "copy.db"), [""; 0]);
}

#[test]
fn what_is_no_whole_backup_is_refused_and_the_database_left() {
    let (folder, copy, _) = backup();
    let database = folder.path().join("data/mcpd.db");
    let (whole, before) = (fs::read(&copy).unwrap(), fs::read(&database).unwrap());
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("text.db", b"SQLite format 3, it says");
    write("empty.db", b"");
    write("cut.db", &whole[..whole.len() - 4096]);
    let mut damaged = whole.clone();
    for byte in &mut damaged[8_192 + 8..8_192 + 600] {
        *byte ^= 0xff;
    }
    write("damaged.db", &damaged);
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    write("newer.db", &newer);
    let mut foreign = whole.clone();
    foreign[68..72].copy_from_slice(b"song");
    write("foreign.db", &foreign);
    write("live.db", &whole);
    write("live.db-wal", b"something");
    for (name, told) in [
        ("none.db", "No such file"),
        ("text.db", "is no backup"),
        ("empty.db", "is no backup"),
        ("data", "is no backup"),
        ("foreign.db", "is no backup"),
        ("cut.db", "is cut short"),
        ("damaged.db", "is damaged"),
        ("newer.db", "schema 99"),
        ("live.db", "is not whole by itself"),
        ("data/mcpd.db", "is the database itself"),
    ] {
        let said = run(&folder, &["restore", name, "--yes"]).failed(1);
        assert!(said.contains(told) && said.contains(name) && said.lines().count() == 1, "{name}: {said}");
    }
    assert_eq!(fs::read(&database).unwrap(), before);
    assert_eq!(named(&folder.path().join("data"), "mcpd.db."), ["mcpd.db.lock"]);
    run(&folder, &["restore", "copy.db"]).failed(2);
    run(&folder, &["restore"]).failed(2);
}

#[test]
fn a_running_daemon_s_database_is_not_replaced() {
    let (folder, _, _) = backup();
    let binary = Binary::start_in(folder);
    let told = run(&binary.folder, &["restore", "copy.db", "--yes"]).failed(1);
    assert!(told.contains("stop it first"), "{told}");
    binary.call(&binary.default_key(), Request::chat("Hello")).expect(200);
    assert_eq!(named(&binary.path("data"), "mcpd.db."), ["mcpd.db.lock"]);
}

#[test]
fn the_database_that_is_replaced_is_kept_with_its_log() {
    let (folder, _, secret) = backup();
    let binary = Binary::start_in(folder);
    let (since, _) = key(&binary, "since");
    // What was written last is in the write-ahead log alone.
    let folder = binary.end("KILL");
    let data = folder.path().join("data");
    assert!(data.join("mcpd.db-wal").metadata().unwrap().len() > 0);
    let told = run(&folder, &["restore", "copy.db", "--yes", "--json"]).done();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["schema"], SCHEMA);
    assert_eq!(told["configuration"], folder.path().join("mcpd.toml").display().to_string());
    let kept = PathBuf::from(told["kept"].as_str().unwrap());
    let name = kept.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(name.starts_with("mcpd.db.before-restore-20"), "{name}");
    assert_eq!(mode(&kept), 0o600);
    assert_eq!(named(&data, "mcpd.db"), ["mcpd.db", name.as_str(), "mcpd.db.lock"]);
    let binary = Binary::start_in(folder);
    binary.call(&since, Request::get("/v1/key")).expect(401);
    binary.call(&secret, Request::get("/v1/key")).expect(200);
    // And back again.
    let folder = binary.end("TERM");
    let said = run(&folder, &["restore", kept.to_str().unwrap(), "--yes"]);
    assert!(said.status == Some(0) && said.err.contains("is kept as"), "{}", said.err);
    Binary::start_in(folder).call(&since, Request::get("/v1/key")).expect(200);
}

#[test]
fn a_restore_that_was_killed_halfway_leaves_no_second_name_of_the_database() {
    let (folder, copy, secret) = backup();
    let data = folder.path().join("data");
    let database = data.join("mcpd.db");
    let (twin, other) =
        (data.join("mcpd.db.before-restore-2026-01-01-000000"), data.join("mcpd.db.before-restore-other"));
    fs::copy(&copy, &other).unwrap();
    let after_start = |folder: Folder| Binary::start_in(folder).end("TERM");
    let after_restore = |folder: Folder| {
        assert_eq!(run(&folder, &["restore", "copy.db", "--yes"]).status, Some(0));
        folder
    };
    let mut folder = folder;
    for act in [&after_start as &dyn Fn(Folder) -> Folder, &after_restore] {
        // What was written last is in the log alone, and went with the name.
        let binary = Binary::start_in(folder);
        key(&binary, "since");
        folder = binary.end("KILL");
        fs::hard_link(&database, &twin).unwrap();
        fs::rename(data.join("mcpd.db-wal"), format!("{}-wal", twin.display())).unwrap();
        folder = act(folder);
        assert!(!twin.exists() && other.exists(), "{:?}", named(&data, "mcpd.db"));
        let mut kept = named(&data, "mcpd.db.before-restore-2");
        let has_since = kept.pop().map_or_else(|| database.clone(), |kept| data.join(kept));
        assert!(look(&has_since).1.contains(&"since".to_owned()), "{}", has_since.display());
        assert_eq!(database.metadata().unwrap().nlink(), 1);
    }
    Binary::start_in(folder).call(&secret, Request::get("/v1/key")).expect(200);
}

#[test]
fn a_database_that_may_have_no_second_name_is_copied() {
    let (folder, _, _) = backup();
    let data = folder.path().join("data");
    let database = data.join("mcpd.db");
    let before = fs::read(&database).unwrap();
    if rustix::process::geteuid().is_root() {
        // Who restores may read it and no more: the system gives no second name to such a file.
        std::os::unix::fs::chown(&data, Some(54_321), Some(54_321)).unwrap();
        fs::remove_file(data.join("mcpd.db.lock")).unwrap();
        fs::set_permissions(&database, fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::write(data.join("mcpd.db.before-restore.unfinished"), "half").unwrap();
    let told = run(&folder, &["restore", "copy.db", "--yes", "--json"]).done();
    let told: Value = serde_json::from_str(&told).unwrap();
    let kept = Path::new(told["kept"].as_str().unwrap());
    assert_eq!((fs::read(kept).unwrap(), mode(kept)), (before, 0o600));
    assert_eq!(named(&data, "mcpd.db").len(), 3, "{:?}", named(&data, "mcpd.db"));
}

#[test]
fn a_pipe_or_a_device_is_refused_at_once() {
    let (folder, _, _) = backup();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    for name in ["pipe", "/dev/zero", "/dev/null"] {
        let told = run(&folder, &["restore", name, "--yes"]).failed(1);
        assert!(told.contains("is no backup") && told.lines().count() == 1, "{name}: {told}");
    }
    // Nor does a start wait for one in the database's place.
    let database = folder.path().join("data/mcpd.db");
    fs::rename(folder.path().join("pipe"), &database).unwrap();
    for arguments in [&["serve"][..], &["check"], &["restore", "copy.db", "--yes"]] {
        let told = run(&folder, arguments).failed(1);
        assert!(told.contains("is not an mcpd database"), "{arguments:?}: {told}");
    }
}

#[test]
fn a_damaged_database_is_replaced_and_a_foreign_one_is_not() {
    let (folder, _, secret) = backup();
    let database = folder.path().join("data/mcpd.db");
    let whole = fs::read(&database).unwrap();
    fs::write(&database, &whole[..whole.len() / 2]).unwrap();
    fs::write(folder.path().join("data/mcpd.db-wal"), "no log at all").unwrap();
    let said = run(&folder, &["restore", "copy.db", "--yes"]);
    assert_eq!(said.status, Some(0), "{}", said.err);
    let binary = Binary::start_in(folder);
    binary.call(&secret, Request::get("/v1/key")).expect(200);
    let folder = binary.end("TERM");
    fs::write(&database, "the diary").unwrap();
    let told = run(&folder, &["restore", "copy.db", "--yes"]).failed(1);
    assert!(told.contains("is not an mcpd database"), "{told}");
    assert_eq!(fs::read_to_string(&database).unwrap(), "the diary");
}

#[test]
fn a_restore_asks_first_and_shows_how_far_it_is() {
    let (folder, _, secret) = backup();
    let database = folder.path().join("data/mcpd.db");
    let before = fs::read(&database).unwrap();
    for answer in ["\n", "no\n", "\x04"] {
        let mut terminal = Terminal::start(&command(&folder, &["restore", "copy.db"]), 100);
        terminal.wait_for("it is replaced, and kept beside it. [y/N] ");
        terminal.keys(answer);
        let (status, shown) = terminal.end();
        assert!(status == Some(1) && shown.contains("nothing was done"), "{shown}");
        assert_eq!(fs::read(&database).unwrap(), before);
    }
    let mut terminal = Terminal::start(&command(&folder, &["restore", "copy.db"]), 100);
    terminal.wait_for("[y/N] ");
    terminal.keys("y\n");
    terminal.wait_for("100 %");
    let (status, shown) = terminal.end();
    assert!(status == Some(0) && shown.contains("Checking …"), "{shown}");
    // Asked, and done: which configuration it went by is said.
    let by = format!("data/mcpd.db (store.path, by {})", folder.path().join("mcpd.toml").display());
    let shown = shown.replace("\r\n", "\n");
    assert_eq!(shown.matches(&by).count(), 2, "{shown}");
    let binary = Binary::start_in(folder);
    binary.call(&secret, Request::get("/v1/key")).expect(200);
    let mut terminal = Terminal::start(&command(&binary.folder, &["backup", "again.db"]), 100);
    terminal.wait_for("[########################] 100 %");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn what_root_restores_belongs_to_who_owned_it() {
    let (folder, _, _) = backup();
    let data = folder.path().join("data");
    let mine = data.metadata().unwrap().uid();
    let owner = if rustix::process::geteuid().is_root() { 54_321 } else { mine };
    for path in [&data, &data.join("mcpd.db")] {
        std::os::unix::fs::chown(path, Some(owner), None).unwrap();
    }
    fs::remove_file(data.join("mcpd.db.lock")).unwrap();
    assert_eq!(run(&folder, &["restore", "copy.db", "--yes"]).status, Some(0));
    fs::remove_file(data.join("mcpd.db")).unwrap();
    assert_eq!(run(&folder, &["restore", "copy.db", "--yes"]).status, Some(0));
    let names = named(&data, "mcpd.db");
    assert_eq!(names.len(), 3, "{names:?}");
    for name in names {
        let metadata = data.join(&name).metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (owner, 0o600), "{name}");
    }
}

#[test]
fn a_restore_that_is_interrupted_leaves_all_as_it_was() {
    let (folder, copy, _) = backup();
    let data = folder.path().join("data");
    let before = fs::read(data.join("mcpd.db")).unwrap();
    // It takes a while to check.
    let long = "CREATE TABLE long (a, b);
        INSERT INTO long WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
            SELECT i, hex(i * 7919 % 300007) FROM n;
        CREATE INDEX long_b ON long (b); CREATE INDEX long_ab ON long (a, b)";
    Connection::open(&copy).unwrap().execute_batch(long).unwrap();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut restore = command(&folder, &["restore", "copy.db", "--yes"]).spawn().unwrap();
        eventually("it has begun", || data.join("mcpd.db.restore-unfinished").exists());
        kill_process(Pid::from_child(&restore), signal).unwrap();
        assert_eq!(restore.wait().unwrap().code(), Some(status));
        assert_eq!(named(&data, "mcpd.db."), ["mcpd.db.lock"]);
        assert_eq!(fs::read(data.join("mcpd.db")).unwrap(), before);
    }
}

#[test]
fn small_disk_has_the_room_of_what_a_killed_restore_left() {
    let (folder, _, _) = backup();
    let own = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    let script = "rm -r data && mkdir data && mount -t tmpfs -o size=10m none data &&
        head -c 6000000 /dev/zero > data/mcpd.db.restore-unfinished && \"$0\" restore copy.db --yes && ls data";
    let mut unshare = Command::new("unshare");
    unshare.args([own, "sh", "-c", script, env!("CARGO_BIN_EXE_mcpd")]).current_dir(folder.path());
    let said = run_with(unshare, "");
    assert_eq!((said.status, said.out.as_str()), (Some(0), "mcpd.db\nmcpd.db.lock\n"), "{}", said.err);
}

#[test]
fn no_link_leads_root_out_of_the_folder() {
    let (folder, _, _) = backup();
    let data = folder.path().join("data");
    let (database, lock) = (data.join("mcpd.db"), data.join("mcpd.db.lock"));
    let victim = folder.path().join("victim");
    fs::write(&victim, "").unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        for path in [&data, &database, &lock] {
            std::os::unix::fs::chown(path, Some(54_321), Some(54_321)).unwrap();
        }
    }
    let refused = |told: &str| {
        let before = victim.metadata().unwrap();
        let said = run(&folder, &["restore", "copy.db", "--yes"]).failed(1);
        assert!(said.contains(told), "{said}");
        let after = victim.metadata().unwrap();
        assert_eq!((before.uid(), before.gid(), after.len()), (after.uid(), after.gid(), 0));
    };
    fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink(&victim, &lock).unwrap();
    refused("mcpd.db.lock: it is a symbolic link: remove it");
    fs::remove_file(&lock).unwrap();
    fs::hard_link(&victim, &lock).unwrap();
    refused(if is_root { "Permission denied" } else { "it is no file of its own" });
    fs::remove_file(&lock).unwrap();
    if is_root {
        fs::remove_file(&database).unwrap();
        std::os::unix::fs::symlink(&victim, &database).unwrap();
        refused("root does not follow it");
        // What is left there by name alone is replaced, not written to.
        fs::remove_file(&database).unwrap();
        std::os::unix::fs::symlink(&victim, data.join("mcpd.db.restore-unfinished")).unwrap();
        assert_eq!(run(&folder, &["restore", "copy.db", "--yes"]).status, Some(0));
        assert_eq!((victim.metadata().unwrap().uid(), victim.metadata().unwrap().len()), (0, 0));
        assert_eq!(database.metadata().unwrap().uid(), 54_321);
    }
}

/// Makes a database as the mcpd before alerts left it, with one key.
fn make_schema_three(path: &Path) {
    let database = Connection::open(path).unwrap();
    for name in ["renew_histogram", "sum_histograms"] {
        let keep = |context: &rusqlite::functions::Context<'_>| context.get::<Vec<u8>>(0);
        database.create_scalar_function(name, 1, FunctionFlags::SQLITE_UTF8, keep).unwrap();
    }
    for schema in [
        include_str!("../../../sql/0001_init.sql"),
        include_str!("../../../sql/0002_contexts_and_files.sql"),
        include_str!("../../../sql/0003_usage.sql"),
    ] {
        database.execute_batch(schema).unwrap();
    }
    database.pragma_update(None, "application_id", u32::from_be_bytes(*b"mcpd")).unwrap();
    database.pragma_update(None, "user_version", 3).unwrap();
    database
        .execute_batch(
            "INSERT INTO keys (id, digest, hint, name, enabled, scopes, plan, allowed_ips, allowed_models, metadata,
                 require_signature, created_at, allowance)
             VALUES ('key_000000000000000000000001', randomblob(32), 'mcp_sk_AbCd…wXyZ', 'old', 1, '*', 'free', '[]',
                 '[]', '{}', 0, 5, 'key_000000000000000000000001')",
        )
        .unwrap();
    database.pragma_update(None, "journal_mode", "WAL").unwrap();
}

/// Its schema, and the names of its keys.
fn look(path: &Path) -> (u32, Vec<String>) {
    let database = Connection::open(path).unwrap();
    let names = database
        .prepare("SELECT name FROM keys")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>();
    (database.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap(), names.unwrap())
}

#[test]
fn a_database_is_kept_as_it_was_before_its_schema_changes() {
    let folder = fresh();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    make_schema_three(&data.join("mcpd.db"));
    fs::write(data.join("mcpd.db.before-schema-unfinished"), "half").unwrap();
    let binary = Binary::start_in(folder);
    let kept = named(&data, "mcpd.db.before-schema");
    assert!(
        kept.len() == 1 && kept[0].starts_with(&format!("mcpd.db.before-schema-{SCHEMA}-20")),
        "{kept:?}"
    );
    let kept = data.join(&kept[0]);
    assert!(binary.log().contains(kept.file_name().unwrap().to_str().unwrap()), "{}", binary.log());
    assert_eq!((mode(&kept), look(&kept)), (0o600, (3, vec!["old".to_owned()])));
    let folder = Binary::start_in(binary.end("TERM")).end("TERM");
    assert_eq!(look(&data.join("mcpd.db")), (SCHEMA, vec!["old".to_owned()]));
    assert_eq!(named(&data, "mcpd.db.before-schema").len(), 1, "the next start needs none");
    // It can be gone back to, and on from there.
    for _ in 0..3 {
        let told = run(&folder, &["restore", kept.to_str().unwrap(), "--yes", "--json"]).done();
        assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["schema"], 3);
    }
    assert_eq!(named(&data, "mcpd.db.before-restore").len(), 3);
    assert_eq!(look(&data.join("mcpd.db")).0, 3);
    let folder = Binary::start_in(folder).end("TERM");
    assert_eq!(look(&data.join("mcpd.db")).0, SCHEMA);
    drop(folder);
    // A new one has nothing to keep.
    let binary = Binary::start("");
    assert_eq!(named(&binary.path("data"), "mcpd.db.before"), [""; 0]);
}

#[test]
fn a_start_that_is_told_to_stop_does_not_go_on_to_change_the_schema() {
    let folder = fresh();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    make_schema_three(&data.join("mcpd.db"));
    // It takes a while to copy and to check.
    let long = "CREATE TABLE long (a, b);
        INSERT INTO long WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
            SELECT i, hex(i * 7919 % 300007) FROM n;
        CREATE INDEX long_b ON long (b); CREATE INDEX long_ab ON long (a, b)";
    Connection::open(data.join("mcpd.db")).unwrap().execute_batch(long).unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut starting = command(&folder, &["serve"]);
        let starting = starting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually("it has begun", || data.join("mcpd.db.before-schema-unfinished").exists());
        kill_process(Pid::from_child(&starting), signal).unwrap();
        let output = starting.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("stopping before anything was answered") && !said.contains("ERROR"), "{said}");
        assert_eq!(look(&data.join("mcpd.db")).0, 3);
        assert_eq!(named(&data, "mcpd.db."), ["mcpd.db.lock"]);
    }
    let binary = Binary::start_in(folder);
    assert_eq!(look(&binary.path("data/mcpd.db")).0, SCHEMA);
}

#[test]
fn a_start_that_was_killed_in_a_schema_change_leaves_no_second_copy() {
    let folder = fresh();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    make_schema_three(&data.join("mcpd.db"));
    let old = fs::read(data.join("mcpd.db")).unwrap();
    let folder = Binary::start_in(folder).end("TERM");
    let first = data.join(&named(&data, "mcpd.db.before-schema")[0]);
    // As killed ones left them, a while ago; and one of something else.
    let left = data.join(format!("mcpd.db.before-schema-{SCHEMA}-2026-01-01-000000"));
    fs::rename(&first, &left).unwrap();
    let other = data.join(format!("mcpd.db.before-schema-{SCHEMA}-2026-01-02-000000"));
    make_schema_three(&other);
    Connection::open(&other).unwrap().execute_batch("UPDATE keys SET name = 'other'").unwrap();
    fs::write(data.join("mcpd.db"), old).unwrap();
    let folder = Binary::start_in(folder).end("TERM");
    let kept = named(&data, "mcpd.db.before-schema");
    assert!(kept.len() == 2 && !left.exists(), "{kept:?}");
    assert_eq!(look(&other).1, ["other"]);
    assert_eq!(look(&data.join(&kept[1])), (3, vec!["old".to_owned()]));
    drop(folder);
}

#[test]
fn a_restore_tells_of_a_default_key_that_is_none_any_more() {
    let (_folder, copy, _) = backup();
    let folder = Binary::start("").end("TERM");
    let path = folder.path().join("data/default-key");
    let said = run(&folder, &["restore", copy.to_str().unwrap(), "--yes"]);
    assert!(
        said.status == Some(0) && said.err.contains("data/default-key is not in this database: delete"),
        "{}",
        said.err
    );
    let told = run(&folder, &["restore", copy.to_str().unwrap(), "--yes", "--json"]);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert!(told["stale_default_key"].as_str().unwrap().ends_with("data/default-key"), "{told}");
    assert!(path.exists(), "the database that is kept knows it");
    let (folder, ..) = backup();
    let said = run(&folder, &["restore", "copy.db", "--yes"]);
    assert!(
        folder.path().join("data/default-key").exists() && !said.err.contains("default-key"),
        "{}",
        said.err
    );
}

#[test]
fn a_schema_that_cannot_be_changed_leaves_no_backup_behind() {
    let folder = fresh();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    make_schema_three(&data.join("mcpd.db"));
    // It is in the next schema's way.
    Connection::open(data.join("mcpd.db")).unwrap().execute_batch("CREATE TABLE alert_rules (x)").unwrap();
    let told = run(&folder, &["serve"]).failed(1);
    assert!(told.contains("alert_rules"), "{told}");
    assert_eq!(named(&data, "mcpd.db."), ["mcpd.db.lock"]);
    assert_eq!(look(&data.join("mcpd.db")).0, 3);
}

#[test]
fn small_disk_without_room_for_the_backup_refuses_the_start() {
    let folder = fresh();
    fs::create_dir(folder.path().join("data")).unwrap();
    make_schema_three(&folder.path().join("old.db"));
    let own = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    let script =
        "mount -t tmpfs -o size=6m none data && cp old.db data/mcpd.db && timeout 20 \"$0\" serve; code=$?
                  cmp old.db data/mcpd.db && ls data && exit $code";
    let mut unshare = Command::new("unshare");
    unshare.args([own, "sh", "-c", script, env!("CARGO_BIN_EXE_mcpd")]).current_dir(folder.path());
    let said = run_with(unshare, "");
    assert_eq!((said.status, said.out.as_str()), (Some(1), "mcpd.db\nmcpd.db.lock\n"), "{}", said.err);
    assert!(
        said.err.contains("A backup is made before") && said.err.contains("make room there"),
        "{}",
        said.err
    );
}
