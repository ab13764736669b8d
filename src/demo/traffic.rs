//! The requests to color-app: everybody's, and where there are previews also those of a few who ask for them.

use std::{num::NonZeroU32, time::Duration};

use http::{HeaderName, HeaderValue, uri::InvalidUri};
use tokio_util::sync::CancellationToken;

use super::world::ColorApp;
use crate::{
    clock::Clock,
    sandbox::load::{Load, LoadConfig, NotLoopback, Tally},
};

/// By which header a request asks for the preview, in the examples too.
const PREVIEW: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-preview"), HeaderValue::from_static("true"));
/// The same as people write it.
pub const ASKING: &str = "x-preview: true";
/// To one request of those who ask for the preview there are so many of everybody else.
const OTHERS: u32 = 10;

/// Why nothing is sent.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// The gateway's address could not be read.
    #[error("cannot read the gateway's address")]
    Address(#[from] InvalidUri),
    /// The load was refused.
    #[error("cannot send load to the gateway")]
    Load(#[from] NotLoopback),
}

/// All that is sent.
pub struct Traffic {
    everybody: Load,
    asking: Option<Load>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Of the requests of everybody.
    pub everybody: Tally,
    /// Of those that ask for the preview, where there are any.
    pub asking: Option<Tally>,
}

/// What a version answers to those who ask for its preview, for as long as nobody else gets it.
#[derive(Clone, Debug)]
pub struct Trial {
    version: &'static str,
    begun: Tallies,
    /// Answers of the version to those who asked.
    pub answered: u64,
    /// Answers to everybody else meanwhile, all of them of other versions.
    pub others: u64,
    /// Nobody else has got it so far.
    pub alone: bool,
}

impl Traffic {
    /// Sends `rate` requests each second, and a few more that ask for a preview where there are any, until `stop` is
    /// cancelled.
    pub fn start(
        app: &ColorApp,
        rate: NonZeroU32,
        previews: bool,
        clock: Clock,
        stop: &CancellationToken,
    ) -> Result<Self, TrafficError> {
        let everybody = LoadConfig {
            url: app.url().parse()?,
            rate,
            // Few and patient: a machine that is busy with other things must not look like a version that fails.
            in_flight: 128,
            timeout: Duration::from_secs(10),
            headers: app.routes().headers(),
        };
        let asking = previews.then(|| {
            let few = NonZeroU32::new(rate.get() / OTHERS).unwrap_or(NonZeroU32::MIN);
            let mut asking = LoadConfig { rate: few, ..everybody.clone() };
            asking.headers.extend([PREVIEW]);
            asking
        });
        let start = |config| {
            let load = Load::new(config, clock)?;
            let (running, stop) = (load.clone(), stop.clone());
            tokio::spawn(async move { running.run(None, &stop).await });
            Ok::<_, NotLoopback>(load)
        };
        Ok(Self { everybody: start(everybody)?, asking: asking.map(start).transpose()? })
    }

    /// The counts so far. Those of everybody are taken last: a version that has answered nobody by then had answered
    /// nobody while it answered those who ask.
    pub fn tallies(&self) -> Tallies {
        let asking = self.asking.as_ref().map(Load::tally);
        Tallies { asking, everybody: self.everybody.tally() }
    }
}

impl Tallies {
    fn asked(&self, version: &str) -> u64 {
        self.asking.as_ref().map_or(0, |asking| asking.of(version))
    }
}

impl Trial {
    /// Nothing is tried yet.
    pub fn new(version: &'static str, begun: Tallies) -> Self {
        Self { version, begun, answered: 0, others: 0, alone: true }
    }

    /// Takes the counts in, unless somebody got the version without asking for it.
    pub fn see(&mut self, now: &Tallies) {
        self.alone = now.everybody.of(self.version) == self.begun.everybody.of(self.version);
        if self.alone {
            self.answered = now.asked(self.version).saturating_sub(self.begun.asked(self.version));
            self.others = now.everybody.total().saturating_sub(self.begun.everybody.total());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(answers: &[(&str, u64)]) -> Tally {
        let answers = answers.iter().map(|(version, count)| (((*version).to_owned(), 200), *count));
        Tally { answers: answers.collect(), ..Tally::default() }
    }

    fn tallies(everybody: &[(&str, u64)], asking: &[(&str, u64)]) -> Tallies {
        Tallies { everybody: tally(everybody), asking: Some(tally(asking)) }
    }

    #[test]
    fn a_trial_counts_until_somebody_gets_the_version_unasked() {
        let mut trial = Trial::new("v2", tallies(&[("v1", 100)], &[("v1", 5), ("v2", 1)]));
        let cases = [
            (tallies(&[("v1", 140)], &[("v1", 7), ("v2", 1)]), (0, 40, true)),
            (tallies(&[("v1", 180)], &[("v1", 7), ("v2", 3)]), (2, 80, true)),
            (tallies(&[("v1", 190), ("v2", 1)], &[("v1", 7), ("v2", 9)]), (2, 80, false)),
        ];
        for (now, want) in cases {
            trial.see(&now);
            assert_eq!((trial.answered, trial.others, trial.alone), want, "{now:?}");
        }
    }

    #[test]
    fn the_header_is_what_people_read() {
        let (name, value) = PREVIEW;
        assert_eq!(format!("{name}: {}", value.to_str().unwrap()), ASKING);
    }
}
