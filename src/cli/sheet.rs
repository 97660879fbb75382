//! All about one thing, a line each.

use super::output::{Screen, Style, clean};

/// Lines of a name and what stands behind it.
#[derive(Default)]
pub(super) struct Sheet(Vec<(String, String, Style)>);

impl Sheet {
    /// Adds a line.
    pub(super) fn add(&mut self, name: &str, value: impl AsRef<str>) {
        self.add_styled(name, value, Style::Plain);
    }

    /// Adds a line that stands out.
    pub(super) fn add_styled(&mut self, name: &str, value: impl AsRef<str>, style: Style) {
        self.0.push((clean(name), clean(value.as_ref()), style));
    }

    /// Adds several values behind one name, a line each; nothing where there are none.
    pub(super) fn add_all(&mut self, name: &str, values: impl IntoIterator<Item = String>) {
        for (at, value) in values.into_iter().enumerate() {
            self.add(if at == 0 { name } else { "" }, value);
        }
    }

    /// Returns the lines, values under one another.
    pub(super) fn render(&self, screen: Screen) -> String {
        let widest = self.0.iter().map(|(name, _, _)| name.chars().count()).max().unwrap_or_default();
        let line = |(name, value, style): &(String, String, Style)| {
            let gap = " ".repeat(widest - name.chars().count() + 2);
            format!("{}{gap}{}\n", screen.paint(name, Style::Strong), screen.paint(value, *style))
        };
        self.0.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_under_one_another() {
        let mut sheet = Sheet::default();
        sheet.add("name", "laptop");
        sheet.add_styled("status", "revoked", Style::Bad);
        sheet.add_all("metadata", ["a=1".to_owned(), "b=\x1b[2J".to_owned()]);
        sheet.add_all("nothing", []);
        let expected = "\
name      laptop
status    revoked
metadata  a=1
          b=\u{fffd}[2J
";
        assert_eq!(sheet.render(Screen::PLAIN), expected);
        let coloured = sheet.render(Screen { colours: true, ..Screen::PLAIN });
        assert!(coloured.contains("\x1b[1mstatus\x1b[0m    \x1b[31mrevoked\x1b[0m\n"), "{coloured}");
    }
}
