//! `mcpd keys create -i`: asks for each thing, with what most keys need as the answer to an empty line.

use anyhow::{Result, bail};
use serde_json::Value;

use super::create::Create;
use super::settings::{length, model, network, time};
use crate::cli::client::Client;
use crate::cli::fields::text;
use crate::cli::output::clean;
use crate::cli::{Misuse, say, terminal};
use crate::domain::key::Name;
use crate::domain::scope::{Scope, Scopes};

/// What OpenAI's clients need.
const USUAL_SCOPES: &str = "chats:create, models:read";
/// How long a key lives where nothing is said.
const USUAL_LIFE: &str = "90d";

/// Asks for what the arguments do not say.
pub(super) async fn fill(client: &Client, wanted: &mut Create) -> Result<()> {
    if !terminal::is_here() {
        bail!(Misuse("-i asks on a terminal, and here is none: say all of it in arguments".to_owned()));
    }
    let server = client.get("/admin/v1/server", &[]).await?.value;
    say("An empty line takes what stands in [brackets]; Ctrl-C ends this, and makes nothing.\n");
    if wanted.name.is_none() {
        wanted.name = Some(ask("Name, what it is for", "", |text| {
            Name::parse(text).map(|name| name.as_str().to_owned()).map_err(|reason| format!("it {reason}"))
        })?);
    }
    if wanted.scope.is_empty() {
        let names = Scope::ALL.map(Scope::name).join(", ");
        say(&format!("\nScopes, what it may do: {names}; `all` for everything"));
        wanted.scope = ask("Scopes", USUAL_SCOPES, parse_scopes)?;
    }
    limit(wanted, &server)?;
    life(wanted)?;
    places(wanted)?;
    summary(wanted);
    if !terminal::agreed(&terminal::line("\nMake it? [Y/n] ")?, true) {
        bail!("nothing was done");
    }
    Ok(())
}

fn limit(wanted: &mut Create, server: &Value) -> Result<()> {
    let settings = &mut wanted.settings;
    let plans = server["plans"].as_object().cloned().unwrap_or_default();
    if settings.plan.is_none() && settings.requests_per_minute.is_none() {
        let told = plans.iter().map(|(name, limit)| match limit.as_u64() {
            Some(limit) => format!("{name} {limit}"),
            None => format!("{name} (its own number)"),
        });
        say(&format!("\nPlans, by requests a minute: {}", clean(&told.collect::<Vec<_>>().join(", "))));
        settings.plan = Some(ask("Plan", &clean(&text(server, "default_plan")), |name| {
            if plans.contains_key(name) {
                Ok(name.to_owned())
            } else {
                Err("there is no such plan".to_owned())
            }
        })?);
    }
    let own = settings.plan.as_ref().and_then(|plan| plans.get(plan)).is_some_and(Value::is_null);
    if own && settings.requests_per_minute.is_none() {
        let number = |text: &str| match text.parse() {
            Ok(number @ 1..) => Ok(Some(number)),
            _ => Err("it must be a number from 1 on".to_owned()),
        };
        settings.requests_per_minute = ask("Requests a minute", "60", number)?;
    }
    Ok(())
}

fn life(wanted: &mut Create) -> Result<()> {
    let settings = &mut wanted.settings;
    if settings.expires_in.is_some() || settings.expires_at.is_some() {
        return Ok(());
    }
    say("\nIts end: a length of time such as 90d or 24h, a time such as 2027-01-31T12:00:00Z, or `never`");
    let (length, time) = ask("End", USUAL_LIFE, |text| {
        if text == "never" {
            return Ok((None, None));
        }
        let time = time(text).map(|time| (None, Some(time)));
        length(text).map(|length| (Some(length), None)).or(time).map_err(|_| "it is none of these".to_owned())
    })?;
    (settings.expires_in, settings.expires_at) = (length, time);
    Ok(())
}

fn places(wanted: &mut Create) -> Result<()> {
    let settings = &mut wanted.settings;
    if settings.allow_ip.is_empty() {
        say("\nAddresses and networks that it may be used from, with commas between");
        settings.allow_ip = ask("From", "anywhere", |text| list(text, "anywhere", network))?;
    }
    if settings.allow_model.is_empty() {
        say("\nModels that it may use, with commas between; * stands for any characters");
        settings.allow_model = ask("Models", "all", |text| list(text, "all", model))?;
    }
    Ok(())
}

fn summary(wanted: &Create) {
    let settings = &wanted.settings;
    let or = |list: &[String], none: &str| if list.is_empty() { none.to_owned() } else { list.join(", ") };
    let end = settings.expires_in.as_ref().map(|length| format!("ends in {length}"));
    let end = end.or_else(|| settings.expires_at.as_ref().map(|time| format!("ends at {time}")));
    let limit = settings.requests_per_minute.map(|number| format!("{number} requests a minute"));
    let limit = limit.or_else(|| settings.plan.as_ref().map(|plan| format!("plan {plan}")));
    let parts = [
        or(&wanted.scope, "-"),
        limit.unwrap_or_default(),
        end.unwrap_or_else(|| "never ends".to_owned()),
        format!("from {}", or(&settings.allow_ip, "anywhere")),
        format!("models: {}", or(&settings.allow_model, "all")),
    ];
    let name = wanted.name.as_deref().unwrap_or_default();
    say(&format!("\n`{}`: {}", clean(name), clean(&parts.join("; "))));
}

/// Asks until the answer can be used. An empty one is what is usual, if there is such a thing.
fn ask<T>(what: &str, usual: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T> {
    let prompt = if usual.is_empty() { format!("{what}: ") } else { format!("{what} [{usual}]: ") };
    loop {
        let typed = terminal::line(&prompt)?;
        let answer = if typed.is_empty() { usual } else { &typed };
        match parse(answer) {
            Ok(parsed) => return Ok(parsed),
            Err(reason) => say(&format!("  {}", clean(&reason))),
        }
    }
}

fn parse_scopes(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<&str> = words(text).map(|name| if name == "all" { "*" } else { name }).collect();
    let scopes = Scopes::parse(names.iter().copied()).map_err(|error| error.to_string())?;
    Ok(scopes.names().into_iter().map(ToOwned::to_owned).collect())
}

fn list(
    text: &str,
    none: &str,
    parse: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<String>, String> {
    if text == none { Ok(Vec::new()) } else { words(text).map(parse).collect() }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ']).filter(|word| !word.is_empty())
}
