//! Status lines, headers, and what stands before them.

use super::{Close, Either, Failed, Good, HEAD, Keep, case, try_all};

const LENGTH: &str = "content-length: LEN\r\n";

/// A good answer, but for its first line.
fn first_line(line: &str) -> String {
    format!("{line}content-type: TYPE\r\n{LENGTH}\r\nBODY")
}

/// A good answer with one more line in its head.
fn with(line: &str) -> String {
    format!("{HEAD}{line}{LENGTH}\r\nBODY")
}

#[test]
fn what_is_no_answer_is_an_upstream_error() {
    let frame = "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\u{80}\0\x04\0\x01\0\0\0\x05\0\u{ff}\u{ff}\u{ff}";
    try_all(vec![
        case("nothing", "", Close, Failed),
        case("half a status line", "HTTP/1.1 2", Close, Failed),
        case("a status line", "HTTP/1.1 200 OK\r\n", Close, Failed),
        case("half a header", "HTTP/1.1 200 OK\r\ncontent-le", Close, Failed),
        case("headers without an end", format!("{HEAD}{LENGTH}"), Close, Failed),
        case("a body alone", "BODY", Close, Failed),
        case("another protocol", "SSH-2.0-OpenSSH_9.9\r\n", Close, Failed),
        case("a mail server", "220 mail.example ESMTP\r\n\r\n", Close, Failed),
        case("an alert of TLS", "\x15\x03\x01\0\x02\x02\x0a", Close, Failed),
        case("a frame of HTTP/2", frame, Close, Failed),
        case("a preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Close, Failed),
        case("a request", "GET / HTTP/1.1\r\nhost: x\r\n\r\n", Close, Failed),
        case("NULs", "\0".repeat(500), Close, Failed),
        case("blank lines", "\r\n".repeat(50), Close, Failed),
        case("kept open", "SSH-2.0-OpenSSH_9.9\r\n\r\n", Keep, Failed),
        case("another answer behind", "garbage\r\n\r\nPOISON", Keep, Failed),
    ]);
}

#[test]
fn a_status_line_is_read_as_it_is_written() {
    try_all(vec![
        case("no reason", first_line("HTTP/1.1 200 \r\n"), Keep, Good),
        case("neither reason nor blank", first_line("HTTP/1.1 200\r\n"), Keep, Either),
        case("a long reason", first_line(&format!("HTTP/1.1 200 {}\r\n", "x".repeat(500))), Keep, Good),
        case("a reason in another script", first_line("HTTP/1.1 200 \u{e9}\r\n"), Keep, Either),
        case("no number", first_line("HTTP/1.1 abc OK\r\n"), Keep, Failed),
        case("two digits", first_line("HTTP/1.1 20 OK\r\n"), Keep, Failed),
        case("four digits", first_line("HTTP/1.1 2000 OK\r\n"), Keep, Failed),
        case("a sign", first_line("HTTP/1.1 -20 OK\r\n"), Keep, Failed),
        case("000", first_line("HTTP/1.1 000 OK\r\n"), Keep, Failed),
        case("099", first_line("HTTP/1.1 099 OK\r\n"), Keep, Failed),
        case("99", first_line("HTTP/1.1 99 OK\r\n"), Keep, Failed),
        case("600", first_line("HTTP/1.1 600 OK\r\n"), Keep, Failed),
        case("999", first_line("HTTP/1.1 999 OK\r\n"), Keep, Failed),
        case("1000", first_line("HTTP/1.1 1000 OK\r\n"), Keep, Failed),
        case("HTTP/2.0", first_line("HTTP/2.0 200 OK\r\n"), Keep, Failed),
        case("HTTP/0.9", first_line("HTTP/0.9 200 OK\r\n"), Keep, Failed),
        case("HTTP/1.2", first_line("HTTP/1.2 200 OK\r\n"), Keep, Either),
        case("small letters", first_line("http/1.1 200 OK\r\n"), Keep, Failed),
        case("another name", first_line("ICY 200 OK\r\n"), Keep, Failed),
        case("no blank", first_line("HTTP/1.1200 OK\r\n"), Keep, Failed),
        case("two blanks", first_line("HTTP/1.1  200 OK\r\n"), Keep, Either),
        case("a blank before", first_line(" HTTP/1.1 200 OK\r\n"), Keep, Failed),
        case("a blank line before", first_line("\r\nHTTP/1.1 200 OK\r\n"), Keep, Either),
        case("a bare CR in it", first_line("HTTP/1.1 200 O\rK\r\n"), Keep, Either),
        case("a NUL in it", first_line("HTTP/1.1 200 O\0K\r\n"), Keep, Either),
    ]);
}

#[test]
fn odd_headers_are_read_or_refused_and_never_passed_on() {
    let lf = format!("{}\nBODY", format!("{HEAD}{LENGTH}").replace("\r\n", "\n"));
    try_all(vec![
        case("letter case", with("X-ODD: sesame\r\n").replace("content-", "CoNTeNT-"), Keep, Good),
        case("no blanks", with("x-odd:sesame\r\n").replace(": ", ":"), Keep, Good),
        case("many blanks", with("x-odd: \t sesame \t \r\n").replace("LEN", "  LEN \t"), Keep, Good),
        case("an empty value", with("x-odd:\r\n"), Keep, Good),
        case("a value in another script", with("x-odd: sesame \u{e9}\u{ff}\r\n"), Keep, Good),
        case("the same name twice", with("x-odd: sesame\r\nx-odd: sesame\r\n"), Keep, Good),
        case("bare line feeds", lf, Keep, Either),
        case("one bare line feed", with("x-odd: sesame\n"), Keep, Either),
        case("a folded value", with("x-odd: a\r\n sesame: b\r\n"), Keep, Either),
        case("a folded first line", with(" x-odd: sesame\r\n"), Keep, Either),
        case("a blank before the colon", with("x-odd : sesame\r\n"), Keep, Either),
        case("a length with one", with("").replace("length:", "length :"), Keep, Either),
        case("a blank in the name", with("x odd: sesame\r\n"), Keep, Either),
        case("other signs in the name", with("x(odd): sesame\r\n"), Keep, Either),
        case("another script in the name", with("x-\u{e9}: sesame\r\n"), Keep, Either),
        case("no name", with(": sesame\r\n"), Keep, Either),
        case("no colon", with("sesame\r\n"), Keep, Either),
        case("a NUL in a value", with("x-odd: ses\0ame\r\n"), Keep, Either),
        case("a bare CR in a value", with("x-odd: a\rset-cookie: sesame\r\n"), Keep, Either),
        case("control characters in a value", with("x-odd: \x01\x1b[2J\x7f\r\n"), Keep, Either),
        case("200 headers", with(&"x-odd: sesame\r\n".repeat(200)), Keep, Either),
        case("a long header", with(&format!("x-odd: {}\r\n", "sesame".repeat(1000))), Keep, Good),
        case("an odd type", with("").replace("TYPE", "TYPE; x=\0"), Keep, Either),
    ]);
}

#[test]
fn a_head_has_bounds() {
    const MIB: usize = 1024 * 1024;
    try_all(vec![
        case("a header of a MiB", with(&format!("x-odd: {}\r\n", "x".repeat(MIB))), Keep, Failed),
        case("a name of a MiB", with(&format!("{}: sesame\r\n", "x".repeat(MIB))), Keep, Failed),
        case("a reason of a MiB", first_line(&format!("HTTP/1.1 200 {}\r\n", "x".repeat(MIB))), Keep, Failed),
        case("10,000 headers", with(&"x-odd: sesame\r\n".repeat(10_000)), Keep, Failed),
        case("4 MiB and no end", format!("{HEAD}{}", "x-odd: sesame\r\n".repeat(MIB / 4)), Keep, Failed),
        case("a MiB of blank lines", "\r\n".repeat(MIB / 2), Keep, Failed),
        case("a MiB in one line", "x".repeat(MIB), Keep, Failed),
    ]);
}
