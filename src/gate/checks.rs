//! The steps that only look: what real requests and dry runs are both decided by.

use std::net::IpAddr;
use std::sync::Arc;

use super::keyring::{Entry, Keyring};
use super::{Demand, Refusal};
use crate::domain::key::{Key, Settings, Status};
use crate::domain::report_only::{Finding, Findings};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;

/// Fails where no bearer token was sent.
pub(super) fn bearer_token(sent: Option<&[u8]>) -> Result<&[u8], Refusal> {
    sent.ok_or(Refusal::MissingKey)
}

/// Fails where what was sent is no token.
pub(super) fn format(bearer: &[u8]) -> Result<Token, Refusal> {
    Token::parse(bearer).map_err(|_| Refusal::InvalidKey)
}

/// Fails where no key has the token.
pub(super) fn key(keyring: &Keyring, token: &Token) -> Result<Arc<Entry>, Refusal> {
    keyring.find(token).ok_or(Refusal::InvalidKey)
}

/// Fails where the key does not work now.
pub(super) fn status(key: &Key, now: Timestamp) -> Result<(), Refusal> {
    match key.status(now) {
        Status::Active => Ok(()),
        Status::Expired => Err(Refusal::ExpiredKey),
        Status::Disabled | Status::Revoked => Err(Refusal::InvalidKey),
    }
}

/// Fails where the key may not be used from the address, unless that is only tried out: then it is found.
pub(super) fn client_address(settings: &Settings, client: Option<IpAddr>) -> Result<Findings, Refusal> {
    if settings.extras().allowed_ips.permit(client) {
        return Ok(Findings::default());
    }
    found(settings, Finding::Address(client), Refusal::AddressNotAllowed)
}

/// Fails where the key lacks what a route demands, unless that is only tried out: then it is found.
pub(super) fn demand(settings: &Settings, demand: Demand) -> Result<Findings, Refusal> {
    match demand {
        Demand::Scope(wanted) => scope(settings, wanted),
        Demand::AnyKey => Ok(Findings::default()),
    }
}

/// Fails where the key lacks the scope, unless that is only tried out: then it is found.
pub(super) fn scope(settings: &Settings, wanted: Scope) -> Result<Findings, Refusal> {
    if settings.scopes.contains(wanted) {
        return Ok(Findings::default());
    }
    found(settings, Finding::Scope(wanted), Refusal::MissingScope(wanted))
}

/// Fails where the key may not name the model.
pub(super) fn model(settings: &Settings, name: &str) -> Result<(), Refusal> {
    if settings.extras().allowed_models.permit(name) {
        return Ok(());
    }
    Err(Refusal::ModelNotAllowed(name.to_owned()))
}

fn found(settings: &Settings, finding: Finding, refusal: Refusal) -> Result<Findings, Refusal> {
    if settings.report_only.contains(finding.setting()) {
        return Ok(Findings::default().with(finding));
    }
    Err(refusal)
}
