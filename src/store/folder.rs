//! The folders that files of the server's own are in.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// The file beside the database that a first start without a terminal writes its key to.
pub const DEFAULT_KEY: &str = "default-key";

/// Returns the folder that a path names a file in; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the nearest folder on the way to the path that exists.
pub fn existing_folder_of(path: &Path) -> &Path {
    let exists = |folder: &&Path| folder.as_os_str().is_empty() || folder.exists();
    let folder = folder_of(path).ancestors().find(exists).unwrap_or(Path::new("."));
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Makes the folder of a path, its owner's alone (mode 0700), where there is none.
pub fn make_folder_of(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder_of(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_in_the_working_directory() {
        let cases = [("mcpd.db", "."), ("data/mcpd.db", "data"), ("/mcpd.db", "/"), ("./x/y", "./x")];
        for (path, folder) in cases {
            assert_eq!(folder_of(Path::new(path)), Path::new(folder), "{path}");
        }
        assert_eq!(existing_folder_of(Path::new("no/such/folder/file")), Path::new("."));
        assert_eq!(existing_folder_of(Path::new("/no/such/folder/file")), Path::new("/"));
    }
}
