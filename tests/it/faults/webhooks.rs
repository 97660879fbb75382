//! Webhook receivers that hang, each in its own way: nobody waits for them, and they miss nothing.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::scene::{Key, admin, call, expect_chats, make_key, open_files};
use crate::harness::{Binary, Receiver, Request, eventually};

const ALERTS: usize = 4;
/// An answer that would take most of a minute, a byte a second.
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Takes connections and never comes to the end of an answer.
struct Hanging {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    /// How many connections there are, and the most there were at once.
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Hanging {
    /// Says this much of an answer, a byte a second.
    fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            thread::scope(|scope| {
                while !shared.stop.load(Ordering::Relaxed) {
                    match listener.accept() {
                        Ok((connection, _)) => drop(scope.spawn(|| shared.hang(connection, answer))),
                        Err(_) => thread::sleep(Duration::from_millis(5)),
                    }
                }
            });
        });
        Self { address, state, thread: Some(thread) }
    }
}

impl State {
    fn hang(&self, mut connection: TcpStream, answer: &str) {
        let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(open, Ordering::SeqCst);
        connection.set_nonblocking(true).unwrap();
        let (mut left, mut next) = (answer.as_bytes().iter(), Instant::now());
        while !self.stop.load(Ordering::Relaxed) {
            match connection.read(&mut [0; 4_096]) {
                Ok(0) => break,
                Err(error) if error.kind() != ErrorKind::WouldBlock => break,
                _ => {}
            }
            if Instant::now() >= next {
                next += Duration::from_secs(1);
                let _ = left.next().map(|byte| connection.write(&[*byte]));
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Somebody who listens, and whose queue is full: no connection comes about.
struct Full {
    address: SocketAddr,
    _listener: Socket,
    _queue: Vec<TcpStream>,
}

impl Full {
    fn start() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.set_reuse_address(true).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
        let queue = std::iter::from_fn(connect).take(100).collect::<Vec<_>>();
        assert!(queue.len() < 100, "the queue has no end");
        Self { address, _listener: listener, _queue: queue }
    }
}

/// All of them, one that does not hang, and a server that is to tell each of the same.
struct Scene {
    binary: Binary,
    bad: (Hanging, Hanging, Full),
    good: Receiver,
    /// The ids of keys that end soon, in their order.
    ending: Vec<Value>,
}

impl Scene {
    fn start() -> Self {
        let binary = Binary::start("");
        let (bad, good) = ((Hanging::start(""), Hanging::start(ANSWER), Full::start()), Receiver::start());
        let urls = [bad.0.address, bad.1.address, bad.2.address].map(|address| format!("http://{address}/"));
        for url in urls.into_iter().chain([good.url()]) {
            let rule = json!({"kind": "key_expiring", "threshold": 7, "webhook": {"url": url}});
            admin(&binary, Request::post("/admin/v1/alert-rules", &rule)).expect(201);
        }
        let mut scene = Self { binary, bad, good, ending: Vec::new() };
        for number in 1..=ALERTS {
            scene.raise();
            // One after the other: alerts of one moment have no order.
            eventually("the one that does not hang is told", || scene.good.taken().len() == number);
        }
        scene
    }

    fn raise(&mut self) {
        let body = json!({"name": "ends", "scopes": ["*"], "expires_in": "2d"});
        let made = admin(&self.binary, Request::post("/admin/v1/keys", &body)).expect(201).json();
        self.ending.push(json!(Key::of(&made).id));
    }

    /// Nobody hangs any more; returns who is there in their place.
    fn mend(bad: (Hanging, Hanging, Full)) -> [Receiver; 3] {
        let addresses = [bad.0.address, bad.1.address, bad.2.address];
        drop(bad);
        addresses.map(Receiver::start_at)
    }
}

/// Waits until a receiver has been told of all that ends, in its order.
fn expect_told(receivers: &[Receiver], ending: &[Value]) {
    let start = Instant::now();
    for receiver in receivers {
        while receiver.taken().len() < ending.len() {
            assert!(start.elapsed() < Duration::from_secs(25), "{} arrived", receiver.taken().len());
            thread::sleep(Duration::from_millis(20));
        }
        let told: Vec<_> = receiver.alerts().iter().map(|alert| alert["key"].clone()).collect();
        assert_eq!(told, ending);
    }
}

/// Takes as long as mcpd waits for a webhook, ten seconds, and as a connection takes to come about that was lost.
#[test]
fn receivers_that_hang_hold_nobody_up_are_given_up_on_in_time_and_get_everything_later() {
    let before = Binary::start("");
    let usual = open_files(before.pid());
    drop(before);
    let scene = Scene::start();
    let key = make_key(&scene.binary);
    for _ in 0..10 {
        call(&scene.binary, &key, Request::chat("Hello")).expect(200);
    }
    expect_chats(&scene.binary, &key, 10);
    let log = || scene.binary.log();
    let start = Instant::now();
    while log().matches("it did not answer within 10 s").count() < 3 {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", log());
        thread::sleep(Duration::from_millis(50));
    }
    for hanging in [&scene.bad.0, &scene.bad.1] {
        assert_eq!(hanging.state.most.load(Ordering::SeqCst), 1, "connections at once");
    }
    assert!(open_files(scene.binary.pid()) < usual + 20, "{}", open_files(scene.binary.pid()));
    let Scene { binary: _binary, bad, good, ending } = scene;
    expect_told(&Scene::mend(bad), &ending);
    assert_eq!(good.taken().len(), ALERTS);
}

#[test]
fn receivers_that_hang_do_not_hold_up_a_stop_and_are_told_after_the_next_start() {
    let Scene { binary, bad, good, ending } = Scene::start();
    binary.signal("TERM");
    // It waits for ten seconds at most, a third of what requests may take.
    let (status, folder) = binary.wait();
    assert_eq!(status, Some(0));
    let receivers = Scene::mend(bad);
    let _binary = Binary::start_in(folder);
    expect_told(&receivers, &ending);
    assert_eq!(good.taken().len(), ALERTS);
}
