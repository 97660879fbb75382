//! The base62 alphabet of tokens and ids: `0-9A-Za-z`, in that order.

use ring::error::Unspecified;
use ring::rand::SecureRandom;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns `N` characters drawn evenly from the alphabet.
///
/// Bytes from 248 up are thrown away: 256 is no multiple of 62, and a plain remainder would favour
/// the first eight characters. Fails when the system has no randomness to give.
pub fn random<const N: usize>(source: &dyn SecureRandom) -> Result<[u8; N], Unspecified> {
    let mut drawn = [0; N];
    let mut filled = 0;
    while filled < N {
        let mut bytes = [0; 64];
        source.fill(&mut bytes)?;
        for byte in bytes.into_iter().filter(|byte| *byte < 248).take(N - filled) {
            drawn[filled] = ALPHABET[usize::from(byte % 62)];
            filled += 1;
        }
    }
    Ok(drawn)
}

/// Returns a number written with `N` digits of the alphabet, padded with `0` on the left.
pub fn encode<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [ALPHABET[0]; N];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[usize::try_from(number % 62).expect("below 62")];
        number /= 62;
    }
    digits
}

/// Returns the bytes as an array of `N` if there are as many and all are of the alphabet.
pub fn parse<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.iter().all(u8::is_ascii_alphanumeric).then(|| bytes.try_into().ok()).flatten()
}

/// Returns characters of the alphabet as text.
pub fn as_str(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the alphabet is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_padded_on_the_left() {
        assert_eq!(&encode::<6>(0), b"000000");
        assert_eq!(&encode::<6>(61), b"00000z");
        assert_eq!(&encode::<6>(62), b"000010");
    }

    #[test]
    fn every_character_is_drawn_about_equally_often() {
        let mut counts = [0_u32; 256];
        for _ in 0..500 {
            for character in random::<124>(&ring::rand::SystemRandom::new()).unwrap() {
                counts[usize::from(character)] += 1;
            }
        }
        // 1,000 expected of each; five standard deviations are about 160.
        for character in ALPHABET {
            let count = counts[usize::from(*character)];
            assert!((800..1200).contains(&count), "{} was drawn {count} times", char::from(*character));
        }
    }
}
