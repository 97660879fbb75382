//! All rules in memory, by what they are for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::alert::{Kind, Rule};
use crate::domain::id::{KeyId, RuleId};

/// The rules as they are now.
#[derive(Debug, Default)]
pub struct Rules {
    all: Vec<Arc<Rule>>,
    /// The same by kind and key; without a key, those for all keys.
    places: HashMap<(Kind, Option<KeyId>), Vec<Arc<Rule>>>,
}

impl Rules {
    /// Returns the rules, the oldest first.
    pub fn new(rules: impl IntoIterator<Item = Arc<Rule>>) -> Self {
        let mut all: Vec<Arc<Rule>> = rules.into_iter().collect();
        all.sort_by_key(|rule| (rule.created_at, rule.kind, rule.id));
        let mut places: HashMap<_, Vec<_>> = HashMap::new();
        for rule in &all {
            places.entry((rule.kind, rule.key)).or_default().push(Arc::clone(rule));
        }
        Self { all, places }
    }

    /// Returns all of them, the oldest first.
    pub fn all(&self) -> &[Arc<Rule>] {
        &self.all
    }

    /// Returns the rule with the id.
    pub fn get(&self, id: RuleId) -> Option<&Arc<Rule>> {
        self.all.iter().find(|rule| rule.id == id)
    }

    /// Returns the rules of a kind in force for a key: its own if it has any, else those for all keys.
    pub fn in_force(&self, kind: Kind, key: Option<KeyId>) -> impl Iterator<Item = &Arc<Rule>> {
        let own = key.and_then(|key| self.places.get(&(kind, Some(key))));
        let rules = own.or_else(|| self.places.get(&(kind, None)));
        rules.into_iter().flatten().filter(|rule| rule.enabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_key_s_own_rules_stand_in_for_the_general_ones() {
        let id = |last: char| format!("rule_00000000000000000000000{last}").parse().unwrap();
        let [one, two, three]: [KeyId; 3] =
            ['1', '2', '3'].map(|last| format!("key_00000000000000000000000{last}").parse().unwrap());
        let rule = |last, kind, key, enabled| {
            let created_at = Timestamp::from_seconds(0);
            Arc::new(Rule {
                id: id(last),
                kind,
                enabled,
                key,
                threshold: None,
                window: None,
                webhook: None,
                created_at,
            })
        };
        let rules = Rules::new([
            rule('a', Kind::ErrorRate, None, true),
            rule('b', Kind::ErrorRate, None, true),
            rule('c', Kind::ErrorRate, Some(one), true),
            rule('d', Kind::ErrorRate, Some(two), false),
            rule('e', Kind::RateLimited, None, false),
        ]);
        let cases = [
            (Kind::ErrorRate, None, vec!['a', 'b']),
            (Kind::ErrorRate, Some(one), vec!['c']),
            (Kind::ErrorRate, Some(two), vec![]),
            (Kind::ErrorRate, Some(three), vec!['a', 'b']),
            (Kind::RateLimited, Some(one), vec![]),
            (Kind::FailedAuth, None, vec![]),
        ];
        for (kind, key, expected) in cases {
            let found: Vec<RuleId> = rules.in_force(kind, key).map(|rule| rule.id).collect();
            assert_eq!(found, expected.into_iter().map(id).collect::<Vec<_>>(), "{kind} {key:?}");
        }
    }
}
