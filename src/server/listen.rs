//! Serves HTTP on a listener: how long connections may take, and what answers.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::{GracefulShutdownSignal, ServerBuilder};
use actix_service::{
    IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{AppConfig, Extensions};
use actix_web::http::{ConnectionType, Version};
use actix_web::rt::net::{TcpStream, UnixStream};
use actix_web::{App, HttpRequest, HttpResponse, web};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::admin::Peer;
use crate::http::bare_errors::Connection;
use crate::http::body::LINGER;

/// How long a connection may take to send a request's head.
const SLOWEST_HEAD: Duration = Duration::from_secs(10);
/// How long an idle connection is kept; `http::turns` sees to it behind the first answer of the public listener.
const KEPT_IDLE: Duration = Duration::from_secs(75);

/// Where to listen, and what to speak there.
pub(super) enum Listener {
    /// Plain HTTP/1.1.
    Tcp(TcpListener),
    /// HTTP/1.1 and HTTP/2 over TLS.
    Tls(TcpListener, Box<ServerConfig>),
    /// Plain HTTP/1.1 on a Unix socket.
    Unix(UnixListener),
}

/// Adds a listener to a server. `make` makes what answers requests, in each worker. Once the server is `stopping`, each
/// connection is closed behind its next answer: a client that hears so sends nothing more that would be lost.
pub(super) fn listen<M, H, F, B>(
    builder: ServerBuilder,
    listener: Listener,
    make: M,
    stopping: &Arc<AtomicBool>,
) -> io::Result<ServerBuilder>
where
    M: Fn() -> H + Clone + Send + 'static,
    H: Fn(HttpRequest, web::Payload) -> F + Clone + 'static,
    F: Future<Output = HttpResponse<B>> + 'static,
    B: MessageBody + 'static,
{
    let (signal, stopping) = (builder.graceful_shutdown_signal(), Arc::clone(stopping));
    match listener {
        Listener::Tcp(listener) => builder.listen("tcp", listener, move || {
            fn_service(|socket: TcpStream| async move {
                let peer = without_delay(&socket)?;
                Ok((Connection::http1(socket), Protocol::Http1, peer))
            })
            .and_then(http(make(), signal.clone(), Arc::clone(&stopping)))
        }),
        Listener::Tls(listener, mut config) => {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            builder.listen("tls", listener, move || {
                Acceptor::new(ServerConfig::clone(&config))
                    .map_err(TlsError::into_service_error)
                    .and_then(|socket: TlsStream<TcpStream>| async move {
                        let (tcp, session) = socket.get_ref();
                        let peer = without_delay(tcp).map_err(TlsError::Service)?;
                        Ok(if session.alpn_protocol() == Some(b"h2") {
                            (Connection::http2(socket), Protocol::Http2, peer)
                        } else {
                            (Connection::http1(socket), Protocol::Http1, peer)
                        })
                    })
                    .and_then(http(make(), signal.clone(), Arc::clone(&stopping)).map_err(TlsError::Service))
            })
        }
        Listener::Unix(listener) => builder.listen_uds("unix", listener, move || {
            fn_service(
                |socket: UnixStream| async move { Ok((Connection::http1(socket), Protocol::Http1, None)) },
            )
            .and_then(http(make(), signal.clone(), Arc::clone(&stopping)))
        }),
    }
}

fn http<T, H, F, B>(
    handler: H,
    signal: GracefulShutdownSignal,
    stopping: Arc<AtomicBool>,
) -> impl ServiceFactory<
    (Connection<T>, Protocol, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    H: Fn(HttpRequest, web::Payload) -> F + Clone + 'static,
    F: Future<Output = HttpResponse<B>> + 'static,
    B: MessageBody + 'static,
{
    // Counted by this worker alone: all of them would meet at the one count.
    let stopping = Rc::new(stopping);
    let answer = move |request: HttpRequest, payload: web::Payload| {
        let framing = Framing::of(&request);
        // Boxed here, or the framework's box would have room for it twice.
        let (answered, stopping) = (Box::pin(handler(request, payload)), Rc::clone(&stopping));
        async move { framing.fit(answered.await, stopping.load(Ordering::Relaxed)) }
    };
    let app = App::new().default_service(web::to(answer));
    let app = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let signal = signal.clone();
            async move { signal.notified().await }
        })
        .keep_alive(KEPT_IDLE)
        .client_request_timeout(SLOWEST_HEAD)
        // A client that closed its side has left: its upstream request ends with it.
        .h1_allow_half_closed(false)
        // With a reset instead, the answer would be lost.
        .client_disconnect_timeout(LINGER)
        .on_connect_ext(note)
        .finish(map_config(app, |()| AppConfig::default()))
}

/// What a request's head says of how its answer may be framed.
#[derive(Clone, Copy)]
struct Framing {
    /// Whether the client knows no chunks.
    is_http_1_0: bool,
    /// Whether it offers another protocol. None is spoken, but the framework would confirm it.
    offers_upgrade: bool,
}

impl Framing {
    fn of(request: &HttpRequest) -> Self {
        Self {
            is_http_1_0: request.version() == Version::HTTP_10,
            offers_upgrade: request.head().connection_type() == ConnectionType::Upgrade,
        }
    }

    /// Closes the connection where its end is the only end that the answer has, or the only plain answer that
    /// can be given, or the last one.
    fn fit<B: MessageBody>(self, mut response: HttpResponse<B>, is_last: bool) -> HttpResponse<B> {
        let ends_with_connection = self.is_http_1_0 && response.body().size() == BodySize::Stream;
        let head = response.head_mut();
        if ends_with_connection {
            head.no_chunking(true);
        }
        if ends_with_connection || self.offers_upgrade || is_last {
            head.set_connection_type(ConnectionType::Close);
        }
        response
    }
}

/// Events of a stream would wait 40 ms for an acknowledgement otherwise.
fn without_delay(socket: &TcpStream) -> Result<Option<SocketAddr>, DispatchError> {
    socket.set_nodelay(true).map_err(DispatchError::Io)?;
    Ok(socket.peer_addr().ok())
}

/// Notes what a connection's requests want to know of it.
fn note<T: 'static>(connection: &Connection<T>, extensions: &mut Extensions) {
    if let Some(tail) = connection.tail() {
        extensions.insert(tail.clone());
    }
    extensions.insert(connection.turns().clone());
    note_peer(connection.socket(), extensions);
}

/// Notes who is at the other end of the admin socket.
fn note_peer<T: 'static>(socket: &T, extensions: &mut Extensions) {
    let socket: &dyn std::any::Any = socket;
    if let Some(peer) = socket.downcast_ref::<UnixStream>().and_then(|socket| socket.peer_cred().ok()) {
        extensions.insert(Peer { uid: peer.uid(), pid: peer.pid() });
    }
}
