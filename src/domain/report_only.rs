//! Settings that are only tried out: what they would refuse is let through, and noted.

use std::net::IpAddr;

use super::scope::{Scope, Scopes};

/// A setting that can be tried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Setting {
    AllowedIps,
    Scopes,
}

/// Which settings of a key are only tried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportOnly(u8);

/// Text that names no such setting.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be tried out; `allowed_ips` and `scopes` can")]
pub struct UnknownSetting(String);

/// What a setting would have refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finding {
    /// An address outside `allowed_ips`; none where it could not be read.
    Address(Option<IpAddr>),
    /// A scope that the key lacks.
    Scope(Scope),
    /// More than are told apart.
    Others(Setting),
}

/// What the settings would have refused of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    address: Option<Option<IpAddr>>,
    scopes: Scopes,
}

impl Setting {
    /// Every setting that can be tried out.
    pub const ALL: [Self; 2] = [Self::AllowedIps, Self::Scopes];

    /// Returns the setting's name, such as `allowed_ips`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllowedIps => "allowed_ips",
            Self::Scopes => "scopes",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl ReportOnly {
    /// Returns the settings with these names; an unknown one is an error that names it.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownSetting> {
        names.into_iter().try_fold(Self::default(), |all, name| {
            let found = Setting::ALL.into_iter().find(|setting| setting.name() == name);
            let setting = found.ok_or_else(|| UnknownSetting(super::token::redact(name).into_owned()))?;
            Ok(Self(all.0 | setting.bit()))
        })
    }

    /// Tells whether the setting is only tried out.
    pub const fn contains(self, setting: Setting) -> bool {
        self.0 & setting.bit() != 0
    }

    /// Returns the names, in the order of [`Setting::ALL`].
    pub fn names(self) -> Vec<&'static str> {
        Setting::ALL.into_iter().filter(|setting| self.contains(*setting)).map(Setting::name).collect()
    }
}

impl Finding {
    /// Returns the setting that found it.
    pub const fn setting(self) -> Setting {
        match self {
            Self::Address(_) => Setting::AllowedIps,
            Self::Scope(_) => Setting::Scopes,
            Self::Others(setting) => setting,
        }
    }

    /// Returns what was found: the address or the scope, empty for others.
    pub fn value(self) -> String {
        match self {
            Self::Address(Some(address)) => address.to_canonical().to_string(),
            Self::Address(None) => "unreadable".to_owned(),
            Self::Scope(scope) => scope.name().to_owned(),
            Self::Others(_) => String::new(),
        }
    }
}

impl Findings {
    /// Adds something that was found.
    #[must_use]
    pub fn with(self, finding: Finding) -> Self {
        match finding {
            Finding::Address(address) => Self { address: Some(address), ..self },
            Finding::Scope(scope) => Self { scopes: self.scopes.with(scope), ..self },
            Finding::Others(_) => self,
        }
    }

    /// Adds what else was found.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { address: self.address.or(other.address), scopes: self.scopes.union(other.scopes) }
    }

    /// Tells whether they would have refused nothing.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Returns what was found.
    pub fn iter(self) -> impl Iterator<Item = Finding> {
        let scopes = Scope::ALL.into_iter().filter(move |scope| self.scopes.contains(*scope));
        self.address.map(Finding::Address).into_iter().chain(scopes.map(Finding::Scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_scopes_can_be_tried_out_and_nothing_else() {
        let cases: &[(&[&str], Option<&[&str]>)] = &[
            (&[], Some(&[])),
            (&["scopes"], Some(&["scopes"])),
            (&["scopes", "allowed_ips", "scopes"], Some(&["allowed_ips", "scopes"])),
            (&["allowed_models"], None),
            (&["scopes", ""], None),
            (&["Scopes"], None),
        ];
        for (names, expected) in cases {
            let parsed = ReportOnly::parse(names.iter().copied()).ok().map(ReportOnly::names);
            assert_eq!(parsed.as_deref(), *expected, "{names:?}");
        }
    }

    #[test]
    fn what_is_found_of_a_request_is_told_once() {
        let address = Finding::Address("::ffff:192.0.2.1".parse().ok());
        let all = [address, Finding::Scope(Scope::FilesRead), Finding::Scope(Scope::FilesRead)];
        let findings = all.into_iter().fold(Findings::default(), Findings::with);
        let values: Vec<_> = findings.union(Findings::default()).iter().map(Finding::value).collect();
        assert_eq!(values, ["192.0.2.1", "files:read"]);
        assert_eq!(Findings::default().iter().count(), 0);
    }
}
