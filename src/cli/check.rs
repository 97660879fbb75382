//! `mcpd check`

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::config::Config;
use crate::server::Server;

/// Reads the configuration and says whether it can be used.
pub(super) fn run(config: Option<&Path>, as_json: bool) -> Result<()> {
    let config = Config::load(config)?;
    Server::check(&config)?;
    let file = config.origin.as_deref().map(Path::to_string_lossy);
    let upstreams: Vec<&str> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    if as_json {
        let told = json!({"object": "configuration_check", "ok": true, "file": file, "upstreams": upstreams});
        super::answer(&told.to_string());
        return Ok(());
    }
    let origin = file.unwrap_or("defaults".into());
    super::answer(&format!("{origin}: ok; upstreams: {}", upstreams.join(", ")));
    Ok(())
}
