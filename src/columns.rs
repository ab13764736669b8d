//! Tables as text: columns as wide as their widest cell, two spaces apart.

/// A cell: its text, and how that is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    printed: String,
}

impl Cell {
    /// Printed as it is.
    pub fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { printed: text.clone(), text }
    }

    /// Printed with what takes no room, as colours do.
    pub fn printed(text: impl Into<String>, print: impl FnOnce(&str) -> String) -> Self {
        let text = text.into();
        Self { printed: print(&text), text }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    fn cut(&self, room: Option<usize>) -> String {
        match room {
            Some(room) if self.width() > room => self.text.chars().take(room - 1).chain(['…']).collect(),
            Some(_) | None => self.printed.clone(),
        }
    }
}

/// A line a row. With a width, the last cell of a row is cut off there.
pub fn columns(rows: &[Vec<Cell>], width: Option<usize>) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widest =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(Cell::width).max().unwrap_or_default();
    let widths: Vec<usize> = (0..count).map(widest).collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            let mut used = 0;
            for (at, cell) in row.iter().enumerate() {
                if at + 1 == row.len() {
                    let room = width.map(|width| width.saturating_sub(used).max(8));
                    line.push_str(&cell.cut(room));
                } else {
                    line.push_str(&cell.printed);
                    line.push_str(&" ".repeat(widths[at] - cell.width() + 2));
                    used += widths[at] + 2;
                }
            }
            line.trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be_and_the_last_is_cut() {
        let rows = [["NAME", "WHY"], ["color", "holding at 20%"]].map(|row| row.map(Cell::plain).to_vec());
        assert_eq!(columns(&rows, None), ["NAME   WHY", "color  holding at 20%"]);
        assert_eq!(columns(&rows, Some(16)), ["NAME   WHY", "color  holding …"]);
    }

    #[test]
    fn painted_cells_take_no_more_room() {
        let red = |text: &str| format!("\u{1b}[31m{text}\u{1b}[0m");
        let rows =
            [vec![Cell::printed("ab", red), Cell::plain("x")], vec![Cell::plain("abc"), Cell::plain("y")]];
        assert_eq!(columns(&rows, None), ["\u{1b}[31mab\u{1b}[0m   x", "abc  y"]);
    }
}
