//! Streams: what comes out is whole chunks that OpenAI's clients read, and it ends once or not at all.

use mcpd::upstream::anthropic::{Progress, Shape, StreamTranslator};
use mcpd::upstream::sse;

use super::openai::Said;

/// Fails unless each line, taken for an event's data, is translated into proper chunks or refused.
pub fn check(shape: Shape, lines: &[u8]) {
    for include_usage in [false, true] {
        let (said, done) = translate(shape, include_usage, lines.split(|byte| *byte == b'\n'));
        assert!(!done || said.reason.is_some(), "it ends and does not say why");
        assert!(include_usage || said.usage.is_none(), "usage that nobody asked for");
        assert!(shape == Shape::Chat || said.calls.is_empty());
    }
}

/// Returns what a stream of these events says, and whether it came to its end. Whatever comes then is nothing.
pub fn translate<'a>(
    shape: Shape,
    include_usage: bool,
    events: impl Iterator<Item = &'a [u8]>,
) -> (Said, bool) {
    let mut translator = StreamTranslator::new(shape, include_usage, 1_700_000_000);
    let (mut said, mut done, mut failed) = (Said::default(), false, false);
    for event in events {
        let mut out = Vec::new();
        let progress = translator.event(event, &mut out);
        assert!(out.is_empty() || !(done || failed), "something behind the end");
        let chunks: Vec<Vec<u8>> =
            sse::events(&out).map(|event| sse::data(event).unwrap().into_owned()).collect();
        let (last, others) = match progress {
            Ok(Progress::Done) if !done => {
                chunks.split_last().map(|(last, rest)| (Some(last), rest)).unwrap()
            }
            _ => (None, chunks.as_slice()),
        };
        for chunk in others {
            said.add(std::str::from_utf8(chunk).unwrap());
        }
        if let Some(last) = last {
            assert_eq!(last, b"[DONE]");
        }
        done |= progress == Ok(Progress::Done);
        failed |= progress.is_err();
    }
    assert!(!(done && failed), "it ended and failed");
    (said, done)
}
