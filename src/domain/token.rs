//! The secret string that a client holds.
//!
//! `mcp_sk_`, 26 random base62 characters (154 bits) and a 6-character CRC-32 of those, so that a typo
//! or a stray string is told apart without a look-up. The layout follows GitHub's token format.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use ring::error::Unspecified;
use ring::rand::SecureRandom;

use super::alphabet;

/// What every token begins with. Never change it: keys in the field and secret scanners depend on it.
pub const PREFIX: &str = "mcp_sk_";
const RANDOM: usize = 26;
const CHECKSUM: usize = 6;
const SECRET: usize = RANDOM + CHECKSUM;
/// This many characters of a secret, or more, are kept out of what is stored, logged and shown. Fewer leave
/// far too many to guess; a hint has four.
const TELLING: usize = 12;

/// A well-formed token. `Debug` hides it; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; PREFIX.len() + SECRET]);

/// The first and last four characters of a token: all of it that is ever shown again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hint([u8; 8]);

/// Text that is no token: wrong prefix, length, alphabet or checksum.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl Token {
    /// Returns a new random token; fails when the system has no randomness to give.
    pub fn random(source: &dyn SecureRandom) -> Result<Self, Unspecified> {
        let random: [u8; RANDOM] = alphabet::random(source)?;
        let mut token = [0; PREFIX.len() + SECRET];
        token[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        token[PREFIX.len()..][..RANDOM].copy_from_slice(&random);
        token[PREFIX.len() + RANDOM..].copy_from_slice(&checksum(&random));
        Ok(Self(token))
    }

    /// Returns the token in the bytes; fails if they are not exactly one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let secret = bytes.strip_prefix(PREFIX.as_bytes()).ok_or(Malformed)?;
        let secret: [u8; SECRET] = alphabet::parse(secret).ok_or(Malformed)?;
        let (random, check) = secret.split_at(RANDOM);
        if checksum(random) != check {
            return Err(Malformed);
        }
        Ok(Self(bytes.try_into().expect("prefix and secret have the token's length")))
    }

    /// Says what keeps the bytes from being a token, if anything does.
    pub fn flaw(bytes: &[u8]) -> Option<&'static str> {
        let Some(secret) = bytes.strip_prefix(PREFIX.as_bytes()) else {
            return Some("it does not begin with `mcp_sk_`");
        };
        if !secret.iter().all(u8::is_ascii_alphanumeric) {
            return Some("it has other characters than letters and digits behind `mcp_sk_`");
        }
        match secret.len() {
            SECRET => Self::parse(bytes).err().map(|_| "its checksum is wrong: a character was mistyped"),
            ..SECRET => Some("it is too short: a part is missing"),
            _ => Some("it is too long"),
        }
    }

    /// Returns the secret itself, to hash it, sign with it, or show it this once.
    pub fn expose(&self) -> &str {
        alphabet::as_str(&self.0)
    }

    /// Returns what may be shown again.
    pub fn hint(&self) -> Hint {
        let secret = &self.0[PREFIX.len()..];
        let mut hint = [0; 8];
        hint[..4].copy_from_slice(&secret[..4]);
        hint[4..].copy_from_slice(&secret[SECRET - 4..]);
        Hint(hint)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = self.0.split_at(4);
        write!(f, "{PREFIX}{}…{}", alphabet::as_str(first), alphabet::as_str(last))
    }
}

impl fmt::Debug for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hint {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (first, last) =
            text.strip_prefix(PREFIX).and_then(|hint| hint.split_once('…')).ok_or(Malformed)?;
        let parse = |part: &str| alphabet::parse::<4>(part.as_bytes()).ok_or(Malformed);
        let (first, last) = (parse(first)?, parse(last)?);
        let mut hint = [0; 8];
        hint[..4].copy_from_slice(&first);
        hint[4..].copy_from_slice(&last);
        Ok(Self(hint))
    }
}

/// Returns the text with every token in it blanked out, whole, mistyped or cut short: `mcp_sk_…`.
pub fn redact(text: &str) -> Cow<'_, str> {
    let (mut redacted, mut done) = (String::new(), 0);
    for secret in secrets(text) {
        redacted.push_str(&text[done..secret.start]);
        redacted.push('…');
        done = secret.end;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    redacted.push_str(&text[done..]);
    Cow::Owned(redacted)
}

/// Tells whether a token stands anywhere in the text, whole, mistyped or cut short: what [`redact`] blanks out.
pub fn is_within(text: &str) -> bool {
    secrets(text).next().is_some()
}

/// Does as [`redact`] in JSON, where letters may be escaped. What holds no token stays as it is written.
pub fn redact_json(json: &str) -> Cow<'_, str> {
    match redact(&unescape(json)) {
        Cow::Borrowed(_) => Cow::Borrowed(json),
        Cow::Owned(redacted) => Cow::Owned(redacted),
    }
}

/// Tells whether a token stands anywhere in the JSON: what [`redact_json`] blanks out.
pub fn is_within_json(json: &str) -> bool {
    is_within(&unescape(json))
}

/// Returns the JSON with every letter that a token may have written plainly.
fn unescape(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u00") {
        return Cow::Borrowed(json);
    }
    let mut plain = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let byte =
            escape.strip_prefix("\\u00").and_then(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok());
        let length = match byte.filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            Some(byte) => {
                plain.push(byte.into());
                "\\u0000".len()
            }
            None => {
                let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
                plain.push_str(&escape[..length]);
                length
            }
        };
        rest = &escape[length..];
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// Returns where what follows a prefix gives a token away.
fn secrets(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices(PREFIX).filter_map(|(at, _)| {
        let start = at + PREFIX.len();
        let length = text[start..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        (length >= TELLING).then_some(start..start + length)
    })
}

fn checksum(random: &[u8]) -> [u8; CHECKSUM] {
    alphabet::encode(crc32fast::hash(random).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";

    #[test]
    fn the_contract_s_example_is_a_token() {
        let token = Token::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(token.expose(), EXAMPLE);
        assert_eq!(Token::flaw(EXAMPLE.as_bytes()), None);
        assert_eq!(token.hint().to_string(), "mcp_sk_ABCD…Fg38");
        assert_eq!(token.hint().to_string().parse(), Ok(token.hint()));
    }

    #[test]
    fn the_checksum_is_padded_on_the_left() {
        assert_eq!(&checksum(&[b'0'; 26]), b"3vSKjy");
    }

    #[test]
    fn what_is_no_token_is_told_apart_without_a_look_up() {
        let cases: &[(&str, &str)] = &[
            ("empty", ""),
            ("prefix alone", "mcp_sk_"),
            ("checksum off by one", "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg39"),
            ("a letter changed", "mcp_sk_BBCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"),
            ("31 characters", "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg3"),
            ("33 characters", "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg380"),
            ("another prefix", "mcp_pk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"),
            ("upper-case prefix", "MCP_SK_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"),
            ("the hint", "mcp_sk_ABCD…Fg38"),
            ("letters beyond ASCII", "mcp_sk_ÀBCDEFGHIJKLMNOPQRSTUVWXYZ39Fg3"),
            ("NUL at the end", "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg3\0"),
            ("a blank in front", " mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"),
        ];
        for (name, text) in cases {
            assert_eq!(Token::parse(text.as_bytes()), Err(Malformed), "{name}");
            assert!(Token::flaw(text.as_bytes()).is_some(), "{name}");
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let token = Token::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(format!("{token:?}"), "Token(..)");
    }

    #[test]
    fn what_gives_a_token_away_is_found_and_blanked_out_and_nothing_else_is() {
        let hint = Token::parse(EXAMPLE.as_bytes()).unwrap().hint().to_string();
        let cases: &[(&str, &str)] = &[
            (EXAMPLE, "mcp_sk_…"),
            (
                "the last one missing: mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg3",
                "the last one missing: mcp_sk_…",
            ),
            (
                "one in the middle missing: mcp_sk_ABCDEFGHIJKLNOPQRSTUVWXYZ39Fg38!",
                "one in the middle missing: mcp_sk_…!",
            ),
            ("one too many: mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg380", "one too many: mcp_sk_…"),
            (
                "all that is secret: mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ, cut",
                "all that is secret: mcp_sk_…, cut",
            ),
            ("mcp_sk_ABCDEFGHIJKL", "mcp_sk_…"),
            ("mcp_sk_mcp_sk_ABCDEFGHIJKL mcp_sk_A mcp_sk_MNOPQRSTUVWX", "mcp_sk_mcp_sk_… mcp_sk_A mcp_sk_…"),
            ("mcp_sk_ABCDEFGHIJK", "mcp_sk_ABCDEFGHIJK"),
            ("mcp_sk_ABCDEF GHIJKLMNOP", "mcp_sk_ABCDEF GHIJKLMNOP"),
            ("mcp_sk_ is the prefix", "mcp_sk_ is the prefix"),
            (&hint, &hint),
            ("nothing here", "nothing here"),
            ("", ""),
        ];
        for &(text, redacted) in cases {
            assert_eq!(redact(text), redacted, "{text}");
            assert_eq!(is_within(text), text != redacted, "{text}");
        }
        assert!(matches!(redact(&hint), Cow::Borrowed(_)));
    }

    #[test]
    fn a_token_in_json_is_found_however_its_letters_are_written() {
        let cases = [
            (r#""mcp_sk_ABCDEFGHIJKL""#, r#""mcp_sk_…""#),
            (r#""caf\u00e9 mcp\u005Fsk_\u0041BCDEFGHIJKL\n""#, r#""caf\u00e9 mcp_sk_…\n""#),
            (r#"{"\\\u006d\u0063\u0070\u005f\u0073k_ABCDEFGHIJKL":1.50}"#, r#"{"\\mcp_sk_…":1.50}"#),
            (r#""\u005f mcp_sk_ABC""#, r#""\u005f mcp_sk_ABC""#),
            // A backslash that is escaped escapes nothing.
            (r#""mcp\\u005fsk_ABCDEFGHIJKL""#, r#""mcp\\u005fsk_ABCDEFGHIJKL""#),
        ];
        for (json, redacted) in cases {
            assert_eq!(redact_json(json), redacted);
            assert_eq!(is_within_json(json), json != redacted, "{json}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_search_in_json_panic(text in "(\\PC|\\\\|\\\\u00|\\\\u005f){0,40}") {
            let _ = redact_json(&text);
        }

        #[test]
        fn no_escape_hides_a_token(before in "\\PC*", after in "[^0-9A-Za-z]*", escaped in any::<u64>()) {
            let json = |text: &str| serde_json::Value::from(text).to_string();
            let letters = EXAMPLE.bytes().enumerate();
            let written: String = letters
                .map(|(at, letter)| match escaped >> at & 1 {
                    0 => char::from(letter).to_string(),
                    _ => format!("\\u{letter:04x}"),
                })
                .collect();
            let (before, after) = (json(&before), json(&after));
            let text = format!("{}{written}{}", &before[..before.len() - 1], &after[1..]);
            prop_assert!(is_within_json(&text));
            let told: String = serde_json::from_str(&redact_json(&text)).unwrap();
            let said: String = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(redact(&said), told);
        }

        #[test]
        fn a_new_token_reads_back(_ in 0..32_u8) {
            let token = Token::random(&ring::rand::SystemRandom::new()).unwrap();
            prop_assert_eq!(Token::parse(token.expose().as_bytes()), Ok(token));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Token::parse(&bytes);
            let _ = redact(&String::from_utf8_lossy(&bytes));
            let _ = is_within(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_single_changed_character_is_noticed(at in 7..39_usize, to in "[0-9A-Za-z]") {
            let mut text = EXAMPLE.to_owned();
            text.replace_range(at..=at, &to);
            prop_assume!(text != EXAMPLE);
            prop_assert_eq!(Token::parse(text.as_bytes()), Err(Malformed));
        }

        #[test]
        fn nothing_of_a_token_survives_redaction(before in ".*", after in "[^0-9A-Za-z].*") {
            let text = format!("{before}{EXAMPLE}{after}");
            prop_assert!(!redact(&text).contains("ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
        }

        #[test]
        fn what_is_blanked_out_is_what_is_found(text in "((mcp_sk_)?[A-Z…_ ]{0,14}){0,4}") {
            prop_assert_eq!(is_within(&text), redact(&text) != text);
            prop_assert!(!is_within(&redact(&text)));
        }
    }
}
