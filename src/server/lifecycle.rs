//! A server's life: it answers, reloads, and drains once it is told to stop.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_server::ServerHandle;
use actix_web::rt::task::JoinHandle;
use actix_web::web;

use super::reload::Reloading;
use super::watchdog::Watchdog;
use super::{Server, Shared, StartError, Supervisor};
use crate::admin::Listeners;
use crate::alerts::Courier;
use crate::config::{Config, Kind};
use crate::meter::Meter;

/// How often upstreams that tell their models themselves are asked again.
const REFRESH: Duration = Duration::from_secs(30);
/// How long connections that were taken may take to send a request before the server stops: where the next process takes
/// those that come meanwhile, time enough for a slow handshake, or for an idle client to hear that it is the last one;
const LAST_CALL: Duration = Duration::from_millis(100);
/// where they are refused once this is over, the sooner the better.
const HARDLY: Duration = Duration::from_millis(20);
/// How long requests that were cut off may take to be counted.
const LAST_COUNT: Duration = Duration::from_millis(500);

/// How long all else may take at the end: the admin API's own answers, and to write what was counted to a slow disk.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// What the server is told from outside while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To end; the second time, at once.
    Stop,
    /// To read the configuration again.
    Reload,
}

impl Server {
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
        let watching = actix_web::rt::spawn(watch(watchdog, Arc::clone(&supervisor)));
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
        let status = format!("Stopping: requests in flight have {grace:?} to end");
        supervisor.stopping(&status, grace + LAST_WORDS);
        rooms.stopping.store(true, Ordering::Relaxed);
        refreshing.abort();
        stop_servers(&handles, servers, last_call, stop(&mut next)).await;
        // Nobody waits for a sign of life from who is stopping, and there are no workers any more.
        watching.abort();
        if let Some(delivering) = delivering {
            // What is not delivered by now is at the next start.
            delivering.abort();
        }
        supervisor.stopping("Stopping: writing out what was counted", LAST_WORDS);
        wait_for_the_last(&rooms.admin.meter).await;
        rooms.admin.keeper.stop();
        let written = web::block(move || keeper_thread.join()).await;
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

async fn watch(watchdog: Arc<Watchdog>, supervisor: Arc<Supervisor>) {
    watchdog.run(&supervisor).await;
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
