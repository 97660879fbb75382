//! What a key may do.

use std::fmt;
use std::str::FromStr;

/// One thing that a key may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Scope {
    ChatsCreate,
    CompletionsCreate,
    ModelsRead,
    ContextsRead,
    ContextsWrite,
    FilesRead,
    FilesWrite,
}

/// The scopes of a key: some of them, or `*`, all of them and those to come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Scopes {
    every: bool,
    bits: u16,
}

/// Text that names no scope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope `{0}`; the scopes are {all}, and `*` for all of them", all = names())]
pub struct UnknownScope(pub String);

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 7] = [
        Self::ChatsCreate,
        Self::CompletionsCreate,
        Self::ModelsRead,
        Self::ContextsRead,
        Self::ContextsWrite,
        Self::FilesRead,
        Self::FilesWrite,
    ];

    /// Returns the scope's name, such as `chats:create`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChatsCreate => "chats:create",
            Self::CompletionsCreate => "completions:create",
            Self::ModelsRead => "models:read",
            Self::ContextsRead => "contexts:read",
            Self::ContextsWrite => "contexts:write",
            Self::FilesRead => "files:read",
            Self::FilesWrite => "files:write",
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or_else(|| UnknownScope(super::token::redact(text).into_owned()))
    }
}

impl Scopes {
    /// All scopes, those to come too.
    pub const EVERY: Self = Self { every: true, bits: 0 };
    /// None at all.
    pub const NONE: Self = Self { every: false, bits: 0 };

    /// Tells whether the scope is among these.
    pub const fn contains(self, scope: Scope) -> bool {
        self.every || self.bits & scope.bit() != 0
    }

    /// Returns the names, in the order of [`Scope::ALL`]; `*` stands alone.
    pub fn names(self) -> Vec<&'static str> {
        if self.every {
            return vec!["*"];
        }
        Scope::ALL.into_iter().filter(|scope| self.contains(*scope)).map(Scope::name).collect()
    }

    /// Returns the scopes with these names; an unknown one is an error that names it.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownScope> {
        let mut scopes = Self::NONE;
        for name in names {
            if name == "*" {
                scopes.every = true;
            } else {
                scopes.bits |= name.parse::<Scope>()?.bit();
            }
        }
        Ok(if scopes.every { Self::EVERY } else { scopes })
    }

    /// Returns these and the others.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        if self.every || other.every {
            Self::EVERY
        } else {
            Self { every: false, bits: self.bits | other.bits }
        }
    }

    /// Returns these and one more.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        self.union(Self { every: false, bits: scope.bit() })
    }

    /// Tells whether there is none.
    pub const fn is_empty(self) -> bool {
        !self.every && self.bits == 0
    }
}

impl Default for Scopes {
    /// None at all.
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

fn names() -> String {
    Scope::ALL.map(Scope::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_do_what_it_was_given_and_nothing_else() {
        for given in Scope::ALL {
            let scopes = Scopes::parse([given.name()]).unwrap();
            for wanted in Scope::ALL {
                assert_eq!(scopes.contains(wanted), given == wanted, "{given} for {wanted}");
            }
        }
    }

    #[test]
    fn the_star_is_every_scope_and_stands_alone() {
        let scopes = Scopes::parse(["files:read", "*"]).unwrap();
        assert_eq!(scopes.names(), ["*"]);
        assert!(Scope::ALL.into_iter().all(|scope| scopes.contains(scope)));
    }

    #[test]
    fn an_unknown_scope_is_named() {
        let error = Scopes::parse(["chats:create", "chat:create"]).unwrap_err();
        assert_eq!(error, UnknownScope("chat:create".to_owned()));
    }
}
