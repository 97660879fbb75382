//! The check of what was written against the table of settings: names first, then types.

use std::collections::BTreeMap;

use ::config::{Value, ValueKind};

use super::error::{Fault, Problem};
use super::settings::{self, Known, SETTINGS};

/// Where in the configuration something stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// As the table of settings has it: `upstreams[].name`, `plans.*`.
    pattern: String,
    /// As the operator reads it: `upstreams[0].name`, `plans.free`.
    pub(super) written: String,
}

/// Returns an error for the first thing in the tree that is unknown or of the wrong type.
pub(super) fn check(tree: &Value) -> Result<(), Fault> {
    check_section(tree, &Place::default())
}

fn check_section(value: &Value, place: &Place) -> Result<(), Fault> {
    let ValueKind::Table(entries) = &value.kind else {
        return Err(wrong_type(Known::Section, value, place));
    };
    // In order of name: what is wrong with a file should not change from one look to the next.
    let entries: BTreeMap<_, _> = entries.iter().collect();
    entries.into_iter().try_for_each(|(name, value)| check_entry(value, &place.entry(name)))
}

fn check_entry(value: &Value, place: &Place) -> Result<(), Fault> {
    match place.find() {
        Some(Known::Section) => check_section(value, place),
        Some(Known::Sections) => check_sections(value, place),
        Some(Known::Setting(shape)) if shape.fits(&value.kind) => Ok(()),
        Some(known) => Err(wrong_type(known, value, place)),
        None => Err(place.unknown(matches!(value.kind, ValueKind::Table(_)))),
    }
}

fn check_sections(value: &Value, place: &Place) -> Result<(), Fault> {
    let ValueKind::Array(items) = &value.kind else {
        return Err(wrong_type(Known::Sections, value, place));
    };
    items.iter().enumerate().try_for_each(|(index, item)| check_section(item, &place.item(index)))
}

fn wrong_type(known: Known, value: &Value, place: &Place) -> Fault {
    let (expected, found) = (known.expected(), settings::found(&value.kind));
    Fault::new(place.written.as_str(), Problem::WrongType { expected, found })
}

impl Place {
    /// Returns the place that dots lead to, as a variable's name spells it.
    pub(super) fn of(path: &str) -> Self {
        path.split('.').fold(Self::default(), |place, name| place.entry(name))
    }

    /// Returns what the configuration knows by this place.
    pub(super) fn find(&self) -> Option<Known> {
        settings::find(&self.pattern)
    }

    /// Returns the error for a place that the configuration does not know.
    pub(super) fn unknown(&self, is_section: bool) -> Fault {
        Fault::new(self.written.as_str(), Problem::Unknown { nearest: self.nearest(is_section) })
    }

    fn entry(&self, name: &str) -> Self {
        let name = quoted(name);
        let known = if self.pattern == "plans" { "*" } else { &name };
        Self { pattern: join(&self.pattern, known), written: join(&self.written, &name) }
    }

    fn item(&self, index: usize) -> Self {
        Self { pattern: format!("{}[]", self.pattern), written: format!("{}[{index}]", self.written) }
    }

    fn nearest(&self, is_section: bool) -> String {
        let nearest = if is_section {
            self.most_alike(settings::sections())
        } else {
            self.most_alike(SETTINGS.iter().map(|(setting, _)| *setting))
        };
        nearest.replace('*', "<name>")
    }

    fn most_alike(&self, known: impl Iterator<Item = &'static str>) -> &'static str {
        let likeness = |known: &str| likeness(&self.pattern, known);
        // The smallest in falling order, not the largest: of equals it is the first, and `server` comes first.
        known.min_by(|a, b| likeness(b).total_cmp(&likeness(a))).expect("the table of settings is not empty")
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

/// Returns the name as TOML has it, so that `"tls.cert"` is not taken for `tls.cert`.
fn quoted(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { format!("{name:?}") }
}

/// Returns how alike the paths are; a right name in the wrong section counts nearly as much as a typo.
fn likeness(written: &str, known: &str) -> f64 {
    let name = strsim::jaro_winkler(last(written), last(known));
    let whole = strsim::jaro_winkler(written, known);
    whole.max(0.95 * name)
}

fn last(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_answered_with_the_one_that_was_meant() {
        let cases = [
            // written                  a section?  meant
            ("server.listn", false, "server.listen"),
            ("admin.listn", false, "admin.listen"),
            ("listen", false, "server.listen"),
            ("server.open_metrics", false, "admin.open_metrics"),
            ("server.path", false, "store.path"),
            ("server.worker", false, "server.workers"),
            ("server.max_body_bytes", false, "server.max_json_bytes"),
            ("server.shutdown_grace", false, "server.shutdown_grace_seconds"),
            ("server.tls_cert", false, "server.tls.cert"),
            ("server.tls.certificate", false, "server.tls.cert"),
            ("server.cert", false, "server.tls.cert"),
            ("admin.token", false, "admin.token_file"),
            ("limits.plan", false, "limits.default_plan"),
            ("limits.failed_auth", false, "limits.failed_auth_per_minute"),
            ("plans.free.requests", false, "plans.<name>.requests_per_minute"),
            ("plans.free.rpm", false, "plans.<name>.requests_per_minute"),
            ("signing.max_skew", false, "signing.max_skew_seconds"),
            ("signing.require", false, "signing.required"),
            ("usage.flush", false, "usage.flush_milliseconds"),
            ("usage.flush_seconds", false, "usage.flush_milliseconds"),
            ("usage.keep_day", false, "usage.keep_days"),
            ("files.max_size", false, "files.max_bytes"),
            ("log.lvl", false, "log.level"),
            ("server", true, "server"),
            ("servr", true, "server"),
            ("tls", true, "server.tls"),
            ("logging", true, "log"),
            ("upstream", true, "upstreams"),
            ("plan", true, "plans"),
        ];
        for (written, is_section, meant) in cases {
            assert_eq!(Place::of(written).nearest(is_section), meant, "{written}");
        }
    }

    #[test]
    fn a_mistyped_name_of_an_upstream_is_told_by_its_index() {
        let place = Place::of("upstreams").item(1).entry("base_ur\n");
        let Fault { setting, problem } = place.unknown(false);
        assert_eq!(setting, r#"upstreams[1]."base_ur\n""#);
        assert!(problem.to_string().ends_with("`upstreams[].base_url`"), "{problem}");
    }
}
