//! The server, asked without a socket: requests go to the functions that the listeners call.

use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::rt::{System, SystemRunner};
use actix_web::test::TestRequest;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::Stream;
use mcpd::clock::Clock;
use mcpd::config::Config;
use mcpd::http::request_id::RequestIds;
use mcpd::server::{HandOver, Passed, Server, Starting};
use mcpd::{admin, http};
use serde_json::Value;

/// A server in a folder of its own, below `TMPDIR`; nothing listens. It stays there for whoever made `TMPDIR` to
/// remove: a fuzzer's process ends without looking back.
pub struct Quiet {
    system: SystemRunner,
    public: Rc<http::public::Rooms>,
    admin: Arc<admin::Rooms>,
    ids: Rc<RequestIds>,
    token: String,
    /// The key that the first start made.
    pub key: String,
    // Dropping it would free the database for another process.
    _server: Server,
}

/// A request, built piece by piece.
pub struct Ask {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<Bytes>,
}

/// An answer, all of it.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Quiet {
    /// Starts one with nothing in it but the default key.
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("mcpd-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let config = write_config(&folder);
        let config = Config::load_from(Some(&config), []).unwrap();
        let system = System::new();
        let started = system.block_on(async {
            Server::start(config, Clock::System, HandOver::File, Passed::default(), Starting::default())
        });
        let server = started.unwrap();
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap().trim().to_owned();
        let public = system.block_on(async { Rc::new(server.public()) });
        Self {
            public,
            admin: server.admin(),
            ids: Rc::new(RequestIds::new([b'f'; 10], 0)),
            token: read("admin-token"),
            key: read("default-key"),
            system,
            _server: server,
        }
    }

    /// Asks the public listener.
    pub fn public(&self, ask: Ask) -> Answer {
        let (request, payload) = ask.take();
        let rooms = Rc::clone(&self.public);
        self.system.block_on(async { Answer::of(http::public::serve(rooms, request, payload).await).await })
    }

    /// Does the same with the default key.
    pub fn call(&self, ask: Ask) -> Answer {
        self.public(ask.header("authorization", format!("Bearer {}", self.key)))
    }

    /// Asks the admin listener, with its token.
    pub fn admin(&self, ask: Ask) -> Answer {
        let ask = ask.header("host", "localhost").header("authorization", format!("Bearer {}", self.token));
        let (request, payload) = ask.take();
        let (rooms, ids) = (Arc::clone(&self.admin), Rc::clone(&self.ids));
        self.system.block_on(async { Answer::of(admin::serve(rooms, ids, request, payload).await).await })
    }
}

fn write_config(folder: &std::path::Path) -> PathBuf {
    let file = folder.join("mcpd.toml");
    let at = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "server.listen = [\"127.0.0.1:0\"]\nadmin.listen = \"127.0.0.1:0\"\nadmin.socket = {:?}\n\
         admin.token_file = {:?}\nstore.path = {:?}\nlimits.failed_auth_per_minute = 4294967295\n\
         plans.standard.requests_per_minute = 4294967295\nusage.flush_milliseconds = 60000\nfiles.max_bytes = 65536\n",
        at("admin.sock"),
        at("admin-token"),
        at("mcpd.db"),
    );
    std::fs::write(&file, text).unwrap();
    file
}

impl Ask {
    /// Returns a request without a body.
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header, which must be one.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    /// Sets the body, which comes in these pieces.
    #[must_use]
    pub fn body(mut self, pieces: &[&[u8]]) -> Self {
        self.body = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        let length: usize = self.body.iter().map(Bytes::len).sum();
        self.header("content-length", length.to_string())
    }

    /// Sets the body, which is JSON.
    #[must_use]
    pub fn json(self, body: &[u8]) -> Self {
        self.header("content-type", "application/json").body(&[body])
    }

    fn take(self) -> (HttpRequest, Payload) {
        let mut request = TestRequest::default().method(self.method).uri(&self.path);
        request = request.peer_addr(([192, 0, 2, 1], 4711).into());
        for header in self.headers {
            request = request.append_header(header);
        }
        let pieces: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> =
            Box::pin(futures_util::stream::iter(self.body.into_iter().map(Ok)));
        (request.to_http_request(), pieces.into())
    }
}

impl Answer {
    async fn of(response: HttpResponse<impl MessageBody>) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let Ok(body) = to_bytes(response.into_body()).await else { panic!("an answer that breaks off") };
        Self { status, headers, body }
    }

    /// Returns the body's JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// Returns the error's code and message; fails if the answer is no error of the client's, in the one shape.
    pub fn refusal(&self) -> (String, String) {
        assert!(self.status.is_client_error(), "{}: {:?}", self.status, self.body);
        let json = self.json();
        let text =
            |name: &str| json["error"][name].as_str().filter(|text| !text.is_empty()).unwrap().to_owned();
        assert_eq!(json["error"].as_object().unwrap().len(), 3, "{json}");
        assert!(text("type").ends_with("_error"), "{json}");
        (text("code"), text("message"))
    }
}
