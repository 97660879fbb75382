//! Metrics in Prometheus' text format. Labels carry key ids, never names or secrets.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::time::Duration;

use actix_web::HttpResponse;

use super::{Call, Rooms, process};
use crate::domain::histogram::Histogram;
use crate::domain::id::KeyId;
use crate::domain::usage::Tokens;
use crate::http::ApiError;

/// Upper edges of the duration buckets: from a refusal to a long stream.
const EDGES_MS: [u64; 12] = [1, 5, 10, 25, 100, 250, 1_000, 2_500, 10_000, 30_000, 120_000, 600_000];

/// Answers with all metrics as of now.
pub(super) async fn show(call: Call) -> Result<HttpResponse, ApiError> {
    call.desk.flush().await;
    let text = call.desk.block(|rooms| Ok::<_, ApiError>(render(rooms))).await?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

fn render(rooms: &Rooms) -> String {
    let mut text = Text(String::new());
    render_usage(rooms, &mut text);
    text.head("mcpd_upstream_requests_total", "counter", "Requests to upstreams, by how they ended.");
    for server in rooms.live.get().upstreams.servers() {
        for (outcome, count) in server.outcomes() {
            let labels = [("upstream", server.name.as_str()), ("outcome", outcome.name())];
            text.line("mcpd_upstream_requests_total", &labels, count);
        }
    }
    text.gauge("mcpd_streams_active", "Streams being sent now.", rooms.meter.streams());
    let keys = rooms.keys.keyring().count(rooms.clock.now().wall);
    let keys = keys.map(|(status, count)| (status.name(), count));
    text.each("mcpd_keys", "gauge", "Keys by status.", "status", keys);
    text.gauge(
        "mcpd_alerts_open",
        "Alerts that nobody has acknowledged, and are not over.",
        rooms.alerts.open_count(),
    );
    let deliveries = rooms.alerts.deliveries().map(|(outcome, count)| (outcome.name(), count));
    let help = "Attempts to deliver an alert to a webhook, by how they ended.";
    text.each("mcpd_webhook_deliveries_total", "counter", help, "outcome", deliveries);
    text.gauge("mcpd_database_bytes", "Size of the database on the disk.", rooms.store.bytes());
    process::write(&mut text.0);
    text.0
}

fn render_usage(rooms: &Rooms, text: &mut Text) {
    let (mut totals, keyring) = (rooms.meter.totals(), rooms.keys.keyring());
    // Requests that were in flight when their key was deleted are counted later.
    totals.keep_keys(|key| keyring.has(key));
    text.head("mcpd_requests_total", "counter", "Answered requests.");
    for ((key, endpoint, status), count) in &totals.requests {
        let (key, status) = (name(*key), status.to_string());
        text.line(
            "mcpd_requests_total",
            &[("key", &key), ("endpoint", endpoint), ("status", &status)],
            count,
        );
    }
    text.head("mcpd_request_duration_seconds", "histogram", "From a request's head to its answer's end.");
    for (endpoint, (histogram, sum)) in &totals.durations {
        render_histogram(text, "mcpd_request_duration_seconds", endpoint, histogram, *sum);
    }
    let help = "Requests refused or failed, by code.";
    text.each(
        "mcpd_refusals_total",
        "counter",
        help,
        "code",
        totals.refusals.iter().map(|(code, count)| (*code, count)),
    );
    render_tokens(text, &totals.tokens);
}

fn render_tokens(text: &mut Text, tokens: &BTreeMap<Option<KeyId>, Tokens>) {
    text.head("mcpd_tokens_total", "counter", "Tokens read and written.");
    for (key, tokens) in tokens {
        let key = name(*key);
        text.line("mcpd_tokens_total", &[("key", &key), ("kind", "prompt")], tokens.prompt);
        text.line("mcpd_tokens_total", &[("key", &key), ("kind", "completion")], tokens.completion);
    }
}

fn render_histogram(text: &mut Text, metric: &str, endpoint: &str, histogram: &Histogram, sum: Duration) {
    let bucket = format!("{metric}_bucket");
    for edge in EDGES_MS.map(Duration::from_millis) {
        let le = edge.as_secs_f64().to_string();
        text.line(&bucket, &[("endpoint", endpoint), ("le", &le)], histogram.count_within(edge));
    }
    let all = histogram.count_within(Duration::MAX);
    text.line(&bucket, &[("endpoint", endpoint), ("le", "+Inf")], all);
    text.line(&format!("{metric}_sum"), &[("endpoint", endpoint)], sum.as_secs_f64());
    text.line(&format!("{metric}_count"), &[("endpoint", endpoint)], all);
}

/// Requests without a key that the server knows have an empty label.
fn name(key: Option<KeyId>) -> String {
    key.map(|key| key.to_string()).unwrap_or_default()
}

/// Text in Prometheus' exposition format.
struct Text(String);

impl Text {
    fn head(&mut self, metric: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {metric} {help}\n# TYPE {metric} {kind}\n");
    }

    /// Writes a metric that has one value.
    fn gauge(&mut self, metric: &str, help: &str, value: impl Display) {
        self.head(metric, "gauge", help);
        self.line(metric, &[], value);
    }

    /// Writes a metric that has a value for each of a label's.
    fn each<T: Display>(
        &mut self,
        metric: &str,
        kind: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, T)>,
    ) {
        self.head(metric, kind, help);
        for (name, value) in values {
            self.line(metric, &[(label, name)], value);
        }
    }

    fn line(&mut self, metric: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(metric);
        for (index, (label, value)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{before}{label}=\"{value}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }
}
