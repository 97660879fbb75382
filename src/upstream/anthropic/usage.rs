//! How many tokens an answer took, counted Anthropic's way and OpenAI's.

use serde::{Deserialize, Serialize};

use crate::domain::usage::Tokens;

/// Token counts in Anthropic's words, any of which may be unknown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Counts {
    #[serde(rename = "input_tokens")]
    input: Option<u64>,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_creation: Option<u64>,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: Option<u64>,
    #[serde(rename = "output_tokens")]
    output: Option<u64>,
}

impl Counts {
    /// Takes in a later report of the same stream.
    ///
    /// Counts are running totals, so the larger of two is the later; some servers
    /// report zeros at one end of the stream, and those must not win.
    pub fn update(&mut self, later: Self) {
        let larger = |known: &mut Option<u64>, reported| *known = (*known).max(reported);
        larger(&mut self.input, later.input);
        larger(&mut self.cache_creation, later.cache_creation);
        larger(&mut self.cache_read, later.cache_read);
        larger(&mut self.output, later.output);
    }

    /// Returns the sums, or `None` if nothing was ever reported.
    pub fn usage(&self) -> Option<Tokens> {
        (*self != Self::default())
            .then(|| Tokens::told(self.prompt_tokens(), self.output.unwrap_or_default()))
    }

    /// Returns the `usage` object of an OpenAI answer, if anything was reported.
    pub fn report(&self) -> Option<Report> {
        let usage = self.usage()?;
        Some(Report {
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            total_tokens: usage.prompt.saturating_add(usage.completion),
            prompt_tokens_details: self.cache_read.map(|cached_tokens| PromptDetails { cached_tokens }),
        })
    }

    /// Anthropic counts cached input apart; for OpenAI it is part of the prompt.
    fn prompt_tokens(&self) -> u64 {
        [self.input, self.cache_creation, self.cache_read].into_iter().flatten().fold(0, u64::saturating_add)
    }
}

/// Token counts in OpenAI's words.
#[derive(Serialize)]
pub(super) struct Report {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn counts(json: Value) -> Counts {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn cached_input_is_part_of_the_prompt() {
        let cases = [
            (
                json!({"input_tokens": 10, "output_tokens": 5}),
                json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}),
            ),
            (
                json!({"input_tokens": 1, "cache_creation_input_tokens": 20,
                       "cache_read_input_tokens": 300, "output_tokens": 4000}),
                json!({"prompt_tokens": 321, "completion_tokens": 4000, "total_tokens": 4321,
                       "prompt_tokens_details": {"cached_tokens": 300}}),
            ),
            (
                json!({"input_tokens": 7, "cache_read_input_tokens": null, "output_tokens": 0}),
                json!({"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}),
            ),
            (
                json!({"input_tokens": u64::MAX, "cache_read_input_tokens": 1, "output_tokens": 1}),
                json!({"prompt_tokens": u32::MAX, "completion_tokens": 1,
                       "total_tokens": 1_u64 << 32, "prompt_tokens_details": {"cached_tokens": 1}}),
            ),
        ];
        for (reported, expected) in cases {
            let report = serde_json::to_value(counts(reported).report()).unwrap();
            assert_eq!(report, expected);
        }
    }

    #[test]
    fn a_later_report_raises_counts_but_never_lowers_them() {
        let mut known = counts(json!({"input_tokens": 25, "output_tokens": 1}));
        known.update(counts(json!({"input_tokens": 0, "output_tokens": 15})));
        known.update(counts(json!({"output_tokens": 40})));
        let usage = known.usage().unwrap();
        assert_eq!((usage.prompt, usage.completion), (25, 40));
    }

    #[test]
    fn nothing_reported_is_not_the_same_as_zero() {
        assert_eq!(counts(json!({})).usage(), None);
        assert_eq!(counts(json!({"input_tokens": 0})).usage(), Some(Tokens::default()));
    }
}
