//! Whether a rotation is seen through: whether the old key may be revoked, and if not, who still uses it.

use std::net::IpAddr;
use std::time::Duration;

use super::key::Status;
use super::time::{Timestamp, format_duration};

/// How long an old key is to be unused to count as quiet, where it does not say so itself.
pub const QUIET: Duration = Duration::from_secs(24 * 3_600);

/// How many clients a verdict names.
const NAMED: usize = 3;

/// A hand-over from an old key to a new one, as it stands.
#[derive(Clone, Debug)]
pub struct Migration {
    /// When the new key was made, as far as that is known.
    pub rotated_at: Option<Timestamp>,
    /// Whether the old key works; none if it was deleted.
    pub old_status: Option<Status>,
    /// When the old key stopped working, or will, as far as that is known.
    pub old_ends_at: Option<Timestamp>,
    /// When it was last let through since the rotation.
    pub old_last_used_at: Option<Timestamp>,
    /// Whether a request of it is in flight.
    pub old_is_in_use: bool,
    /// How long it is to be quiet to be revoked by itself.
    pub revoke_when_quiet: Option<Duration>,
    /// Who tried the old key since the rotation, the latest first.
    pub old_clients: Vec<Client>,
    /// Requests of the new key that were let through.
    pub new_admitted: u64,
    /// Whether the new key works, or one that it was rotated to.
    pub new_works: bool,
}

/// A client of a key at one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address, where it is known.
    pub ip: Option<IpAddr>,
    /// What it calls itself; empty where it does not.
    pub user_agent: String,
    /// The route's pattern.
    pub endpoint: String,
    /// Answered requests.
    pub requests: u64,
    /// Those with a status of 400 and more.
    pub errors: u64,
    /// Those that were let through.
    pub admitted: u64,
    /// When the last of them came in.
    pub last_seen_at: Timestamp,
}

/// Whether the old key may be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may be, without locking anybody out who uses it.
    pub safe_to_revoke: bool,
    /// Why, and what to do next.
    pub text: String,
}

impl Migration {
    /// Returns whether the old key may be revoked now.
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        if self.old_status != Some(Status::Active) {
            return Verdict { safe_to_revoke: true, text: self.ended() };
        }
        let reason = self.reason_to_wait(now);
        Verdict { safe_to_revoke: reason.is_err(), text: reason.unwrap_or_else(|safe| safe) }
    }

    /// Returns why the old key is not to be revoked yet; the error is why it may be.
    fn reason_to_wait(&self, now: Timestamp) -> Result<String, String> {
        if !self.new_works {
            return Ok(
                "Not yet: the new key does not work (revoked, disabled, expired or deleted), nor does one \
                       after it. Clients have only the old key."
                    .to_owned(),
            );
        }
        if self.old_is_in_use {
            return Ok(
                "Not yet: a request with the old key is in flight. Look again once it is done.".to_owned()
            );
        }
        match self.old_last_used_at {
            Some(used) => self.used(used, now),
            None => self.unused(now),
        }
    }

    fn used(&self, used: Timestamp, now: Timestamp) -> Result<String, String> {
        let (quiet, wanted) = (now.since(used), self.revoke_when_quiet.unwrap_or(QUIET));
        let last = format!("{used} ({} ago)", age(quiet));
        if quiet >= wanted {
            return Err(format!(
                "Safe to revoke: nobody has used the old key since {last}, and the new one has answered {}.",
                requests(self.new_admitted)
            ));
        }
        let who = self.name_clients(|client| client.admitted > 0);
        let who = if who.is_empty() { "a client that is not known".to_owned() } else { who };
        let until =
            self.old_ends_at.map(|end| format!(", or before {end}, when it ends")).unwrap_or_default();
        Ok(format!(
            "Not yet: {who} used the old key, last at {last}. Give them the new key, and look again once the \
             old one was quiet for {}{until}.",
            format_duration(wanted)
        ))
    }

    fn unused(&self, now: Timestamp) -> Result<String, String> {
        if self.new_admitted > 0 {
            return Err(format!(
                "Safe to revoke: nobody has used the old key since the rotation, the new one has answered {}.",
                requests(self.new_admitted)
            ));
        }
        let waited = self.rotated_at.map_or(QUIET, |rotated| now.since(rotated));
        if waited >= QUIET {
            return Err(
                "Safe to revoke: nobody has used the old key since the rotation, nor the new one.".into()
            );
        }
        Ok(format!(
            "Not yet: nobody has used either key since the rotation {} ago. Give clients the new key, and look \
             again once one of them has used it.",
            age(waited)
        ))
    }

    /// Tells what became of an old key that does not work, and who has not noticed.
    fn ended(&self) -> String {
        let how = match self.old_status {
            None => "was deleted",
            Some(Status::Revoked) => "was revoked",
            Some(Status::Disabled) => "is disabled",
            Some(Status::Expired | Status::Active) => "expired",
        };
        let at = self.old_ends_at.filter(|_| self.old_status != Some(Status::Disabled));
        let how = at.map_or_else(|| how.to_owned(), |at| format!("{how} at {at}"));
        let tries = |client: &Client| {
            client.requests > client.admitted && at.is_none_or(|at| client.last_seen_at >= at)
        };
        let refused: u64 = self
            .old_clients
            .iter()
            .filter(|client| tries(client))
            .map(|client| client.requests - client.admitted)
            .sum();
        if refused == 0 {
            return format!("The old key {how}. Nobody has tried it since: the rotation is done.");
        }
        let who = self.name_clients(tries);
        format!("The old key {how}, but {who} still tried it: {refused} refused. Give them the new key.")
    }

    /// Names a few of the clients, the latest first.
    fn name_clients(&self, which: impl Fn(&Client) -> bool) -> String {
        let mut named: Vec<&Client> = Vec::new();
        for client in self.old_clients.iter().filter(|client| which(client)) {
            if !named.iter().any(|known| known.ip == client.ip && known.user_agent == client.user_agent) {
                named.push(client);
            }
        }
        let more = named.len().saturating_sub(NAMED);
        let mut names: Vec<String> = named.iter().take(NAMED).map(|client| client.describe()).collect();
        if more > 0 {
            names.push(format!("{more} more"));
        }
        match names.split_last() {
            Some((last, [first @ .., before])) => {
                let first: String = first.iter().map(|name| format!("{name}, ")).collect();
                format!("{first}{before} and {last}")
            }
            Some((only, [])) => only.clone(),
            None => String::new(),
        }
    }
}

impl Client {
    fn describe(&self) -> String {
        let ip = self.ip.map_or_else(|| "an address that is not known".to_owned(), |ip| ip.to_string());
        match self.user_agent.as_str() {
            "" => format!("{ip} at {}", self.endpoint),
            agent => format!("{ip} ({agent}) at {}", self.endpoint),
        }
    }
}

fn requests(count: u64) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}

/// How long ago something was, to the largest unit.
fn age(length: Duration) -> String {
    let seconds = length.as_secs();
    let unit = match seconds {
        0..60 => 1,
        60..3_600 => 60,
        3_600..172_800 => 3_600,
        _ => 86_400,
    };
    format_duration(Duration::from_secs(seconds / unit * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);
    const HOUR: u64 = 3_600;

    fn ago(seconds: u64) -> Timestamp {
        NOW.before(Duration::from_secs(seconds))
    }

    fn migration() -> Migration {
        Migration {
            rotated_at: Some(ago(2 * HOUR)),
            old_status: Some(Status::Active),
            old_ends_at: Some(NOW.after(Duration::from_secs(22 * HOUR))),
            old_last_used_at: None,
            old_is_in_use: false,
            revoke_when_quiet: None,
            old_clients: Vec::new(),
            new_admitted: 12,
            new_works: true,
        }
    }

    fn client(number: u8, user_agent: &str, admitted: u64, seconds: u64) -> Client {
        Client {
            ip: Some([203, 0, 113, number].into()),
            user_agent: user_agent.to_owned(),
            endpoint: "/v1/models".to_owned(),
            requests: 7,
            errors: 0,
            admitted,
            last_seen_at: ago(seconds),
        }
    }

    fn used(seconds: u64) -> Migration {
        let old_clients = vec![client(9, "curl/8", 7, seconds), client(9, "curl/8", 7, seconds + 1)];
        Migration { old_last_used_at: Some(ago(seconds)), old_clients, ..migration() }
    }

    #[test]
    fn an_old_key_is_safe_to_revoke_once_nobody_would_miss_it() {
        let hour = Some(Duration::from_secs(HOUR));
        let ended = |old_status| Migration { old_status, ..used(5) };
        let cases = [
            ("never used, the new one is", migration(), true),
            ("neither is", Migration { new_admitted: 0, ..migration() }, false),
            (
                "neither for a day",
                Migration { new_admitted: 0, rotated_at: Some(ago(24 * HOUR)), ..migration() },
                true,
            ),
            ("used just now", used(5), false),
            ("used 23 hours ago", used(24 * HOUR - 1), false),
            ("used a day ago", used(24 * HOUR), true),
            ("used an hour ago, which is enough", Migration { revoke_when_quiet: hour, ..used(HOUR) }, true),
            ("less than an hour ago", Migration { revoke_when_quiet: hour, ..used(HOUR - 1) }, false),
            ("in use", Migration { old_is_in_use: true, ..migration() }, false),
            ("the new key is dead", Migration { new_works: false, ..migration() }, false),
            ("expired", ended(Some(Status::Expired)), true),
            ("revoked", ended(Some(Status::Revoked)), true),
            ("disabled", ended(Some(Status::Disabled)), true),
            ("deleted", ended(None), true),
        ];
        for (what, migration, safe) in cases {
            let verdict = migration.verdict(NOW);
            assert_eq!(verdict.safe_to_revoke, safe, "{what}: {}", verdict.text);
            let start = verdict.text.split([':', ' ']).next().unwrap();
            let expected = match (safe, what) {
                (false, _) => "Not",
                (true, "expired" | "revoked" | "disabled" | "deleted") => "The",
                (true, _) => "Safe",
            };
            assert_eq!(start, expected, "{what}: {}", verdict.text);
        }
    }

    #[test]
    fn a_verdict_says_who_still_uses_the_old_key_and_when() {
        let text = |migration: Migration| migration.verdict(NOW).text;
        assert_eq!(
            text(used(300)),
            format!(
                "Not yet: 203.0.113.9 (curl/8) at /v1/models used the old key, last at {} (5m ago). Give them the \
                 new key, and look again once the old one was quiet for 24h, or before {}, when it ends.",
                ago(300),
                NOW.after(Duration::from_secs(22 * HOUR))
            )
        );
        let mut many = used(300);
        many.old_clients = (1..=5).map(|number| client(number, "", 1, 300)).collect();
        many.old_clients[0].ip = None;
        many.old_clients[1].admitted = 0;
        let told = text(many.clone());
        assert!(
            told.contains("an address that is not known at /v1/models, 203.0.113.3 at /v1/models, "),
            "{told}"
        );
        assert!(told.contains("203.0.113.4 at /v1/models and 1 more used"), "{told}");
        assert_eq!(
            text(migration()),
            "Safe to revoke: nobody has used the old key since the rotation, the new one has answered 12 requests."
        );
    }

    #[test]
    fn a_verdict_says_who_still_tries_an_old_key_that_has_ended() {
        let ended_at = ago(HOUR);
        let mut migration =
            Migration { old_status: Some(Status::Expired), old_ends_at: Some(ended_at), ..migration() };
        let text = |migration: &Migration| migration.verdict(NOW).text;
        migration.old_clients = vec![client(9, "python-requests/2.31", 2, 60), client(8, "", 2, 2 * HOUR)];
        assert_eq!(
            text(&migration),
            format!(
                "The old key expired at {ended_at}, but 203.0.113.9 (python-requests/2.31) at /v1/models still \
                 tried it: 5 refused. Give them the new key."
            )
        );
        migration.old_clients.remove(0);
        assert!(text(&migration).ends_with("Nobody has tried it since: the rotation is done."));
        migration.old_status = Some(Status::Disabled);
        assert!(
            text(&migration).starts_with("The old key is disabled, but 203.0.113.8"),
            "{}",
            text(&migration)
        );
    }

    #[test]
    fn ages_are_told_to_the_largest_unit() {
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (119, "1m"), (3_700, "1h"), (172_799, "47h"), (180_000, "2d")]
        {
            assert_eq!(age(Duration::from_secs(seconds)), expected);
        }
    }
}
