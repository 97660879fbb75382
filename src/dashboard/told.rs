//! What the server says in a sentence, with the times in it as people read them.

use std::fmt;

use askama::filters::{Escaper as _, Html, HtmlSafe};

use super::frame::{Frame, When};
use crate::domain::time::Timestamp;

/// A sentence, the times in it told apart.
pub(super) struct Told(Vec<Part>);

enum Part {
    Text(String),
    Time(When),
}

impl Frame {
    /// Tells a sentence of the admin API, which has its times in RFC 3339.
    pub(super) fn told(&self, text: &str) -> Told {
        let mut parts = Vec::new();
        for word in text.split_inclusive(char::is_whitespace) {
            let bare = word.trim_end_matches(|end: char| end.is_whitespace() || ".,:;)".contains(end));
            match Timestamp::parse(bare) {
                Ok(at) => {
                    parts.extend([Part::Time(self.moment(at)), Part::Text(word[bare.len()..].to_owned())]);
                }
                Err(_) => match parts.last_mut() {
                    Some(Part::Text(text)) => text.push_str(word),
                    _ => parts.push(Part::Text(word.to_owned())),
                },
            }
        }
        Told(parts)
    }
}

impl fmt::Display for Told {
    /// Writes HTML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            // A name may turn what follows it around: it is kept to itself.
            Part::Text(text) => text.split('`').enumerate().try_for_each(|(at, piece)| {
                let (before, after) = if at % 2 == 1 { ("`<bdi>", "</bdi>`") } else { ("", "") };
                f.write_str(before)?;
                Html.write_escaped_str(&mut *f, piece)?;
                f.write_str(after)
            }),
            Part::Time(when) => when.fmt(f),
        })
    }
}

impl HtmlSafe for Told {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::frame::Place;

    #[test]
    fn times_in_a_sentence_are_told_in_the_reader_s_zone_and_the_rest_as_it_is() {
        let frame = Frame {
            place: Place::Keys,
            form_token: String::new(),
            notice: None,
            open_alerts: 0,
            zone: "+05:30".parse().ok(),
            now: Timestamp::from_millis(0),
        };
        let quoted = frame.told("`<b>\u{202e} a` is over: `b").to_string();
        assert_eq!(quoted, "`<bdi>&#60;b&#62;\u{202e} a</bdi>` is over: `<bdi>b</bdi>`");
        let told = frame.told("Not yet: <b> (2026) used it at 2026-10-03T07:05:30Z, or before.").to_string();
        assert_eq!(
            told,
            "Not yet: &#60;b&#62; (2026) used it at <time datetime=\"2026-10-03T07:05:30Z\" \
             title=\"3 Oct 2026, 07:05 UTC\" data-at>3 Oct 2026, 12:35</time>, or before."
        );
    }
}
