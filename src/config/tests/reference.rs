//! The proof that the table of settings, the structs, the defaults and `mcpd.toml` say the same.

use std::collections::BTreeSet;

use ::config::{FileFormat, Value, ValueKind};

use super::super::environment::Environment;
use super::super::file::{File, PlanFile, ServerFile, UpstreamFile};
use super::super::settings::{self, Known, SETTINGS, Shape};
use super::super::{Config, unknown};
use super::Folder;

const REFERENCE: &str = include_str!("../../../mcpd.toml");

/// The reference configuration with every example uncommented.
fn uncommented() -> String {
    let is_example = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let lines = REFERENCE.lines().map(|line| match line.strip_prefix('#') {
        Some(example) if is_example(example) => example,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn parse(text: &str) -> ::config::Config {
    let file = ::config::File::from_str(text, FileFormat::Toml);
    ::config::Config::builder().add_source(file).build().unwrap()
}

/// Returns the paths of all values in the tree, as the table of settings has them.
fn paths(tree: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(tree, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match &value.kind {
        _ if matches!(settings::find(path), Some(Known::Setting(_))) => {
            found.insert(path.to_owned());
        }
        ValueKind::Array(items) => items.iter().for_each(|item| collect(item, &format!("{path}[]"), found)),
        ValueKind::Table(entries) => entries.iter().for_each(|(name, value)| match path {
            "" => collect(value, name, found),
            "plans" => collect(value, "plans.*", found),
            _ => collect(value, &format!("{path}.{name}"), found),
        }),
        _ => {
            found.insert(path.to_owned());
        }
    }
}

fn known() -> BTreeSet<String> {
    SETTINGS.iter().map(|(path, _)| (*path).to_owned()).collect()
}

#[test]
fn the_structs_have_the_settings_of_the_table_and_no_others() {
    // An empty list is not written: one entry makes it show.
    let server = ServerFile { trusted_proxies: vec![String::new()], ..ServerFile::default() };
    let file = File {
        server,
        plans: [("free".to_owned(), PlanFile::default())].into(),
        upstreams: vec![UpstreamFile::default()],
        ..File::default()
    };
    assert_eq!(paths(&::config::Config::try_from(&file).unwrap().cache), known());
}

#[test]
fn the_structs_take_what_the_table_takes() {
    for (path, shape) in SETTINGS {
        let value: ValueKind = match shape {
            Shape::Text => "text".into(),
            Shape::Whole => i64::MIN.into(),
            Shape::Flag => true.into(),
            Shape::Texts | Shape::Models => vec!["text"].into(),
        };
        assert!(shape.fits(&value), "{path}");
        let path = path.replace('*', "free").replace("[]", "[0]");
        let built = ::config::Config::builder().set_override(&path, value).unwrap().build().unwrap();
        assert!(built.try_deserialize::<File>().is_ok(), "{path}");
    }
}

#[test]
fn the_reference_configuration_shows_every_setting_and_no_others() {
    let everything = parse(&uncommented()).cache;
    assert_eq!(paths(&everything), known());
    unknown::check(&everything).unwrap();
}

#[test]
fn the_reference_configuration_is_the_default_one() {
    let file: File = parse(REFERENCE).try_deserialize().unwrap();
    assert_eq!(Config::check(file, &Environment::default()).unwrap(), Config::default());
}

#[test]
fn every_example_in_the_reference_configuration_is_good() {
    let folder = Folder::new();
    let key = folder.write("key", "sk-example\n");
    let text = uncommented().replace("/etc/mcpd/llama-cpp.key", key.to_str().unwrap());
    let variables = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"].map(|name| (name.into(), "sk-example".into()));

    let file: File = parse(&text).try_deserialize().unwrap();
    let config = Config::check(file, &Environment::new(variables)).unwrap();

    let names: Vec<_> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    assert_eq!(names, ["echo", "ollama", "vllm", "llama-cpp", "openai", "anthropic"]);
    assert!(config.server.tls.is_some() && config.server.workers.is_some());
}
