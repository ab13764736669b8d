//! What is told while a bench runs: which part, and how far.

use std::{
    io::{self, IsTerminal, Write},
    sync::Mutex,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::{clock::Clock, demo::screen::seconds};

/// Off a terminal, how far a thing has come is not told more often.
const SELDOM: SignedDuration = SignedDuration::from_secs(5);

/// Tells on standard error.
pub struct Progress {
    clock: Clock,
    began: Timestamp,
    terminal: bool,
    last: Mutex<Timestamp>,
}

impl Progress {
    /// Nothing is told yet.
    pub fn new() -> Self {
        let clock = Clock::start();
        let began = clock.now();
        Self { clock, began, terminal: io::stderr().is_terminal(), last: Mutex::new(began) }
    }

    /// Something begins.
    pub fn say(&self, what: &str) {
        self.write(what, "\n");
    }

    /// How far a thing has come.
    pub fn step(&self, what: &str, done: usize, of: usize) {
        let now = self.clock.now();
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !self.terminal && done < of && now.duration_since(*last) < SELDOM {
            return;
        }
        *last = now;
        self.write(&format!("{what}: {done} of {of}"), if done < of { "" } else { "\n" });
    }

    /// Waits, and says so.
    pub async fn wait(&self, what: &str, time: Duration) {
        self.say(&format!("{what} for {} s", time.as_secs()));
        tokio::time::sleep(time).await;
    }

    fn write(&self, text: &str, end: &str) {
        let since = seconds(self.began, self.clock.now());
        let line = match (self.terminal, end) {
            (true, end) => format!("\r\x1b[K{since:>9}  {text}{end}"),
            (false, _) => format!("{since:>9}  {text}\n"),
        };
        // Nobody may be looking.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}
