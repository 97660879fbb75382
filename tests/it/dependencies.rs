//! What mcpd is made of, held to `deny.toml` with nothing but cargo: where crates come from, under which licences, and
//! which are there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::process::Command;
use std::str::SplitWhitespace;

use config::{Config, File, FileFormat};
use serde::Deserialize;
use serde_json::Value;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[derive(Deserialize)]
struct Policy {
    graph: Graph,
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

fn policy() -> Policy {
    let text = include_str!("../../deny.toml");
    let read = Config::builder().add_source(File::from_str(text, FileFormat::Toml)).build().unwrap();
    read.try_deserialize().unwrap()
}

/// The crates that are built where the tests run: name, version, licence.
fn crates() -> Vec<(String, String, String)> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    assert!(policy().graph.targets.contains(&target), "deny.toml knows nothing of {target}");
    let arguments = ["metadata", "--locked", "--offline", "--format-version=1", "--filter-platform", &target];
    let told = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let told = told.unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let metadata: Value = serde_json::from_slice(&told.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| (text(&package["name"]), text(&package["version"]), text(&package["license"])))
        .collect()
}

/// The packages of a lock file: name, source and checksum, where it says them.
fn locked(text: &str) -> Vec<(&str, Option<&str>, Option<&str>)> {
    let packages = text.split("[[package]]").skip(1);
    packages
        .map(|package| {
            let field = |name: &str| {
                let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
                line.and_then(|value| value.strip_suffix('"'))
            };
            (field("name").unwrap(), field("source"), field("checksum"))
        })
        .collect()
}

/// Tells whether a licence in SPDX's words, or with `/` for `OR` as of old, leaves a choice that is allowed.
fn is_allowed(licence: &str, allowed: &[String]) -> bool {
    let licence = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = licence.split_whitespace().peekable();
    let is_good = any_of(&mut words, allowed);
    assert_eq!(words.next(), None, "{licence}");
    is_good
}

type Words<'a> = Peekable<SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut is_good = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        is_good |= all_of(words, allowed);
    }
    is_good
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut is_good = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        is_good &= one(words, allowed);
    }
    is_good
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let word = words.next().unwrap_or_default();
    if word == "(" {
        let is_good = any_of(words, allowed);
        assert_eq!(words.next(), Some(")"));
        return is_good;
    }
    // With an exception it is another licence, which would have to be allowed as such.
    let exception = words.next_if_eq(&"WITH").and_then(|_| words.next());
    let name = exception.map_or(word.to_owned(), |exception| format!("{word} WITH {exception}"));
    allowed.contains(&name)
}

/// A version's numbers, to tell the latest.
fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|number| number.parse().ok()).collect()
}

#[test]
fn every_crate_is_the_registry_s_own_to_the_byte() {
    let own = ["mcpd", "mcpd-fuzz"];
    for lock in [include_str!("../../Cargo.lock"), include_str!("../../fuzz/Cargo.lock")] {
        let packages = locked(lock);
        assert!(packages.len() > 200, "only {}: the lock file is read wrongly", packages.len());
        for (name, source, checksum) in packages.into_iter().filter(|(name, ..)| !own.contains(name)) {
            assert_eq!(source, Some(REGISTRY), "{name}");
            assert_eq!(checksum.map(str::len), Some(64), "{name}");
        }
    }
}

#[test]
fn every_crate_may_be_handed_on() {
    let allowed = policy().licenses.allow;
    for (name, version, licence) in crates() {
        assert!(is_allowed(&licence, &allowed), "{name} {version}: `{licence}`");
    }
    let cases = [
        ("MIT", true),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only/MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("(MIT OR GPL-3.0-only) AND Zlib", true),
        ("(MIT OR Zlib) AND GPL-3.0-only OR AGPL-3.0-only", false),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("", false),
    ];
    for (licence, is_good) in cases {
        assert_eq!(is_allowed(licence, &allowed), is_good, "{licence}");
    }
}

#[test]
fn no_crate_is_there_twice_but_those_that_cannot_be_helped() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, version, _) in crates() {
        versions.entry(name).or_default().push(version);
    }
    let mut spare = BTreeSet::new();
    for (name, mut versions) in versions {
        versions.sort_by_key(|version| numbers(version));
        versions.pop();
        spare.extend(versions.into_iter().map(|version| format!("{name}@{version}")));
    }
    let skips = policy().bans.skip;
    assert!(skips.iter().all(|skip| !skip.reason.is_empty()));
    let skipped: BTreeSet<String> = skips.into_iter().map(|skip| skip.name).collect();
    assert_eq!(spare, skipped, "what there is twice, and what deny.toml has a reason for");
}
