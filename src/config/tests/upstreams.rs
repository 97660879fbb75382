//! Upstreams, good and bad.

use super::super::Secret;
use super::{Folder, assert_refused, load};

#[test]
fn an_upstream_that_cannot_work_is_refused() {
    let upstream = |settings: &str| format!("[[upstreams]]\nname = 'a'\nkind = 'openai'\n{settings}\n");
    let at = |settings: &str| upstream(&format!("base_url = 'http://host'\n{settings}"));
    let echo = |settings: &str| format!("[[upstreams]]\nname = 'a'\nkind = 'echo'\n{settings}\n");
    let cases = [
        ("upstreams = []".to_owned(), "`upstreams`: must not be empty"),
        ("[[upstreams]]\nkind = 'echo'".to_owned(), "`upstreams[0].name`: must be set"),
        ("[[upstreams]]\nname = 'a'".to_owned(), "`upstreams[0].kind`: must be set"),
        ("[[upstreams]]\nname = 'a b'".to_owned(), "`upstreams[0].name`: must be 1 to 64 of"),
        ("[[upstreams]]\nname = ''".to_owned(), "`upstreams[0].name`: must be 1 to 64 of"),
        ("[[upstreams]]\nname = 'a'\nkind = 'x'".to_owned(), "one of `openai`, `anthropic`, `echo`"),
        (echo("") + &echo(""), "`upstreams[1].name`: another upstream has the same name"),
        (echo("models = ['a']"), "`upstreams[0].models`: an echo upstream takes no such setting"),
        (echo("base_url = 'http://host'"), "`upstreams[0].base_url`: an echo upstream"),
        (echo("api_key_env = 'A'"), "`upstreams[0].api_key_env`: an echo upstream"),
        (upstream(""), "`upstreams[0].base_url`: must be set"),
        (upstream("base_url = 'http://u:s3cret@host'"), "must name no user"),
        (at("models = []"), "`upstreams[0].models`: must not be empty"),
        (at("models = ['']"), "`upstreams[0].models`: must not be empty"),
        (at("models = { a = ' ' }"), "`upstreams[0].models`: must not be empty"),
        (at("models = ['*', 'a']"), "`*` stands for all models"),
        (at("models = { '*' = 'a' }"), "`*` stands for all models"),
        (at("api_key = 's3cret'\napi_key_env = 'A'"), "`upstreams[0].api_key`: the key is given twice"),
        (at("api_key_file = 'a'\napi_key_env = 'A'"), "the key is given twice"),
        (at("api_key = ' '"), "`upstreams[0].api_key`: the key is empty"),
        (at("api_key = \"s3cret\\ns3cret\""), "the key must be one line"),
        (at("api_key_env = 'NOT_SET'"), "the environment variable NOT_SET is not set"),
        (at("api_key_env = 'sk-s3cret'"), "expected the name of an environment variable"),
        (at("api_key_file = './no/such/file'"), "`upstreams[0].api_key_file`: cannot read ./no/such/file: "),
        (at("connect_timeout_seconds = 0"), "`upstreams[0].connect_timeout_seconds`: must be from 1 to 600"),
        (at("timeout_seconds = 86401"), "`upstreams[0].timeout_seconds`: must be from 1 to 86400"),
        (at("weight = 0"), "`upstreams[0].weight`: must be from 1 to 1000, not 0"),
    ];
    for (text, expected) in &cases {
        assert_refused(&[(text, expected)]);
    }
}

#[test]
fn an_upstream_s_key_is_read_from_where_it_is_kept() {
    let folder = Folder::new();
    let key = folder.write("key", "  s3cret\n");
    let empty = folder.write("empty", "\n");
    let (key, empty) = (key.display(), empty.display());
    let variables = [("KEY", "s3cret\n"), ("EMPTY", " ")];
    let cases = [
        ("api_key = 's3cret'".to_owned(), Some("s3cret")),
        (format!("api_key_file = '{key}'"), Some("s3cret")),
        (format!("api_key_file = '{empty}'"), None),
        ("api_key_env = 'KEY'".to_owned(), Some("s3cret")),
        ("api_key_env = 'EMPTY'".to_owned(), None),
    ];
    for (setting, expected) in cases {
        let text = format!("[[upstreams]]\nname = 'a'\nkind = 'openai'\nbase_url = 'http://host'\n{setting}");
        let found = load(&text, &variables).map(|config| config.upstreams[0].api_key.clone());
        match expected {
            Some(_) => assert_eq!(found.unwrap().as_ref().map(Secret::expose), expected, "{setting}"),
            None => assert!(found.unwrap_err().ends_with("the key is empty"), "{setting}"),
        }
    }
}
