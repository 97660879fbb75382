//! What a file says, and which file it is.

use std::path::Path;
use std::time::Duration;

use super::super::environment::Environment;
use super::super::{Config, Models, Secret, Tls};
use super::{Folder, load, variables};

#[test]
fn an_empty_file_means_the_defaults() {
    let config = load("", &[]).unwrap();
    assert_eq!(Config { origin: None, ..config }, Config::default());
}

#[test]
fn what_is_written_replaces_the_default_and_leaves_the_rest() {
    let config = load(
        "server.listen = ['0.0.0.0:80', '[::]:80']\n\
         server.tls = { cert = 'c.pem', key = 'k.pem' }\n\
         usage.keep_days = '2w'\n\
         [[upstreams]]\n\
         name = 'a'\n\
         kind = 'openai'\n\
         base_url = 'http://127.0.0.1:11434'\n\
         api_key = ' s3cret '\n\
         models = { 'llama3.2:3b' = 'x.y' }\n",
        &[],
    );
    let config = config.unwrap_or_else(|error| panic!("{error}"));

    assert_eq!(config.server.listen, ["0.0.0.0:80".parse().unwrap(), "[::]:80".parse().unwrap()]);
    assert_eq!(config.server.tls, Some(Tls { cert: "c.pem".into(), key: "k.pem".into() }));
    assert_eq!(config.usage.keep_days, Some(Duration::from_secs(14 * 86_400)));
    assert_eq!(config.usage.keep_hours, Config::default().usage.keep_hours);
    let [upstream] = config.upstreams.as_slice() else { panic!("{:?}", config.upstreams) };
    assert_eq!(upstream.models, Models::Listed([("llama3.2:3b".into(), "x.y".into())].into()));
    assert_eq!(upstream.api_key.as_ref().map(Secret::expose), Some("s3cret"));
    assert_eq!(upstream.timeout, Duration::from_secs(600));
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn the_file_is_the_one_named_else_the_first_usual_one() {
    let folder = Folder::new();
    let files = ["explicit", "named", "first", "second"].map(|name| folder.write(name, ""));
    let [explicit, named, first, second] = files.each_ref().map(|path| path.to_str().unwrap());
    let (gone, nowhere) = ("/no/such/file", "");
    let cases = [
        // --config       MCPD_CONFIG  usual places       found
        (Some(explicit), named, [first, second], Some(explicit)),
        (None, named, [first, second], Some(named)),
        (None, nowhere, [first, second], Some(first)),
        (None, nowhere, [gone, second], Some(second)),
        (None, nowhere, [gone, gone], None),
    ];
    for (explicit, named, usual, expected) in cases {
        let environment = Environment::new(variables(&[("MCPD_CONFIG", named)]));
        let config = Config::find(explicit.map(Path::new), &environment, &usual).unwrap();
        assert_eq!(config.origin.as_deref(), expected.map(Path::new), "{usual:?}");
    }
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let named = variables(&[("MCPD_CONFIG", "/no/such/file")]);
    let errors = [
        Config::load_from(Some(Path::new("/no/such/file")), []),
        Config::load_from(None, named),
        Config::load_from(Some(&std::env::temp_dir()), []),
    ];
    for error in errors.map(|result| result.unwrap_err().to_string()) {
        assert!(error.contains(": cannot be read: "), "{error}");
    }
}

#[test]
fn without_a_file_an_error_says_so() {
    let environment = Environment::new(variables(&[("MCPD__SERVER__TLS__CERT", "c.pem")]));
    let error = Config::find(None, &environment, &[]).unwrap_err().to_string();
    assert!(error.starts_with("the configuration: `server.tls.key`: must be set too"), "{error}");
}
