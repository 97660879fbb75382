//! What is wrong with a form that was sent.

use actix_web::http::StatusCode;

use crate::http::ApiError;

/// What is wrong: of which field, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// As the admin API calls it; empty where it is none of a field's.
    pub(super) field: String,
    /// A sentence.
    pub(super) reason: String,
}

impl Trouble {
    /// Returns what is wrong with the form, if it is that which the error tells of; else the error.
    pub(super) fn of(error: ApiError) -> Result<Self, ApiError> {
        if !matches!(
            error.status(),
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT | StatusCode::BAD_REQUEST
        ) {
            return Err(error);
        }
        let message = error.message();
        Ok(Self::from_message(&message))
    }

    /// Messages of the admin API begin with the field, in backticks.
    fn from_message(message: &str) -> Self {
        let named = message.strip_prefix('`').and_then(|rest| rest.split_once('`'));
        let Some((field, reason)) = named else {
            let sentence = capital(message.trim_end_matches('.'));
            return Self { field: String::new(), reason: format!("{sentence}.") };
        };
        // An entry of a list or of an object is its field's.
        let field = field.split(['.', '[']).next().unwrap_or(field).to_owned();
        let reason = match reason.strip_prefix(':') {
            Some(sentence) => capital(sentence.trim()),
            None => format!("This {}", reason.trim()),
        };
        Self { field, reason: format!("{reason}.") }
    }

    /// Returns what the field is called on the page.
    pub(super) fn label(&self) -> &str {
        label_of(&self.field)
    }

    /// Tells what is wrong with a field, if that is what is wrong.
    pub(super) fn reason_of<'a>(trouble: Option<&'a Self>, field: &str) -> Option<&'a str> {
        trouble.filter(|trouble| trouble.is_with(field)).map(|trouble| trouble.reason.as_str())
    }

    /// Returns the id of the field on the page.
    pub(super) fn anchor(&self) -> &str {
        match self.field.as_str() {
            "expires_in" | "expires_at" => "expires",
            field => field,
        }
    }

    pub(super) fn is_with(&self, field: &str) -> bool {
        self.field == field
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Returns what a field of the admin API is called on pages.
pub(super) fn label_of(field: &str) -> &str {
    match field {
        "name" => "Name",
        "scopes" => "Scopes",
        "expires_at" | "expires_in" => "Expires",
        "plan" => "Plan",
        "requests_per_minute" => "Requests a minute",
        "max_concurrent" => "Requests at a time",
        "allowed_ips" => "Allowed addresses",
        "allowed_models" => "Allowed models",
        "metadata" => "Metadata",
        "require_signature" => "Signed requests",
        "report_only" => "Only report",
        "revoke_when_quiet" => "Revoke when quiet",
        "expire_old_in" => "How long the old key goes on",
        "key" | "key_id" => "Key",
        "threshold" => "Threshold",
        "window" => "Window",
        "webhook" => "Webhook",
        "webhook_url" => "URL",
        "webhook_format" => "Format",
        "webhook_secret" => "Secret",
        "method" => "Method",
        "path" => "Path",
        "ip" => "Address",
        "model" => "Model",
        "request_id" => "Request id",
        field => field,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_beside_its_field() {
        let cases = [
            (
                "`name` is missing: say what the key is for",
                "name",
                "This is missing: say what the key is for.",
            ),
            ("`metadata.a` must be a text", "metadata", "This must be a text."),
            ("`plan`: there is none", "plan", "There is none."),
            ("the key is revoked", "", "The key is revoked."),
        ];
        for (message, field, reason) in cases {
            let trouble = Trouble::from_message(message);
            assert_eq!((trouble.field.as_str(), trouble.reason.as_str()), (field, reason));
        }
    }
}
