//! Where the show is seen: a live view on a terminal, plain lines elsewhere.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{
    frame::{frame, timeline},
    show::Show,
};
use crate::terminal::Canvas;

/// How the show is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Redrawn in place.
    Live,
    /// A line for every change.
    Lines,
}

/// A show's place on a terminal or in a file.
pub struct Screen<W: Write> {
    canvas: Canvas<W>,
    manner: Manner,
    /// Lines of the timeline printed for good.
    printed: usize,
}

impl<W: Write> Screen<W> {
    /// Nothing is drawn yet.
    pub fn new(out: W, manner: Manner) -> Self {
        Self { canvas: Canvas::new(out), manner, printed: 0 }
    }

    /// Shows the present state, if it looks different from the last one.
    pub fn draw(&mut self, show: &Show) -> io::Result<()> {
        match self.manner {
            Manner::Live => self.canvas.draw(&frame(show)),
            Manner::Lines => self.print_lines(show),
        }
    }

    /// Leaves the live view, and prints all lines that are not printed yet.
    pub fn close(&mut self, show: &Show) -> io::Result<()> {
        self.print_lines(show)
    }

    /// Prints text as it is, below all else.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        let out = self.canvas.leave()?;
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn print_lines(&mut self, show: &Show) -> io::Result<()> {
        let out = self.canvas.leave()?;
        for line in show.lines.iter().skip(self.printed) {
            writeln!(out, "{}", timeline(show.began, line))?;
            self.printed += 1;
        }
        out.flush()
    }
}

/// The seconds from one time to another, as text.
pub fn seconds(from: Timestamp, to: Timestamp) -> String {
    format!("{:.1} s", to.duration_since(from).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{CLEAR_BELOW, ENTER, HOME, LEAVE};

    fn begun() -> Show {
        let mut show = Show::new(Timestamp::UNIX_EPOCH);
        show.begin(Timestamp::UNIX_EPOCH, "Act 1".to_owned());
        show
    }

    fn text(out: &[u8]) -> String {
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn lines_are_printed_once_and_without_escapes() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, Manner::Lines);
        let mut show = begun();
        screen.draw(&show).unwrap();
        screen.draw(&show).unwrap();
        show.begin(Timestamp::UNIX_EPOCH, "Act 2".to_owned());
        screen.close(&show).unwrap();
        screen.print("the end\n").unwrap();
        drop(screen);
        assert_eq!(text(&out), "  0.0 s  Act 1\n  0.0 s  Act 2\nthe end\n");
    }

    #[test]
    fn the_live_view_is_drawn_on_change_only_and_gives_the_terminal_back() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, Manner::Live);
        let show = begun();
        screen.draw(&show).unwrap();
        screen.draw(&show).unwrap();
        screen.close(&show).unwrap();
        drop(screen);
        let drawn = text(&out);
        assert_eq!(drawn.matches(HOME).count(), 1);
        assert!(drawn.starts_with(ENTER));
        assert!(drawn.ends_with(&format!("{CLEAR_BELOW}{LEAVE}  0.0 s  Act 1\n")), "{drawn:?}");
        // A show that ends early gives it back as well.
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, Manner::Live);
        screen.draw(&show).unwrap();
        drop(screen);
        assert!(text(&out).ends_with(LEAVE));
    }
}
