//! Filenames in `Content-Disposition`: how clients send them, and how a download is named.

use std::fmt::Write as _;

use actix_web::http::header::HeaderValue;

use crate::domain::file::Filename;
use crate::http::path;

/// Returns the filename in the header of a form's part, to the letter as the client's file is called; `None` if the
/// part is no file. Fails, saying why, if it cannot be read.
///
/// Browsers and others write `"` and line breaks as `%22`, `%0D` and `%0A` and nothing else
/// (<https://html.spec.whatwg.org/#multipart-form-data>); Python's httpx doubles backslashes besides; old curl
/// writes `\"`; old urllib3 sends `filename*` (RFC 8187) alone.
pub(super) fn filename(header: &[u8]) -> Result<Option<String>, &'static str> {
    let header = std::str::from_utf8(header).map_err(|_| NOT_UTF8)?;
    let mut plain = None;
    for (name, value) in Parameters(header) {
        if name.eq_ignore_ascii_case("filename*") {
            return extended(&value).map(Some);
        }
        if name.eq_ignore_ascii_case("filename") && plain.is_none() {
            plain = Some(unescape(&value));
        }
    }
    Ok(plain)
}

/// Returns the header that names a download (RFC 6266): to the letter in `filename*` (RFC 8187), and for old
/// clients in plain letters.
pub(super) fn attachment(filename: &Filename) -> HeaderValue {
    let filename = filename.as_str();
    let is_plain = |letter: char| letter == ' ' || letter.is_ascii_graphic() && !r#""\%/"#.contains(letter);
    let plain: String = filename.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    let mut value = format!("attachment; filename=\"{plain}\"");
    if plain != filename {
        value.push_str("; filename*=UTF-8''");
        for byte in filename.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                value.push(char::from(byte));
            } else {
                write!(value, "%{byte:02X}").expect("a string takes all");
            }
        }
    }
    HeaderValue::try_from(value).expect("visible ASCII and blanks")
}

const NOT_UTF8: &str = "must be in UTF-8";

/// The parameters of a header, each with its name and its value without quotes.
struct Parameters<'a>(&'a str);

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, String);

    fn next(&mut self) -> Option<Self::Item> {
        let (_, rest) = self.0.split_once(';')?;
        let rest = rest.trim_start();
        let end = rest.find(['=', ';']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => read_quoted(quoted),
            None => {
                let (value, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
                (value.trim_end().to_owned(), rest)
            }
        };
        self.0 = rest;
        Some((name.trim_end(), value))
    }
}

/// Reads up to the closing quote. A backslash escapes a quote or another backslash; before anything else it is
/// itself, since most clients do not escape it.
fn read_quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => {
                let escaped = letters.next_if(|(_, next)| matches!(next, '"' | '\\'));
                value.push(escaped.map_or('\\', |(_, escaped)| escaped));
            }
            _ => value.push(letter),
        }
    }
    (value, "")
}

/// Takes back what clients escape with `%`: quotes and control characters, nothing else.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        rest = match path::escaped_byte(after.as_bytes()) {
            Some(byte @ (b'"' | 0..=0x1f)) => {
                plain.push(char::from(byte));
                &after[2..]
            }
            _ => {
                plain.push('%');
                after
            }
        };
    }
    plain + rest
}

/// Reads `UTF-8'en'na%C3%AFve.txt`.
fn extended(value: &str) -> Result<String, &'static str> {
    let mut parts = value.splitn(3, '\'');
    let (charset, text) = (parts.next().unwrap_or_default(), parts.nth(1).ok_or(NOT_UTF8)?);
    if !charset.eq_ignore_ascii_case("utf-8") {
        return Err(NOT_UTF8);
    }
    String::from_utf8(path::decode_bytes(text)).map_err(|_| NOT_UTF8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn filenames_are_read_as_clients_write_them() {
        let cases = [
            (r#"form-data; name="file"; filename="a.txt""#, Some("a.txt")),
            (r#"form-data; name="file"; filename=a.txt"#, Some("a.txt")),
            (r#"form-data; filename="a;b=\"c\".txt"; name="file""#, Some(r#"a;b="c".txt"#)),
            (r#"form-data; name="file"; filename="a%22b%0A%20.txt""#, Some("a\"b\n%20.txt")),
            (r#"form-data; name="file"; filename="100%+5%é.txt""#, Some("100%+5%é.txt")),
            (r#"form-data; name="file"; filename="C:\dir\a.txt""#, Some(r"C:\dir\a.txt")),
            (r#"form-data; name="file"; filename="C:\\dir\\a.txt""#, Some(r"C:\dir\a.txt")),
            (r#"form-data; name="file"; filename="日本語 🦀.txt""#, Some("日本語 🦀.txt")),
            (r#"form-data; name="file"; filename*=utf-8''na%C3%AFve%20a.txt"#, Some("naïve a.txt")),
            (r#"form-data; name="file"; filename="x"; FILENAME*=UTF-8'en'y"#, Some("y")),
            (r#"form-data; name="file"; filename="""#, Some("")),
            (r#"form-data; name="file"; filename="../../etc/passwd""#, Some("../../etc/passwd")),
            (r#"form-data; name="file; filename=x""#, None),
            (r#"form-data; name="file""#, None),
            ("form-data", None),
        ];
        for (header, name) in cases {
            assert_eq!(filename(header.as_bytes()).unwrap().as_deref(), name, "{header}");
        }
        assert!(filename(b"form-data; name=\"file\"; filename=\"\xff\"").is_err());
        assert!(filename(b"form-data; name=\"file\"; filename*=utf-8''%ff").is_err());
        assert!(filename(b"form-data; name=\"file\"; filename*=latin-1''a").is_err());
    }

    #[test]
    fn downloads_are_named_for_old_clients_and_new() {
        let cases = [
            ("a b.txt", r#"attachment; filename="a b.txt""#),
            ("a\"b.txt", r#"attachment; filename="a_b.txt"; filename*=UTF-8''a%22b.txt"#),
            ("../naïve", r#"attachment; filename=".._na_ve"; filename*=UTF-8''..%2Fna%C3%AFve"#),
            ("100%", r#"attachment; filename="100_"; filename*=UTF-8''100%25"#),
        ];
        for (name, header) in cases {
            assert_eq!(attachment(&Filename::parse(name).unwrap()).to_str().unwrap(), header);
        }
    }

    proptest! {
        #[test]
        fn a_download_s_name_reads_back_as_it_was(name in "\\PC{1,200}") {
            prop_assume!(Filename::parse(&name).is_ok());
            let header = attachment(&Filename::parse(&name).unwrap());
            prop_assert_eq!(filename(header.as_bytes()).unwrap(), Some(name));
        }

        #[test]
        fn no_header_makes_the_parser_panic(header in ".*") {
            let _ = filename(header.as_bytes());
        }
    }
}
