//! Whose the database is. Root does not act as root in a folder that another user can rearrange while it looks.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::folder::existing_folder_of;

/// Whom files are made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner(Option<(u32, u32)>);

impl Owner {
    /// Returns the owner of a database, or of the folder that it will be in; nobody else than who asks, unless that
    /// is root.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self(None));
        }
        let metadata = database.metadata().or_else(|_| existing_folder_of(database).metadata())?;
        Ok(Self(Some((metadata.uid(), metadata.gid()))))
    }

    /// Gives a file to the owner: the open file, whatever its name means by now.
    pub(super) fn own(self, file: &File) -> io::Result<()> {
        self.0.map_or(Ok(()), |(user, group)| fchown(file, Some(user), Some(group)))
    }
}

/// Tells whether this is root and the folder of the path is another user's.
pub(super) fn is_root_in_another_s_folder(path: &Path) -> io::Result<bool> {
    Ok(geteuid().is_root() && existing_folder_of(path).metadata()?.uid() != 0)
}

/// Where root is about to act in another user's folder, gives up being root for good, and goes on as that user: this
/// thread and those that it starts.
pub(super) fn become_owner_of_folder(path: &Path) -> io::Result<()> {
    let folder = existing_folder_of(path).metadata()?;
    if !geteuid().is_root() || folder.uid() == 0 {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(folder.uid()), Gid::from_raw(folder.gid()));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}
