//! What differs between two configurations, and which of it needs a restart.

use std::path::Path;

use crate::config::{self, Config};

/// What differs, by the names of the settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// What holds from now on.
    pub applied: Vec<&'static str>,
    /// What holds from the next start on.
    pub at_restart: Vec<&'static str>,
}

impl Changes {
    /// Returns what is new in `new`.
    pub(super) fn between(old: &Config, new: &Config) -> Self {
        // By name: a new setting does not compile until it is said here what a reload does with it.
        let Config { origin: _, server, admin, store, limits, plans, signing, usage, files, log, upstreams } =
            new;
        let config::Server { listen, trusted_proxies, tls, workers, max_json_bytes, shutdown_grace } = server;
        let config::Admin { listen: admin_listen, socket, token_file, open_metrics } = admin;
        let config::Store { path } = store;
        let config::Log { level, format } = log;
        let is_tls_switched = tls.is_some() != old.server.tls.is_some();
        let applied = [
            ("server.trusted_proxies", *trusted_proxies != old.server.trusted_proxies),
            ("server.tls", *tls != old.server.tls && !is_tls_switched),
            ("server.max_json_bytes", *max_json_bytes != old.server.max_json_bytes),
            ("limits", *limits != old.limits || plans.default_name() != old.plans.default_name()),
            ("plans", plans.iter().ne(old.plans.iter())),
            ("signing", *signing != old.signing),
            ("usage", *usage != old.usage),
            ("files", *files != old.files),
            ("log.level", *level != old.log.level),
            ("upstreams", *upstreams != old.upstreams),
        ];
        let at_restart = [
            ("server.listen", *listen != old.server.listen),
            ("server.tls", is_tls_switched),
            ("server.workers", *workers != old.server.workers),
            ("server.shutdown_grace_seconds", *shutdown_grace != old.server.shutdown_grace),
            ("admin.listen", *admin_listen != old.admin.listen),
            ("admin.socket", *socket != old.admin.socket),
            ("admin.token_file", *token_file != old.admin.token_file),
            ("admin.open_metrics", *open_metrics != old.admin.open_metrics),
            ("store.path", *path != old.store.path),
            ("log.format", *format != old.log.format),
        ];
        Self { applied: names(&applied), at_restart: names(&at_restart) }
    }

    /// Tells the log.
    pub(super) fn tell(&self, origin: Option<&Path>) {
        let origin = origin.map_or("the defaults".into(), Path::to_string_lossy);
        if self.applied.is_empty() {
            tracing::info!("reloaded {origin}: nothing is new");
        } else {
            tracing::info!("reloaded {origin}: new are {}", self.applied.join(", "));
        }
        if !self.at_restart.is_empty() {
            tracing::warn!(
                "restart mcpd to apply {}: until then it goes on with what it was started with",
                self.at_restart.join(", ")
            );
        }
    }
}

fn names(settings: &[(&'static str, bool)]) -> Vec<&'static str> {
    settings.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect()
}
