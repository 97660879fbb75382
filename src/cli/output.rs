//! What is printed, and where to: a terminal has a width and colours, a file or a program gets plain text.

use std::env::var_os;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal as _, Write, stdout};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde_json::Value;

use super::client::Answer;
use crate::store::folder::folder_of;

/// Behind the name of a file that is not complete; its process's number follows.
const UNFINISHED: &str = ".unfinished-";

/// What standard output can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// How many columns it has; any number where it is no terminal.
    pub(super) width: Option<usize>,
    /// Whether it shows colours.
    pub(super) colours: bool,
}

/// How something stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Strong,
    Good,
    Warning,
    Bad,
}

/// A file that only its owner can read. It has another name until it is kept, and is gone again unless it is.
pub(super) struct PrivateFile {
    path: PathBuf,
    unfinished: PathBuf,
    file: File,
    replaces: bool,
}

impl Screen {
    /// Returns what there is.
    fn of_stdout() -> Self {
        if !stdout().is_terminal() {
            return Self { width: None, colours: false };
        }
        let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let asked = || rustix::termios::tcgetwinsize(stdout()).ok().map(|size| usize::from(size.ws_col));
        let width = said.filter(|columns| *columns > 0).or_else(asked);
        let unwanted = var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = var_os("TERM").is_some_and(|term| term == "dumb");
        Self { width: width.filter(|width| *width > 0), colours: !unwanted && !is_dumb }
    }

    /// Returns text that stands out as it shall.
    pub(super) fn paint(self, text: &str, style: Style) -> String {
        let code = match style {
            Style::Strong => "1",
            Style::Good => "32",
            Style::Warning => "33",
            Style::Bad => "31",
            Style::Plain => return text.to_owned(),
        };
        if self.colours && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Prints an answer: as it came, or for people.
pub(super) fn show(
    answer: &Answer,
    as_json: bool,
    for_people: impl FnOnce(&Value, Screen) -> String,
) -> Result<()> {
    if as_json {
        return print(&format!("{}\n", answer.text.trim_end()));
    }
    print(&for_people(&answer.value, Screen::of_stdout()))
}

/// Prints text on standard output. A reader who has seen enough is no error.
pub(super) fn print(text: &str) -> Result<()> {
    match print_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints text on standard output; fails if nobody takes all of it.
pub(super) fn print_all(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Returns text without what a terminal would take for a command, or would show in another order: some of what is
/// shown comes from clients.
pub(super) fn clean(text: &str) -> String {
    let is_harmless = |character: char| {
        let reorders =
            matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !character.is_control() && !reorders
    };
    text.chars().map(|character| if is_harmless(character) { character } else { '\u{fffd}' }).collect()
}

impl PrivateFile {
    /// Makes a file; fails if there is one already.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(there_already(path));
        }
        Self::begin(path, false)
    }

    /// Makes a file that takes the place of one that is there, once it is complete; fails if that is no plain file.
    pub(super) fn replace(path: &Path) -> Result<Self> {
        match path.symlink_metadata() {
            Ok(metadata) if !metadata.is_file() => {
                bail!("{} is no plain file: name another", path.display())
            }
            _ => Self::begin(path, true),
        }
    }

    fn begin(path: &Path, replaces: bool) -> Result<Self> {
        remove_abandoned(path);
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(format!("{UNFINISHED}{}", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&unfinished);
        let file = file.map_err(|error| cannot_make(path, &error))?;
        // Tells a process elsewhere, that sees no such process here, that there is one. Not every file system can.
        let _ = file.try_lock();
        Ok(Self { path: path.to_owned(), unfinished, file, replaces })
    }

    /// Keeps it, once it is complete: it is on the disk when this returns.
    pub(super) fn keep(self) -> Result<()> {
        self.file.sync_all()?;
        self.name()?;
        File::open(folder_of(&self.path))?.sync_all()?;
        Ok(())
    }

    fn name(&self) -> Result<()> {
        let rename =
            || fs::rename(&self.unfinished, &self.path).map_err(|error| cannot_make(&self.path, &error));
        if self.replaces {
            return rename();
        }
        // A second name, which unlike a new one takes nobody else's place; the first goes with the drop.
        match fs::hard_link(&self.unfinished, &self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(there_already(&self.path)),
            // Not every file system has them.
            Err(_) => rename(),
        }
    }
}

/// Removes what killed processes left of a file of this name: whose process is gone, and that nobody has locked.
fn remove_abandoned(path: &Path) {
    let Some(name) = path.file_name() else { return };
    for entry in fs::read_dir(folder_of(path)).into_iter().flatten().flatten() {
        let (found, other) = (entry.path(), entry.file_name());
        let process = other.as_bytes().strip_prefix(name.as_bytes());
        let process = process.and_then(|rest| rest.strip_prefix(UNFINISHED.as_bytes()));
        if process.is_some_and(is_gone) && is_nobodys(&found) {
            // It is in nobody's way but the disk's.
            let _ = fs::remove_file(found);
        }
    }
}

/// Tells whether there is no process of this number any more.
fn is_gone(number: &[u8]) -> bool {
    let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
    number.and_then(Pid::from_raw).is_some_and(|process| test_kill_process(process) == Err(Errno::SRCH))
}

fn is_nobodys(path: &Path) -> bool {
    let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    file.is_ok_and(|file| file.metadata().is_ok_and(|found| found.is_file()) && file.try_lock().is_ok())
}

fn cannot_make(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!("cannot make {}: {error}", path.display())
}

fn there_already(path: &Path) -> anyhow::Error {
    anyhow!("{} is there already: name another file, or remove it", path.display())
}

impl Write for PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        // What led here is told; where it was renamed, there is nothing to remove.
        let _ = fs::remove_file(&self.unfinished);
    }
}

#[cfg(test)]
impl Screen {
    /// No terminal.
    pub(super) const PLAIN: Self = Self { width: None, colours: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_commands_the_terminal() {
        let cases = [
            ("plain, ü and 💻", "plain, ü and 💻"),
            ("\x1b[2Jgone", "\u{fffd}[2Jgone"),
            ("two\nlines\ttab\r", "two\u{fffd}lines\u{fffd}tab\u{fffd}"),
            ("\u{9b}31m\u{202e}abc\u{7f}", "\u{fffd}31m\u{fffd}abc\u{fffd}"),
        ];
        for (text, shown) in cases {
            assert_eq!(clean(text), shown);
        }
    }

    #[test]
    fn colours_are_for_terminals() {
        assert_eq!(Screen::PLAIN.paint("x", Style::Bad), "x");
        assert_eq!(Screen { colours: true, ..Screen::PLAIN }.paint("x", Style::Bad), "\x1b[31mx\x1b[0m");
    }
}
