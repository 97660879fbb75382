//! What was written: the file's shape, before anything is checked.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The whole file.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) server: ServerFile,
    pub(super) admin: AdminFile,
    pub(super) store: StoreFile,
    pub(super) limits: LimitsFile,
    pub(super) plans: BTreeMap<String, PlanFile>,
    pub(super) signing: SigningFile,
    pub(super) usage: UsageFile,
    pub(super) files: FilesFile,
    pub(super) log: LogFile,
    pub(super) upstreams: Vec<UpstreamFile>,
}

/// `[server]`
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct ServerFile {
    pub(super) listen: Vec<String>,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) tls: TlsFile,
    pub(super) workers: Option<i64>,
    pub(super) max_json_bytes: i64,
    pub(super) shutdown_grace_seconds: i64,
}

/// `[server.tls]`
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct TlsFile {
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
}

/// `[admin]`
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct AdminFile {
    pub(super) listen: String,
    pub(super) socket: String,
    pub(super) token_file: String,
    pub(super) open_metrics: bool,
}

/// `[store]`
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct StoreFile {
    pub(super) path: String,
}

/// `[limits]`
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitsFile {
    pub(super) default_plan: String,
    pub(super) failed_auth_per_minute: i64,
}

/// `[plans.<name>]`
#[derive(Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct PlanFile {
    pub(super) requests_per_minute: Option<i64>,
}

/// `[signing]`
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct SigningFile {
    pub(super) required: bool,
    pub(super) max_skew_seconds: i64,
}

/// `[usage]`
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct UsageFile {
    pub(super) flush_milliseconds: i64,
    pub(super) keep_minutes: String,
    pub(super) keep_hours: String,
    pub(super) keep_days: String,
}

/// `[files]`
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct FilesFile {
    pub(super) max_bytes: i64,
    pub(super) total_bytes: i64,
}

/// `[log]`
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogFile {
    pub(super) level: String,
    pub(super) format: String,
}

/// `[[upstreams]]`
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(default, deny_unknown_fields)]
pub(super) struct UpstreamFile {
    pub(super) name: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) base_url: Option<String>,
    pub(super) api_key: Option<String>,
    pub(super) api_key_file: Option<String>,
    pub(super) api_key_env: Option<String>,
    pub(super) models: Option<ModelsFile>,
    pub(super) connect_timeout_seconds: i64,
    pub(super) timeout_seconds: i64,
    pub(super) weight: i64,
}

/// `models`, in either of its two forms.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(untagged)]
pub(super) enum ModelsFile {
    Ids(Vec<String>),
    Table(BTreeMap<String, String>),
}
