//! What the environment overrides.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::super::Config;
use super::super::environment::Environment;
use super::load;

#[test]
fn the_environment_overrides_the_file() {
    let config = load(
        "server.listen = ['127.0.0.1:1']\nplans.free.requests_per_minute = 1\nstore.path = 'a.db'\n",
        &[
            ("MCPD__SERVER__LISTEN", "127.0.0.1:9000, [::1]:9000"),
            ("MCPD__SERVER__TRUSTED_PROXIES", ""),
            ("MCPD__SERVER__WORKERS", "2"),
            ("MCPD__ADMIN__OPEN_METRICS", "true"),
            ("MCPD__STORE__PATH", "007"),
            ("MCPD__PLANS__FREE__REQUESTS_PER_MINUTE", "5"),
            ("MCPD__PLANS__NEW__REQUESTS_PER_MINUTE", "6"),
            ("MCPD_CONFIG", "/not/looked/at"),
            ("MCPDX__SERVER__LISTEN", "not ours"),
        ],
    );
    let config = config.unwrap_or_else(|error| panic!("{error}"));

    assert_eq!(config.server.listen, ["127.0.0.1:9000".parse().unwrap(), "[::1]:9000".parse().unwrap()]);
    assert_eq!(config.server.workers.map(std::num::NonZero::get), Some(2));
    assert!(config.admin.open_metrics);
    assert_eq!(config.store.path, PathBuf::from("007"));
    assert_eq!(config.plans.limit("free", None).unwrap().get(), 5);
    assert_eq!(config.plans.limit("new", None).unwrap().get(), 6);
}

#[test]
fn a_bad_override_is_refused_with_the_name_of_its_variable() {
    let cases = [
        (
            "MCPD__SERVER__LISTN",
            "x",
            "`server.listn`: unknown setting, the nearest known one is `server.listen`",
        ),
        ("MCPD__SERVER", "x", "`server`: unknown setting"),
        ("MCPD__", "x", "unknown setting"),
        ("MCPD__SERVER__WORKERS", "many", "`server.workers`: expected a whole number, found other text"),
        ("MCPD__SERVER__WORKERS", "", "`server.workers`: expected a whole number, found other text"),
        ("MCPD__SERVER__WORKERS", "0", "`server.workers`: must be from 1 to 1024, not 0"),
        ("MCPD__SERVER__LISTEN", "", "`server.listen`: must not be empty"),
        ("MCPD__LIMITS__DEFAULT_PLAN", "gold", "`limits.default_plan`: there is no plan `gold`"),
        ("MCPD__PLANS__A B__REQUESTS_PER_MINUTE", "5", "a plan is named with"),
        ("MCPD__UPSTREAMS__0__WEIGHT", "5", "upstreams are set in the configuration file only"),
    ];
    for (variable, value, expected) in cases {
        let error = load("", &[(variable, value)]).expect_err(variable);
        assert!(error.starts_with(variable) && error.contains(expected), "{variable}: {error}");
    }
}

#[test]
fn an_override_that_is_not_utf_8_is_refused_and_other_variables_may_be_anything() {
    let odd = OsString::from_vec(vec![0xff]);
    let load = |name: &str| {
        let variables = Environment::new([(name.into(), odd.clone()), (odd.clone(), odd.clone())]);
        Config::find(None, &variables, &[])
    };
    assert!(load("OTHER").is_ok());
    let error = load("MCPD__STORE__PATH").unwrap_err().to_string();
    assert_eq!(error, "MCPD__STORE__PATH: `store.path`: expected UTF-8 text, found other bytes");
}
