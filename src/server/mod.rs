//! Builds the rooms from the configuration, and binds.

mod bind;
mod changes;
mod error;
mod first_start;
mod lifecycle;
mod listen;
mod passed;
mod reload;
mod starting;
mod supervisor;
mod tls;
mod watchdog;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use actix_server::Server as ActixServer;
use actix_web::{HttpRequest, web};
use ring::rand::SystemRandom;
use tokio::sync::Notify;

pub use error::StartError;
pub use first_start::DefaultKey;
pub use lifecycle::Signal;
pub use passed::Passed;
pub use reload::SetLevel;
pub use starting::Starting;
pub use supervisor::Supervisor;

use crate::admin::sign_ins::SignIns;
use crate::admin::{self, AdminToken, Listeners};
use crate::alerts::{Alerts, Watch};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::contexts::Contexts;
use crate::dashboard;
use crate::domain::alphabet;
use crate::domain::skew::Skew;
use crate::files::{Files, Limits};
use crate::gate::Gate;
use crate::gate::trail::Trail;
use crate::http::live::{CurrentRooms, Live, Signing};
use crate::http::public::{self, PublicRoute};
use crate::http::request_id::RequestIds;
use crate::keeper::{self, Keeper, LogLimits, Retention};
use crate::keys::Keys;
use crate::latest::Latest;
use crate::meter::Meter;
use crate::nice::{Nice, step_back};
use crate::pulse::Pulse;
use crate::store::Store;
use crate::store::usage::Step;
use crate::upstream::{Client, Connections, Upstreams};
use bind::Sockets;
use listen::{Listener, listen};
use tls::Certificate;
use watchdog::Watchdog;

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
    supervisor: Arc<Supervisor>,
    /// What sets the level of the log when the configuration is read again: nothing, unless it is put here.
    pub set_level: SetLevel,
    keeper_pulse: Arc<Pulse>,
}

/// What all workers share.
struct Shared {
    admin: Arc<admin::Rooms>,
    gate: Arc<Gate>,
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
        starting: Starting,
    ) -> Result<Self, StartError> {
        let Checked { upstreams, connections, certificate } = Checked::new(&config, &clock)?;
        Store::check_free(&config.store.path)?;
        bind::check_socket(&config, &passed)?;
        let tcp = bind::tcp(&config, &mut passed)?;
        let store = Arc::new(starting.open(&config.store.path)?);
        starting.go_on()?;
        let random = SystemRandom::new();
        let token = first_start::admin_token(&config.admin.token_file, &random)?;
        let keys = Arc::new(Keys::load(Arc::clone(&store), config.plans.clone(), clock.clone())?);
        starting.go_on()?;
        keeper::restore(&store, &keys.keyring(), &clock, config.signing.max_skew)?;
        starting.go_on()?;
        let sockets = bind::socket(&config, passed.socket, tcp, certificate)?;
        let default_key = first_start::default_key(&keys, &config.store.path, hand_over)?;
        let meter = Arc::new(Meter::new());
        let contexts = Contexts::new(Arc::clone(&store), clock.clone(), config.server.max_json_bytes as u64);
        let config::Files { max_bytes, total_bytes } = config.files;
        let files = Files::open(Arc::clone(&store), clock.clone(), Limits { max_bytes, total_bytes })?;
        starting.go_on()?;
        let alerts = Arc::new(Alerts::load(Arc::clone(&store), clock.clone())?);
        let watch = Watch::new(Arc::clone(&alerts), Arc::clone(&store), keys.keyring(), clock.now())?;
        starting.go_on()?;
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
            contexts: Arc::new(contexts),
            files,
            token: AdminToken::new(&token, &random).map_err(|_| StartError::Randomness)?,
            token_file: config.admin.token_file.clone(),
            sign_ins: SignIns::default(),
            open_metrics: config.admin.open_metrics,
            listeners: sockets.listeners(&config),
            gate: Arc::clone(&gate),
            routes: crate::api::ROUTES,
        };
        let rooms = Shared {
            admin: Arc::new(admin),
            gate,
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
            supervisor: starting.into_supervisor(),
            set_level: |_| {},
            keeper_pulse,
        })
    }

    /// Returns where the server listens.
    pub fn listeners(&self) -> &Listeners {
        &self.rooms.admin.listeners
    }

    /// Returns what the admin listener works with, to ask it without a socket.
    pub fn admin(&self) -> Arc<admin::Rooms> {
        Arc::clone(&self.rooms.admin)
    }

    /// Returns what a worker of the public listener works with, to ask it without a socket. It stays as the
    /// configuration is now.
    pub fn public(&self) -> public::Rooms {
        self.rooms.public(self.rooms.live().get(), self.routes)
    }

    /// Returns a model that can be asked for, if one is known already.
    pub fn some_model(&self) -> Option<String> {
        self.rooms.live().get().upstreams.catalog().models().first().map(|model| (*model).to_owned())
    }
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
                dashboard::serve(Arc::clone(&rooms), Rc::clone(&ids), request, payload.into_inner())
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
            contexts: Arc::clone(&admin.contexts),
            files: Arc::clone(&admin.files),
            live,
            stopping: Arc::clone(&self.stopping),
            request_ids: Rc::new(self.request_ids()),
            rounds: Rc::default(),
            texts: Rc::default(),
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

fn retention(usage: &config::Usage) -> Retention {
    Retention([
        (Step::Minute, usage.keep_minutes),
        (Step::Hour, usage.keep_hours),
        (Step::Day, usage.keep_days),
    ])
}
