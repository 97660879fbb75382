//! The pages, a file each.

mod alerts;
mod audit;
mod edit_rule;
mod explain;
mod key;
mod keys;
mod new_key;
mod overview;
mod rules;
mod server;
pub(super) mod sign_in;
mod stored;
mod usage;
mod zone;

use actix_web::http::Method;

use super::{Handler, PageRoute, assets};

/// Everything that a browser may ask for.
pub(super) static ROUTES: &[PageRoute] = &[
    open(Method::GET, "/assets/{name}", "A file of the pages", |visitor| {
        Box::pin(async move { assets::answer(&visitor.parameter) })
    }),
    open(Method::GET, "/sign-in", "Asks who it is", |visitor| Box::pin(sign_in::ask(visitor))),
    open(Method::POST, "/sign-in", "Signs in", |visitor| Box::pin(sign_in::enter(visitor))),
    page(Method::POST, "/sign-out", "Signs out", |visit| Box::pin(sign_in::leave(visit))),
    page(Method::GET, "/zone", "Asks for the reader's zone", |visit| Box::pin(zone::ask(visit))),
    page(Method::POST, "/zone", "Remembers it", |visit| Box::pin(zone::choose(visit))),
    page(Method::GET, "/", "Tells how the server does", |visit| Box::pin(overview::show(visit))),
    page(Method::GET, "/usage", "Tells what was used", |visit| Box::pin(usage::show(visit))),
    page(Method::POST, "/usage/verify", "Proves that it adds up", |visit| Box::pin(usage::verify(visit))),
    page(Method::GET, "/contexts", "Lists stored conversations", |visit| Box::pin(stored::contexts(visit))),
    page(Method::GET, "/contexts/{id}/delete", "Asks whether to delete one", |visit| {
        Box::pin(stored::ask_context(visit))
    }),
    page(Method::POST, "/contexts/{id}/delete", "Deletes one", |visit| {
        Box::pin(stored::delete_context(visit))
    }),
    page(Method::GET, "/files", "Lists stored files", |visit| Box::pin(stored::files(visit))),
    page(Method::GET, "/files/{id}/delete", "Asks whether to delete one", |visit| {
        Box::pin(stored::ask_file(visit))
    }),
    page(Method::POST, "/files/{id}/delete", "Deletes one", |visit| Box::pin(stored::delete_file(visit))),
    page(Method::GET, "/server", "Describes the server", |visit| Box::pin(server::show(visit))),
    page(Method::POST, "/server/backup", "Hands out a copy of the database", |visit| {
        Box::pin(server::back_up(visit))
    }),
    page(Method::GET, "/keys", "Lists the keys", |visit| Box::pin(keys::show(visit))),
    page(Method::GET, "/keys/new", "Asks for a new key's settings", |visit| Box::pin(new_key::ask(visit))),
    page(Method::POST, "/keys/new", "Makes a key", |visit| Box::pin(new_key::make(visit))),
    page(Method::GET, "/keys/{id}/issued", "Shows a new key, once", |visit| Box::pin(new_key::show(visit))),
    page(Method::GET, "/keys/{id}", "Shows a key", |visit| Box::pin(key::overview::show(visit))),
    page(Method::GET, "/keys/{id}/usage", "Tells what a key was used for", |visit| {
        Box::pin(key::usage::show(visit))
    }),
    page(Method::GET, "/keys/{id}/advice", "Tells how a key could be tightened", |visit| {
        Box::pin(key::advice::show(visit))
    }),
    page(Method::POST, "/keys/{id}/advice", "Applies what is suggested", |visit| {
        Box::pin(key::advice::apply(visit))
    }),
    page(Method::GET, "/keys/{id}/cut-over", "Tells how far a rotation is", |visit| {
        Box::pin(key::cut_over::show(visit))
    }),
    page(Method::POST, "/keys/{id}/cut-over", "Lets the old key be revoked when quiet", |visit| {
        Box::pin(key::cut_over::watch(visit))
    }),
    page(Method::GET, "/keys/{id}/edit", "Asks for a key's settings", |visit| {
        Box::pin(key::edit::ask(visit))
    }),
    page(Method::POST, "/keys/{id}/edit", "Changes them", |visit| Box::pin(key::edit::save(visit))),
    page(Method::GET, "/keys/{id}/rotate", "Asks how to hand over to a new key", |visit| {
        Box::pin(key::rotate::ask(visit))
    }),
    page(Method::POST, "/keys/{id}/rotate", "Makes the new key", |visit| {
        Box::pin(key::rotate::rotate(visit))
    }),
    page(Method::POST, "/keys/{id}/enable", "Lets a key be used again", |visit| Box::pin(key::enable(visit))),
    page(Method::POST, "/keys/{id}/disable", "Keeps a key from being used", |visit| {
        Box::pin(key::disable(visit))
    }),
    page(Method::GET, "/keys/{id}/revoke", "Asks whether to revoke a key", |visit| {
        Box::pin(key::end::ask_revoke(visit))
    }),
    page(Method::POST, "/keys/{id}/revoke", "Revokes it", |visit| Box::pin(key::end::revoke(visit))),
    page(Method::GET, "/keys/{id}/delete", "Asks whether to delete a key", |visit| {
        Box::pin(key::end::ask_delete(visit))
    }),
    page(Method::POST, "/keys/{id}/delete", "Deletes it", |visit| Box::pin(key::end::delete(visit))),
    page(Method::GET, "/alerts", "Shows what is unusual", |visit| Box::pin(alerts::show(visit))),
    page(Method::POST, "/alerts/{id}/acknowledge", "Notes that somebody looks after it", |visit| {
        Box::pin(alerts::acknowledge(visit))
    }),
    page(Method::GET, "/alerts/rules", "Lists the alert rules", |visit| Box::pin(rules::show(visit))),
    page(Method::GET, "/alerts/rules/new", "Asks for a new rule", |visit| Box::pin(edit_rule::ask(visit))),
    page(Method::POST, "/alerts/rules/new", "Makes a rule", |visit| Box::pin(edit_rule::make(visit))),
    page(Method::GET, "/alerts/rules/{id}/edit", "Shows a rule", |visit| Box::pin(edit_rule::edit(visit))),
    page(Method::POST, "/alerts/rules/{id}/edit", "Changes a rule", |visit| {
        Box::pin(edit_rule::change(visit))
    }),
    page(Method::POST, "/alerts/rules/{id}/enable", "Puts it in force", |visit| {
        Box::pin(rules::enable(visit))
    }),
    page(Method::POST, "/alerts/rules/{id}/disable", "Takes it out", |visit| Box::pin(rules::disable(visit))),
    page(Method::POST, "/alerts/rules/{id}/test", "Sends a sample", |visit| Box::pin(rules::test(visit))),
    page(Method::GET, "/alerts/rules/{id}/delete", "Asks whether to", |visit| {
        Box::pin(rules::ask_to_delete(visit))
    }),
    page(Method::POST, "/alerts/rules/{id}/delete", "Deletes a rule", |visit| Box::pin(rules::delete(visit))),
    page(Method::GET, "/audit", "Lists changes", |visit| Box::pin(audit::show(visit))),
    page(Method::POST, "/audit/verify", "Proves that the log is whole", |visit| {
        Box::pin(audit::verify(visit))
    }),
    page(Method::GET, "/audit/export", "Hands out the whole log", |visit| Box::pin(audit::export(visit))),
    page(Method::GET, "/explain", "Asks for a request", |visit| Box::pin(explain::ask(visit))),
    page(Method::POST, "/explain", "Explains it", |visit| Box::pin(explain::answer(visit))),
];

const fn open(
    method: Method,
    pattern: &'static str,
    summary: &'static str,
    handler: fn(super::Visitor) -> super::Answer,
) -> PageRoute {
    PageRoute { method, pattern, slashes: false, access: (), summary, handler: Handler::Open(handler) }
}

const fn page(
    method: Method,
    pattern: &'static str,
    summary: &'static str,
    handler: fn(super::Visit) -> super::Answer,
) -> PageRoute {
    PageRoute { method, pattern, slashes: false, access: (), summary, handler: Handler::SignedIn(handler) }
}
