//! Points in time as seen from now: what people ask of a table.

use serde_json::Value;

use crate::clock::Clock;
use crate::domain::relative::tell;
use crate::domain::time::Timestamp;

/// Returns how long ago a field's time is, or how long it is until then; else what stands for none.
pub(super) fn field(object: &Value, field: &str, none: &str) -> String {
    let time = object[field].as_str().and_then(|text| Timestamp::parse(text).ok());
    time.map_or_else(|| none.to_owned(), |time| tell(time, Clock::System.now().wall))
}
