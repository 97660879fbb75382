//! What is promised to allocate nothing allocates nothing. A binary of its own: it counts what the whole process does.

use std::sync::Arc;
use std::sync::mpsc::channel;

use mcpd::clock::Clock;
use mcpd::domain::digest::Digester;
use mcpd::domain::id::KeyId;
use mcpd::domain::key::{Key, Name, Settings};
use mcpd::domain::scope::{Scope, Scopes};
use mcpd::domain::time::Timestamp;
use mcpd::domain::token::Token;
use mcpd::gate::keyring::Keyring;
use mcpd::gate::{Demand, Gate, Request};
use ring::rand::SystemRandom;

#[global_allocator]
static COUNTING: dhat::Alloc = dhat::Alloc;

#[test]
fn admission_allocates_nothing_whether_it_admits_or_refuses() {
    let random = SystemRandom::new();
    let keyring = Arc::new(Keyring::new(Digester::new(b"secret")));
    let mut tokens = Vec::new();
    for limit in [100_000, 1] {
        let token = Token::random(&random).unwrap();
        let id = KeyId::random(&random).unwrap();
        let key = Key::new(
            id,
            token.hint(),
            Settings::new(Name::parse("A key").unwrap(), Scopes::EVERY, "standard"),
            Timestamp::from_seconds(0),
        );
        keyring.put(key, keyring.digest(&token), limit);
        tokens.push(token);
    }
    let (changed, _changes) = channel();
    let (clock, _) = Clock::manual();
    let gate = Gate::new(keyring, 60, clock.clone(), changed, Arc::default());
    let client = [127, 0, 0, 1].into();
    let admit = |token: &Token| {
        let request = Request { bearer: Some(token.expose().as_bytes()), client: Some(client), peer: client };
        gate.admit(&request, Demand::Scope(Scope::ChatsCreate), clock.now()).is_ok()
    };
    // A key's first request makes what its use calls for, and tells the background writer.
    assert!(tokens.iter().all(&admit));

    let _profiler = dhat::Profiler::builder().testing().build();
    let before = dhat::HeapStats::get().total_blocks;
    let (mut admitted, mut refused) = (0, 0);
    for _ in 0..1_000 {
        admitted += u32::from(admit(&tokens[0]));
        refused += u32::from(!admit(&tokens[1]));
    }
    let allocated = dhat::HeapStats::get().total_blocks - before;
    assert_eq!((admitted, refused, allocated), (1_000, 1_000, 0));
}
