//! Builds the rooms from the configuration, binds, runs until told to stop, and drains.

mod bind;
mod changes;
mod error;
mod first_start;
mod listen;
mod passed;
mod reload;
mod supervisor;
mod tls;
mod watchdog;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use actix_server::{Server as ActixServer, ServerHandle};
use actix_web::rt::task::JoinHandle;
use actix_web::{HttpRequest, web};
use ring::rand::SystemRandom;
use tokio::sync::Notify;

pub use error::StartError;
pub use first_start::DefaultKey;
pub use passed::Passed;
pub use reload::SetLevel;
pub use supervisor::Supervisor;

use crate::admin::{self, AdminToken, Listeners};
use crate::alerts::{Alerts, Courier, Watch};
use crate::clock::Clock;
use crate::config::{self, Config, Kind};
use crate::contexts::Contexts;
use crate::domain::alphabet;
use crate::domain::skew::Skew;
use crate::files::{Files, Limits};
use crate::gate::Gate;
use crate::gate::trail::Trail;
use crate::http::block::{Nice, step_back};
use crate::http::live::{CurrentRooms, Live, Signing};
use crate::http::public::{self, PublicRoute};
use crate::http::request_id::RequestIds;
use crate::keeper::{self, Keeper, LogLimits, Retention};
use crate::keys::Keys;
use crate::latest::Latest;
use crate::meter::Meter;
use crate::pulse::Pulse;
use crate::store::Store;
use crate::store::usage::Step;
use crate::upstream::{Client, Connections, Upstreams};
use bind::Sockets;
use listen::{Listener, listen};
use reload::Reloading;
use tls::Certificate;
use watchdog::Watchdog;

/// How often upstreams that tell their models themselves are asked again.
const REFRESH: Duration = Duration::from_secs(30);
/// How long connections that were taken may take to send a request before the server stops: where the next process takes
/// those that come meanwhile, time enough for a slow handshake, or for an idle client to hear that it is the last one;
const LAST_CALL: Duration = Duration::from_millis(100);
/// where they are refused once this is over, the sooner the better.
const HARDLY: Duration = Duration::from_millis(20);
/// How long requests that were cut off may take to be counted.
const LAST_COUNT: Duration = Duration::from_millis(500);

/// A server that is ready to run: everything is read, bound and open.
pub struct Server {
    config: Config,
    rooms: Arc<Shared>,
    sockets: Sockets,
    keeper_thread: thread::JoinHandle<bool>,
    /// The key that was made at this first start, if it is the caller's to show.
    pub default_key: Option<DefaultKey>,
    /// What the public listener answers: the API, unless a test puts its own here.
    pub routes: &'static [PublicRoute],
    /// Who is told how the server does: nobody, unless somebody is put here.
    pub supervisor: Supervisor,
    /// What sets the level of the log when the configuration is read again: nothing, unless it is put here.
    pub set_level: SetLevel,
    keeper_pulse: Arc<Pulse>,
}

/// What the server is told from outside while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To end; the second time, at once.
    Stop,
    /// To read the configuration again.
    Reload,
}

/// What all workers share.
struct Shared {
    admin: Arc<admin::Rooms>,
    gate: Arc<Gate>,
    contexts: Arc<Contexts>,
    files: Arc<Files>,
    /// Told when there are other upstreams.
    reloaded: Notify,
    clock: Clock,
    stopping: Arc<AtomicBool>,
    random: [u8; 10],
    workers: AtomicUsize,
}

/// What becomes of the default key's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// It is in [`Server::default_key`], to be shown.
    Caller,
    /// It is written to the file `default-key` beside the database.
    File,
}

impl Server {
    /// Fails if the server could not be started with this configuration. Changes nothing.
    pub fn check(config: &Config) -> Result<(), StartError> {
        Checked::new(config, &Clock::System).map(drop)
    }

    /// Starts everything but the answering. What can be checked is checked before anything is made.
    pub fn start(
        config: Config,
        clock: Clock,
        hand_over: HandOver,
        mut passed: Passed,
    ) -> Result<Self, StartError> {
        let Checked { upstreams, connections, certificate } = Checked::new(&config, &clock)?;
        Store::check_free(&config.store.path)?;
        bind::check_socket(&config, &passed)?;
        let tcp = bind::tcp(&config, &mut passed)?;
        let store = Arc::new(Store::open(&config.store.path)?);
        let random = SystemRandom::new();
        let token = first_start::admin_token(&config.admin.token_file, &random)?;
        let keys = Arc::new(Keys::load(Arc::clone(&store), config.plans.clone(), clock.clone())?);
        keeper::restore(&store, &keys.keyring(), &clock, config.signing.max_skew)?;
        let sockets = bind::socket(&config, passed.socket, tcp, certificate)?;
        let default_key = first_start::default_key(&keys, &config.store.path, hand_over)?;
        let meter = Arc::new(Meter::new());
        let contexts = Contexts::new(Arc::clone(&store), clock.clone(), config.server.max_json_bytes as u64);
        let config::Files { max_bytes, total_bytes } = config.files;
        let files = Files::open(Arc::clone(&store), clock.clone(), Limits { max_bytes, total_bytes })?;
        let alerts = Arc::new(Alerts::load(Arc::clone(&store), clock.clone())?);
        let watch = Watch::new(Arc::clone(&alerts), Arc::clone(&store), keys.keyring(), clock.now())?;
        let (changed_sender, changed) = channel();
        let (trail, keeper_pulse) = (Arc::new(Trail::new()), Arc::new(Pulse::new()));
        let (keeper, keeper_thread) = Keeper::start(keeper::Rooms {
            store: Arc::clone(&store),
            meter: Arc::clone(&meter),
            changed,
            keys: Arc::clone(&keys),
            trail: Arc::clone(&trail),
            files: Arc::clone(&files),
            watch,
            clock: clock.clone(),
            flush: config.usage.flush,
            retention: retention(&config.usage),
            log_limits: LogLimits::default(),
            pulse: Arc::clone(&keeper_pulse),
        })
        .map_err(StartError::Thread)?;
        let failed_auth = config.limits.failed_auth_per_minute.get();
        let gate = Arc::new(Gate::new(keys.keyring(), failed_auth, clock.clone(), changed_sender, trail));
        let signing = Signing { required: config.signing.required, skew: Skew::new(config.signing.max_skew) };
        let live = Live {
            trusted_proxies: config.server.trusted_proxies.clone(),
            max_json_bytes: config.server.max_json_bytes,
            signing,
            upstreams,
            connections,
        };
        let admin = admin::Rooms {
            keys,
            meter,
            keeper,
            alerts,
            store,
            live: Arc::new(Latest::new(live)),
            clock: clock.clone(),
            started: clock.now(),
            token: AdminToken::new(&token, &random).map_err(|_| StartError::Randomness)?,
            open_metrics: config.admin.open_metrics,
            listeners: sockets.listeners(&config),
            gate: Arc::clone(&gate),
            routes: crate::api::ROUTES,
        };
        let rooms = Shared {
            admin: Arc::new(admin),
            gate,
            contexts: Arc::new(contexts),
            files,
            reloaded: Notify::new(),
            clock,
            stopping: Arc::new(AtomicBool::new(false)),
            random: alphabet::random(&random).map_err(|_| StartError::Randomness)?,
            workers: AtomicUsize::new(0),
        };
        Ok(Self {
            config,
            rooms: Arc::new(rooms),
            sockets,
            keeper_thread,
            default_key,
            routes: crate::api::ROUTES,
            supervisor: Supervisor::default(),
            set_level: |_| {},
            keeper_pulse,
        })
    }

    /// Returns where the server listens.
    pub fn listeners(&self) -> &Listeners {
        &self.rooms.admin.listeners
    }

    /// Returns a model that can be asked for, if one is known already.
    pub fn some_model(&self) -> Option<String> {
        self.rooms.live().get().upstreams.catalog().models().first().map(|model| (*model).to_owned())
    }

    /// Does what [`run`](Self::run) does, in a system of its own.
    pub fn run_alone(self, next: impl AsyncFnMut() -> Signal) -> Result<(), StartError> {
        actix_web::rt::System::new().block_on(self.run(next))
    }

    /// Answers requests until it is told to stop, then lets those in flight end within the grace period. Told again,
    /// it ends them at once.
    pub async fn run(self, mut next: impl AsyncFnMut() -> Signal) -> Result<(), StartError> {
        let Self {
            config, rooms, sockets, keeper_thread, routes, supervisor, set_level, keeper_pulse, ..
        } = self;
        let certificate = sockets.certificate.clone();
        let last_call = if sockets.is_public_passed { LAST_CALL } else { HARDLY };
        let own_socket = sockets.is_own_socket.then(|| config.admin.socket.clone());
        let watchdog = Arc::new(Watchdog::new(supervisor.watchdog, keeper_pulse));
        let (public, admin) = sockets.serve(&config, &rooms, routes, &watchdog).map_err(StartError::Serve)?;
        let supervisor = Rc::new(supervisor);
        let watching = actix_web::rt::spawn(watch(watchdog, Rc::clone(&supervisor)));
        tell_ready(&config, &rooms.admin.listeners);
        supervisor.ready(&status(&rooms.admin.listeners));
        let handles = [public.handle(), admin.handle()];
        let servers = [public, admin].map(actix_web::rt::spawn);
        let refreshing = actix_web::rt::spawn(refresh_models(Arc::clone(&rooms)));
        let courier = Courier::new(Arc::clone(&rooms.admin.alerts));
        let delivering = courier.map(|courier| actix_web::rt::spawn(courier.run()));
        let grace = config.server.shutdown_grace;
        let mut reloading = Reloading { config, rooms: Arc::clone(&rooms), certificate, set_level };
        while next().await == Signal::Reload {
            reloading = reload(reloading, &supervisor).await;
        }
        tracing::info!("stopping: requests in flight have {grace:?} to end");
        supervisor.stopping(&format!("Stopping: requests in flight have {grace:?} to end"));
        rooms.stopping.store(true, Ordering::Relaxed);
        refreshing.abort();
        stop_servers(&handles, servers, last_call, stop(&mut next)).await;
        if let Some(delivering) = delivering {
            // What is not delivered by now is at the next start.
            delivering.abort();
        }
        wait_for_the_last(&rooms.admin.meter).await;
        rooms.admin.keeper.stop();
        let written = web::block(move || keeper_thread.join()).await;
        watching.abort();
        if let Some(path) = own_socket {
            // Left behind it would only be in the way of nothing; the next start replaces it.
            let _ = std::fs::remove_file(path);
        }
        if !matches!(written, Ok(Ok(true))) {
            return Err(StartError::Writer);
        }
        if let Err(error) = rooms.admin.store.checkpoint() {
            tracing::warn!("the write-ahead log stays beside the database: {error}");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Reads the configuration again, and tells how that went.
async fn reload(mut reloading: Reloading, supervisor: &Supervisor) -> Reloading {
    supervisor.reloading();
    let answering = status(&reloading.rooms.admin.listeners);
    let work = move || {
        let result = catch_unwind(AssertUnwindSafe(|| reloading.reload()));
        (reloading, result)
    };
    let (reloading, result) = web::block(work).await.expect("a panic was caught");
    match result {
        Ok(Ok(())) => supervisor.ready(&answering),
        Ok(Err(error)) => {
            tracing::error!(
                "the configuration was not reloaded, and what held before still holds: {error}; \
                 correct it, try it with `mcpd check`, and reload again"
            );
            supervisor.ready(&format!("{answering}; not reloaded: {error}"));
        }
        // The panic itself is in the log already.
        Err(_) => supervisor.ready(&format!("{answering}; not reloaded: a fault in mcpd")),
    }
    reloading
}

/// Waits until the server is told to stop once more.
async fn stop(next: &mut impl AsyncFnMut() -> Signal) {
    while next().await == Signal::Reload {
        tracing::warn!("the configuration is not read again: the server is stopping");
    }
}

async fn watch(watchdog: Arc<Watchdog>, supervisor: Rc<Supervisor>) {
    watchdog.run(&supervisor).await;
}

/// What can be had without making or binding anything.
struct Checked {
    upstreams: Arc<Upstreams>,
    connections: Connections,
    certificate: Option<Arc<Certificate>>,
}

impl Checked {
    fn new(config: &Config, clock: &Clock) -> Result<Self, StartError> {
        Store::check(&config.store.path)?;
        first_start::check_folders(config)?;
        bind::check_place(config)?;
        let upstreams = Arc::new(Upstreams::new(&config.upstreams, clock.clone())?);
        let connections = Connections::new(upstreams.servers())?;
        let certificate = config.server.tls.as_ref().map(tls::load).transpose()?;
        let certificate = certificate.map(|key| Arc::new(Certificate::new(key)));
        Ok(Self { upstreams, connections, certificate })
    }
}

impl Sockets {
    fn serve(
        self,
        config: &Config,
        rooms: &Arc<Shared>,
        routes: &'static [PublicRoute],
        watchdog: &Arc<Watchdog>,
    ) -> std::io::Result<(ActixServer, ActixServer)> {
        let Self { public, admin, socket, certificate, .. } = self;
        let grace = config.server.shutdown_grace.as_secs();
        let workers = config.server.workers.or(thread::available_parallelism().ok());
        let (shared, watched) = (Arc::clone(rooms), Arc::clone(watchdog));
        let make = move || {
            watched.join();
            let make = |live| shared.public(live, routes);
            let rooms = Rc::new(CurrentRooms::new(Arc::clone(shared.live()), make));
            move |request: HttpRequest, payload: web::Payload| {
                public::serve(rooms.now(), request, payload.into_inner())
            }
        };
        let builder = ActixServer::build().disable_signals().shutdown_timeout(grace);
        let mut builder = builder.workers(workers.map_or(1, Into::into));
        let tls = certificate.map(|certificate| certificate.config());
        for socket in public {
            let listener = match &tls {
                Some(tls) => Listener::Tls(socket, Box::new(tls.clone())),
                None => Listener::Tcp(socket),
            };
            builder = listen(builder, listener, make.clone(), &rooms.stopping)?;
        }
        let (shared, watched) = (Arc::clone(rooms), Arc::clone(watchdog));
        let make = move || {
            watched.join();
            // Whoever waits for a list or a backup waits a little longer, so that no request does.
            step_back(Nice::Behind);
            let (rooms, ids) = (Arc::clone(&shared.admin), Rc::new(shared.request_ids()));
            move |request: HttpRequest, payload: web::Payload| {
                admin::serve(Arc::clone(&rooms), Rc::clone(&ids), request, payload.into_inner())
            }
        };
        let admin_builder = ActixServer::build().disable_signals().shutdown_timeout(grace.min(5)).workers(1);
        let admin_builder = listen(admin_builder, Listener::Tcp(admin), make.clone(), &rooms.stopping)?;
        let admin_builder = listen(admin_builder, Listener::Unix(socket), make, &rooms.stopping)?;
        Ok((builder.run(), admin_builder.run()))
    }
}

impl Shared {
    fn live(&self) -> &Arc<Latest<Live>> {
        &self.admin.live
    }

    fn public(&self, live: Arc<Live>, routes: &'static [PublicRoute]) -> public::Rooms {
        let admin = &self.admin;
        public::Rooms {
            gate: Arc::clone(&self.gate),
            meter: Arc::clone(&admin.meter),
            keeper: admin.keeper.clone(),
            store: Arc::clone(&admin.store),
            clock: self.clock.clone(),
            upstream: self.client(&live),
            contexts: Arc::clone(&self.contexts),
            files: Arc::clone(&self.files),
            live,
            stopping: Arc::clone(&self.stopping),
            request_ids: Rc::new(self.request_ids()),
            routes,
        }
    }

    fn client(&self, live: &Live) -> Client {
        Client::new(Arc::clone(&live.upstreams), &live.connections, self.clock.clone())
    }

    fn request_ids(&self) -> RequestIds {
        RequestIds::new(self.random, self.workers.fetch_add(1, Ordering::Relaxed))
    }
}

async fn stop_servers(
    handles: &[ServerHandle; 2],
    servers: [JoinHandle<std::io::Result<()>>; 2],
    last_call: Duration,
    again: impl Future<Output = ()>,
) {
    let [public, admin] = handles;
    let [public_server, admin_server] = servers;
    let graceful = async {
        // The admin API goes on until the last stream has ended: it tells what is still running. A worker
        // that panicked has logged so; the others were stopped all the same.
        stop_server(public, last_call).await;
        let _ = public_server.await;
        stop_server(admin, last_call).await;
        let _ = admin_server.await;
    };
    tokio::select! {
        () = graceful => {}
        // A server that is stopping hears of nothing else: it ends with the process.
        () = again => tracing::warn!("stopping at once"),
    }
}

/// Takes no more connections, lets those that were just taken say what they want, and ends once all are answered.
async fn stop_server(server: &ServerHandle, last_call: Duration) {
    server.pause().await;
    // The server would drop what it has taken and not looked at yet.
    tokio::time::sleep(last_call).await;
    server.stop(true).await;
}

/// Waits until what the end of the grace period cut off is counted: each worker drops it when it gets to it.
async fn wait_for_the_last(meter: &Meter) {
    let counted = async {
        while !meter.is_complete() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // After a second signal nobody drops it before the process ends.
    let _ = tokio::time::timeout(LAST_COUNT, counted).await;
}

async fn refresh_models(rooms: Arc<Shared>) {
    let mut client = rooms.client(&rooms.live().get());
    loop {
        client.refresh(REFRESH).await;
        // Other upstreams are asked at once, or the first who wants a model of theirs would wait.
        let _ = tokio::time::timeout(REFRESH, rooms.reloaded.notified()).await;
        let live = rooms.live().get();
        client = client.renewed(&live.upstreams, &live.connections);
    }
}

fn retention(usage: &config::Usage) -> Retention {
    Retention([
        (Step::Minute, usage.keep_minutes),
        (Step::Hour, usage.keep_hours),
        (Step::Day, usage.keep_days),
    ])
}

/// Returns the addresses of the public listener.
fn urls(listeners: &Listeners) -> impl Iterator<Item = String> {
    let scheme = if listeners.tls { "https" } else { "http" };
    listeners.public.iter().map(move |address| format!("{scheme}://{address}"))
}

/// Returns the line that a service manager shows.
fn status(listeners: &Listeners) -> String {
    format!("Answering on {}", urls(listeners).collect::<Vec<_>>().join(", "))
}

fn tell_ready(config: &Config, listeners: &Listeners) {
    for url in urls(listeners) {
        tracing::info!("listening on {url}");
    }
    tracing::info!("admin API on http://{} and {}", listeners.admin, listeners.socket.display());
    if config.upstreams.iter().all(|upstream| upstream.kind == Kind::Echo) {
        tracing::info!(
            "the only upstream is `echo`: it says back the last user message, no model is behind it; \
             name your model server under [[upstreams]]"
        );
    }
}
