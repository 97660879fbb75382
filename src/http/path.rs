//! Paths and query strings, as far as the server looks at them.

use std::borrow::Cow;

use actix_web::http::Method;

use crate::domain::token;

/// Names under which people put keys in URLs.
const KEY_NAMES: [&str; 8] =
    ["api_key", "apikey", "api-key", "key", "token", "access_token", "authorization", "bearer"];

/// Returns the text with its percent-escapes decoded, as far as they are well-formed; what is no UTF-8 then is replaced.
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(String::from_utf8_lossy(&decode_bytes(text)).into_owned())
}

/// Returns the bytes that the text stands for, its percent-escapes decoded as far as they are well-formed.
pub fn decode_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| escaped_byte(after)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    bytes
}

/// Returns the text decoded as often as somebody may have escaped it, for finding keys in it: no escape is left.
fn decode_fully(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        bytes.push(byte);
        // What an escape stands for may be the end of another.
        while let Some(start) = bytes.len().checked_sub(3)
            && bytes[start] == b'%'
            && let Some(decoded) = escaped_byte(&bytes[start + 1..])
        {
            bytes.truncate(start);
            bytes.push(decoded);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns a request's method and path for a log line or an error, any key in them blanked out: a method is
/// whatever word the client wrote.
pub fn request_line(method: &Method, path: &str) -> String {
    format!("{} {}", for_log(method.as_str()), for_log(path))
}

/// Returns a method or path to be logged or shown, any key that was pasted into it blanked out.
pub fn for_log(path: &str) -> String {
    let decoded = decode_fully(path);
    let printable: String = decoded.chars().take(200).filter(|letter| !letter.is_control()).collect();
    token::redact(&printable).into_owned()
}

/// Tells whether a query string carries a key, or a parameter that is there to carry one.
pub fn carries_key(query: &str) -> bool {
    let decoded = decode_fully(query);
    decoded.contains(token::PREFIX)
        || decoded.split('&').any(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            KEY_NAMES.iter().any(|key| name.eq_ignore_ascii_case(key))
        })
}

/// Returns the byte that stands behind a `%`, if two hexadecimal digits do.
pub fn escaped_byte(after: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_in_query_strings_are_noticed_however_they_are_written() {
        let cases = [
            ("", false),
            ("limit=5&after=x", false),
            ("api_key=1", true),
            ("limit=5&API_KEY=", true),
            ("access_token", true),
            ("a=mcp_sk_x", true),
            ("a=mcp%5Fsk%5fx", true),
            ("a=mcp%5Fsk%5fx%ff", true),
            ("a=%256dcp_sk_x", true),
            ("api%5Fkey=1", true),
            ("keys=1", false),
        ];
        for (query, carries) in cases {
            assert_eq!(carries_key(query), carries, "{query}");
        }
    }

    #[test]
    fn keys_in_paths_are_blanked_out() {
        let path = "/v1/mcp%5Fsk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38/x%0a";
        assert_eq!(for_log(path), "/v1/mcp_sk_…/x");
        let key = "sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";
        for escaped in [
            format!("/mcp%5F{key}%ff"),
            format!("/%256dcp_{key}"),
            format!("/%25252525256dcp_{key}"),
            format!("/%2%35%%36d%63p_{key}"),
        ] {
            assert!(!for_log(&escaped).contains("ABCDEF"), "{escaped}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_decoder_panic(text in "\\PC*") {
            let _ = decode(&text);
            let _ = decode_fully(&text);
        }

        #[test]
        fn nothing_is_left_to_decode(text in "[%2356fé]{0,40}") {
            let decoded = decode_fully(&text);
            prop_assert_eq!(decode(&decoded), decoded.as_str());
        }

        #[test]
        fn escapes_decode_to_what_was_escaped(text in "\\PC{0,20}") {
            use std::fmt::Write as _;
            let mut escaped = String::new();
            for byte in text.bytes() {
                write!(escaped, "%{byte:02x}").unwrap();
            }
            prop_assert_eq!(decode(&escaped), text);
        }
    }
}
