//! Tables of text, as wide as the terminal is.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::output::{Screen, Style, clean};

/// Between columns.
const GAP: &str = "  ";
/// No column is cut down to less.
const NARROWEST: usize = 8;
/// No column of sentences is.
const NARROWEST_SENTENCES: usize = 24;

/// A table that is filled row by row.
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A column: its head and what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column(pub(super) &'static str, pub(super) Kind);

/// What is in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Words that must stay whole, such as ids.
    Word,
    /// Numbers.
    Number,
    /// Names that may be cut short.
    Name,
    /// Sentences, which may go over several lines.
    Sentence,
}

/// What is in one place.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Returns a cell that stands out.
    pub(super) fn new(text: &str, style: Style) -> Self {
        Self { text: clean(text), style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text.as_ref(), Style::Plain)
    }
}

impl Table {
    /// Returns a table without rows.
    pub(super) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<Cell> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    /// Adds a row of plain text.
    pub(super) fn texts(&mut self, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        self.row(texts.into_iter().map(Cell::from));
    }

    /// Returns the table as text, each line with its end.
    pub(super) fn render(&self, screen: Screen) -> String {
        let widths = self.widths(screen.width);
        let head = self.columns.iter().map(|column| Cell::new(column.0, Style::Strong)).collect();
        let rows = std::iter::once(&head).chain(&self.rows);
        rows.map(|row| self.lines(row, &widths, screen)).collect()
    }

    /// Tells whether nothing of it needs to be cut off at the end of the lines.
    pub(super) fn fits(&self, screen: Screen) -> bool {
        let gaps = GAP.len() * self.columns.len().saturating_sub(1);
        let width = self.widths(screen.width).iter().sum::<usize>() + gaps;
        screen.width.is_none_or(|room| width <= room)
    }

    /// How wide each column is, so that all of them fit if they can.
    fn widths(&self, available: Option<usize>) -> Vec<usize> {
        let longest = |at: usize, column: &Column| {
            let cells = self.rows.iter().map(|row| row[at].text.width());
            cells.chain([column.0.width()]).max().unwrap_or_default()
        };
        let mut widths: Vec<_> =
            self.columns.iter().enumerate().map(|(at, column)| longest(at, column)).collect();
        let Some(available) = available else { return widths };
        let gaps = GAP.len() * self.columns.len().saturating_sub(1);
        for (kind, narrowest) in [(Kind::Sentence, NARROWEST_SENTENCES), (Kind::Name, NARROWEST)] {
            while widths.iter().sum::<usize>() + gaps > available {
                let of_kind = (0..widths.len()).filter(|at| self.columns[*at].1 == kind);
                let widest = of_kind.filter(|at| widths[*at] > narrowest).max_by_key(|at| widths[*at]);
                let Some(widest) = widest else { break };
                widths[widest] -= 1;
            }
        }
        widths
    }

    fn lines(&self, row: &[Cell], widths: &[usize], screen: Screen) -> String {
        let room = screen.width.unwrap_or(usize::MAX);
        let mut start = 0;
        let mut pieces = Vec::with_capacity(row.len());
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            let seen = room.saturating_sub(start);
            pieces.push(match column.1 {
                // What is hardly seen or not at all needs no lines of its own.
                Kind::Sentence if seen >= NARROWEST => wrap(&cell.text, seen.min(*width)),
                _ => vec![cut(&cell.text, *width)],
            });
            start += width + GAP.len();
        }
        let height = pieces.iter().map(Vec::len).max().unwrap_or_default();
        (0..height).map(|line| self.line(line, &pieces, row, widths, screen)).collect()
    }

    fn line(
        &self,
        line: usize,
        pieces: &[Vec<String>],
        row: &[Cell],
        widths: &[usize],
        screen: Screen,
    ) -> String {
        let mut words = Vec::new();
        // Spaces are put before what follows them, so that none are left at the end.
        let mut owed = 0;
        for (at, piece) in pieces.iter().enumerate() {
            let piece = piece.get(line).map_or("", String::as_str);
            let space = widths[at].saturating_sub(piece.width());
            let (before, behind) = if self.columns[at].1 == Kind::Number { (space, 0) } else { (0, space) };
            owed += before;
            if !piece.is_empty() {
                words.push((std::mem::take(&mut owed), piece, row[at].style));
            }
            owed += behind + GAP.len();
        }
        join(&words, screen) + "\n"
    }
}

/// Returns words, each with the spaces before it, as a line that is no wider than the screen.
fn join(words: &[(usize, &str, Style)], screen: Screen) -> String {
    let width: usize = words.iter().map(|(spaces, word, _)| spaces + word.width()).sum();
    let is_cut = screen.width.is_some_and(|room| width > room);
    // The last place is the ellipsis's.
    let mut left = screen.width.filter(|_| is_cut).map_or(usize::MAX, |room| room.saturating_sub(1));
    let mut line = String::new();
    for (spaces, word, style) in words {
        line.push_str(&" ".repeat(left.min(*spaces)));
        left = left.saturating_sub(*spaces);
        let kept = begin(word, left);
        line.push_str(&screen.paint(kept, *style));
        left = if kept.len() < word.len() { 0 } else { left.saturating_sub(kept.width()) };
    }
    if is_cut { line + "…" } else { line }
}

/// Returns the text, cut to a width.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        text.to_owned()
    } else {
        format!("{}…", begin(text, width.saturating_sub(1)))
    }
}

/// Returns as much of the beginning of a text as has room.
fn begin(text: &str, room: usize) -> &str {
    let mut used = 0;
    let beyond = text.char_indices().find(|(_, character)| {
        used += character.width().unwrap_or_default();
        used > room
    });
    beyond.map_or(text, |(end, _)| &text[..end])
}

/// Returns the text as lines of a width, broken between words where that is possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one from the beginning");
        if line.is_empty() {
            word.clone_into(line);
        } else if line.width() + 1 + word.width() <= width {
            *line = format!("{line} {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.iter().flat_map(|line| split(line, width)).collect()
}

/// Returns a line in pieces that are no wider than that.
fn split(line: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for character in line.chars() {
        let piece = pieces.last_mut().expect("there is one from the beginning");
        if !piece.is_empty() && piece.width() + character.width().unwrap_or_default() > width {
            pieces.push(character.to_string());
        } else {
            piece.push(character);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[
            Column("ID", Kind::Word),
            Column("NAME", Kind::Name),
            Column("REQUESTS", Kind::Number),
            Column("WHY", Kind::Sentence),
        ]);
        table.texts(["key_1", "a laptop with a long name", "7", "It was used at four in the morning."]);
        table.texts(["key_22", "東京", "12345", "-"]);
        table
    }

    #[test]
    fn columns_stand_under_one_another() {
        let expected = "\
ID      NAME                       REQUESTS  WHY
key_1   a laptop with a long name         7  It was used at four in the morning.
key_22  東京                          12345  -
";
        assert_eq!(table().render(Screen::PLAIN), expected);
    }

    #[test]
    fn a_narrow_terminal_gets_narrow_columns_and_whole_ids() {
        let expected = "\
ID      NAME      REQUESTS  WHY
key_1   a lapto…         7  It was used at four in
                            the morning.
key_22  東京         12345  -
";
        assert_eq!(table().render(Screen { width: Some(52), colours: false }), expected);
        for width in 52..120 {
            let text = table().render(Screen { width: Some(width), colours: false });
            assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
            assert!(!text.contains("  …"), "{width}:\n{text}");
        }
    }

    #[test]
    fn what_has_no_room_even_so_is_cut_off_where_the_terminal_ends() {
        let expected = "\
ID      NAME      REQUESTS …
key_1   a lapto…         7 …
key_22  東京         12345 …
";
        assert_eq!(table().render(Screen { width: Some(28), colours: false }), expected);
        let expected = "\
ID      NAME      REQUESTS  WHY
key_1   a lapto…         7  It was
                            used at
                            four in
                            the
                            morning.
key_22  東京         12345  -
";
        assert_eq!(table().render(Screen { width: Some(36), colours: false }), expected);
        for width in 1..36 {
            for colours in [false, true] {
                let text = table().render(Screen { width: Some(width), colours });
                let plain = text.replace("\x1b[1m", "").replace("\x1b[0m", "");
                assert!(plain.lines().all(|line| line.width() <= width), "{width}:\n{text}");
                let first = plain.lines().nth(1).unwrap();
                assert!(first.ends_with('…') && first.width() == width, "{width}:\n{text}");
            }
        }
    }

    #[test]
    fn what_clients_sent_cannot_break_out_of_its_cell() {
        let mut table = Table::new(&[Column("A", Kind::Word), Column("B", Kind::Name)]);
        table.texts(["\x1b]0;title\x07", "x\ny"]);
        let text = table.render(Screen::PLAIN);
        assert!(!text.contains('\x1b') && text.lines().count() == 2, "{text:?}");
    }

    #[test]
    fn colours_take_no_room() {
        let mut table = Table::new(&[Column("A", Kind::Word), Column("B", Kind::Word)]);
        table.row([Cell::new("bad", Style::Bad), "x".into()]);
        let text = table.render(Screen { width: None, colours: true });
        assert_eq!(text, "\x1b[1mA\x1b[0m    \x1b[1mB\x1b[0m\n\x1b[31mbad\x1b[0m  x\n");
    }
}
