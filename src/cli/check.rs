//! `mcpd check`

use std::path::Path;

use anyhow::Result;

use crate::config::Config;
use crate::server::Server;

/// Reads the configuration and says whether it can be used.
pub(super) fn run(config: Option<&Path>) -> Result<()> {
    let config = Config::load(config)?;
    Server::check(&config)?;
    let origin = config.origin.as_deref().map_or("defaults".into(), Path::to_string_lossy);
    let upstreams: Vec<&str> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    super::answer(&format!("{origin}: ok; upstreams: {}", upstreams.join(", ")));
    Ok(())
}
