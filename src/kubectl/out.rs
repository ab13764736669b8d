//! Where answers go: standard output, in colour and redrawn where that is a terminal, in plain lines elsewhere.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::{Error, args::Global};
use crate::columns::Cell;

/// How large a terminal is taken to be that does not tell.
const SIZE: (usize, usize) = (80, 24);

/// How an answer may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// In colour.
    pub colour: bool,
    /// Bars and marks, redrawn in place. Else plain lines, one for every change, that a screen reader or a log takes.
    pub live: bool,
    /// Columns of the terminal; none where there is none, and nothing is cut or wrapped.
    pub width: Option<usize>,
    /// Its lines.
    pub height: Option<usize>,
}

impl Look {
    /// What standard output allows, and the flags.
    pub fn of(global: &Global) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let choice = anstream::AutoStream::choice(&stdout);
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let plain = Self {
            colour: !global.no_color && choice != anstream::ColorChoice::Never,
            live: terminal && !dumb && !global.plain,
            width: None,
            height: None,
        };
        if terminal { plain.sized() } else { plain }
    }

    /// The same, with the size that the terminal has now.
    #[must_use]
    pub fn sized(self) -> Self {
        let told = terminal_size::terminal_size();
        let (width, height) =
            told.map_or(SIZE, |(width, height)| (usize::from(width.0), usize::from(height.0)));
        Self { width: Some(width), height: Some(height), ..self }
    }

    /// As many lines as the terminal has; where there are more, the last one says so.
    #[must_use]
    pub fn fitted(self, mut lines: Vec<String>) -> Vec<String> {
        if let Some(height) = self.height.filter(|height| lines.len() > *height) {
            let kept = height.saturating_sub(1);
            let more = lines.len() - kept;
            lines.truncate(kept);
            lines.push(self.paint(Tone::Faint, &format!("… {more} more lines; make the window higher")));
        }
        lines
    }
}

/// What a word says, by its colour besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Somebody should look.
    Warn,
    /// It failed.
    Bad,
    /// On its way.
    Busy,
    /// Less important.
    Faint,
    /// A headline.
    Strong,
}

impl Look {
    /// A text in a tone; as it is where there are no colours.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Busy => AnsiColor::Cyan.on_default(),
            Tone::Faint => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }

    /// The same as a cell of a table.
    pub fn cell(self, tone: Tone, text: impl Into<String>) -> Cell {
        Cell::printed(text, |text| self.paint(tone, text))
    }
}

/// Standard output, for one command. A reader who has left is no error: what comes after is dropped.
pub struct Out<'a> {
    to: Box<dyn Write + Send + 'a>,
    /// How it may look.
    pub look: Look,
    left: bool,
}

impl<'a> Out<'a> {
    /// To standard output.
    pub fn stdout(look: Look) -> Self {
        Self::to(io::stdout(), look)
    }

    /// To anything.
    pub fn to(to: impl Write + Send + 'a, look: Look) -> Self {
        Self { to: Box::new(to), look, left: false }
    }

    /// Whether the reader has left, so that nobody sees what is printed.
    pub fn has_left(&self) -> bool {
        self.left
    }

    /// Text as it is.
    pub fn text(&mut self, text: &str) -> Result<(), Error> {
        if self.left {
            return Ok(());
        }
        match self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.left = true;
                Ok(())
            }
            written => Ok(written?),
        }
    }

    /// A line.
    pub fn line(&mut self, line: &str) -> Result<(), Error> {
        self.text(&format!("{line}\n"))
    }

    /// A value as JSON, readable.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(&text)
    }

    /// A value as YAML.
    pub fn yaml(&mut self, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_saphyr::to_string(value).map_err(Box::new)?;
        self.text(&text)
    }
}

/// A text in lines of at most so many columns, each behind an indent. Words are never broken.
pub fn wrap(text: &str, indent: &str, width: Option<usize>) -> Vec<String> {
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent.chars().count()).max(20));
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            lines.push(format!("{indent}{line}"));
            line.clear();
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    lines.push(format!("{indent}{line}"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::columns;

    const PLAIN: Look = Look { colour: false, live: false, width: None, height: None };

    #[test]
    fn a_reader_who_left_is_no_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut out = Out::to(Gone, PLAIN);
        out.line("a").unwrap();
        assert!(out.has_left());
        out.line("b").unwrap();
    }

    #[test]
    fn painted_cells_take_no_more_room() {
        let look = Look { colour: true, ..PLAIN };
        let rows =
            [vec![look.cell(Tone::Bad, "ab"), Cell::plain("x")], vec![Cell::plain("abc"), Cell::plain("y")]];
        assert_eq!(columns(&rows, None), ["\u{1b}[1m\u{1b}[31mab\u{1b}[0m   x", "abc  y"]);
    }

    #[test]
    fn text_is_wrapped_between_words() {
        assert_eq!(wrap("aaa bbb ccc", "", None), ["aaa bbb ccc"]);
        let long = "canary failed 14 of 205, stable 0 of 793";
        assert_eq!(wrap(long, "  ", Some(24)), ["  canary failed 14 of", "  205, stable 0 of 793"]);
        assert_eq!(wrap("", "  ", Some(24)), ["  "]);
    }
}
