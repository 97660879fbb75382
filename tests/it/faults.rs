//! Faults: of mcpd itself, which cost the request that met them and nothing else, and of the machine, each in a file of
//! its own.

mod client;
mod clock;
mod database;
mod descriptors;
mod disk;
mod killed;
mod memory;
mod paused;
mod scene;
mod webhooks;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::web::Bytes;
use futures_util::{StreamExt as _, stream};
use mcpd::alerts::{Alerts, Watch};
use mcpd::clock::Clock;
use mcpd::config::Config;
use mcpd::domain::report_only::Findings;
use mcpd::domain::sighting::Seen;
use mcpd::domain::time::Timestamp;
use mcpd::domain::usage::{Bucket, Measured};
use mcpd::files::{Files, Limits};
use mcpd::gate::Demand;
use mcpd::gate::allowance::Allowance;
use mcpd::http::public::{Access, Handler, PublicRoute};
use mcpd::http::routes::Route;
use mcpd::keeper::{self, Keeper, LogLimits, Retention};
use mcpd::keys::Keys;
use mcpd::meter::{Meter, Record, Who};
use mcpd::store::Store;
use mcpd::store::usage::Step;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Folder, Request, Stream, TestServer, eventually};

static ROUTES: &[PublicRoute] = &[
    get("/v1/at-once", Handler::Whole(|_| panic!("as a handler might"))),
    get("/v1/unread", Handler::Streamed(|_| panic!("as a handler might"))),
    get(
        "/v1/later",
        Handler::Whole(|_| {
            Box::pin(async {
                actix_web::rt::task::yield_now().await;
                panic!("as a handler might")
            })
        }),
    ),
    get(
        "/v1/half-way",
        Handler::Whole(|_| {
            let pieces = stream::iter(0..).map(|number| match number {
                0 => Ok::<_, actix_web::Error>(Bytes::from_static(b"half")),
                _ => panic!("as a body might"),
            });
            Box::pin(async { Ok(HttpResponse::Ok().streaming(pieces)) })
        }),
    ),
    get(
        "/v1/fine",
        Handler::Whole(|_| Box::pin(async { Ok(HttpResponse::Ok().json(json!({"fine": true}))) })),
    ),
];

const fn get(pattern: &'static str, handler: Handler) -> PublicRoute {
    let access = Access::Key(Demand::AnyKey);
    Route { method: Method::GET, pattern, slashes: false, access, summary: "", handler }
}

/// A server with these routes, and a key that has one slot.
fn serving() -> (TestServer, String) {
    let server = TestServer::setup().routes(ROUTES).start();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    (server, key)
}

/// How many requests ended how: endpoint, status, and how many.
fn ends(server: &TestServer) -> Vec<(String, u64, u64)> {
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let rows = server.usage("endpoint,status");
    let mut ends: Vec<_> = rows
        .iter()
        .map(|row| {
            (row["endpoint"].as_str().unwrap().to_owned(), number(row, "status"), number(row, "requests"))
        })
        .collect();
    ends.sort();
    ends
}

#[test]
fn a_handler_that_panics_costs_its_request_and_nothing_else() {
    let (server, key) = serving();
    for path in ["/v1/at-once", "/v1/later"] {
        let mut connection = TcpStream::connect(server.public).unwrap();
        let mut ask = |path: &str| {
            let request = Request::get(path).bearer(&key).header("Connection", "keep-alive");
            connection.write_all(&request.bytes()).unwrap();
            Stream::of(connection.try_clone().unwrap()).finish()
        };
        let answer = ask(path).expect_error(500, "internal_error");
        assert!(answer.header("x-request-id").is_some(), "{path}");
        assert!(!answer.text().contains("as a handler might"), "{path}");
        // On the same connection, and with the one slot there is.
        ask("/v1/fine").expect(200);
        for _ in 0..3 {
            server.call(&key, Request::get("/v1/fine")).expect(200);
        }
    }
    let counted = [("/v1/at-once", 500, 1), ("/v1/fine", 200, 8), ("/v1/later", 500, 1)];
    assert_eq!(ends(&server), counted.map(|(path, status, count)| (path.to_owned(), status, count)));
}

#[test]
fn an_answer_that_panics_half_way_breaks_off_and_gives_its_slot_back() {
    let (server, key) = serving();
    for _ in 0..4 {
        let mut connection = TcpStream::connect(server.public).unwrap();
        let request = Request::get("/v1/half-way").bearer(&key).header("Connection", "keep-alive");
        connection.write_all(&request.bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
        server.call(&key, Request::get("/v1/fine")).expect(200);
    }
    let counted = [("/v1/fine", 200, 4), ("/v1/half-way", 500, 4)];
    assert_eq!(ends(&server), counted.map(|(path, status, count)| (path.to_owned(), status, count)));
}

#[test]
fn a_fault_of_the_background_writer_costs_one_batch_and_none_after_it() {
    let folder = Folder::new();
    let path = folder.path().join("mcpd.db");
    std::fs::write(folder.path().join("mcpd.toml"), "").unwrap();
    let plans = Config::load(Some(&folder.path().join("mcpd.toml"))).unwrap().plans;
    let (clock, hand) = Clock::manual();
    let store = Arc::new(Store::open(&path).unwrap());
    let keys = Arc::new(Keys::load(Arc::clone(&store), plans, clock.clone()).unwrap());
    let limits = Limits { max_bytes: 0, total_bytes: 0 };
    let files = Files::open(Arc::clone(&store), clock.clone(), limits).unwrap();
    let meter = Arc::new(Meter::new());
    let alerts = Arc::new(Alerts::load(Arc::clone(&store), clock.clone()).unwrap());
    let watch = Watch::new(alerts, Arc::clone(&store), keys.keyring(), clock.now()).unwrap();
    let (change, changed) = channel();
    let (keeper, thread) = Keeper::start(keeper::Rooms {
        store,
        meter: Arc::clone(&meter),
        changed,
        keys,
        trail: Arc::default(),
        files,
        watch,
        clock,
        flush: Duration::from_millis(10),
        retention: Retention([Step::Minute, Step::Hour, Step::Day].map(|step| (step, None))),
        log_limits: LogLimits::default(),
        pulse: Arc::default(),
    })
    .unwrap();
    let flush = || actix_web::rt::System::new().block_on(keeper.flush());
    let written = |table: &str| -> i64 {
        let database = Connection::open(&path).unwrap();
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };

    // So long after boot that it cannot be written down.
    hand.advance(Duration::from_secs(300 * 365 * 86_400));
    let allowance = Allowance::new("key_000000000000000000000000".parse().unwrap());
    change.send(Arc::clone(&allowance)).unwrap();
    eventually("the writer has met it, and let go of it", || Arc::strong_count(&allowance) == 1);
    assert_eq!(written("windows"), 0);

    let bucket = Bucket { minute: 0, key: None, endpoint: "/v1/key", status: 401, model: None };
    let measured = Measured::default();
    let who = Who { key: None, superseded: false, client: None, user_agent: b"", endpoint: "/v1/key" };
    let (seen, findings) = (Seen::once(Timestamp::from_seconds(0)), Findings::default());
    meter.count(Record { bucket, measured, code: None, activity: None, findings, who, seen });
    assert!(flush(), "it goes on writing");
    // By minute, quarter of an hour and day, for nobody and for everybody.
    assert_eq!(written("usage"), 6);
    hand.reboot();
    change.send(allowance).unwrap();
    eventually("windows are written too", || written("windows") == 1);
    keeper.stop();
    thread.join().unwrap();
}

/// Has a shell run the command, which is `$0` in the script and to be executed by it.
fn through_sh(command: &mut Command, script: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(command.get_program()).stdin(Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    *command = shell;
}
