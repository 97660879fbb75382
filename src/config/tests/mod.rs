//! Whole files and environments in, a [`Config`] or an error out.

mod environment;
mod reference;
mod refused;
mod upstreams;
mod written;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Config;

/// A folder that is removed with what it holds.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("mcpd-config-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn variables(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// Loads the text as `mcpd.toml`, which is how errors name it too.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let folder = Folder::new();
    let path = folder.write("mcpd.toml", text);
    let config = Config::load_from(Some(&path), self::variables(variables));
    config.map_err(|error| error.to_string().replace(&format!("{}/", folder.0.display()), ""))
}

fn assert_refused(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let error = load(text, &[]).expect_err(text);
        assert!(error.contains(expected), "{text}\n{error}");
        assert!(error.starts_with("mcpd.toml: ") && !error.contains('\n'), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
