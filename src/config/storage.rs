//! `[store]` and `[files]`: what is kept on disk, and how much of it.

use std::path::PathBuf;

use super::bounds::{path, within};
use super::error::Fault;
use super::file::{FilesFile, StoreFile};

const TIB: i64 = 1 << 40;

/// The database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The SQLite file; its folder is the state directory.
    pub path: PathBuf,
}

/// The uploads that are kept in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The largest upload, in bytes.
    pub max_bytes: u64,
    /// What all uploads may take together, in bytes.
    pub total_bytes: u64,
}

impl TryFrom<StoreFile> for Store {
    type Error = Fault;

    fn try_from(file: StoreFile) -> Result<Self, Fault> {
        Ok(Self { path: path("store.path", file.path)? })
    }
}

impl TryFrom<FilesFile> for Files {
    type Error = Fault;

    fn try_from(file: FilesFile) -> Result<Self, Fault> {
        Ok(Self {
            max_bytes: within("files.max_bytes", file.max_bytes, 1..=TIB)?,
            total_bytes: within("files.total_bytes", file.total_bytes, 0..=100 * TIB)?,
        })
    }
}
