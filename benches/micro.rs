//! What single steps of a request cost: `cargo bench --bench micro`.
#![expect(clippy::unwrap_used, reason = "a benchmark ends where it cannot go on")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use actix_web::web::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mcpd::clock::Clock;
use mcpd::domain::digest::Digester;
use mcpd::domain::id::KeyId;
use mcpd::domain::key::{Key, Name, Settings};
use mcpd::domain::scope::{Scope, Scopes};
use mcpd::domain::time::Timestamp;
use mcpd::domain::token::Token;
use mcpd::domain::window::Window;
use mcpd::gate::keyring::Keyring;
use mcpd::gate::{Demand, Gate, Request};
use mcpd::upstream::sse::Splitter;
use ring::rand::SystemRandom;

/// Returns a keyring with so many keys, and a thousand of their tokens.
fn keyring(count: u32) -> (Arc<Keyring>, Vec<Token>) {
    let random = SystemRandom::new();
    let keyring = Arc::new(Keyring::new(Digester::new(b"secret")));
    let mut tokens = Vec::new();
    for number in 0..count {
        let token = Token::random(&random).unwrap();
        let id = KeyId::random(&random).unwrap();
        let key = Key::new(
            id,
            token.hint(),
            Settings::new(Name::parse("A key").unwrap(), Scopes::EVERY, "standard"),
            Timestamp::from_seconds(0),
        );
        keyring.put(key, keyring.digest(&token), u32::MAX);
        if number % (count / 1_000).max(1) == 0 {
            tokens.push(token);
        }
    }
    (keyring, tokens)
}

fn token(criterion: &mut Criterion) {
    let token = Token::random(&SystemRandom::new()).unwrap();
    let text = token.expose().as_bytes();
    criterion.bench_function("token: parse", |bencher| bencher.iter(|| Token::parse(black_box(text))));
}

fn window(criterion: &mut Criterion) {
    criterion.bench_function("window: take, a request each 10 ms", |bencher| {
        let (mut window, mut now) = (Window::default(), Duration::ZERO);
        bencher.iter(|| {
            now += Duration::from_millis(10);
            window.take(black_box(100_000), now)
        });
    });
}

fn gate(criterion: &mut Criterion) {
    for count in [10_000, 1_000_000] {
        let (keyring, tokens) = keyring(count);
        let mut turn = (0..tokens.len()).cycle();
        criterion.bench_function(&format!("keyring: find, {count} keys"), |bencher| {
            bencher.iter(|| keyring.find(&tokens[turn.next().unwrap()]));
        });

        let (changed, _changes) = channel();
        let gate = Gate::new(Arc::clone(&keyring), 60, Clock::System, changed, Arc::default());
        let client = [127, 0, 0, 1].into();
        criterion.bench_function(&format!("gate: admit, {count} keys"), |bencher| {
            bencher.iter(|| {
                let token = &tokens[turn.next().unwrap()];
                let bearer = Some(token.expose().as_bytes());
                let request = Request { bearer, client: Some(client), peer: client };
                gate.admit(&request, Demand::Scope(Scope::ChatsCreate), Clock::System.now())
            });
        });
    }
}

fn events(criterion: &mut Criterion) {
    let event = r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":" useful"}}]}"#
        .to_owned()
        + "\n\n";
    let stream = Bytes::from(event.repeat(20));
    let mut group = criterion.benchmark_group("sse");
    group.throughput(Throughput::Elements(20));
    group.bench_function("split 20 events in one piece", |bencher| {
        bencher.iter(|| Splitter::default().push(black_box(stream.clone())));
    });
    group.bench_function("split 20 events in pieces of 100 bytes", |bencher| {
        bencher.iter(|| {
            let mut splitter = Splitter::default();
            for at in (0..stream.len()).step_by(100) {
                let _ = black_box(splitter.push(stream.slice(at..stream.len().min(at + 100))));
            }
        });
    });
    group.finish();
}

criterion_group!(all, token, window, gate, events);
criterion_main!(all);
