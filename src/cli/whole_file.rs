//! A file that is there whole, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// A file that only its owner can read, under another name until it is kept; gone again unless it is.
pub(super) struct WholeFile {
    path: PathBuf,
    unfinished: PathBuf,
    file: File,
    overwrite: bool,
    kept: bool,
}

impl WholeFile {
    /// Begins a file. One that is there already is left as it is, unless it shall be overwritten.
    pub(super) fn begin(path: &Path, overwrite: bool) -> Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".unfinished-{}", std::process::id()));
        let unfinished = PathBuf::from(name);
        check(path, overwrite)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&unfinished);
        let file = file.with_context(|| format!("cannot make {}", unfinished.display()))?;
        Ok(Self { path: path.to_owned(), unfinished, file, overwrite, kept: false })
    }

    /// Gives it its name, once it is complete: it is on the disk when this returns.
    pub(super) fn keep(mut self) -> Result<()> {
        self.file.sync_all().with_context(|| format!("cannot write {}", self.unfinished.display()))?;
        // Somebody else may have made one meanwhile.
        check(&self.path, self.overwrite)?;
        let renamed = fs::rename(&self.unfinished, &self.path);
        renamed.with_context(|| format!("cannot make {}", self.path.display()))?;
        self.kept = true;
        File::open(crate::store::folder::folder_of(&self.path))?.sync_all()?;
        Ok(())
    }
}

/// Fails if a file must not be made there.
fn check(path: &Path, overwrite: bool) -> Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => bail!("{} is a folder: name a file in it", path.display()),
        Ok(metadata) if overwrite && !metadata.is_file() => {
            bail!("{} is no plain file: name another", path.display())
        }
        Ok(_) if !overwrite => {
            bail!("{} is there already: name another file, or say --force", path.display())
        }
        _ => Ok(()),
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.kept {
            // What led here is told.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}
