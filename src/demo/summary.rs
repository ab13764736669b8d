//! What the demo came to, in a few lines at its end. Pure.

use std::{fmt::Write as _, time::Duration};

use jiff::Timestamp;

use super::{
    acts::Ending,
    frame,
    screen::seconds,
    story::Finished,
    traffic::{ASKING, Tallies, Trial},
};
use crate::analysis::sentence::count;

/// An act that is over.
pub struct Played {
    /// What it came to.
    pub finished: Finished,
    /// When it began.
    pub began: Timestamp,
    /// When it was over.
    pub over: Timestamp,
    /// When the version's first share was seen on the route.
    pub raised: Option<Timestamp>,
    /// What came of its trial, where it had one.
    pub trial: Option<Trial>,
}

/// How each act ended, what the load got and by what, and how fast the last rollback was.
pub fn summary(
    acts: &[Played],
    load: &Tallies,
    carrier: Option<&str>,
    rolled_back_in: Option<Duration>,
) -> String {
    let mut text = String::from("\n");
    for act in acts {
        let Finished { act: played, share, sentence } = &act.finished;
        let ending = match played.ending {
            Ending::Promoted => "promoted".to_owned(),
            Ending::RolledBack if act.trial.is_some() => "failed its preview".to_owned(),
            Ending::RolledBack | Ending::PutBack => format!("rolled back at {share}%"),
        };
        let took = seconds(act.began, act.over);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "Act {}: {} {ending} after {took}.", played.number, played.version);
        let _ = writeln!(text, "  {sentence}");
        if let Some(trial) = &act.trial {
            let answered = count(trial.answered as f64);
            let _ = writeln!(
                text,
                "  On its preview it answered {answered} requests with {ASKING}, and none without."
            );
        }
    }
    for line in frame::load(&frame::through("Requests", carrier), load) {
        let _ = writeln!(text, "{line}.");
    }
    if let Some(took) = rolled_back_in {
        let took = took.as_millis();
        let _ = writeln!(
            text,
            "From the gateway's last scrape to the write of the rolled back route: {took} ms."
        );
    }
    text
}
