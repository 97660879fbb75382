//! Who changed what: rows that hold together as a chain.

use ring::digest;
use ring::error::Unspecified;
use ring::rand::SecureRandom;
use serde_json::Value;

use super::alphabet;
use super::time::Timestamp;

/// What is noted, each as `what.done`.
pub const ACTIONS: [&str; 13] = [
    "key.create",
    "key.update",
    "key.rotate",
    "key.revoke",
    "key.delete",
    "alert_rule.create",
    "alert_rule.update",
    "alert_rule.delete",
    "alert.acknowledge",
    "backup.create",
    "context.delete",
    "file.delete",
    "server.restore",
];

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody on the admin socket, as the kernel names them.
    Socket {
        /// User id of the process at the other end.
        uid: u32,
        /// Its process id, where the kernel tells.
        pid: Option<i32>,
    },
    /// Somebody with the admin token.
    Token,
    /// Somebody signed in to the dashboard.
    Dashboard,
    /// The server itself.
    System,
}

/// A change, about to be noted.
#[derive(Clone, Debug)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What was done: one of [`ACTIONS`].
    pub action: &'static str,
    /// To what: the id.
    pub target: String,
    /// How it was, without secrets; nothing before it was made.
    pub before: Option<Value>,
    /// How it is now; nothing once it is deleted.
    pub after: Option<Value>,
}

/// A change as it is kept.
#[derive(Clone, Debug)]
pub struct Row {
    /// The row's own id.
    pub id: String,
    /// When, by whom and what.
    pub at: Timestamp,
    /// How the actor came in.
    pub via: String,
    /// The actor's user id, on the socket.
    pub uid: Option<u32>,
    /// The actor's process id, on the socket.
    pub pid: Option<i32>,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: String,
    /// How it was: JSON text.
    pub before: Option<String>,
    /// How it is now: JSON text.
    pub after: Option<String>,
    /// SHA-256 of the row before; zeros for the first.
    pub previous_digest: [u8; 32],
}

/// Returns a new random id for an audit row.
pub fn row_id(random: &dyn SecureRandom) -> Result<String, Unspecified> {
    let id: [u8; 24] = alphabet::random(random)?;
    Ok(format!("audit_{}", alphabet::as_str(&id)))
}

impl Actor {
    /// Returns how the actor came in.
    pub const fn via(self) -> &'static str {
        match self {
            Self::Socket { .. } => "socket",
            Self::Token => "token",
            Self::Dashboard => "dashboard",
            Self::System => "system",
        }
    }

    /// Returns the user and process id that the kernel told.
    pub const fn process(self) -> (Option<u32>, Option<i32>) {
        match self {
            Self::Socket { uid, pid } => (Some(uid), pid),
            _ => (None, None),
        }
    }
}

impl Row {
    /// Returns the SHA-256 of the row, the digest of the one before included.
    ///
    /// Each part goes in with its length, so that no two rows read alike.
    pub fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        let at = self.at.as_millis().to_string();
        let uid = self.uid.map(|uid| uid.to_string());
        let pid = self.pid.map(|pid| pid.to_string());
        let parts = [
            Some(self.id.as_str()),
            Some(&at),
            Some(&self.via),
            uid.as_deref(),
            pid.as_deref(),
            Some(&self.action),
            Some(&self.target),
            self.before.as_deref(),
            self.after.as_deref(),
        ];
        context.update(&self.previous_digest);
        for part in parts {
            // A missing part has a length that no part can have.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            context.update(&length.to_be_bytes());
            context.update(part.unwrap_or_default().as_bytes());
        }
        context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_to_any_part_changes_the_digest() {
        let row = Row {
            id: "audit_1".to_owned(),
            at: Timestamp::from_millis(1),
            via: "socket".to_owned(),
            uid: Some(0),
            pid: None,
            action: "key.create".to_owned(),
            target: "key_1".to_owned(),
            before: None,
            after: Some("{}".to_owned()),
            previous_digest: [0; 32],
        };
        let others = [
            Row { id: "audit_2".to_owned(), ..row.clone() },
            Row { at: Timestamp::from_millis(2), ..row.clone() },
            Row { uid: None, ..row.clone() },
            Row { uid: None, pid: Some(0), ..row.clone() },
            Row { before: row.after.clone(), after: None, ..row.clone() },
            Row { action: "key.createkey".to_owned(), target: "_1".to_owned(), ..row.clone() },
            Row { previous_digest: [1; 32], ..row.clone() },
        ];
        for other in others {
            assert_ne!(other.digest(), row.digest(), "{other:?}");
        }
    }
}
