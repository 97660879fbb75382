//! Makes a new database: under another name until it is whole, so that nobody ever finds half of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::Connection;

use super::folder::folder_of;
use super::migrate;
use super::open::{OpenError, beside};

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Makes the database where there is none, or an empty file. The caller holds the lock.
pub(super) fn make_if_missing(path: &Path) -> Result<(), OpenError> {
    // An empty file may be linked to from here.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if path.metadata().is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    let unusable = |cause| OpenError::Unusable { path: path.clone(), cause };
    let unfinished = beside(&path, ".new");
    make_file(&unfinished).map_err(unusable)?;
    make_database(&unfinished)
        .map_err(|cause| OpenError::Broken { path: unfinished.clone(), cause: cause.into() })?;
    put_in_place(&unfinished, &path).map_err(unusable)
}

/// Makes an empty file, private to its owner, in place of what a crash left.
fn make_file(path: &Path) -> io::Result<()> {
    remove_companions(path)?;
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).map(drop)
}

fn make_database(path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    // Takes effect on a new database only, and must come before its first table.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    migrate::run(&mut connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error)
}

fn put_in_place(unfinished: &Path, path: &Path) -> io::Result<()> {
    File::open(unfinished)?.sync_all()?;
    // They belong to a database that is gone; the new one would take them for its own.
    remove_companions(path)?;
    fs::rename(unfinished, path)?;
    File::open(folder_of(path))?.sync_all()
}

pub(super) fn remove_companions(path: &Path) -> io::Result<()> {
    for suffix in COMPANIONS {
        match fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::Store;
    use super::*;

    /// Names and contents of files.
    type Files<'a> = &'a [(&'a str, &'a [u8])];

    /// A folder that is empty at first and goes away with the test.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mcpd-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn database(&self) -> std::path::PathBuf {
            self.0.join("mcpd.db")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn whenever_the_file_is_there_it_is_whole() {
        for _ in 0..5 {
            let folder = Folder::new("whole");
            let (path, done) = (folder.database(), AtomicBool::new(false));
            let first_seen = std::thread::scope(|scope| {
                let watching = scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        if let Ok(seen) = fs::read(&path) {
                            return seen;
                        }
                    }
                    fs::read(&path).unwrap()
                });
                drop(Store::open(&path).unwrap());
                done.store(true, Ordering::Relaxed);
                watching.join().unwrap()
            });
            // What a kill at that moment would have left is a database that the next start takes.
            let copy = folder.0.join("copy.db");
            fs::write(&copy, &first_seen).unwrap();
            let header = first_seen.get(68..72).map(<[u8]>::to_vec);
            assert_eq!(header.as_deref(), Some(&b"mcpd"[..]), "{} bytes", first_seen.len());
            drop(Store::open(&copy).unwrap());
        }
    }

    #[test]
    fn what_a_killed_first_start_left_is_in_nobody_s_way() {
        let folder = Folder::new("killed");
        let whole = folder.database();
        drop(Store::open(&whole).unwrap());
        let whole = fs::read(whole).unwrap();
        let cases: [(&str, Files<'_>); 4] = [
            ("an empty file", &[("mcpd.db", b"")]),
            ("an empty file and a journal", &[("mcpd.db", b""), ("mcpd.db-journal", &[0xd9; 512])]),
            ("half of an unfinished one", &[("mcpd.db.new", &whole[..5000]), ("mcpd.db.new-journal", b"x")]),
            ("all of an unfinished one", &[("mcpd.db.new", &whole), ("mcpd.db.new-wal", b"x")]),
        ];
        for (case, files) in cases {
            let folder = Folder::new("killed-again");
            for (name, contents) in files {
                fs::write(folder.0.join(name), contents).unwrap();
            }
            let store = Store::open(&folder.database()).unwrap_or_else(|error| panic!("{case}: {error}"));
            let keys =
                store.read(|db| db.query_row("SELECT count(*) FROM keys", [], |row| row.get::<_, u32>(0)));
            assert_eq!(keys.unwrap(), 0, "{case}");
            let left = ["mcpd.db.new", "mcpd.db.new-journal", "mcpd.db.new-wal", "mcpd.db-journal"];
            assert!(left.iter().all(|name| !folder.0.join(name).exists()), "{case}");
        }
    }
}
