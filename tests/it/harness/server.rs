//! The server in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use mcpd::clock::{Clock, ManualClock};
use mcpd::config::Config;
use mcpd::http::public::PublicRoute;
use mcpd::server::{HandOver, Passed, Server, Signal, StartError, Starting, Supervisor};
use mcpd::store::OpenError;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Answer, Folder, Request};

/// A server to be started.
#[derive(Clone)]
pub struct Setup {
    toml: String,
    clock: (Clock, Arc<ManualClock>),
    routes: &'static [PublicRoute],
    supervisor: Option<(PathBuf, Duration)>,
    workers: u32,
}

/// A running server. Its clock stands still until it is moved.
pub struct TestServer {
    pub folder: Folder,
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub token: String,
    pub clock: Arc<ManualClock>,
    setup: Setup,
    signals: mpsc::UnboundedSender<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Setup {
    /// More configuration, in TOML. Sections `server`, `admin` and `store` are the harness's own.
    pub fn toml(mut self, toml: &str) -> Self {
        self.toml.push_str(toml);
        self.toml.push('\n');
        self
    }

    /// An OpenAI-compatible upstream with these models.
    pub fn upstream(self, name: &str, address: SocketAddr, models: &[&str]) -> Self {
        self.toml(&format!(
            "[[upstreams]]\nname = \"{name}\"\nkind = \"openai\"\nbase_url = \"http://{address}/v1\"\nmodels = {models:?}"
        ))
    }

    /// Other routes in place of the API.
    pub fn routes(self, routes: &'static [PublicRoute]) -> Self {
        Self { routes, ..self }
    }

    /// As many threads for the public listener, in place of two.
    pub fn workers(self, workers: u32) -> Self {
        Self { workers, ..self }
    }

    /// A service manager that listens here, and wants a sign of life this often.
    pub fn supervised(self, socket: PathBuf, watchdog: Duration) -> Self {
        Self { supervisor: Some((socket, watchdog)), ..self }
    }

    pub fn start(self) -> TestServer {
        TestServer::start_in(Folder::new(), self)
    }
}

impl TestServer {
    /// A server with the defaults and a generous limit, so that tests of other things do not run into it.
    pub fn start() -> Self {
        Self::setup().start()
    }

    pub fn setup() -> Setup {
        let toml = "plans.standard.requests_per_minute = 100000\n".to_owned();
        Setup { toml, clock: Clock::manual(), routes: mcpd::api::ROUTES, supervisor: None, workers: 2 }
    }

    fn start_in(folder: Folder, setup: Setup) -> Self {
        let path = |name: &str| folder.path().join(name);
        let file = path("mcpd.toml");
        let own = format!(
            "server.listen = [\"127.0.0.1:0\"]\nserver.workers = {}\nserver.shutdown_grace_seconds = 2\n\
             admin.listen = \"127.0.0.1:0\"\nadmin.socket = \"{}\"\nadmin.token_file = \"{}\"\nstore.path = \"{}\"\n",
            setup.workers,
            path("admin.sock").display(),
            path("admin-token").display(),
            path("mcpd.db").display()
        );
        std::fs::write(&file, format!("{own}{}", setup.toml)).unwrap();
        let config = Config::load(Some(&file)).unwrap();
        let start = || {
            let supervisor = setup.supervisor.as_ref();
            let supervisor =
                supervisor.map(|(socket, watchdog)| Supervisor::at(socket.as_os_str(), Some(*watchdog)));
            let starting = Starting::watched_by(supervisor.unwrap_or_default());
            Server::start(config.clone(), setup.clock.0.clone(), HandOver::File, Passed::default(), starting)
        };
        // A process that another test has just forked holds the old server's lock until it has become another one.
        let mut server = (0..200)
            .find_map(|_| match start() {
                Err(StartError::Store(OpenError::Locked(_))) => {
                    std::thread::sleep(Duration::from_millis(10));
                    None
                }
                started => Some(started.unwrap()),
            })
            .expect("the database stays locked");
        server.routes = setup.routes;
        let (public, admin) = (server.listeners().public[0], server.listeners().admin);
        let (signals, mut sent) = mpsc::unbounded_channel();
        let thread = std::thread::spawn(move || {
            // Whoever sent the last one sends no second.
            let next = async || match sent.recv().await {
                Some(signal) => signal,
                None => std::future::pending().await,
            };
            server.run_alone(next).unwrap();
        });
        let token = std::fs::read_to_string(path("admin-token")).unwrap().trim().to_owned();
        Self {
            public,
            admin,
            token,
            clock: Arc::clone(&setup.clock.1),
            setup,
            signals,
            thread: Some(thread),
            folder,
        }
    }

    /// Stops cleanly and starts again on the same database with the same clock; ports change.
    pub fn restart(mut self) -> Self {
        self.stop();
        let folder = std::mem::replace(&mut self.folder, Folder::new());
        Self::start_in(folder, self.setup.clone())
    }

    /// The same with other configuration, in TOML.
    pub fn restart_with(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.setup.toml);
        self.restart()
    }

    pub fn stop(&mut self) {
        let _ = self.signals.send(Signal::Stop);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The key that the first start made.
    pub fn default_key(&self) -> String {
        std::fs::read_to_string(self.path("default-key")).unwrap().trim().to_owned()
    }

    /// Makes a key with these settings, besides a name and all scopes; returns it with its record.
    pub fn key(&self, settings: Value) -> (String, Value) {
        let mut body = json!({"name": "test", "scopes": ["*"]});
        for (name, value) in settings.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = self.admin(Request::post("/admin/v1/keys", &body)).expect(201).json();
        (made["key"].as_str().unwrap().to_owned(), made)
    }

    /// Sends a request to the admin listener, with the token.
    pub fn admin(&self, request: Request) -> Answer {
        request.bearer(&self.token).send(self.admin)
    }

    /// Sends a request to the public listener with a key.
    pub fn call(&self, key: &str, request: Request) -> Answer {
        request.bearer(key).send(self.public)
    }

    /// Lets time pass on both clocks.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The server's wall clock, in unix seconds.
    pub fn unix_time(&self) -> i64 {
        self.setup.clock.0.now().wall.as_seconds()
    }

    /// Usage of the last day, grouped as asked: the rows.
    pub fn usage(&self, group_by: &str) -> Vec<Value> {
        let usage = self.admin(Request::get(&format!("/admin/v1/usage?step=day&group_by={group_by}")));
        usage.expect(200).json()["data"].as_array().unwrap().clone()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
    }
}
