//! What is around each page: where it is, who sees it, in which zone.

use std::fmt;

use askama::filters::HtmlSafe;

use crate::domain::offset::Offset;
use crate::domain::relative;
use crate::domain::time::Timestamp;

/// A place that the navigation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Keys,
    Usage,
    Explain,
    Alerts,
    Audit,
    Contexts,
    Files,
    Server,
}

/// What is around a page.
pub(super) struct Frame {
    /// Where it is.
    pub(super) place: Place,
    /// What its forms carry.
    pub(super) form_token: String,
    /// What was done just before.
    pub(super) notice: Option<String>,
    /// How many alerts are open.
    pub(super) open_alerts: u64,
    /// The reader's zone; none that is known: times are told in UTC, and say so.
    pub(super) zone: Option<Offset>,
    pub(super) now: Timestamp,
}

/// A point in time, for people: in their zone, with UTC where they point at it.
pub(super) struct When {
    at: Timestamp,
    text: String,
}

impl Place {
    pub(super) const ALL: [Self; 9] = [
        Self::Overview,
        Self::Keys,
        Self::Usage,
        Self::Explain,
        Self::Alerts,
        Self::Audit,
        Self::Contexts,
        Self::Files,
        Self::Server,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Keys => "API keys",
            Self::Usage => "Usage",
            Self::Explain => "Why refused?",
            Self::Alerts => "Alerts",
            Self::Audit => "Audit log",
            Self::Contexts => "Contexts",
            Self::Files => "Files",
            Self::Server => "Server",
        }
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Keys => "/keys",
            Self::Usage => "/usage",
            Self::Explain => "/explain",
            Self::Alerts => "/alerts",
            Self::Audit => "/audit",
            Self::Contexts => "/contexts",
            Self::Files => "/files",
            Self::Server => "/server",
        }
    }
}

impl Frame {
    /// Returns the name of the zone that times are told in.
    pub(super) fn zone_name(&self) -> String {
        match self.zone {
            Some(zone) if !zone.is_utc() => format!("UTC{zone}"),
            _ => "UTC".to_owned(),
        }
    }

    /// Tells a point in time that is written in RFC 3339, as the admin API writes them.
    pub(super) fn when(&self, text: &str) -> When {
        self.moment(Timestamp::parse(text).unwrap_or(Timestamp::from_millis(0)))
    }

    /// Tells a point in time.
    pub(super) fn moment(&self, at: Timestamp) -> When {
        let minute = self.zone.unwrap_or_default().write_minute(at);
        let text = if self.zone.is_some() { minute } else { format!("{minute} UTC") };
        When { at, text }
    }

    /// Tells how long ago, or how soon, a point in time is that is written in RFC 3339.
    pub(super) fn ago(&self, text: &str) -> When {
        let at = Timestamp::parse(text).unwrap_or(Timestamp::from_millis(0));
        When { at, text: relative::tell(at, self.now) }
    }
}

impl fmt::Display for When {
    /// Writes HTML. Only absolute times are written anew by the page's script.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = Offset::UTC.write_minute(self.at);
        let mark = if self.text.ends_with("ago") || self.text.starts_with("in ") { "" } else { " data-at" };
        write!(f, "<time datetime=\"{}\" title=\"{utc} UTC\"{mark}>{}</time>", self.at, self.text)
    }
}

impl HtmlSafe for When {}
