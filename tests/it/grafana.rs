//! The dashboard for Grafana asks for what the server tells, by the names that it has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{Request, TestServer};

/// Labels that Prometheus adds itself.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

type Metrics = BTreeMap<String, BTreeSet<String>>;

fn dashboard() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/grafana/mcpd.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The metrics that a server tells which has seen a little of everything, with their labels.
fn told() -> Metrics {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    server.call(&key, Request::chat("Hello")).expect(200);
    Request::get("/v1/key").send(server.public).expect(401);
    let text = server.admin(Request::get("/metrics")).expect(200).text();
    let mut metrics = Metrics::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').unwrap().0;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.split_once('=').unwrap().0.to_owned());
        metrics.entry(name.to_owned()).or_default().extend(labels);
    }
    metrics
}

/// The names of metrics in a query, each with what is in the braces behind it.
fn asked(query: &str) -> Vec<(&str, &str)> {
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let starts = |word: &str| word.starts_with("mcpd_") || word.starts_with("process_");
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(start) = rest.find(is_of_name) {
        let word = &rest[start..];
        let end = word.find(|character| !is_of_name(character)).unwrap_or(word.len());
        let (name, behind) = word.split_at(end);
        rest = behind;
        if starts(name) {
            let selector = behind.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            found.push((name, selector.map_or("", |(inner, _)| inner)));
        }
    }
    found
}

/// The labels that a query groups by.
fn grouped(query: &str) -> Vec<&str> {
    let lists = query.split("by (").skip(1).map(|rest| rest.split(')').next().unwrap());
    lists.flat_map(|list| list.split(',')).map(str::trim).collect()
}

/// The labels that a legend names.
fn named(legend: &str) -> Vec<&str> {
    legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap().trim()).collect()
}

/// What is wrong with a query.
fn faults(query: &str, legend: &str, told: &Metrics) -> Vec<String> {
    let mut faults = Vec::new();
    let mut labels: BTreeSet<&str> = OF_PROMETHEUS.into();
    let metrics = asked(query);
    if metrics.is_empty() {
        faults.push(format!("no metric: {query}"));
    }
    for (name, selector) in metrics {
        let Some(own) = told.get(name) else {
            faults.push(format!("nobody tells {name}: {query}"));
            continue;
        };
        let selected = selector.split(", ").filter(|part| !part.is_empty());
        let selected = selected.map(|part| part.split(['=', '!']).next().unwrap());
        let known = |label: &&str| own.contains(*label) || OF_PROMETHEUS.contains(label);
        faults.extend(selected.filter(|label| !known(label)).map(|label| format!("{name} has no {label}")));
        labels.extend(own.iter().map(String::as_str));
    }
    let groups = grouped(query);
    faults.extend(
        groups.iter().filter(|label| !labels.contains(*label)).map(|label| format!("by {label}: {query}")),
    );
    // What is grouped keeps no other labels.
    let kept =
        |label: &&str| if groups.is_empty() { labels.contains(*label) } else { groups.contains(label) };
    faults.extend(
        named(legend).into_iter().filter(|label| !kept(label)).map(|label| format!("{legend}: {label}")),
    );
    faults
}

/// Each panel's queries, with their legends.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| (text(&target["expr"]), text(&target["legendFormat"]))).collect()
}

#[test]
fn the_dashboard_asks_for_metrics_and_labels_that_there_are() {
    let (dashboard, told) = (dashboard(), told());
    let queries = queries(&dashboard);
    assert!(queries.len() > 20);
    let faults: Vec<_> = queries.iter().flat_map(|(query, legend)| faults(query, legend, &told)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let query = variable["definition"].as_str().unwrap();
        let (metric, label) = query.strip_prefix("label_values(").unwrap().split_once(", ").unwrap();
        let label = label.trim_end_matches(')');
        assert!(told[metric].contains(label) || OF_PROMETHEUS.contains(&label), "{query}");
    }
}

#[test]
fn the_dashboard_leaves_out_no_metric_and_asks_one_source_only() {
    let dashboard = dashboard();
    let queries = queries(&dashboard);
    let asked: BTreeSet<&str> =
        queries.iter().flat_map(|(query, _)| asked(query)).map(|(name, _)| name).collect();
    // The rest of what every process tells needs no panel.
    let of_process = ["process_start_time_seconds", "process_virtual_memory_bytes"];
    let told = told();
    let left_out: Vec<_> = told.keys().filter(|name| !asked.contains(name.as_str())).collect();
    assert_eq!(left_out, of_process);

    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    assert_eq!(dashboard["__inputs"][0]["name"], "DS_PROMETHEUS");
    let source = json!({"type": "prometheus", "uid": "${DS_PROMETHEUS}"});
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have the id {}", panel["id"]);
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"], source, "{}", panel["title"]);
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"], source, "{}", panel["title"]);
        }
    }
}

#[test]
fn a_dashboard_that_asks_for_what_there_is_not_is_found_out() {
    let told = Metrics::from([("mcpd_keys".to_owned(), BTreeSet::from(["status".to_owned()]))]);
    let cases = [
        ("sum by (status) (mcpd_keys{status=\"active\", instance=~\"$instance\"})", "{{status}}", 0),
        ("mcpd_key{status=\"active\"}", "", 1),
        ("mcpd_keys{state=\"active\"}", "", 1),
        ("sum by (state) (mcpd_keys)", "", 1),
        ("sum by (status) (mcpd_keys)", "{{instance}}", 1),
        ("mcpd_keys", "{{status}} {{state}}", 1),
        ("vector(1)", "", 1),
    ];
    for (query, legend, count) in cases {
        let found = faults(query, legend, &told);
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
}
