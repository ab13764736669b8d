//! What a test says that lacks something of this machine. Shared by the test programs.

use std::io::Write;

/// Says why the present test does nothing, in a line of its own: the harness keeps what `eprintln!` says to itself.
pub fn skip(why: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let told = writeln!(std::io::stderr(), "skipped: {test}: {why}");
    assert!(told.is_ok());
}
