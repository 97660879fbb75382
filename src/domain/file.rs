//! Files that clients store.

use super::id::{FileId, KeyId};
use super::time::Timestamp;
use super::token;

/// The longest filename, in bytes; what it is told in, percent-encoded, must fit into a header.
pub const MAX_FILENAME: usize = 1024;
/// The longest purpose, in bytes.
const MAX_PURPOSE: usize = 64;

/// A file, but for what is in it.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// What requests call it.
    pub id: FileId,
    /// What people call it.
    pub filename: Filename,
    /// What it is for.
    pub purpose: Purpose,
    /// How long it is.
    pub bytes: u64,
    /// The SHA-256 of what is in it.
    pub sha256: [u8; 32],
    /// The key that made it.
    pub created_by: KeyId,
    /// When it began to.
    pub created_at: Timestamp,
}

/// What a client calls a file: data, and never a path of this machine. Any Unicode but control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filename(String);

/// What a client says that a file is for, in OpenAI's words or its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose(String);

impl Filename {
    /// Returns the text as a filename, kept to the letter; fails, saying why, if it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty: give the file a name".to_owned());
        }
        if text.len() > MAX_FILENAME {
            return Err(format!("has {} bytes; at most {MAX_FILENAME} are kept", text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err("has a control character: take it out".to_owned());
        }
        if token::is_within(text) {
            return Err("holds an API key, which is never stored: take it out".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Purpose {
    /// Returns the text as a purpose; fails, saying why, if it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        if text.is_empty() || text.len() > MAX_PURPOSE || !text.chars().all(is_word) || token::is_within(text)
        {
            return Err(format!(
                "must be a word such as `user_data` or `assistants`: up to {MAX_PURPOSE} letters, digits, `-` and `_`"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the purpose as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filenames_are_kept_to_the_letter_or_refused() {
        let long = "x".repeat(MAX_FILENAME);
        for kept in
            ["a.txt", "../../etc/passwd", "C:\\a\\b", " ", ".", "日本語 🦀.pdf", "a\"b%20", long.as_str()]
        {
            assert_eq!(Filename::parse(kept).unwrap().as_str(), kept);
        }
        let too_long = "x".repeat(MAX_FILENAME + 1);
        let key = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38.txt";
        for refused in ["", "a\0b", "a\nb", "\u{85}", too_long.as_str(), key] {
            assert!(Filename::parse(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn purposes_are_words() {
        for (text, taken) in
            [("user_data", true), ("fine-tune", true), ("", false), ("a b", false), ("a\0", false)]
        {
            assert_eq!(Purpose::parse(text).is_ok(), taken, "{text:?}");
        }
    }
}
