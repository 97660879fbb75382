//! Which configuration says where something is: for who looks for it in vain, and before something is done to it.

use std::path::Path;

/// Returns what names a path: the variable, if it is set, else the configuration file, if there is one.
pub(super) fn named_by(variable: &str, file: Option<&Path>) -> String {
    match (std::env::var_os(variable), file) {
        (Some(_), _) => format!("from {variable}"),
        (None, Some(file)) => format!("by {}", absolute(file)),
        (None, None) => "by default: there is no configuration".to_owned(),
    }
}

/// A path that tells where it is, from wherever it is read.
pub(super) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
