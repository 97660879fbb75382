//! The configuration file: which one it is, and what it says as a tree of values.

use std::fs::Metadata;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ::config::{ConfigError, FileFormat, FileSourceString, Source as _};
use rustix::process::geteuid;

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

/// How a file came to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Somebody named it.
    Name,
    /// It is where one may be.
    Looking,
}

impl Source {
    /// Reads the file that is named, else the first usual one that exists, else none.
    pub(super) fn find(
        explicit: Option<&Path>,
        environment: &Environment,
        usual: &[&str],
    ) -> Result<Self, Error> {
        if let Some(path) = explicit.or_else(|| environment.file()) {
            return Self::read(path, By::Name);
        }
        for path in usual {
            match Self::read(Path::new(path), By::Looking) {
                Err(Error::Unreadable { cause, .. }) if cause.kind() == ErrorKind::NotFound => {}
                found_or_failed => return found_or_failed,
            }
        }
        Ok(Self::default())
    }

    fn read(path: &Path, by: By) -> Result<Self, Error> {
        let unreadable = |cause| Error::Unreadable { path: path.to_owned(), cause };
        let mut file = std::fs::File::open(path).map_err(unreadable)?;
        // Where it leads must be root's choice: who can write it, or put another in its place, would act as root.
        if by == By::Looking && is_here(path) && geteuid().is_root() {
            let folder = Path::new(".").metadata().map_err(unreadable)?;
            if !(is_root_s(&folder) && is_root_s(&file.metadata().map_err(unreadable)?)) {
                return Err(Error::NotRoots(path.to_owned()));
            }
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(unreadable)?;
        Ok(Self { path: Some(path.to_owned()), text })
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

/// Tells whether a file is found in the folder that mcpd happens to be started in.
fn is_here(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.as_os_str().is_empty())
}

/// Tells whether root alone owns and can write a file or folder.
fn is_root_s(found: &Metadata) -> bool {
    let writes = |bit| found.mode() & bit != 0;
    found.uid() == 0 && !writes(0o002) && (found.gid() == 0 || !writes(0o020))
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
