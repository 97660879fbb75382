//! Reading the configuration again while requests are in flight: all that can be applied at once, or nothing.

use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::changes::Changes;
use super::tls::{self, Certificate};
use super::{Shared, StartError};
use crate::config::{self, Config};
use crate::files::Limits;
use crate::http::live::{Live, Signing};
use crate::upstream::Connections;

/// Sets the level of the log.
pub type SetLevel = fn(config::Level);

/// What holds, and where to put what is to hold from now on.
pub(super) struct Reloading {
    /// What holds: of what only a restart applies, what the server was started with.
    pub config: Config,
    pub rooms: Arc<Shared>,
    pub certificate: Option<Arc<Certificate>>,
    pub set_level: SetLevel,
}

/// Why what held before still holds.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The file, or a variable, is not as it must be.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// What the file names cannot be used.
    #[error("{origin}: {cause}")]
    Unusable { origin: String, cause: StartError },
}

/// What is ready to be applied: from here on nothing can fail.
struct Next {
    config: Config,
    live: Live,
    certificate: Option<CertifiedKey>,
}

impl Reloading {
    /// Reads the configuration and applies it, and tells the log. Blocks: files are read.
    pub(super) fn reload(&mut self) -> Result<(), Refused> {
        let next = self.read()?;
        let renewed = next.certificate.as_ref().map(|key| &key.cert);
        let old = self.certificate.as_ref().map(|certificate| certificate.chain());
        let is_certificate_new = renewed.is_some() && renewed != old.as_ref();
        let mut changes = Changes::between(&self.config, &next.config);
        if is_certificate_new {
            changes.applied.push("the certificate");
        }
        self.apply(next);
        changes.tell(self.config.origin.as_deref());
        Ok(())
    }

    fn read(&self) -> Result<Next, Refused> {
        // The file that was there at the start must still be there: without it, the defaults would hold.
        let config = Config::load(self.config.origin.as_deref())?;
        let unusable = |cause| Refused::Unusable {
            origin: config.origin.as_deref().map_or("the defaults".into(), |path| path.display().to_string()),
            cause,
        };
        let certificate = config.server.tls.as_ref().map(tls::load).transpose().map_err(unusable)?;
        let live = self.live(&config).map_err(unusable)?;
        // Whether there is TLS at all, only a restart changes.
        let certificate = certificate.filter(|_| self.certificate.is_some());
        Ok(Next { config, live, certificate })
    }

    fn live(&self, config: &Config) -> Result<Live, StartError> {
        let (now, clock) = (self.rooms.live().get(), &self.rooms.clock);
        let (upstreams, connections) = if config.upstreams == self.config.upstreams {
            (Arc::clone(&now.upstreams), now.connections.clone())
        } else {
            let upstreams = now.upstreams.changed(&config.upstreams)?;
            let connections = Connections::new(upstreams.servers())?;
            (Arc::new(upstreams), connections)
        };
        Ok(Live {
            trusted_proxies: config.server.trusted_proxies.clone(),
            max_json_bytes: config.server.max_json_bytes,
            signing: Signing {
                required: config.signing.required,
                skew: now.signing.skew.changed(config.signing.max_skew, clock.now().wall),
            },
            upstreams,
            connections,
        })
    }

    fn apply(&mut self, Next { config, live, certificate }: Next) {
        let Shared { admin, gate, .. } = &*self.rooms;
        let crate::admin::Rooms { contexts, files, .. } = &**admin;
        if let (Some(served), Some(renewed)) = (&self.certificate, certificate) {
            served.replace(renewed);
        }
        admin.live.replace(live);
        admin.keys.set_plans(config.plans.clone());
        gate.allow_failures(config.limits.failed_auth_per_minute.get());
        contexts.set_most_bytes(config.server.max_json_bytes as u64);
        let config::Files { max_bytes, total_bytes } = config.files;
        files.set_limits(Limits { max_bytes, total_bytes });
        admin.keeper.change(config.usage.flush, super::retention(&config.usage));
        (self.set_level)(config.log.level);
        self.rooms.reloaded.notify_one();
        self.config = self.config.with_what_reloads(config);
    }
}
