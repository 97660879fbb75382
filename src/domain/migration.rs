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
        // Who is seen is counted by the day: how many came in after the key's end is not known.
        format!(
            "The old key {how}, but {who} still tried it: {refused} refused since the rotation. Give them the new key."
        )
    }

    /// Names a few of the clients, the latest first.
    fn name_clients(&self, which: impl Fn(&Client) -> bool) -> String {
        let mut clients: Vec<&Client> = Vec::new();
        for client in self.old_clients.iter().filter(|client| which(client)) {
            if !clients.iter().any(|known| known.ip == client.ip && known.user_agent == client.user_agent) {
                clients.push(client);
            }
        }
        let more = clients.len().saturating_sub(NAMED);
        let mut names: Vec<String> = clients.iter().take(NAMED).map(|client| client.describe()).collect();
        if more > 0 {
            names.push(format!("{more} more"));
        }
        match names.split_last() {
            Some((last, before @ [_, ..])) => format!("{} and {last}", before.join(", ")),
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
mod tests;
