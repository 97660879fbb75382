//! An upstream's key, and the three places where it may be written.

use std::fmt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::Problem;

/// A secret. `Debug` hides it; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the secret itself, to send it with a request.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the key that the text is, blanks and line breaks around it left out.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let key = text.trim();
        if key.is_empty() {
            return Err(Problem::KeyEmpty);
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::KeyUnusable);
        }
        Ok(Self(key.to_owned()))
    }

    /// Returns the key that a file holds.
    pub(super) fn from_file(path: &str) -> Result<Self, Problem> {
        let path = Path::new(path);
        let text = std::fs::read_to_string(path)
            .map_err(|cause| Problem::KeyFileUnreadable { path: PathBuf::from(path), cause })?;
        Self::parse(&text)
    }

    /// Returns the key that an environment variable holds.
    pub(super) fn from_variable(name: &str, environment: &Environment) -> Result<Self, Problem> {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Problem::NotAVariableName);
        }
        let value = environment.get(name).ok_or_else(|| Problem::KeyVariableMissing(name.to_owned()))?;
        Self::parse(value.to_str().ok_or(Problem::KeyUnusable)?)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
