//! The environment: where the file is, what overrides it, and the upstreams' keys.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::Path;

use ::config::{Source, Value, ValueKind};

use super::error::{Error, Fault, Origin, Problem};
use super::limits::is_plan_name;
use super::settings::Known;
use super::unknown::Place;

/// Names the configuration file. One underscore: it is no setting.
const FILE: &str = "MCPD_CONFIG";
/// What the name of every override begins with.
const PREFIX: &str = "MCPD__";

/// Environment variables, by name.
#[derive(Default)]
pub(super) struct Environment(HashMap<OsString, OsString>);

/// A setting that the environment overrides.
pub(super) struct Override {
    pub(super) setting: String,
    pub(super) variable: String,
    pub(super) value: ValueKind,
}

impl Environment {
    pub(super) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// Returns the value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Returns the configuration file that is named; an empty name is none.
    pub(super) fn file(&self) -> Option<&Path> {
        self.get(FILE).filter(|path| !path.is_empty()).map(Path::new)
    }

    /// Returns the settings that are overridden, each known and of the right type.
    pub(super) fn overrides(&self) -> Result<Vec<Override>, Error> {
        let source = ::config::Environment::with_prefix("MCPD")
            .prefix_separator("__")
            .separator("__")
            .source(Some(self.settings()?));
        // Its `try_parsing` would make a number of the path `007`: the setting says what a text stands for.
        let texts = source.collect().expect("variables given as text are not read again");
        // In order of name: the same mistakes get the same answer each time.
        let texts: BTreeMap<_, _> = texts.into_iter().collect();
        texts.into_iter().map(|(setting, text)| Override::read(setting, &text)).collect()
    }

    fn settings(&self) -> Result<::config::Map<String, String>, Error> {
        let named = self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value)));
        named
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, value)| match value.to_str() {
                Some(text) => Ok((name.to_owned(), text.to_owned())),
                None => Err(at_variable(name, Fault::new(path(name), Problem::NotUtf8))),
            })
            .collect()
    }
}

impl Override {
    fn read(setting: String, text: &Value) -> Result<Self, Error> {
        let variable = format!("{PREFIX}{}", setting.replace('.', "__").to_uppercase());
        match value(&setting, text) {
            Ok(value) => Ok(Self { setting, variable, value }),
            Err(fault) => Err(at_variable(&variable, fault)),
        }
    }
}

fn value(setting: &str, text: &Value) -> Result<ValueKind, Fault> {
    let place = Place::of(setting);
    match place.find() {
        // Only the second part is ever of the operator's choice.
        Some(Known::Setting(_)) if !setting.split('.').all(is_plan_name) => {
            Err(Fault::new(place.written, Problem::BadPlanName))
        }
        Some(known @ Known::Setting(shape)) => shape.read(&text.to_string()).ok_or_else(|| {
            let expected = known.expected();
            Fault::new(setting, Problem::WrongType { expected, found: "other text" })
        }),
        _ if setting.starts_with("upstreams") => Err(Fault::new(place.written, Problem::FileOnly)),
        _ => Err(place.unknown(false)),
    }
}

fn path(variable: &str) -> String {
    variable[PREFIX.len()..].replace("__", ".").to_lowercase()
}

fn at_variable(variable: &str, fault: Fault) -> Error {
    fault.at(Origin::Variable(variable.to_owned()))
}
