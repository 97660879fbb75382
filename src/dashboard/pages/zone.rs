//! In which zone times are told.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::{Visit, assets, cookie, page};
use crate::domain::offset::Offset;
use crate::http::ApiError;

/// Offsets that are in use somewhere, besides whole hours.
const ODD: [&str; 9] =
    ["-09:30", "-03:30", "-02:30", "+03:30", "+04:30", "+05:30", "+05:45", "+06:30", "+09:30"];

#[derive(Template)]
#[template(path = "zone.html")]
struct ZonePage {
    frame: Frame,
    offsets: Vec<(String, bool)>,
}

/// Asks for the reader's zone.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn ask(visit: Visit) -> Result<HttpResponse, ApiError> {
    let frame = visit.frame(Place::Overview);
    let chosen = cookie::has_chosen_zone(&visit.request).then(|| visit.zone());
    let offsets = offsets().map(|offset| (offset.to_string(), Some(offset) == chosen)).collect();
    page(StatusCode::OK, &ZonePage { frame, offsets })
}

/// Remembers it, in the browser.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn choose(visit: Visit) -> Result<HttpResponse, ApiError> {
    let chosen = visit.form.text("zone");
    let (zone, is_chosen) = if chosen == "browser" {
        (visit.zone(), "0")
    } else {
        (chosen.parse().map_err(|error| ApiError::field("zone", error))?, "1")
    };
    let told = if is_chosen == "0" {
        "Times are told in this browser's zone.".to_owned()
    } else {
        format!("Times are told in UTC{}.", if zone.is_utc() { String::new() } else { zone.to_string() })
    };
    let mut response = visit.done("/", told);
    for (name, value) in [(cookie::ZONE, zone.to_string().as_str()), (cookie::ZONE_CHOSEN, is_chosen)] {
        response.headers_mut().append(header::SET_COOKIE, cookie::remember(name, value));
    }
    Ok(response)
}

fn offsets() -> impl Iterator<Item = Offset> {
    let whole =
        (-12..=14).map(|hours: i32| format!("{}{:02}:00", if hours < 0 { '-' } else { '+' }, hours.abs()));
    let mut all: Vec<String> = whole.chain(ODD.map(ToOwned::to_owned)).collect();
    all.sort_by_key(|text| {
        let minutes: i32 =
            text[1..3].parse::<i32>().unwrap_or(0) * 60 + text[4..].parse::<i32>().unwrap_or(0);
        if text.starts_with('-') { -minutes } else { minutes }
    });
    all.into_iter().filter_map(|text| text.parse().ok())
}
