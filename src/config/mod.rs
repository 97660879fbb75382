//! `mcpd.toml` and the `MCPD__SECTION__NAME` variables: what was written, checked, as a [`Config`].
//!
//! Relative paths are relative to the working directory.

mod admin;
mod base_url;
mod bounds;
mod defaults;
mod environment;
mod error;
mod file;
mod kind;
mod limits;
mod log;
mod secret;
mod server;
mod settings;
mod source;
mod storage;
#[cfg(test)]
mod tests;
mod unknown;
mod upstreams;
mod usage;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use admin::Admin;
pub use base_url::BaseUrl;
pub use error::{Error, Origin, Problem};
pub use kind::Kind;
pub use limits::{Limits, Signing};
pub use log::{Format, Level, Log};
pub use secret::Secret;
pub use server::{Server, Tls};
pub use storage::{Files, Store};
pub use upstreams::{Models, Upstream};
pub use usage::Usage;

use environment::{Environment, Override};
use error::Fault;
use file::File;
use source::Source;

use crate::domain::plan::Plans;

/// A configuration that may run: every value checked, every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file that it was read from; `None` where there was none.
    pub origin: Option<PathBuf>,
    /// The public listener.
    pub server: Server,
    /// The operator's way in.
    pub admin: Admin,
    /// The database.
    pub store: Store,
    /// Limits that are not a key's own.
    pub limits: Limits,
    /// The plans, and the default one.
    pub plans: Plans,
    /// What is asked of request signatures.
    pub signing: Signing,
    /// How usage is written down, and for how long.
    pub usage: Usage,
    /// The uploads that are kept.
    pub files: Files,
    /// What is logged, and in which form.
    pub log: Log,
    /// The model servers behind, at least one.
    pub upstreams: Vec<Upstream>,
}

impl Config {
    /// Reads the file that is named, else that of `MCPD_CONFIG`, else `mcpd.toml` here, else in `/etc/mcpd`,
    /// and what the environment overrides; without any, the defaults.
    pub fn load(explicit: Option<&Path>) -> Result<Self, Error> {
        Self::load_from(explicit, std::env::vars_os())
    }

    /// Does what [`load`](Self::load) does, with these environment variables.
    pub fn load_from(
        explicit: Option<&Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        Self::find(explicit, &Environment::new(variables), &source::USUAL_PLACES)
    }

    /// Returns the same with what another one says of all that can be changed while the server runs.
    #[must_use]
    pub fn with_what_reloads(&self, other: Self) -> Self {
        let tls = if self.server.tls.is_some() == other.server.tls.is_some() {
            other.server.tls
        } else {
            self.server.tls.clone()
        };
        let server = Server {
            trusted_proxies: other.server.trusted_proxies,
            max_json_bytes: other.server.max_json_bytes,
            tls,
            ..self.server.clone()
        };
        let log = Log { level: other.log.level, format: self.log.format };
        Self {
            origin: other.origin,
            server,
            admin: self.admin.clone(),
            store: self.store.clone(),
            log,
            ..other
        }
    }

    fn find(explicit: Option<&Path>, environment: &Environment, usual: &[&str]) -> Result<Self, Error> {
        let source = Source::find(explicit, environment, usual)?;
        let overrides = environment.overrides()?;
        let file = source.merge(&overrides)?;
        let config = Self::check(file, environment).map_err(|fault| locate(fault, &source, overrides))?;
        Ok(Self { origin: source.path, ..config })
    }

    fn check(file: File, environment: &Environment) -> Result<Self, Fault> {
        Ok(Self {
            origin: None,
            server: file.server.try_into()?,
            admin: file.admin.try_into()?,
            store: file.store.try_into()?,
            limits: Limits::new(file.limits.failed_auth_per_minute)?,
            plans: limits::plans(file.plans, file.limits.default_plan)?,
            signing: file.signing.try_into()?,
            usage: file.usage.try_into()?,
            files: file.files.try_into()?,
            log: file.log.try_into()?,
            upstreams: upstreams::check(file.upstreams, environment)?,
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::check(File::default(), &Environment::default()).expect("the defaults lie within their bounds")
    }
}

/// Returns the error that says where the faulty setting was written.
fn locate(fault: Fault, source: &Source, overrides: Vec<Override>) -> Error {
    let written = overrides.into_iter().find(|one| one.setting == fault.setting);
    let origin = written.map_or_else(|| source.origin(), |one| Origin::Variable(one.variable));
    fault.at(origin)
}
