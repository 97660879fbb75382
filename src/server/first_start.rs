//! What the first start makes: the admin token and the default key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ring::rand::SecureRandom;
use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::{HandOver, StartError};
use crate::config::Config;
use crate::domain::alphabet;
use crate::domain::audit::Actor;
use crate::domain::token::Token;
use crate::keys::{Issued, Keys, Order};
use crate::store::folder::{DEFAULT_KEY, existing_folder_of, folder_of, make_folder_of};

/// The key that the first start made, to be shown this once.
pub type DefaultKey = Token;

/// Fails if a folder that is needed cannot be written to, or the token not be read, before anything is made.
pub(super) fn check_folders(config: &Config) -> Result<(), StartError> {
    for (setting, path) in
        [("admin.token_file", &config.admin.token_file), ("admin.socket", &config.admin.socket)]
    {
        let existing = existing_folder_of(path);
        let needed = if path.exists() { Access::EXEC_OK } else { Access::WRITE_OK | Access::EXEC_OK };
        let allowed = if existing.is_dir() { access(existing, needed) } else { Err(Errno::NOTDIR) };
        allowed.map_err(|cause| StartError::File {
            setting,
            path: existing.to_owned(),
            cause: cause.into(),
        })?;
    }
    known_token(&config.admin.token_file).map(drop)
}

/// Returns the admin token; makes it, readable for its owner alone, if there is none yet.
pub(super) fn admin_token(path: &Path, random: &dyn SecureRandom) -> Result<String, StartError> {
    if let Some(token) = known_token(path)? {
        return Ok(token);
    }
    let token: [u8; 43] = alphabet::random(random).map_err(|_| StartError::Randomness)?;
    let token = alphabet::as_str(&token).to_owned();
    write_secret(path, &token).map_err(|cause| token_error(path, cause))?;
    tracing::info!("made the admin token: it is in {}", path.display());
    Ok(token)
}

fn known_token(path: &Path) -> Result<Option<String>, StartError> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err(StartError::EmptyToken(path.to_owned())),
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(token_error(path, error)),
    }
}

fn token_error(path: &Path, cause: io::Error) -> StartError {
    StartError::File { setting: "admin.token_file", path: path.to_owned(), cause }
}

/// Makes the default key if no key was ever made; returns it if the caller is to show it.
pub(super) fn default_key(
    keys: &Keys,
    store: &Path,
    hand_over: HandOver,
) -> Result<Option<DefaultKey>, StartError> {
    let order = Order { actor: Actor::System, idempotency: None };
    let path = beside(store, DEFAULT_KEY);
    let (mut shown, mut unwritten) = (None, None);
    let made = keys.issue_default(order, |Issued { token, .. }| {
        match (hand_over, token) {
            (HandOver::Caller, token) => shown.clone_from(token),
            (HandOver::File, Some(token)) => unwritten = write_secret(&path, token.expose()).err(),
            (HandOver::File, None) => {}
        }
        unwritten.is_none()
    })?;
    if let Some(cause) = unwritten {
        return Err(StartError::File { setting: "store.path", path, cause });
    }
    if made && hand_over == HandOver::File {
        tracing::info!("made the default key: it is in {}; read it, then delete the file", path.display());
    }
    Ok(shown)
}

fn beside(store: &Path, name: &str) -> PathBuf {
    folder_of(store).join(name)
}

/// Writes a secret that nobody but the owner can read, whole or not at all.
fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    make_folder_of(path)?;
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(folder_of(path))?.sync_all()
}
