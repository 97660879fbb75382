//! The form of a key's settings: how it is filled in, and what it says to the admin API.

use serde_json::{Map, Value, json};

use super::form::Form;
use super::trouble::Trouble;
use crate::admin::Rooms;
use crate::admin::key_view::KeyView;
use crate::domain::offset::Offset;
use crate::domain::report_only::Setting;
use crate::domain::scope::Scope;

/// Rows for metadata that are not filled in yet.
const BLANK_ROWS: usize = 2;

/// The form as it is shown: what each field holds.
pub(super) struct KeyForm {
    pub(super) name: String,
    pub(super) scopes: Vec<Choice>,
    /// One of [`LIVES`], `at`, or `as-it-is`.
    expires: String,
    /// A point on the reader's clock, as browsers write it.
    pub(super) expires_at: String,
    pub(super) plans: Vec<Choice>,
    pub(super) requests_per_minute: String,
    pub(super) max_concurrent: String,
    pub(super) allowed_ips: String,
    pub(super) allowed_models: String,
    pub(super) metadata: Vec<(String, String)>,
    pub(super) require_signature: bool,
    pub(super) report_only: Vec<Choice>,
    /// What is wrong with it.
    pub(super) trouble: Option<Trouble>,
    /// Models that the server knows of.
    pub(super) known_models: Vec<String>,
    /// Whether there is something beyond the usual, so that it is to be seen at once.
    pub(super) is_advanced: bool,
}

/// One of several things to choose.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) hint: String,
    pub(super) is_chosen: bool,
}

/// How long keys live, to choose from.
pub(super) const LIVES: [(&str, &str); 5] = [
    ("7d", "in 7 days"),
    ("30d", "in 30 days"),
    ("90d", "in 90 days"),
    ("365d", "in a year"),
    ("never", "never"),
];

impl KeyForm {
    /// Returns the form of a key that is to be made, with what most keys need.
    pub(super) fn blank(rooms: &Rooms) -> Self {
        let usual = Form::from_pairs([
            ("scope", "chats:create"),
            ("scope", "models:read"),
            ("expires", "90d"),
            ("plan", rooms.keys.plans().default_name()),
        ]);
        Self::filled(&usual, rooms)
    }

    /// Returns the form as it was sent.
    pub(super) fn filled(form: &Form, rooms: &Rooms) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        let metadata: Vec<_> =
            metadata(form).chain(std::iter::repeat_n(Default::default(), BLANK_ROWS)).collect();
        let advanced = ["allowed_ips", "allowed_models", "requests_per_minute", "max_concurrent"];
        let is_advanced = advanced.iter().any(|name| form.said(name).is_some())
            || form.is_ticked("require_signature")
            || form.is_ticked("report_only")
            || metadata.len() > BLANK_ROWS;
        Self {
            name: text("name"),
            scopes: scopes(form),
            expires: text("expires"),
            expires_at: text("expires_at"),
            plans: plans(form.text("plan"), rooms),
            requests_per_minute: text("requests_per_minute"),
            max_concurrent: text("max_concurrent"),
            allowed_ips: text("allowed_ips"),
            allowed_models: text("allowed_models"),
            metadata,
            require_signature: form.is_ticked("require_signature"),
            report_only: report_only(form),
            trouble: None,
            known_models: known_models(rooms),
            is_advanced,
        }
    }

    /// Returns the form with what is wrong with it.
    pub(super) fn with(mut self, trouble: Trouble) -> Self {
        // What is wrong, or what mends it, is to be seen.
        self.is_advanced |=
            !["name", "scopes", "expires_at", "expires_in"].iter().any(|name| trouble.is_with(name));
        self.trouble = Some(trouble);
        self
    }

    /// Tells whether this is the chosen end.
    pub(super) fn expires(&self, choice: &str) -> bool {
        self.expires == choice
    }

    /// Tells what is wrong with a field.
    pub(super) fn wrong(&self, field: &str) -> Option<&str> {
        Trouble::reason_of(self.trouble.as_ref(), field)
    }
}

/// Returns what a form would send that leaves a key as it is. `own_limit` is the key's, if not its plan's is in force.
pub(super) fn of_key(key: &KeyView, own_limit: Option<u32>) -> Form {
    let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    let (ips, models) = (key.allowed_ips.join("\n"), as_sent(&key.allowed_models.join("\n")));
    let (limit, most) = (number(own_limit), number(key.max_concurrent));
    let expires = if key.expires_at.is_some() { "as-it-is" } else { "never" };
    // A name has one line only, and browsers see to it.
    let notes = key.metadata.iter().map(|(name, value)| (as_sent(name).replace('\n', ""), as_sent(value)));
    let notes: Vec<_> = notes.collect();
    let mut pairs = vec![
        ("name", key.name.as_str()),
        ("expires", expires),
        ("plan", &key.plan),
        ("requests_per_minute", &limit),
        ("max_concurrent", &most),
        ("allowed_ips", &ips),
        ("allowed_models", &models),
    ];
    pairs.extend(key.scopes.iter().map(|scope| ("scope", *scope)));
    pairs.extend(key.report_only.iter().map(|setting| ("report_only", *setting)));
    for (name, value) in &notes {
        pairs.extend([("metadata_name", name.as_str()), ("metadata_value", value.as_str())]);
    }
    if key.require_signature {
        pairs.push(("require_signature", "1"));
    }
    Form::from_pairs(pairs)
}

/// Returns a text as it comes back from a browser that was shown it, but for how lines end.
fn as_sent(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}")
}

/// Returns the body of the request to the admin API that the form stands for. `zone` is the zone of its clock.
pub(super) fn body(form: &Form, zone: Offset) -> Map<String, Value> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("name", form.text("name").into());
    let scopes: Vec<_> = form.all("scope").collect();
    set("scopes", if scopes.contains(&"*") { json!(["*"]) } else { json!(scopes) });
    match form.text("expires") {
        "" | "as-it-is" => None,
        "never" => set("expires_at", Value::Null),
        "at" => set("expires_at", on_the_clock(form, zone).into()),
        length => set("expires_in", length.into()),
    };
    if let Some(plan) = form.said("plan") {
        set("plan", plan.into());
    }
    for name in ["requests_per_minute", "max_concurrent"] {
        set(name, number(form.text(name)));
    }
    let ips = form.lines("allowed_ips").flat_map(|line| line.split(',')).map(str::trim);
    set("allowed_ips", ips.filter(|ip| !ip.is_empty()).collect());
    set("allowed_models", form.lines("allowed_models").collect());
    set("metadata", Value::Object(metadata(form).map(|(name, value)| (name, value.into())).collect()));
    set("require_signature", form.is_ticked("require_signature").into());
    set("report_only", form.all("report_only").collect());
    body
}

/// Returns what the form changes of what it was filled with: what somebody else changed meanwhile stays so.
pub(super) fn changes(mut now: Map<String, Value>, before: &Map<String, Value>) -> Map<String, Value> {
    now.retain(|name, value| before.get(name) != Some(value));
    now
}

fn metadata(form: &Form) -> impl Iterator<Item = (String, String)> {
    // Browsers end lines their own way.
    let values = form.all("metadata_value").map(|value| value.replace("\r\n", "\n"));
    let names = form.all("metadata_name").map(ToOwned::to_owned);
    names.zip(values).filter(|(name, value)| !name.is_empty() || !value.is_empty())
}

/// Returns a point on a clock as RFC 3339, with the clock's offset; what is none as it is, to be refused.
pub(super) fn on_the_clock(form: &Form, zone: Offset) -> String {
    let text = form.text("expires_at");
    // How far the clock is from UTC then: the page's script knows, and clocks change with the seasons.
    let zone = form.text("expires_at_offset").parse().unwrap_or(zone);
    let seconds = if text.matches(':').count() == 1 { ":00" } else { "" };
    format!("{text}{seconds}{zone}")
}

/// Returns a number; what is none as it is, to be refused; nothing as `null`.
fn number(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    text.parse::<u64>().map_or_else(|_| text.into(), Value::from)
}

fn scopes(form: &Form) -> Vec<Choice> {
    let every = ("*", "Everything", "all of these, and what is yet to come");
    let named = Scope::ALL.map(|scope| (scope.name(), meaning(scope), scope.name()));
    let choice = |(value, label, hint): (&str, &str, &str)| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        hint: hint.to_owned(),
        is_chosen: form.all("scope").any(|chosen| chosen == value),
    };
    named.into_iter().chain([every]).map(choice).collect()
}

const fn meaning(scope: Scope) -> &'static str {
    match scope {
        Scope::ChatsCreate => "Chat",
        Scope::CompletionsCreate => "Complete text",
        Scope::ModelsRead => "List models",
        Scope::ContextsRead => "Read contexts",
        Scope::ContextsWrite => "Write contexts",
        Scope::FilesRead => "Read files",
        Scope::FilesWrite => "Write files",
    }
}

fn plans(chosen: &str, rooms: &Rooms) -> Vec<Choice> {
    let plans = rooms.keys.plans();
    let choice = |(name, limit): (&str, Option<crate::domain::plan::RequestsPerMinute>)| Choice {
        value: name.to_owned(),
        label: match limit {
            Some(limit) => format!("{name}: {limit} requests a minute"),
            None => format!("{name}: a limit of its own"),
        },
        hint: String::new(),
        is_chosen: name == chosen,
    };
    let mut all: Vec<_> = plans.iter().map(choice).collect();
    // A key may be on a plan that has left the configuration.
    if !chosen.is_empty() && !all.iter().any(|plan| plan.is_chosen) {
        let label = format!("{chosen}: no longer in the configuration");
        all.push(Choice { value: chosen.to_owned(), label, hint: String::new(), is_chosen: true });
    }
    all
}

fn report_only(form: &Form) -> Vec<Choice> {
    let labels = [("allowed_ips", "Allowed addresses"), ("scopes", "Scopes")];
    let choice = |name: &'static str| Choice {
        value: name.to_owned(),
        label: labels.iter().find(|(known, _)| *known == name).map_or(name, |(_, label)| *label).to_owned(),
        hint: String::new(),
        is_chosen: form.all("report_only").any(|chosen| chosen == name),
    };
    Setting::ALL.map(Setting::name).into_iter().map(choice).collect()
}

fn known_models(rooms: &Rooms) -> Vec<String> {
    rooms.live.get().upstreams.catalog().models().into_iter().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Map<String, Value> {
        body(&Form::of_query(query).unwrap(), "+05:30".parse().unwrap())
    }

    #[test]
    fn a_form_says_what_the_admin_api_is_told() {
        let body = parse(
            "name=Build&scope=chats%3Acreate&scope=models%3Aread&expires=at&expires_at=2027-01-31T12:00&plan=free\
             &requests_per_minute=&max_concurrent=3&allowed_ips=10.0.0.0%2F8%2C+%3A%3A1%0D%0A1.2.3.4&allowed_models=a%2Cb\
             &metadata_name=team&metadata_value=a%0D%0Ab&metadata_name=&metadata_value=&require_signature=1",
        );
        let expected = json!({
            "name": "Build",
            "scopes": ["chats:create", "models:read"],
            "expires_at": "2027-01-31T12:00:00+05:30",
            "plan": "free",
            "requests_per_minute": null,
            "max_concurrent": 3,
            "allowed_ips": ["10.0.0.0/8", "::1", "1.2.3.4"],
            "allowed_models": ["a,b"],
            "metadata": {"team": "a\nb"},
            "require_signature": true,
            "report_only": [],
        });
        assert_eq!(Value::Object(body), expected);
    }

    #[test]
    fn a_clock_that_changes_with_the_seasons_is_that_of_the_end() {
        let then = parse("expires=at&expires_at=2027-07-01T12:00&expires_at_offset=%2B02:00");
        assert_eq!(then["expires_at"], json!("2027-07-01T12:00:00+02:00"));
        let unknown = parse("expires=at&expires_at=2027-07-01T12:00&expires_at_offset=");
        assert_eq!(unknown["expires_at"], json!("2027-07-01T12:00:00+05:30"));
    }

    #[test]
    fn what_is_no_number_is_told_as_it_is() {
        assert_eq!(parse("max_concurrent=many")["max_concurrent"], json!("many"));
    }

    #[test]
    fn everything_leaves_no_room_for_the_rest() {
        assert_eq!(parse("scope=chats%3Acreate&scope=*")["scopes"], json!(["*"]));
    }

    #[test]
    fn a_length_of_time_and_never_and_no_change_are_three_things() {
        assert_eq!(parse("expires=90d").get("expires_in"), Some(&json!("90d")));
        assert_eq!(parse("expires=never").get("expires_at"), Some(&Value::Null));
        let kept = parse("expires=as-it-is");
        assert!(!kept.contains_key("expires_at") && !kept.contains_key("expires_in"));
    }

    #[test]
    fn only_what_was_changed_is_sent() {
        let (before, now) = (parse("name=a&scope=*&plan=free"), parse("name=b&scope=*&plan=free"));
        assert_eq!(Value::Object(changes(now, &before)), json!({"name": "b"}));
    }
}
