//! Several upstreams with one model: they share its load, and stand in for one another.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;

use crate::harness::upstream::{begin_stream, send_event, wait_for_close, write_json};
use crate::harness::{FakeUpstream, Request, TestServer, eventually};

/// The upstreams of a server: name, address and weight of each.
fn serving(upstreams: &[(&str, SocketAddr, u32)]) -> TestServer {
    upstreams
        .iter()
        .fold(TestServer::setup(), |setup, (name, address, weight)| {
            setup.upstream(name, *address, &["m"]).toml(&format!("weight = {weight}\ntimeout_seconds = 1"))
        })
        .start()
}

fn well() -> FakeUpstream {
    FakeUpstream::json(200, json!({"choices": []}))
}

/// An address that nobody listens at.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What the admin API tells of an upstream.
fn told(server: &TestServer, name: &str) -> Value {
    let view = server.admin(Request::get("/admin/v1/server")).expect(200).json();
    let upstreams = view["upstreams"].as_array().unwrap();
    upstreams.iter().find(|upstream| upstream["name"] == name).unwrap().clone()
}

/// What the metrics count of an upstream's requests.
fn counted(server: &TestServer, name: &str, outcome: &str) -> u64 {
    let metrics = server.admin(Request::get("/metrics")).expect(200).text();
    let series = format!("mcpd_upstream_requests_total{{upstream=\"{name}\",outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

#[test]
fn upstreams_share_a_models_load_by_weight() {
    let (much, little, none) = (well(), well(), well());
    let server = TestServer::setup()
        .upstream("much", much.address, &["m"])
        .toml("weight = 3")
        .upstream("little", little.address, &["m"])
        .upstream("none", none.address, &["other"])
        .start();
    let (key, _) = server.key(json!({}));
    for _ in 0..40 {
        server.call(&key, Request::chat("Hi")).expect(200);
    }
    let shares = [&much, &little, &none].map(|upstream| upstream.seen().len());
    assert_eq!(shares, [30, 10, 0]);
    assert_eq!(["much", "little", "none"].map(|name| counted(&server, name, "answered")), [30, 10, 0]);
}

#[test]
fn each_model_is_shared_by_itself() {
    let (first, second) = (well(), well());
    let server = TestServer::setup()
        .upstream("first", first.address, &["a", "b"])
        .upstream("second", second.address, &["a", "b"])
        .start();
    let (key, _) = server.key(json!({}));
    for model in ["a", "b"].into_iter().cycle().take(20) {
        let body = json!({"model": model, "messages": [{}]});
        server.call(&key, Request::post("/v1/chat/completions", &body)).expect(200);
    }
    for upstream in [first, second] {
        let seen = upstream.seen();
        let of = |model: &str| seen.iter().filter(|seen| seen.json()["model"] == model).count();
        assert_eq!((of("a"), of("b")), (5, 5));
    }
}

#[test]
fn upstreams_that_stand_in_are_asked_by_their_own_names() {
    let (gone, other) = (nobody(), well());
    let other_url = other.address;
    let server = TestServer::setup()
        .upstream("gone", gone, &["m"])
        .toml(&format!(
            "[[upstreams]]\nname = \"other\"\nkind = \"openai\"\nbase_url = \"http://{other_url}\"\n\
             models = {{ m = \"its-own\" }}"
        ))
        .start();
    let (key, _) = server.key(json!({}));
    for _ in 0..4 {
        server.call(&key, Request::chat("Hi")).expect(200);
    }
    assert!(other.seen().iter().all(|seen| seen.json()["model"] == "its-own"));
}

#[test]
fn another_upstream_answers_for_one_that_cannot_be_reached() {
    let (gone, other) = (nobody(), well());
    let server = serving(&[("gone", gone, 1000), ("other", other.address, 1)]);
    let (key, _) = server.key(json!({}));
    assert_eq!(told(&server, "gone")["health"], "unknown");
    for stream in [false, true, false, false] {
        // The fake one answers no stream; that it was asked is what matters here.
        let body = json!({"model": "m", "messages": [{}], "stream": stream});
        let answer = server.call(&key, Request::post("/v1/chat/completions", &body));
        assert_eq!(answer.status, if stream { 502 } else { 200 });
    }
    assert_eq!(other.seen().len(), 4);
    let (down, up) = (told(&server, "gone"), told(&server, "other"));
    assert_eq!((&down["health"], &up["health"]), (&json!("down"), &json!("up")));
    assert!(down["down_since"].is_string() && up["down_since"].is_null(), "{down} {up}");
    assert_eq!((&down["requests"]["unreachable"], &up["requests"]["answered"]), (&json!(1), &json!(3)));
    assert_eq!(counted(&server, "gone", "unreachable"), 1, "it is left alone for a while");
    assert_eq!((counted(&server, "other", "answered"), counted(&server, "other", "failed")), (3, 1));
    let statuses: HashMap<_, _> = server
        .usage("status")
        .iter()
        .map(|row| (row["status"].as_u64().unwrap(), row["requests"].as_u64().unwrap()))
        .collect();
    assert_eq!(statuses, HashMap::from([(200, 3), (502, 1)]), "an attempt is no request");
}

#[test]
fn with_no_upstream_left_the_model_is_unavailable_until_one_is_back() {
    let (first, second) = (nobody(), nobody());
    let server = serving(&[("first", first, 1000), ("second", second, 1)]);
    let (key, _) = server.key(json!({}));
    for _ in 0..3 {
        server.call(&key, Request::chat("Hi")).expect_error(503, "upstream_unavailable");
    }
    assert_eq!(told(&server, "second")["health"], "down");

    // Whoever is back is found at once when there is nobody else.
    let back = FakeUpstream::start_at(second, |_, connection| {
        write_json(connection, 200, &json!({}));
        true
    });
    server.call(&key, Request::chat("Hi")).expect(200);
    assert_eq!((back.seen().len(), told(&server, "second")["health"].as_str()), (1, Some("up")));

    // The preferred one is asked again after a while.
    let preferred = FakeUpstream::start_at(first, |_, connection| {
        write_json(connection, 200, &json!({}));
        true
    });
    server.pass(10);
    for _ in 0..5 {
        server.call(&key, Request::chat("Hi")).expect(200);
    }
    assert_eq!((preferred.seen().len(), back.seen().len()), (5, 1));
    assert_eq!(told(&server, "first")["health"], "up");
}

#[test]
fn a_request_that_may_have_been_done_is_not_done_again_elsewhere() {
    // What the first upstream answers, if anything.
    let cases = [
        (Some(500), 502, "failed"),
        (Some(503), 502, "failed"),
        (Some(429), 429, "rejected"),
        (Some(400), 400, "rejected"),
        (None, 504, "timed_out"),
    ];
    for (answered, status, outcome) in cases {
        let first = FakeUpstream::start(move |_, connection| match answered {
            Some(status) => {
                write_json(connection, status, &json!({"error": "x"}));
                true
            }
            None => wait_for_close(connection),
        });
        let other = well();
        let server = serving(&[("first", first.address, 1000), ("other", other.address, 1)]);
        let (key, _) = server.key(json!({}));
        assert_eq!(server.call(&key, Request::chat("Hi")).status, status);
        assert_eq!((first.seen().len(), other.seen().len()), (1, 0), "{status}");
        assert_eq!(counted(&server, "first", outcome), 1, "{status}");
        assert_eq!(told(&server, "first")["health"], "up", "{status}: it can be reached");
    }
}

#[test]
fn an_upstream_that_hangs_up_on_a_fresh_connection_is_not_asked_again_nor_is_another() {
    // What it says before it hangs up.
    for (begun, stream) in [("", false), ("", true), ("HTTP/1.1 2", false), ("HTTP/1.1 2", true)] {
        let first = FakeUpstream::start(move |_, connection| {
            connection.write_all(begun.as_bytes()).unwrap();
            false
        });
        let other = well();
        let server = serving(&[("first", first.address, 1000), ("other", other.address, 1)]);
        let (key, _) = server.key(json!({}));
        let body = json!({"model": "m", "messages": [{}], "stream": stream});
        let answer = server.call(&key, Request::post("/v1/chat/completions", &body));
        answer.expect_error(502, "upstream_error");
        assert_eq!((first.seen().len(), other.seen().len()), (1, 0), "{begun:?}, stream: {stream}");
        assert_eq!(counted(&server, "first", "failed"), 1, "{begun:?}, stream: {stream}");
        assert_eq!(told(&server, "first")["health"], "up", "{begun:?}: it can be reached");
    }
}

#[test]
fn nobody_is_asked_again_once_bytes_were_sent_on() {
    let first = FakeUpstream::start(|_, connection| {
        begin_stream(connection);
        send_event(connection, "{\"choices\":[1]}");
        false
    });
    let other = well();
    let server = serving(&[("first", first.address, 1000), ("other", other.address, 1)]);
    let (key, _) = server.key(json!({}));
    let body = json!({"model": "m", "messages": [{}], "stream": true});
    let mut stream = Request::post("/v1/chat/completions", &body).bearer(&key).open(server.public);
    let events = stream.events();
    assert_eq!(events[0], "{\"choices\":[1]}");
    assert!(events[1].contains("upstream_error") && events.len() == 2, "{events:?}");
    assert_eq!((first.seen().len(), other.seen().len()), (1, 0));
}

/// When a connection that was answered on is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    AtOnce,
    AsTheNextComes,
    /// The same, and what came is not even read: the system says so in its own way.
    Reset,
}

#[test]
fn a_kept_connection_that_the_upstream_has_closed_is_replaced() {
    for close in [Close::AtOnce, Close::AsTheNextComes, Close::Reset] {
        let answered: Mutex<BTreeSet<SocketAddr>> = Mutex::default();
        let upstream = FakeUpstream::start(move |_, connection| {
            let peer = connection.peer_addr().unwrap();
            // A later connection may come from the same port.
            if close != Close::AtOnce && !answered.lock().unwrap().insert(peer) {
                answered.lock().unwrap().remove(&peer);
                let linger = (close == Close::Reset).then_some(Duration::ZERO);
                SockRef::from(&*connection).set_linger(linger).unwrap();
                return false;
            }
            write_json(connection, 200, &json!({}));
            close != Close::AtOnce
        });
        let server = serving(&[("closing", upstream.address, 1)]);
        let (key, _) = server.key(json!({}));
        for _ in 0..12 {
            server.call(&key, Request::chat("Hi")).expect(200);
        }
        let told = told(&server, "closing");
        let told = (&told["health"], &told["requests"]["unreachable"]);
        assert_eq!(told, (&json!("up"), &json!(0)), "{close:?}");
    }
}

#[test]
fn a_restart_of_the_upstream_costs_no_request() {
    const AT_ONCE: usize = 8;
    let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let kept = Arc::clone(&open);
    let upstream = FakeUpstream::start(move |_, connection| {
        kept.lock().unwrap().push(connection.try_clone().unwrap());
        eventually("all are there", || kept.lock().unwrap().len() >= AT_ONCE);
        write_json(connection, 200, &json!({}));
        true
    });
    let server = serving(&[("restarting", upstream.address, 1)]);
    let (key, _) = server.key(json!({}));
    // Several at a time, so that each worker keeps several connections.
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| server.call(&key, Request::chat("Hi")).expect(200));
        }
    });
    for connection in &*open.lock().unwrap() {
        connection.shutdown(Shutdown::Both).unwrap();
    }
    for _ in 0..AT_ONCE {
        server.call(&key, Request::chat("Hi")).expect(200);
    }
    assert_eq!(counted(&server, "restarting", "unreachable"), 0);
}

#[test]
fn connections_are_kept_for_the_next_request() {
    let peers: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
    let seen = Arc::clone(&peers);
    let upstream = FakeUpstream::start(move |_, connection| {
        seen.lock().unwrap().push(connection.peer_addr().unwrap());
        write_json(connection, 200, &json!({}));
        true
    });
    let server = serving(&[("kept", upstream.address, 1)]);
    let (key, _) = server.key(json!({}));
    for _ in 0..20 {
        server.call(&key, Request::chat("Hi")).expect(200);
    }
    let mut peers = peers.lock().unwrap().clone();
    peers.sort_unstable();
    peers.dedup();
    assert!(peers.len() <= 2, "one a worker, not {}", peers.len());
}
