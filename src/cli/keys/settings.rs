//! What the arguments say about a key.

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::{Map, Value, json};

use crate::domain::models::AllowedModels;
use crate::domain::network::Networks;
use crate::domain::scope::Scope;
use crate::domain::time::{Timestamp, parse_duration};

/// Settings that a key can be made with and that can be changed.
#[derive(Debug, Default, Args)]
pub(super) struct Settings {
    /// A named limit of requests a minute; `mcpd status` lists the plans
    #[arg(long)]
    pub(super) plan: Option<String>,
    /// A limit of its own, in place of its plan's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) requests_per_minute: Option<u32>,
    /// As many requests at once, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_concurrent: Option<u32>,
    /// How long it lives from now: 90d, 24h
    #[arg(long, value_name = "D", value_parser = length, conflicts_with = "expires_at")]
    pub(super) expires_in: Option<String>,
    /// When it ends: 2027-01-31T12:00:00Z
    #[arg(long, value_name = "T", value_parser = time)]
    pub(super) expires_at: Option<String>,
    /// Only from this address or network; give it again for more
    #[arg(long = "allow-ip", value_name = "CIDR", value_parser = network, value_delimiter = ',')]
    pub(super) allow_ip: Vec<String>,
    /// Only this model, * standing for any characters; give it again for more
    #[arg(long = "allow-model", value_name = "M", value_parser = model)]
    pub(super) allow_model: Vec<String>,
    /// A note of yours, kept with it; give it again for more
    #[arg(long, value_name = "K=V", value_parser = note)]
    pub(super) metadata: Vec<(String, String)>,
    /// Each request must be signed
    #[arg(long)]
    pub(super) require_signature: bool,
    /// Only note what this setting would refuse, and let it through
    #[arg(long, value_name = "SETTING", value_parser = ["allowed_ips", "scopes"], value_delimiter = ',')]
    pub(super) report_only: Vec<String>,
}

/// Settings of a key that are taken away again.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an argument of its own")]
pub(super) struct Cleared {
    /// Take its own limit away, so that its plan's is in force
    #[arg(long, conflicts_with = "requests_per_minute")]
    plan_limit: bool,
    /// Let it make any number of requests at once
    #[arg(long, conflicts_with = "max_concurrent")]
    any_concurrent: bool,
    /// Let it live for ever
    #[arg(long, conflicts_with_all = ["expires_in", "expires_at"])]
    no_expiry: bool,
    /// Let it be used from anywhere
    #[arg(long, conflicts_with = "allow_ip")]
    any_ip: bool,
    /// Let it use all models
    #[arg(long, conflicts_with = "allow_model")]
    any_model: bool,
    /// Take all its notes away
    #[arg(long, conflicts_with = "metadata")]
    no_metadata: bool,
    /// Take unsigned requests too
    #[arg(long, conflicts_with = "require_signature")]
    no_require_signature: bool,
    /// Refuse again what its settings refuse
    #[arg(long, conflicts_with = "report_only")]
    no_report_only: bool,
}

impl Settings {
    /// Writes down what is said, as the admin API takes it.
    pub(super) fn write(&self, body: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Option<Value>| {
            body.extend(value.map(|value| (name.to_owned(), value)));
        };
        let list = |values: &[String]| (!values.is_empty()).then(|| json!(values));
        put("plan", self.plan.clone().map(Value::from));
        put("requests_per_minute", self.requests_per_minute.map(Value::from));
        put("max_concurrent", self.max_concurrent.map(Value::from));
        put("expires_in", self.expires_in.clone().map(Value::from));
        put("expires_at", self.expires_at.clone().map(Value::from));
        put("allowed_ips", list(&self.allow_ip));
        put("allowed_models", list(&self.allow_model));
        let notes: Map<_, _> =
            self.metadata.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        put("metadata", (!notes.is_empty()).then_some(Value::Object(notes)));
        put("require_signature", self.require_signature.then_some(Value::Bool(true)));
        put("report_only", list(&self.report_only));
    }
}

impl Cleared {
    /// Writes down what is taken away.
    pub(super) fn write(&self, body: &mut Map<String, Value>) {
        let cleared = [
            ("requests_per_minute", self.plan_limit, Value::Null),
            ("max_concurrent", self.any_concurrent, Value::Null),
            ("expires_at", self.no_expiry, Value::Null),
            ("allowed_ips", self.any_ip, Value::Null),
            ("allowed_models", self.any_model, Value::Null),
            ("metadata", self.no_metadata, Value::Null),
            ("require_signature", self.no_require_signature, Value::Bool(false)),
            ("report_only", self.no_report_only, Value::Null),
        ];
        let is_asked = |(name, asked, value): (&str, bool, Value)| asked.then(|| (name.to_owned(), value));
        body.extend(cleared.into_iter().filter_map(is_asked));
    }
}

/// Takes the names of scopes. `all` is `*`, which shells make something else of unless it is in quotes.
pub(super) fn scopes() -> impl TypedValueParser<Value = String> {
    let names = Scope::ALL.iter().map(|scope| PossibleValue::new(scope.name()));
    let all = PossibleValue::new("all").alias("*");
    PossibleValuesParser::new(names.chain([all]))
        .map(|name| if name == "all" { "*".to_owned() } else { name })
}

/// Takes a length of time.
pub(in crate::cli) fn length(text: &str) -> Result<String, String> {
    parse_duration(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Takes a point in time.
pub(super) fn time(text: &str) -> Result<String, String> {
    Timestamp::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Takes an address or a network.
pub(super) fn network(text: &str) -> Result<String, String> {
    Networks::parse([text]).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Takes the name of a model, or a pattern.
pub(super) fn model(text: &str) -> Result<String, String> {
    AllowedModels::parse(vec![text.to_owned()]).map(|_| text.to_owned())
}

fn note(text: &str) -> Result<(String, String), &'static str> {
    let form = "it must be a name, `=`, and what is noted, such as owner=ann";
    let (name, value) = text.split_once('=').ok_or(form)?;
    if name.is_empty() { Err(form) } else { Ok((name.to_owned(), value.to_owned())) }
}
