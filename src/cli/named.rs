//! What the arguments name: keys by their id or name, other things by their id.

use anyhow::{Result, bail};

use serde_json::Value;

use super::client::Client;
use super::output::clean;
use super::{Misuse, say};
use crate::domain::id::KeyId;
use crate::domain::token;

/// As many keys of one name are told apart in an error.
const TOLD_APART: usize = 5;

/// Returns the id of the key that the text names: its id, or its name if no other key has it but those that handed
/// over to it or were revoked.
pub(super) async fn key_id(client: &Client, text: &str) -> Result<String> {
    refuse_secret(text)?;
    if text.parse::<KeyId>().is_ok() {
        return Ok(text.to_owned());
    }
    let ids = named(client, text).await?;
    match ids.as_slice() {
        [id] => Ok(id.clone()),
        [] => bail!("no key has the id or the name `{text}`: see `mcpd keys list`"),
        _ => {
            let more = if ids.len() > TOLD_APART { ", …" } else { "" };
            let some = ids[..ids.len().min(TOLD_APART)].join(", ");
            bail!("{} keys have the name `{text}`: name one by its id ({some}{more})", ids.len())
        }
    }
}

/// Warns if another key has the same name as this one, so that the name stands for neither.
pub(super) async fn warn_of_others(client: &Client, key: &Value) {
    let (Some(id), Some(name)) = (key["id"].as_str(), key["name"].as_str()) else { return };
    // What was to be done is done, whether or not this can be told.
    let Ok(mut others) = named(client, name).await else { return };
    others.retain(|other| other != id);
    if !others.is_empty() {
        let others = clean(&others.join(", "));
        say(&format!(
            "Warning: another key has this name: {others}. Name each by its id, or give one another name."
        ));
    }
}

/// Returns the ids of the keys that a name stands for.
async fn named(client: &Client, name: &str) -> Result<Vec<String>> {
    let found = client.list("/admin/v1/keys", &[("search", name)]).await?;
    let named: Vec<&Value> = found.iter().filter(|key| key["name"] == name).collect();
    Ok(latest(&named).into_iter().map(ToOwned::to_owned).collect())
}

/// Returns the ids of the keys that handed over to none of the others; of several, those that were not revoked.
fn latest<'a>(keys: &[&'a Value]) -> Vec<&'a str> {
    let has_successor = |key: &Value| keys.iter().any(|other| other["rotated_from"] == key["id"]);
    let mut latest: Vec<&Value> = keys.iter().copied().filter(|key| !has_successor(key)).collect();
    if latest.iter().any(|key| key["status"] != "revoked") {
        latest.retain(|key| key["status"] != "revoked");
    }
    latest.iter().filter_map(|key| key["id"].as_str()).collect()
}

/// Returns the path of a thing with an id; fails if the text can be none.
pub(super) fn path(before: &str, id: &str, behind: &str) -> Result<String> {
    refuse_secret(id)?;
    let is_plain = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if id.is_empty() || !id.chars().all(is_plain) {
        bail!(Misuse(format!("`{id}` is no id: ids are letters, digits and `_`")));
    }
    Ok(format!("{before}/{id}{behind}"))
}

/// Fails if the text has a key in it: arguments are seen by other users, and kept by shells.
pub(super) fn refuse_secret(text: &str) -> Result<()> {
    if token::redact(text) != text {
        bail!(Misuse(
            "a key must not stand among the arguments, where others can read it: name it by its id or its name, \
             or use `mcpd explain --key-stdin`"
                .to_owned()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_the_latest_key_s_of_a_line_of_rotations() {
        let keys = [
            json!({"id": "key_3", "rotated_from": "key_2"}),
            json!({"id": "key_2", "rotated_from": "key_1"}),
            json!({"id": "key_1", "rotated_from": null}),
            json!({"id": "key_9", "rotated_from": null}),
        ];
        assert_eq!(latest(&keys.iter().take(3).collect::<Vec<_>>()), ["key_3"]);
        assert_eq!(latest(&keys.iter().collect::<Vec<_>>()), ["key_3", "key_9"]);
        let revoked = |id: &str| json!({"id": id, "rotated_from": null, "status": "revoked"});
        let (gone, long_gone) = (revoked("key_7"), revoked("key_8"));
        assert_eq!(latest(&[&gone, &keys[3], &long_gone]), ["key_9"]);
        assert_eq!(latest(&[&gone, &long_gone]), ["key_7", "key_8"]);
    }

    #[test]
    fn an_id_is_nothing_that_leads_elsewhere() {
        assert_eq!(
            path("/admin/v1/alerts", "alert_1", "/acknowledge").unwrap(),
            "/admin/v1/alerts/alert_1/acknowledge"
        );
        for id in ["", "../keys", "a/b", "a?b", "a%2fb", "ä"] {
            assert!(path("/admin/v1/alerts", id, "").unwrap_err().is::<Misuse>(), "{id}");
        }
    }

    #[test]
    fn a_key_among_the_arguments_is_refused_and_not_repeated() {
        let error = refuse_secret("mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38").unwrap_err();
        assert!(error.is::<Misuse>() && !error.to_string().contains("ABCD"), "{error}");
        refuse_secret("key_0123456789ABCDEFGHIJKLMN").unwrap();
    }
}
