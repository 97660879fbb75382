//! The token: taken exactly as it was issued, and found wherever it must not be seen.
//!
//! The first 26 bytes become a token, whose checksum is reckoned here by other means; the rest is what it is put into.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpd::domain::token::{self, Hint, Token};

const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM: usize = 26;

fuzz_target!(|data: &[u8]| {
    check_parsed(data);
    let Some((random, around)) = data.split_at_checked(RANDOM) else { return };
    let token = issue(random);
    check_parsed(token.as_bytes());
    assert!(Token::parse(token.as_bytes()).is_ok(), "{token}");
    check_altered(&token, around);
    check_blanked_out(&token, around);
});

/// What is taken is what was sent, and says so; what is not taken has a flaw.
fn check_parsed(bytes: &[u8]) {
    let Ok(token) = Token::parse(bytes) else {
        assert!(Token::flaw(bytes).is_some(), "refused without a reason: {bytes:?}");
        return;
    };
    assert_eq!(token.expose().as_bytes(), bytes);
    assert_eq!(Token::flaw(bytes), None);
    let hint = token.hint().to_string();
    assert_eq!(hint.parse::<Hint>(), Ok(token.hint()));
    assert!(!token::is_within(&hint) && !hint.contains(&token.expose()[7..20]));
    assert!(!format!("{token:?}").contains(&token.expose()[7..11]));
}

/// No character can be another one, change places with the next, be missing or be there twice.
fn check_altered(token: &str, by: &[u8]) {
    let whole = token.as_bytes();
    let refused = |altered: &[u8]| {
        assert!(altered == whole || Token::parse(altered).is_err(), "taken: {}", altered.escape_ascii());
    };
    for at in 0..whole.len() {
        let mut altered = whole.to_vec();
        altered[at] = *by.get(at % by.len().max(1)).unwrap_or(&b'0');
        refused(&altered);
        let mut altered = whole.to_vec();
        altered.swap(at, (at + 1).min(whole.len() - 1));
        refused(&altered);
        let mut altered = whole.to_vec();
        altered.remove(at);
        refused(&altered);
        let mut altered = whole.to_vec();
        altered.insert(at, whole[at]);
        refused(&altered);
    }
}

/// Nothing of it is left where it is blanked out, in plain text and in JSON, whatever stands around it.
fn check_blanked_out(token: &str, around: &[u8]) {
    let around = String::from_utf8_lossy(around);
    let (before, after) = around.split_once('|').unwrap_or((&around, ""));
    let secret = &token[7..];
    // Without its prefix it is no token.
    if before.contains(secret) || after.contains(secret) {
        return;
    }
    let text = format!("{before}{token}{after}");
    let blank = token::redact(&text);
    assert!(token::is_within(&text) && !blank.contains(secret), "{text}");
    assert!(!token::is_within(&blank), "{blank}");
    assert_eq!(token::redact(&blank), blank);

    let json = serde_json::Value::from(&*text).to_string().replace(token, &escaped(token, around.len()));
    assert!(token::is_within_json(&json), "{json}");
    let told: String = serde_json::from_str(&token::redact_json(&json)).unwrap();
    assert!(!told.contains(secret), "{told}");
}

/// Every so manieth letter written as JSON can write it too.
fn escaped(token: &str, every: usize) -> String {
    let every = every % 7 + 1;
    let letters = token.bytes().enumerate();
    letters
        .map(|(at, letter)| match at % every {
            0 => format!("\\u{letter:04x}"),
            _ => char::from(letter).to_string(),
        })
        .collect()
}

/// Issues the token of these random bytes.
fn issue(random: &[u8]) -> String {
    let random: Vec<u8> = random.iter().map(|byte| ALPHABET[usize::from(*byte) % ALPHABET.len()]).collect();
    let mut check = [b'0'; 6];
    let mut rest = crc32(&random);
    for place in check.iter_mut().rev() {
        *place = ALPHABET[rest as usize % ALPHABET.len()];
        rest /= 62;
    }
    format!("mcp_sk_{}{}", random.escape_ascii(), check.escape_ascii())
}

/// CRC-32 as in IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
