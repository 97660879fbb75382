//! Every setting there is, by its path, and what each takes.
//!
//! `*` stands for a name of the operator's choice, `[]` for a list of sections.

use ::config::{Value, ValueKind};

use Shape::{Flag, Models, Text, Texts, Whole};

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    Whole,
    Flag,
    Texts,
    /// A list of model ids, or a table from ids to the upstream's ids.
    Models,
}

/// What the configuration knows by a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Setting(Shape),
    Section,
    Sections,
}

#[rustfmt::skip]
pub(super) const SETTINGS: &[(&str, Shape)] = &[
    ("server.listen",                        Texts),
    ("server.trusted_proxies",               Texts),
    ("server.tls.cert",                      Text),
    ("server.tls.key",                       Text),
    ("server.workers",                       Whole),
    ("server.max_json_bytes",                Whole),
    ("server.shutdown_grace_seconds",        Whole),
    ("admin.listen",                         Text),
    ("admin.socket",                         Text),
    ("admin.token_file",                     Text),
    ("admin.open_metrics",                   Flag),
    ("store.path",                           Text),
    ("limits.default_plan",                  Text),
    ("limits.failed_auth_per_minute",        Whole),
    ("plans.*.requests_per_minute",          Whole),
    ("signing.required",                     Flag),
    ("signing.max_skew_seconds",             Whole),
    ("usage.flush_milliseconds",             Whole),
    ("usage.keep_minutes",                   Text),
    ("usage.keep_hours",                     Text),
    ("usage.keep_days",                      Text),
    ("files.max_bytes",                      Whole),
    ("files.total_bytes",                    Whole),
    ("log.level",                            Text),
    ("log.format",                           Text),
    ("upstreams[].name",                     Text),
    ("upstreams[].kind",                     Text),
    ("upstreams[].base_url",                 Text),
    ("upstreams[].api_key",                  Text),
    ("upstreams[].api_key_file",             Text),
    ("upstreams[].api_key_env",              Text),
    ("upstreams[].models",                   Models),
    ("upstreams[].connect_timeout_seconds",  Whole),
    ("upstreams[].timeout_seconds",          Whole),
    ("upstreams[].weight",                   Whole),
];

/// Returns what the path names, if anything.
pub(super) fn find(path: &str) -> Option<Known> {
    SETTINGS.iter().find_map(|(setting, shape)| match setting.strip_prefix(path)? {
        "" => Some(Known::Setting(*shape)),
        rest if rest.starts_with('.') => Some(Known::Section),
        rest if rest.starts_with("[]") => Some(Known::Sections),
        _ => None,
    })
}

/// Returns the paths of all sections, outer ones first.
pub(super) fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS
        .iter()
        .flat_map(|(setting, _)| setting.match_indices(['.', '[']).map(|(at, _)| &setting[..at]))
        .filter(|section| !section.ends_with(']'))
}

impl Known {
    /// Returns what is expected, as an error says it.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Setting(Text) => "text",
            Self::Setting(Whole) => "a whole number",
            Self::Setting(Flag) => "true or false",
            Self::Setting(Texts) => "a list of texts",
            Self::Setting(Models) => "a list of model ids or a table of texts",
            Self::Section => "a section",
            Self::Sections => "a list of sections, each headed by its name in [[ ]]",
        }
    }
}

impl Shape {
    /// Tells whether the value has the shape.
    pub(super) fn fits(self, kind: &ValueKind) -> bool {
        match (self, kind) {
            (Text, ValueKind::String(_)) | (Whole, ValueKind::I64(_)) | (Flag, ValueKind::Boolean(_)) => true,
            (Texts | Models, ValueKind::Array(items)) => items.iter().all(is_text),
            (Models, ValueKind::Table(entries)) => entries.values().all(is_text),
            _ => false,
        }
    }

    /// Returns the value that the text of an environment variable stands for, if it has the shape.
    pub(super) fn read(self, text: &str) -> Option<ValueKind> {
        match self {
            Text => Some(text.into()),
            Whole => text.trim().parse::<i64>().ok().map(ValueKind::I64),
            Flag => text.trim().parse().ok().map(ValueKind::Boolean),
            Texts => Some(
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Vec<_>>().into(),
            ),
            Models => None,
        }
    }
}

/// Returns what the value is, as an error says it. The value itself may be a secret and is not repeated.
pub(super) fn found(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => "a whole number",
        ValueKind::Float(_) => "a number with a fraction",
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a section",
        ValueKind::Array(items) if items.iter().all(is_text) => "a list of texts",
        ValueKind::Array(_) => "a list of other things",
    }
}

fn is_text(value: &Value) -> bool {
    matches!(value.kind, ValueKind::String(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_setting_a_section_or_nothing() {
        let cases = [
            ("server", Some(Known::Section)),
            ("server.tls", Some(Known::Section)),
            ("server.tls.key", Some(Known::Setting(Text))),
            ("plans", Some(Known::Section)),
            ("plans.*", Some(Known::Section)),
            ("upstreams", Some(Known::Sections)),
            ("upstreams[]", Some(Known::Section)),
            ("upstreams[].models", Some(Known::Setting(Models))),
            ("serv", None),
            ("server.lis", None),
            ("server.listen.more", None),
        ];
        for (path, expected) in cases {
            assert_eq!(find(path), expected, "{path}");
        }
    }

    #[test]
    fn a_variable_s_text_is_read_as_its_setting_takes_it() {
        let cases = [
            (Text, "007", Some("007".into())),
            (Text, " true ", Some(" true ".into())),
            (Whole, "60", Some(ValueKind::I64(60))),
            (Whole, "six", None),
            (Whole, "1.5", None),
            (Flag, "true", Some(ValueKind::Boolean(true))),
            (Flag, "yes", None),
            (Texts, "a, b", Some(vec!["a", "b"].into())),
            (Texts, "a", Some(vec!["a"].into())),
            (Texts, "", Some(Vec::<&str>::new().into())),
        ];
        for (shape, text, expected) in cases {
            assert_eq!(shape.read(text), expected, "{shape:?} {text}");
        }
    }
}
