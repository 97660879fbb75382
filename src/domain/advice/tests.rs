use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::key::Name;
use crate::domain::time::Timestamp;
use crate::domain::window::Window;

const CHAT: &str = "/v1/chat/completions";

fn settings() -> Settings {
    Settings::new(Name::parse("test").unwrap(), Scopes::EVERY, "standard")
}

/// A key used for a model by chats from these addresses.
fn history(addresses: &[&str], models: &[&str]) -> History {
    let mut history = History::default();
    for address in addresses {
        let chats = Scopes::NONE.with(Scope::ChatsCreate);
        history.note_requests(1, chats, address.parse().ok(), Timestamp::from_seconds(9));
    }
    for model in models {
        history.note_models(CHAT, 200, model, 1);
    }
    history.note_peaks(7, 2);
    history
}

fn advice(settings: &Settings, history: &History) -> Advice {
    advise(Given { settings, requests_per_minute: 60 }, history)
}

fn apply(settings: &mut Settings, change: &Change) {
    match change.clone() {
        Change::Scopes(scopes) => settings.scopes = scopes,
        Change::AllowedIps(networks) => settings.change_extras(|extras| extras.allowed_ips = networks),
        Change::AllowedModels(models) => settings.change_extras(|extras| extras.allowed_models = models),
        Change::RequestsPerMinute(limit) => settings.requests_per_minute = Some(limit),
        Change::MaxConcurrent(most) => settings.max_concurrent = Some(most),
    }
}

/// The suggestion for a setting, as text.
fn suggested(advice: &Advice, setting: &str) -> Option<String> {
    let found = advice.suggestions.iter().find(|suggestion| suggestion.change.setting() == setting)?;
    Some(match &found.change {
        Change::Scopes(scopes) => join(scopes.names()),
        Change::AllowedIps(networks) => join(networks.as_slice()),
        Change::AllowedModels(models) => join(models.as_slice()),
        Change::RequestsPerMinute(number) | Change::MaxConcurrent(number) => number.to_string(),
    })
}

#[test]
fn a_key_is_confined_to_what_it_was_used_for() {
    let advice = advice(&settings(), &history(&["203.0.113.9", "2001:db8::1", "2001:db8::2"], &["n", "m"]));
    let told = |setting| suggested(&advice, setting);
    assert_eq!(told("scopes").as_deref(), Some("chats:create"));
    assert_eq!(told("allowed_ips").as_deref(), Some("203.0.113.9/32, 2001:db8::/64"));
    assert_eq!(told("allowed_models").as_deref(), Some("m, n"));
    assert_eq!(told("requests_per_minute").as_deref(), Some("9"));
    assert_eq!(told("max_concurrent").as_deref(), Some("3"));
    assert_eq!(advice.notes, Vec::<String>::new());
}

#[test]
fn a_key_that_has_what_it_needs_is_left_as_it_is() {
    let mut settings = settings();
    settings.scopes = Scopes::NONE.with(Scope::ChatsCreate);
    settings.change_extras(|extras| {
        extras.allowed_ips = Networks::parse(["203.0.113.0/24"]).unwrap();
        extras.allowed_models = AllowedModels::parse(vec!["m".to_owned()]).unwrap();
    });
    settings.max_concurrent = NonZeroU32::new(100);
    let history = history(&["203.0.113.9"], &["m"]);
    let advice = advise(Given { settings: &settings, requests_per_minute: 13 }, &history);
    assert_eq!(advice, Advice::default());
}

#[test]
fn networks_that_nothing_came_from_are_dropped_but_never_the_last() {
    let networks = |names: &[&str]| {
        let mut settings = settings();
        settings.change_extras(|extras| extras.allowed_ips = Networks::parse(names.iter().copied()).unwrap());
        settings
    };
    let both = networks(&["10.0.0.0/8", "203.0.113.0/24"]);
    let found = advice(&both, &history(&["203.0.113.9"], &["m"]));
    assert_eq!(suggested(&found, "allowed_ips").as_deref(), Some("203.0.113.0/24"));
    // An address from before the list was as it is now.
    let found = advice(&networks(&["10.0.0.0/8"]), &history(&["203.0.113.9"], &["m"]));
    assert_eq!(suggested(&found, "allowed_ips"), None);
    assert!(found.notes[0].contains("203.0.113.9, which is outside"), "{:?}", found.notes);
}

#[test]
fn nothing_is_suggested_that_might_refuse_what_is_not_known() {
    let many: Vec<String> = (0..33).map(|number| format!("203.0.113.{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let cases = [
        ("allowed_ips", history(&["203.0.113.9", "unreadable"], &["m"])),
        ("allowed_ips", history(&many, &["m"])),
        ("allowed_models", history(&["203.0.113.9"], &["m", ""])),
        ("allowed_models", history(&["203.0.113.9"], &["m", "other"])),
    ];
    for (setting, history) in cases {
        let advice = advice(&settings(), &history);
        assert_eq!(suggested(&advice, setting), None, "{history:?}");
        assert!(advice.notes[0].starts_with(&format!("{setting}: ")), "{:?}", advice.notes);
    }
    // What named no model does not count against it, nor what failed or was left before it was looked at.
    let mut others = history(&["203.0.113.9"], &["m"]);
    for (endpoint, status) in [("/v1/models", 200), (CHAT, 422), (CHAT, 429), (CHAT, 403), (CHAT, 499)] {
        others.note_models(endpoint, status, "", 1);
    }
    others.note_models(CHAT, 403, "forbidden", 1);
    assert_eq!(suggested(&advice(&settings(), &others), "allowed_models").as_deref(), Some("m"));
    for (endpoint, status) in [("/v1/models/{id}", 200), (CHAT, 503)] {
        let mut unknown = others.clone();
        unknown.note_models(endpoint, status, "", 1);
        assert_eq!(suggested(&advice(&settings(), &unknown), "allowed_models"), None, "{endpoint} {status}");
    }
}

#[test]
fn a_key_that_nobody_used_gets_no_suggestion_but_a_word() {
    let mut history = History::default();
    history.note_requests(0, Scopes::EVERY, None, Timestamp::from_seconds(1));
    let advice = advice(&settings(), &history);
    assert_eq!((advice.suggestions.len(), advice.notes.len()), (0, 1));
    // A key that only ever asked for itself called for no scope.
    let mut history = History::default();
    history.note_requests(3, Scopes::NONE, None, Timestamp::from_seconds(1));
    let advice = advise(Given { settings: &settings(), requests_per_minute: 60 }, &history);
    assert_eq!(suggested(&advice, "scopes"), None);
}

#[test]
fn limits_have_room_and_are_round() {
    let cases = [
        (1, 2),
        (2, 3),
        (3, 4),
        (4, 5),
        (7, 9),
        (8, 10),
        (9, 15),
        (17, 25),
        (40, 50),
        (81, 110),
        (900, 1_200),
    ];
    for (peak, expected) in cases {
        assert_eq!(with_room(NonZeroU32::new(peak).unwrap()).get(), expected, "{peak}");
    }
    assert_eq!(with_room(NonZeroU32::MAX), NonZeroU32::MAX);
}

/// One request of a history.
#[derive(Clone, Debug)]
struct Asked {
    at: u64,
    scope: Scope,
    client: Option<IpAddr>,
    model: String,
}

/// What lets requests through, as the gate does, one at a time.
fn let_through<'a>(settings: &Settings, limit: u32, requests: &'a [Asked]) -> (Vec<&'a Asked>, u32) {
    let (mut window, mut peak) = (Window::default(), 0);
    let passed = requests.iter().filter(|asked| {
        let passes = settings.scopes.contains(asked.scope)
            && settings.extras().allowed_ips.permit(asked.client)
            && settings.extras().allowed_models.permit(&asked.model);
        let quota = passes.then(|| window.take(limit, Duration::from_millis(asked.at)).ok()).flatten();
        peak = quota.map_or(peak, |quota| peak.max(quota.limit - quota.remaining));
        quota.is_some()
    });
    (passed.collect(), peak)
}

fn requests() -> impl Strategy<Value = Vec<Asked>> {
    let scopes = prop_oneof![Just(Scope::ChatsCreate), Just(Scope::ModelsRead), Just(Scope::FilesRead)];
    let v4 = (0_u8..40).prop_map(|number| Some([203, 0, 113, number].into()));
    let v6 =
        (0_u16..3, any::<u16>()).prop_map(|(net, host)| Some([0x2001, 0xdb8, 0, net, 0, 0, 0, host].into()));
    let client = prop_oneof![20 => v4, 10 => v6, 1 => Just(None)];
    let one = (0_u64..180_000, scopes, client, "[ab]{0,2}[*]?");
    let one = one.prop_map(|(at, scope, client, model)| Asked { at, scope, client, model });
    prop::collection::vec(one, 0..80).prop_map(|mut all| {
        all.sort_by_key(|asked| asked.at);
        all
    })
}

fn given() -> impl Strategy<Value = Settings> {
    let scopes = prop::sample::subsequence(vec!["*", "chats:create", "models:read", "files:read"], 1..4);
    let networks = vec!["203.0.113.0/28", "203.0.113.9", "2001:db8::/32", "2001:db8:0:1::/64", "0.0.0.0/0"];
    let networks = prop::sample::subsequence(networks, 0..5);
    let models = prop::sample::subsequence(vec!["a", "b*", "*b", "*"], 0..4);
    (scopes, networks, models, prop::option::of(1_u32..9)).prop_map(|(scopes, networks, models, most)| {
        let mut settings = settings();
        settings.scopes = Scopes::parse(scopes).unwrap();
        settings.max_concurrent = most.and_then(NonZeroU32::new);
        settings.change_extras(|extras| {
            let models = models.into_iter().map(ToOwned::to_owned).collect();
            extras.allowed_ips = Networks::parse(networks).unwrap();
            extras.allowed_models = AllowedModels::parse(models).unwrap();
        });
        settings
    })
}

proptest! {
    #[test]
    fn a_key_that_takes_the_advice_still_lets_its_history_through(
        given in given(), limit in 1_u32..100, requests in requests(), concurrent in 1_u32..9,
    ) {
        let (passed, peak) = let_through(&given, limit, &requests);
        let concurrent = given.max_concurrent.map_or(concurrent, |most| concurrent.min(most.get()));
        let mut history = History::default();
        for asked in &passed {
            let at = Timestamp::from_millis(asked.at.cast_signed());
            history.note_requests(1, Scopes::NONE.with(asked.scope), asked.client, at);
            history.note_models(CHAT, 200, &asked.model, 1);
            history.note_peaks(peak, concurrent);
        }
        let advice = advise(Given { settings: &given, requests_per_minute: limit }, &history);
        let mut tighter = given.clone();
        for suggestion in &advice.suggestions {
            apply(&mut tighter, &suggestion.change);
        }
        let new_limit = tighter.requests_per_minute.map_or(limit, NonZeroU32::get);
        let history_of_it: Vec<Asked> = passed.into_iter().cloned().collect();
        prop_assert_eq!(let_through(&tighter, new_limit, &history_of_it).0.len(), history_of_it.len());
        prop_assert!(history_of_it.is_empty() || tighter.max_concurrent.is_none_or(|most| concurrent <= most.get()));

        // Each suggestion tightens: nothing passes that did not before, and there is no more to suggest.
        prop_assert!(new_limit <= limit);
        for scope in Scope::ALL {
            prop_assert!(given.scopes.contains(scope) || !tighter.scopes.contains(scope));
        }
        for asked in &requests {
            let (given, tighter) = (given.extras(), tighter.extras());
            let (client, model) = (asked.client, &asked.model);
            prop_assert!(given.allowed_ips.permit(client) || !tighter.allowed_ips.permit(client));
            prop_assert!(given.allowed_models.permit(model) || !tighter.allowed_models.permit(model));
        }
        for suggestion in &advice.suggestions {
            let mut changed = given.clone();
            apply(&mut changed, &suggestion.change);
            prop_assert_ne!(&changed, &given);
        }
        let again = advise(Given { settings: &tighter, requests_per_minute: new_limit }, &history);
        prop_assert_eq!(again.suggestions, Vec::new());
    }
}
