//! A place on a terminal that is redrawn as a whole, when what is shown has changed.
//!
//! It has the terminal's alternate screen to itself, so that what was there before comes back at the end. Whatever ends it, the
//! terminal is left as it was.

use std::io::{self, Write};

/// To the alternate screen; hide the cursor.
pub const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Show the cursor; back from the alternate screen.
pub const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the upper left corner.
pub const HOME: &str = "\x1b[H";
/// Clear the rest of the line, then the next line.
const END_OF_LINE: &str = "\x1b[K\r\n";
/// Clear the rest of the line, and all below.
pub const CLEAR_BELOW: &str = "\x1b[K\x1b[J";

/// The place, on any writer.
pub struct Canvas<W: Write> {
    out: W,
    /// Whether the alternate screen is on.
    entered: bool,
    drawn: String,
}

impl<W: Write> Canvas<W> {
    /// Nothing is drawn yet.
    pub fn new(out: W) -> Self {
        Self { out, entered: false, drawn: String::new() }
    }

    /// Shows lines in place of those before, if they are others.
    pub fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let text = lines.join(END_OF_LINE);
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

    /// Gives the terminal back, and the writer to print below what was there before.
    pub fn leave(&mut self) -> io::Result<&mut W> {
        if self.entered {
            self.entered = false;
            self.out.write_all(LEAVE.as_bytes())?;
            self.out.flush()?;
        }
        Ok(&mut self.out)
    }
}

impl<W: Write> Drop for Canvas<W> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = self.leave();
    }
}
