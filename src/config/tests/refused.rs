//! Files that are refused, and what is said about them.

use super::assert_refused;

#[test]
fn unknown_settings_are_refused_with_the_nearest_known_one() {
    assert_refused(&[
        ("server.listn = []", "`server.listn`: unknown setting, the nearest known one is `server.listen`"),
        ("[servr]\nlisten = []", "`servr`: unknown setting, the nearest known one is `server`"),
        ("[plans.free]\nrpm = 1", "`plans.free.rpm`: unknown setting"),
        ("[[upstreams]]\nname = 'a'\n[[upstreams]]\nbase_ur = 's3cret'", "`upstreams[1].base_ur`: unknown"),
        ("[upstream]", "the nearest known one is `upstreams`"),
        ("'a[4000000000]' = 1", "`\"a[4000000000]\"`: unknown setting"),
        ("'' = 1", "`\"\"`: unknown setting"),
        ("'server.listen' = ['127.0.0.1:80']", "`\"server.listen\"`: unknown setting"),
        ("[server]\n'tls.cert' = 'a'", "`server.\"tls.cert\"`: unknown setting"),
        ("'plans.*' = {}", "`\"plans.*\"`: unknown setting"),
        ("'upstreams[]' = { name = 'a' }", "`\"upstreams[]\"`: unknown setting"),
        ("[plans.'*']", "`plans.*`: a plan is named with"),
        ("[plans.'a.b']\nrequests_per_minute = 1", "`plans.a.b`: a plan is named with"),
    ]);
}

#[test]
fn a_wrong_type_is_refused_with_what_was_expected_and_what_was_found() {
    assert_refused(&[
        ("server.workers = 'four'", "`server.workers`: expected a whole number, found text"),
        ("server.workers = 1.5", "expected a whole number, found a number with a fraction"),
        ("server.workers = true", "expected a whole number, found true or false"),
        ("server.listen = '127.0.0.1:80'", "`server.listen`: expected a list of texts, found text"),
        ("server.listen = [80]", "expected a list of texts, found a list of other things"),
        ("signing.required = 1", "`signing.required`: expected true or false, found a whole number"),
        ("log = 'info'", "`log`: expected a section, found text"),
        ("usage.keep_days = 7", "`usage.keep_days`: expected text, found a whole number"),
        ("plans.free = 10", "`plans.free`: expected a section, found a whole number"),
        ("[upstreams]\nname = 'a'", "`upstreams`: expected a list of sections"),
        (
            "[[upstreams]]\napi_key = ['s3cret']",
            "`upstreams[0].api_key`: expected text, found a list of texts",
        ),
        ("[[upstreams]]\nmodels = 'a'", "`upstreams[0].models`: expected a list of model ids or"),
        ("[[upstreams]]\nmodels = { a = 1 }", "`upstreams[0].models`: expected a list of model ids or"),
    ]);
}

#[test]
fn bad_toml_is_told_by_line_and_never_shown() {
    assert_refused(&[
        ("[server]\nlisten = \n", "line 2"),
        ("\n\n[[upstreams]]\napi_key = 's3cret\n", "line 4"),
        ("api_key = \"s3cret\" x", "line 1"),
        ("log = {}\nlog = {}", "line 2"),
        ("server.workers = 99999999999999999999", "too large"),
    ]);
}

#[test]
fn values_out_of_bounds_are_refused() {
    assert_refused(&[
        ("server.listen = []", "`server.listen`: must not be empty"),
        ("server.listen = ['localhost:80']", "`localhost:80` is no IP address with a port"),
        ("server.listen = ['127.0.0.1']", "`127.0.0.1` is no IP address with a port"),
        ("server.trusted_proxies = ['10.0.0.0/33']", "`server.trusted_proxies`: `10.0.0.0/33` is no address"),
        ("server.trusted_proxies = [\"a\\nb\"]", "`server.trusted_proxies`: "),
        ("server.tls.cert = 'c.pem'", "`server.tls.key`: must be set too"),
        ("server.tls.key = 'k.pem'", "`server.tls.cert`: must be set too"),
        ("server.tls = { cert = '', key = 'k' }", "`server.tls.cert`: must not be empty"),
        ("server.workers = 0", "`server.workers`: must be from 1 to 1024, not 0"),
        ("server.max_json_bytes = -1", "`server.max_json_bytes`: must be from 1 to 1073741824, not -1"),
        ("server.shutdown_grace_seconds = 3601", "must be from 0 to 3600, not 3601"),
        ("admin.listen = '0.0.0.0:8081'", "`admin.listen`: must be a loopback address"),
        ("admin.listen = '[::]:8081'", "`admin.listen`: must be a loopback address"),
        ("admin.socket = ' '", "`admin.socket`: must not be empty"),
        (&format!("admin.socket = '{}'", "x".repeat(108)), "must be at most 107 bytes long"),
        ("admin.token_file = ''", "`admin.token_file`: must not be empty"),
        ("store.path = ''", "`store.path`: must not be empty"),
        (
            "limits.default_plan = 'gold'",
            "`limits.default_plan`: there is no plan `gold`; the plans are enterprise",
        ),
        ("limits.default_plan = 'enterprise'", "`limits.default_plan`: `enterprise` sets no limit"),
        ("limits.failed_auth_per_minute = 0", "must be from 1 to 4294967295, not 0"),
        ("plans.free.requests_per_minute = 0", "`plans.free.requests_per_minute`: must be from 1"),
        ("signing.max_skew_seconds = 0", "`signing.max_skew_seconds`: must be from 1 to 86400, not 0"),
        ("usage.flush_milliseconds = 0", "`usage.flush_milliseconds`: must be from 1 to 60000, not 0"),
        ("usage.keep_minutes = '59m'", "`usage.keep_minutes`: must be from 1h to 36500d, or forever"),
        ("usage.keep_hours = '23h'", "`usage.keep_hours`: must be from 1d"),
        ("usage.keep_days = '36501d'", "`usage.keep_days`: must be from 7d"),
        ("usage.keep_days = 'always'", "expected a length of time such as 7d or 24h, or forever"),
        ("files.max_bytes = 0", "`files.max_bytes`: must be from 1"),
        ("files.total_bytes = -1", "`files.total_bytes`: must be from 0"),
        ("log.level = 'INFO'", "must be one of `error`, `warn`, `info`, `debug`, `trace`"),
        ("log.format = 'xml'", "must be one of `text`, `json`"),
    ]);
}
