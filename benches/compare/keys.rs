//! Keys that every gateway knows, in each one's own form.

use std::fmt::Write as _;
use std::path::Path;

use mcpd::domain::digest::Digester;
use mcpd::domain::id::KeyId;
use mcpd::domain::key::{Key, Name, Settings};
use mcpd::domain::scope::Scopes;
use mcpd::domain::time::Timestamp;
use mcpd::domain::token::Token;
use mcpd::store;
use ring::rand::SystemRandom;
use rusqlite::Connection;

/// Keys that requests are made with: as many as there may be clients at once.
pub const HOT: usize = 1_000;
/// Requests in a minute that no key ever makes here.
const NEVER_HIT: u32 = 1_000_000_000;

/// Keys for all gateways.
pub struct Keys {
    tokens: Vec<Token>,
    /// May make one request a minute.
    limited: Vec<Token>,
    unknown: Vec<Token>,
}

impl Keys {
    pub fn make(count: usize) -> Self {
        let random = SystemRandom::new();
        let make = |count| (0..count).map(|_| Token::random(&random).expect("random numbers")).collect();
        Self { tokens: make(count), limited: make(64), unknown: make(HOT) }
    }

    /// The keys to make requests with.
    pub fn hot(&self) -> &[Token] {
        // Spread over all of them.
        &self.tokens[..HOT.min(self.tokens.len())]
    }

    pub fn limited(&self) -> &[Token] {
        &self.limited
    }

    pub fn unknown(&self) -> &[Token] {
        &self.unknown
    }

    /// Puts the first `count` of them into mcpd's database, which is there already.
    pub fn add_to_database(&self, path: &Path, count: usize) {
        let mut database = Connection::open(path).expect("mcpd has made it");
        let secret: Vec<u8> = database
            .query_row("SELECT value FROM secrets WHERE name = 'token digests'", [], |row| row.get(0))
            .expect("mcpd has made its secret");
        let (digester, random) = (Digester::new(&secret), SystemRandom::new());
        let transaction = database.transaction().expect("nobody else writes");
        let all = self.tokens[..count].iter().map(|token| (token, NEVER_HIT));
        for (token, limit) in all.chain(self.limited.iter().map(|token| (token, 1))) {
            let name = Name::parse("A key to measure with").expect("a name");
            let scopes = Scopes::parse(["chats:create", "models:read"]).expect("scopes");
            let mut settings = Settings::new(name, scopes, "standard");
            settings.requests_per_minute = limit.try_into().ok();
            let id = KeyId::random(&random).expect("random numbers");
            let key = Key::new(id, token.hint(), settings, Timestamp::from_seconds(1_795_000_000));
            store::keys::insert(&transaction, &key, &digester.digest(token)).expect("a key fits");
        }
        transaction.commit().expect("the disk has room");
    }

    /// One line a key; `format` gets its token, its name, and its limit.
    pub fn lines(&self, format: impl Fn(&str, &str, u32) -> String) -> String {
        let mut lines = String::new();
        for (number, token) in self.tokens.iter().enumerate().take(10_000) {
            let _ = writeln!(lines, "{}", format(token.expose(), &format!("key{number}"), NEVER_HIT));
        }
        lines + &self.limited_lines(format)
    }

    /// The same for those of a limit that is hit.
    pub fn limited_lines(&self, format: impl Fn(&str, &str, u32) -> String) -> String {
        let mut lines = String::new();
        for (number, token) in self.limited.iter().enumerate() {
            let _ = writeln!(lines, "{}", format(token.expose(), &format!("limited{number}"), 1));
        }
        lines
    }
}
