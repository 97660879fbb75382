//! The configuration file: which one it is, and what it says as a tree of values.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ::config::{ConfigError, FileFormat, FileSourceString, Source as _};

use super::environment::{Environment, Override};
use super::error::{Error, Origin};
use super::file::File;
use super::unknown;

/// Where the file is looked for when none is named.
pub(super) const USUAL_PLACES: [&str; 2] = ["mcpd.toml", "/etc/mcpd/mcpd.toml"];

type Toml = ::config::File<FileSourceString, FileFormat>;

/// A configuration file that has been read; without a path, there was none to read.
#[derive(Default)]
pub(super) struct Source {
    pub(super) path: Option<PathBuf>,
    text: String,
}

impl Source {
    /// Reads the file that is named, else the first usual one that exists, else none.
    pub(super) fn find(
        explicit: Option<&Path>,
        environment: &Environment,
        usual: &[&str],
    ) -> Result<Self, Error> {
        if let Some(path) = explicit.or_else(|| environment.file()) {
            return Self::read(path);
        }
        for path in usual {
            match Self::read(Path::new(path)) {
                Err(Error::Unreadable { cause, .. }) if cause.kind() == ErrorKind::NotFound => {}
                found_or_failed => return found_or_failed,
            }
        }
        Ok(Self::default())
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self { path: Some(path), text }),
            Err(cause) => Err(Error::Unreadable { path, cause }),
        }
    }

    /// Returns what was written, the environment's word before the file's; every name and type is known.
    pub(super) fn merge(&self, overrides: &[Override]) -> Result<File, Error> {
        let written = ::config::File::from_str(&self.text, FileFormat::Toml);
        // Not the builder's tree: to that, a quoted `"server.listen"` is a path too.
        let tree = written.collect().map_err(|error| self.syntax(&error))?;
        unknown::check(&tree.into()).map_err(|fault| fault.at(self.origin()))?;
        let file = deserialize(written, overrides);
        Ok(file.expect("names and types were checked against the table that the structs follow"))
    }

    /// Returns where a setting stands that is not from the environment.
    pub(super) fn origin(&self) -> Origin {
        self.path.clone().map_or(Origin::Nowhere, Origin::File)
    }

    fn syntax(&self, error: &ConfigError) -> Error {
        let why = one_line(&error.to_string());
        Error::Syntax { path: self.path.clone().unwrap_or_default(), why }
    }
}

fn deserialize(written: Toml, overrides: &[Override]) -> Result<File, ConfigError> {
    let mut builder = ::config::Config::builder().add_source(written);
    for one in overrides {
        builder = builder.set_override(&one.setting, one.value.clone())?;
    }
    builder.build()?.try_deserialize()
}

/// Returns the first line, which says where, and what follows the excerpt, which says why. The excerpt
/// itself may show a secret.
fn one_line(error: &str) -> String {
    let is_excerpt =
        |line: &&str| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').starts_with('|');
    let lines: Vec<&str> = error.lines().filter(|line| !is_excerpt(line)).collect();
    lines.join(": ")
}
