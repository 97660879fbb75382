//! The record of a key: everything but the secret.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

use super::id::KeyId;
use super::metadata::Metadata;
use super::models::AllowedModels;
use super::network::Networks;
use super::plan::{PlanName, RequestsPerMinute};
use super::report_only::ReportOnly;
use super::scope::Scopes;
use super::time::Timestamp;
use super::token::{self, Hint};

/// The longest name, in characters.
pub const MAX_NAME: usize = 200;

/// A key as it is stored. There may be a million in memory: what few of them have is apart from the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// What everything but the client calls it.
    pub id: KeyId,
    /// What is shown of the token.
    pub hint: Hint,
    /// What the operator may change.
    pub settings: Settings,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked, for good.
    pub revoked_at: Option<Timestamp>,
    /// Its place in a line of rotations, if it has any other than alone; [`Key::change_succession`] changes it.
    pub succession: Option<Box<Succession>>,
}

/// The place of a key in a line of rotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Succession {
    /// The keys of a line share one allowance, named after the first of them.
    pub first: KeyId,
    /// The key that it took over from.
    pub from: Option<KeyId>,
    /// The key that takes over from it.
    pub to: Option<KeyId>,
    /// When that one was made.
    pub at: Option<Timestamp>,
}

/// What the operator decides about a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What people call it.
    pub name: Name,
    /// Whether it may be used at all.
    pub enabled: bool,
    /// What it may do.
    pub scopes: Scopes,
    /// The plan that sets its request limit.
    pub plan: PlanName,
    /// A request limit of its own, which overrides the plan's.
    pub requests_per_minute: Option<RequestsPerMinute>,
    /// How many of its requests may be in flight at once.
    pub max_concurrent: Option<NonZeroU32>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether each request must be signed.
    pub require_signature: bool,
    /// Which of these only report what they would refuse.
    pub report_only: ReportOnly,
    /// What few keys have, if it has any of it; [`Settings::change_extras`] changes it.
    pub extras: Option<Box<Extras>>,
}

/// What the operator decides about few keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extras {
    /// From where it may be used.
    pub allowed_ips: Networks,
    /// Which models it may name.
    pub allowed_models: AllowedModels,
    /// The operator's notes.
    pub metadata: Metadata,
    /// How long it is to be quiet to be revoked by itself, once another key has taken over; whole seconds.
    pub revoke_when_quiet: Option<Duration>,
}

/// What people call a key: not blank, at most 200 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Box<str>);

/// Whether a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Status {
    Active,
    Disabled,
    Expired,
    Revoked,
}

/// When and from where a key was last used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When the request came in.
    pub at: Timestamp,
    /// The client's address, where it could be read.
    pub ip: Option<IpAddr>,
}

impl Settings {
    /// Returns the settings of an enabled key with nothing else decided: no end, no limits of its own, from
    /// anywhere, for all models.
    pub fn new(name: Name, scopes: Scopes, plan: &str) -> Self {
        Self {
            name,
            enabled: true,
            scopes,
            plan: PlanName::new(plan),
            requests_per_minute: None,
            max_concurrent: None,
            expires_at: None,
            require_signature: false,
            report_only: ReportOnly::default(),
            extras: None,
        }
    }

    /// Returns what few keys have.
    pub fn extras(&self) -> &Extras {
        static NONE: LazyLock<Extras> = LazyLock::new(Extras::default);
        self.extras.as_deref().unwrap_or_else(|| &NONE)
    }

    /// Changes what few keys have; takes no room where nothing of it is left.
    pub fn change_extras(&mut self, change: impl FnOnce(&mut Extras)) {
        let mut extras = self.extras.take().unwrap_or_default();
        change(&mut extras);
        self.extras = (*extras != Extras::default()).then_some(extras);
    }
}

impl Succession {
    /// Returns the place of a key that is alone.
    const fn alone(id: KeyId) -> Self {
        Self { first: id, from: None, to: None, at: None }
    }
}

impl Key {
    /// Returns a key that is just made, the first of its line.
    pub const fn new(id: KeyId, hint: Hint, settings: Settings, created_at: Timestamp) -> Self {
        Self { id, hint, settings, created_at, revoked_at: None, succession: None }
    }

    /// Returns the first key of its line, which the allowance that the line shares is named after.
    pub fn line(&self) -> KeyId {
        self.succession.as_ref().map_or(self.id, |succession| succession.first)
    }

    /// Returns the key that it took over from.
    pub fn rotated_from(&self) -> Option<KeyId> {
        self.succession.as_ref()?.from
    }

    /// Returns the key that takes over from it.
    pub fn rotated_to(&self) -> Option<KeyId> {
        self.succession.as_ref()?.to
    }

    /// Returns when the key that takes over from it was made.
    pub fn rotated_at(&self) -> Option<Timestamp> {
        self.succession.as_ref()?.at
    }

    /// Changes its place in its line; takes no room where it is alone.
    pub fn change_succession(&mut self, change: impl FnOnce(&mut Succession)) {
        let alone = Succession::alone(self.id);
        let mut succession = self.succession.take().unwrap_or_else(|| Box::new(alone.clone()));
        change(&mut succession);
        self.succession = (*succession != alone).then_some(succession);
    }

    /// Returns whether the key works now.
    pub fn status(&self, now: Timestamp) -> Status {
        if self.revoked_at.is_some() {
            Status::Revoked
        } else if !self.settings.enabled {
            Status::Disabled
        } else if self.settings.expires_at.is_some_and(|end| end <= now) {
            Status::Expired
        } else {
            Status::Active
        }
    }

    /// Returns the key's name and id, for the operator.
    pub fn named(&self) -> String {
        format!("`{}` ({})", self.settings.name.as_str(), self.id)
    }

    /// Says why the key does not work, such as `was revoked at …`; `None` where it does.
    pub fn ended(&self, now: Timestamp) -> Option<String> {
        let at = |time: Option<Timestamp>| time.map(|time| format!(" at {time}")).unwrap_or_default();
        match self.status(now) {
            Status::Active => None,
            Status::Disabled => Some("is disabled".to_owned()),
            Status::Expired => Some(format!("expired{}", at(self.settings.expires_at))),
            Status::Revoked => Some(format!("was revoked{}", at(self.revoked_at))),
        }
    }

    /// Returns since when nobody has used a rotated key, given when it was last used.
    pub fn quiet_since(&self, last_used_at: Option<Timestamp>) -> Option<Timestamp> {
        let rotated_at = self.rotated_at()?;
        Some(last_used_at.map_or(rotated_at, |used| used.max(rotated_at)))
    }
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Active, Self::Disabled, Self::Expired, Self::Revoked];

    /// Returns the status's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Name {
    /// Returns the name without blanks around it; fails, saying why, if it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = text.trim();
        if name.is_empty() {
            return Err("is blank: say what it is for".to_owned());
        }
        if name.chars().count() > MAX_NAME {
            return Err(format!("has more than {MAX_NAME} characters"));
        }
        if name.chars().any(char::is_control) {
            return Err("has a control character".to_owned());
        }
        if token::is_within(name) {
            return Err("holds an API key, which is never stored: take it out".to_owned());
        }
        Ok(Self(name.into()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_whether_it_never_had_what_few_have_or_has_it_no_more() {
        let id = |last| format!("key_{last:024}").parse().unwrap();
        let settings = Settings::new(Name::parse("a key").unwrap(), Scopes::EVERY, "standard");
        let hint = "mcp_sk_AbCd…wXyZ".parse().unwrap();
        let plain = Key::new(id(1), hint, settings, Timestamp::from_seconds(1));
        let mut key = plain.clone();
        key.change_succession(|succession| succession.to = Some(id(2)));
        key.settings.change_extras(|extras| extras.revoke_when_quiet = Some(Duration::from_secs(1)));
        assert_eq!((key.line(), key.rotated_to()), (id(1), Some(id(2))));
        assert_ne!(key, plain);
        key.change_succession(|succession| succession.to = None);
        key.settings.change_extras(|extras| extras.revoke_when_quiet = None);
        assert_eq!(key, plain);
    }

    #[test]
    fn names_are_what_people_can_read() {
        let long = "ü".repeat(200);
        let longer = "ü".repeat(201);
        let cases: &[(&str, Option<&str>)] = &[
            ("  Laptop 💻 ", Some("Laptop 💻")),
            (&long, Some(&long)),
            (&longer, None),
            ("", None),
            (" \t ", None),
            ("a\0b", None),
            ("a\nb", None),
            ("mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38", None),
            ("mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg3", None),
            ("was mcp_sk_ABCD…Fg38", Some("was mcp_sk_ABCD…Fg38")),
        ];
        for (text, expected) in cases {
            assert_eq!(Name::parse(text).ok().as_ref().map(Name::as_str), *expected, "{text:?}");
        }
    }
}
