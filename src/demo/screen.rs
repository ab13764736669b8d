//! Where the show is seen: a live view on a terminal, plain lines elsewhere.
//!
//! The live view has the terminal's alternate screen to itself, so that long lines wrap as they like and what was
//! there before comes back at the end. Whatever ends the show, the terminal is left as it was.

use std::io::{self, Write};

use jiff::Timestamp;

use super::{
    frame::{frame, timeline},
    show::Show,
};

/// To the alternate screen; hide the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Show the cursor; back from the alternate screen.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner.
const HOME: &str = "\x1b[H";
/// Clear the rest of the line, then the next line.
const END_OF_LINE: &str = "\x1b[K\r\n";
/// Clear all below.
const CLEAR_BELOW: &str = "\x1b[J";

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
    out: W,
    manner: Manner,
    /// Whether the alternate screen is on.
    entered: bool,
    drawn: String,
    /// Lines of the timeline printed for good.
    printed: usize,
}

impl<W: Write> Screen<W> {
    /// Nothing is drawn yet.
    pub fn new(out: W, manner: Manner) -> Self {
        Self { out, manner, entered: false, drawn: String::new(), printed: 0 }
    }

    /// Shows the present state, if it looks different from the last one.
    pub fn draw(&mut self, show: &Show) -> io::Result<()> {
        match self.manner {
            Manner::Live => self.redraw(show),
            Manner::Lines => self.print_lines(show),
        }
    }

    /// Leaves the live view, and prints all lines that are not printed yet.
    pub fn close(&mut self, show: &Show) -> io::Result<()> {
        self.leave()?;
        self.print_lines(show)
    }

    /// Prints text as it is, below all else.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        self.leave()?;
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn redraw(&mut self, show: &Show) -> io::Result<()> {
        let text = frame(show).join(END_OF_LINE);
        if text == self.drawn {
            return Ok(());
        }
        if !self.entered {
            self.out.write_all(ENTER.as_bytes())?;
            self.entered = true;
        }
        write!(self.out, "{HOME}{text}{CLEAR_BELOW}")?;
        self.out.flush()?;
        self.drawn = text;
        Ok(())
    }

    fn print_lines(&mut self, show: &Show) -> io::Result<()> {
        for line in show.lines.iter().skip(self.printed) {
            writeln!(self.out, "{}", timeline(show.began, line))?;
            self.printed += 1;
        }
        self.out.flush()
    }

    fn leave(&mut self) -> io::Result<()> {
        if self.entered {
            self.entered = false;
            self.out.write_all(LEAVE.as_bytes())?;
            self.out.flush()?;
        }
        Ok(())
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = self.leave();
    }
}

/// The seconds from one time to another, as text.
pub fn seconds(from: Timestamp, to: Timestamp) -> String {
    format!("{:.1} s", to.duration_since(from).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

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
