//! What a service manager hears: `sd_notify` as systemd understands it.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};
use std::{fs, thread};

use actix_web::HttpResponse;
use actix_web::http::Method;
use mcpd::gate::Demand;
use mcpd::http::public::{Access, Handler, PublicRoute};
use mcpd::http::routes::Route;

use crate::harness::binary::CONFIG;
use crate::harness::{Binary, Folder, Request, TestServer};

/// A service manager's end of the socket.
pub struct Manager(UnixDatagram);

impl Manager {
    pub fn listen(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self(socket)
    }

    /// What it is told next.
    pub fn hears(&self) -> String {
        let mut text = [0; 1024];
        let length = self.0.recv(&mut text).expect("it is told nothing");
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    /// What it is told next but signs of life.
    pub fn hears_news(&self) -> String {
        let is_sign = |text: &String| text == "WATCHDOG=1\n" || text.starts_with("EXTEND_TIMEOUT_USEC=");
        std::iter::repeat_with(|| self.hears()).find(|text| !is_sign(text)).unwrap()
    }
}

/// A started binary with a service manager.
pub fn supervised(toml: &str, variables: &[(&str, &str)]) -> (Binary, Manager) {
    let folder = Folder::new();
    let manager = Manager::listen(&folder);
    fs::write(folder.path().join("mcpd.toml"), format!("{CONFIG}{toml}")).unwrap();
    let socket = folder.path().join("notify");
    let binary = Binary::start_with(folder, |command| {
        command.env("NOTIFY_SOCKET", socket).envs(variables.iter().copied());
    });
    (binary, manager)
}

#[test]
fn a_service_manager_hears_of_the_start_signs_of_life_and_the_stop() {
    let (binary, manager) = supervised("", &[("WATCHDOG_USEC", "200000")]);
    let ready = manager.hears_news();
    assert_eq!(ready, format!("READY=1\nSTATUS=Answering on http://{}\n", binary.public));
    binary.call(&binary.default_key(), Request::chat("Hello")).expect(200);
    for _ in 0..3 {
        assert_eq!(manager.hears(), "WATCHDOG=1\n");
    }
    binary.signal("TERM");
    let stopping = manager.hears_news();
    assert!(stopping.starts_with("STOPPING=1\nSTATUS=Stopping: requests in flight have 30s"), "{stopping}");
    assert!(manager.hears_news().starts_with("STOPPING=1\nSTATUS=Stopping: writing out"));
    assert_eq!(binary.wait().0, Some(0));
}

#[test]
fn no_sign_of_life_is_given_where_none_is_asked_for() {
    for variables in [&[][..], &[("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")][..]] {
        let (binary, manager) = supervised("", variables);
        assert!(manager.hears_news().starts_with("READY=1\n"));
        thread::sleep(Duration::from_millis(50));
        binary.signal("TERM");
        assert!(manager.hears().starts_with("STOPPING=1\n"), "{variables:?}");
        binary.wait();
    }
}

/// For how many seconds more a message asks; 0 where it does not.
fn asked_for(message: &str) -> u64 {
    let micros = message.lines().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="));
    micros.map_or(0, |micros| micros.parse::<u64>().unwrap() / 1_000_000)
}

#[test]
fn a_start_and_a_stop_ask_for_the_time_that_they_need() {
    let (binary, manager) = supervised("server.shutdown_grace_seconds = 3600\n", &[]);
    let starting = manager.hears();
    assert!(asked_for(&starting) >= 60 && starting.contains("STATUS=Starting\n"), "{starting}");
    assert_eq!(asked_for(&manager.hears_news()), 0);
    binary.signal("TERM");
    let stopping = manager.hears_news();
    assert!(asked_for(&stopping) > 3600, "{stopping}");
    assert!(asked_for(&manager.hears_news()) >= 30);
    assert_eq!(binary.wait().0, Some(0));
}

static ROUTES: &[PublicRoute] = &[Route {
    method: Method::GET,
    pattern: "/v1/hang",
    slashes: false,
    access: Access::Key(Demand::AnyKey),
    summary: "",
    handler: Handler::Whole(|_| {
        Box::pin(async {
            thread::sleep(Duration::from_secs(2));
            Ok(HttpResponse::Ok().finish())
        })
    }),
}];

#[test]
fn a_worker_that_hangs_is_no_sign_of_life() {
    let folder = Folder::new();
    let manager = Manager::listen(&folder);
    let watchdog = Duration::from_millis(400);
    let server =
        TestServer::setup().routes(ROUTES).supervised(folder.path().join("notify"), watchdog).start();
    manager.hears_news();
    let key = server.default_key();
    let silence = thread::scope(|scope| {
        scope.spawn(|| server.call(&key, Request::get("/v1/hang")).expect(200));
        let start = Instant::now();
        let mut last = start;
        let mut longest = Duration::ZERO;
        while start.elapsed() < Duration::from_secs(3) {
            assert_eq!(manager.hears(), "WATCHDOG=1\n");
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        longest
    });
    assert!(silence > Duration::from_secs(1), "{silence:?}");
}
