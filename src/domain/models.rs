//! Which models a key may name.

use super::token;

/// The models that a key may name, `*` in a name standing for any characters. None means all models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedModels(Box<[String]>);

impl AllowedModels {
    /// Returns the list; fails, saying why, on an entry that is blank or holds an API key.
    pub fn parse(names: Vec<String>) -> Result<Self, String> {
        if let Some(blank) = names.iter().find(|name| name.trim().is_empty()) {
            return Err(format!("`{blank}` names no model"));
        }
        if names.iter().any(|name| token::is_within(name)) {
            return Err("an API key, which is never stored: take it out".to_owned());
        }
        Ok(Self(names.into()))
    }

    /// Tells whether the model may be named.
    pub fn permit(&self, model: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| matches(pattern, model))
    }

    /// Returns the patterns as they were given.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest.rsplit_once('*').map_or((None, rest), |(middle, tail)| (Some(middle), tail));
    for part in middle.into_iter().flat_map(|middle| middle.split('*')) {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        let cases: &[(&[&str], &str, bool)] = &[
            (&[], "anything", true),
            (&["llama3"], "llama3", true),
            (&["llama3"], "llama3:70b", false),
            (&["llama3", "qwen"], "qwen", true),
            (&["llama3*"], "llama3:70b", true),
            (&["*:70b"], "llama3:70b", true),
            (&["l*3:*b"], "llama3:70b", true),
            (&["l*3:*b"], "llama3:70", false),
            (&["a*a"], "a", false),
            (&["*a*b*"], "xbxaxbx", true),
            (&["*a*b*"], "xbxax", false),
            (&["*"], "", true),
            (&["LLAMA3"], "llama3", false),
        ];
        for (patterns, model, expected) in cases {
            let allowed = AllowedModels::parse(patterns.iter().map(|&p| p.to_owned()).collect()).unwrap();
            assert_eq!(allowed.permit(model), *expected, "{patterns:?} for {model}");
        }
    }

    #[test]
    fn what_names_no_model_is_refused() {
        for name in
            [" ", "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38", "x/mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg3*"]
        {
            assert!(AllowedModels::parse(vec![name.to_owned()]).is_err(), "{name}");
        }
    }
}
