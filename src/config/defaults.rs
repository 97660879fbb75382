//! Every default. `mcpd.toml` shows the same ones, as a test proves.

use std::collections::BTreeMap;

use super::file::{
    AdminFile, File, FilesFile, LimitsFile, LogFile, ServerFile, SigningFile, StoreFile, TlsFile,
    UpstreamFile, UsageFile,
};

const MIB: i64 = 1024 * 1024;
const GIB: i64 = 1024 * MIB;

/// The plans that exist without being written; `None` where each key says its own limit.
pub(super) const PLANS: [(&str, Option<u32>); 4] =
    [("free", Some(10)), ("standard", Some(60)), ("professional", Some(300)), ("enterprise", None)];

impl Default for File {
    fn default() -> Self {
        Self {
            server: ServerFile::default(),
            admin: AdminFile::default(),
            store: StoreFile::default(),
            limits: LimitsFile::default(),
            plans: BTreeMap::new(),
            signing: SigningFile::default(),
            usage: UsageFile::default(),
            files: FilesFile::default(),
            log: LogFile::default(),
            upstreams: vec![echo()],
        }
    }
}

impl Default for ServerFile {
    fn default() -> Self {
        Self {
            listen: vec!["127.0.0.1:8080".into()],
            trusted_proxies: Vec::new(),
            tls: TlsFile::default(),
            workers: None,
            max_json_bytes: 32 * MIB,
            shutdown_grace_seconds: 30,
        }
    }
}

impl Default for AdminFile {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8081".into(),
            socket: "./data/admin.sock".into(),
            token_file: "./data/admin-token".into(),
            open_metrics: false,
        }
    }
}

impl Default for StoreFile {
    fn default() -> Self {
        Self { path: "./data/mcpd.db".into() }
    }
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self { default_plan: "standard".into(), failed_auth_per_minute: 60 }
    }
}

impl Default for SigningFile {
    fn default() -> Self {
        Self { required: false, max_skew_seconds: 300 }
    }
}

impl Default for UsageFile {
    fn default() -> Self {
        Self {
            flush_milliseconds: 200,
            keep_minutes: "7d".into(),
            keep_hours: "90d".into(),
            keep_days: "forever".into(),
        }
    }
}

impl Default for FilesFile {
    fn default() -> Self {
        Self { max_bytes: 64 * MIB, total_bytes: 10 * GIB }
    }
}

impl Default for LogFile {
    fn default() -> Self {
        Self { level: "info".into(), format: "text".into() }
    }
}

impl Default for UpstreamFile {
    fn default() -> Self {
        Self {
            name: None,
            kind: None,
            base_url: None,
            api_key: None,
            api_key_file: None,
            api_key_env: None,
            models: None,
            connect_timeout_seconds: 5,
            timeout_seconds: 600,
            weight: 1,
        }
    }
}

/// The upstream of a configuration that names none: enough for a first request to be answered.
fn echo() -> UpstreamFile {
    UpstreamFile { name: Some("echo".into()), kind: Some("echo".into()), ..UpstreamFile::default() }
}
