//! What there is to see, collected from watches: the present state for the live view, and a line for every change.

use std::collections::HashSet;

use jiff::Timestamp;

use super::traffic::{ASKING, Tallies, Trial};
use crate::{
    analysis::{Verdict, sentence::count},
    api::{Phase, Rollout},
};

/// An event that somebody told about the Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The event's own identity.
    pub uid: String,
    /// In a word.
    pub reason: String,
    /// In a sentence.
    pub note: String,
}

/// Something that a watch saw.
#[derive(Clone, Debug)]
pub enum Seen {
    /// The Rollout.
    Rollout(Box<Rollout>),
    /// The entries of the route with weights.
    Route(Vec<Share>),
    /// Where those who ask for it are sent by the preview of the route; none: there is no preview.
    Preview(Option<String>),
    /// An event.
    Event(Told),
}

/// A target's share of a route's traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The target's name in the route.
    pub name: String,
    /// In percent, rounded.
    pub percent: i64,
}

/// A change, when it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// What, in a line.
    pub text: String,
}

/// What a metric says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub sentence: String,
}

/// All there is to see.
#[derive(Clone, Debug)]
pub struct Show {
    /// When it began.
    pub began: Timestamp,
    /// What carries the traffic, where it is more than the sandbox's own gateway.
    pub carrier: Option<String>,
    /// What the present act is about.
    pub title: String,
    /// The shares on the route.
    pub shares: Vec<Share>,
    /// Where those who ask for it are sent by the preview, if there is one.
    pub preview: Option<String>,
    /// Where the Rollout stands.
    pub phase: Option<Phase>,
    /// The step, such as `2/4`.
    pub step: Option<String>,
    /// The Rollout's sentence.
    pub message: String,
    /// What each metric says.
    pub metrics: Vec<Metric>,
    /// What the load has got so far.
    pub load: Tallies,
    /// All changes so far, oldest first.
    pub lines: Vec<Line>,
    told: HashSet<String>,
    /// Events told, by identity and sentence.
    events: HashSet<(String, String)>,
}

impl Show {
    /// Nothing to see yet.
    pub fn new(began: Timestamp) -> Self {
        Self {
            began,
            carrier: None,
            title: String::new(),
            shares: Vec::new(),
            preview: None,
            phase: None,
            step: None,
            message: String::new(),
            metrics: Vec::new(),
            load: Tallies::default(),
            lines: Vec::new(),
            told: HashSet::new(),
            events: HashSet::new(),
        }
    }

    /// Begins an act.
    pub fn begin(&mut self, at: Timestamp, title: String) {
        self.told.clear();
        self.say(at, title.clone());
        self.title = title;
    }

    /// Takes in what a watch saw.
    pub fn see(&mut self, at: Timestamp, seen: &Seen) {
        match seen {
            Seen::Rollout(rollout) => self.see_rollout(at, rollout),
            Seen::Route(shares) => self.see_route(at, shares),
            Seen::Preview(target) => self.see_preview(at, target.as_deref()),
            // An event is written again when it recurs; an act does not tell an earlier one's again.
            Seen::Event(told) => {
                if self.events.insert((told.uid.clone(), told.note.clone())) {
                    self.say_once(at, &told.reason, &told.note);
                }
            }
        }
    }

    /// The share of a target on the route, in percent; 0 where it is not listed.
    pub fn share(&self, target: &str) -> i64 {
        self.shares.iter().find(|share| share.name == target).map_or(0, |share| share.percent)
    }

    fn see_route(&mut self, at: Timestamp, shares: &[Share]) {
        if self.shares == shares {
            return;
        }
        let listed: Vec<String> =
            shares.iter().map(|share| format!("{} {}%", share.name, share.percent)).collect();
        self.say(at, format!("weights: {}", listed.join(", ")));
        shares.clone_into(&mut self.shares);
    }

    fn see_preview(&mut self, at: Timestamp, target: Option<&str>) {
        if self.preview.as_deref() == target {
            return;
        }
        let text = target.map_or_else(
            || "preview: gone".to_owned(),
            |target| format!("preview: requests with {ASKING} go to {target}"),
        );
        self.say(at, text);
        self.preview = target.map(str::to_owned);
    }

    /// Tells what came of a trial that is over, for everybody gets the version now.
    pub fn see_trial(&mut self, at: Timestamp, version: &str, trial: &Trial) {
        let Trial { answered, others, .. } = trial;
        let text = format!(
            "load: before that, {version} answered {} requests with {ASKING}, and none of {} without",
            count(*answered as f64),
            count(*others as f64)
        );
        self.say(at, text);
    }

    fn see_rollout(&mut self, at: Timestamp, rollout: &Rollout) {
        let Some(status) = &rollout.status else { return };
        let message = status.message.clone().unwrap_or_default();
        if let Some(phase) = status.phase
            && self.phase != Some(phase)
        {
            self.say_once(at, phase.word(), &message);
            self.phase = Some(phase);
        }
        self.step = status.step.as_ref().map(|step| step.label.clone());
        self.message = message;
        let metrics: Vec<Metric> = status
            .analysis
            .iter()
            .map(|metric| Metric {
                name: metric.name.clone(),
                verdict: metric.verdict,
                sentence: metric.sentence.clone(),
            })
            .collect();
        for metric in &metrics {
            let before = self.metrics.iter().find(|known| known.name == metric.name);
            if before.is_none_or(|before| before.verdict != metric.verdict) {
                let word = format!("{} {}", metric.name, metric.verdict.label());
                self.say_once(at, &word, &metric.sentence);
            }
        }
        self.metrics = metrics;
    }

    /// The same sentence comes as an event, a message and a verdict; it is told once an act.
    fn say_once(&mut self, at: Timestamp, word: &str, sentence: &str) {
        // Of a pause the event says that it is one; the message need not.
        let key = sentence.strip_prefix("Paused: ").unwrap_or(sentence);
        if self.told.insert(key.to_owned()) {
            self.say(at, format!("{word}: {sentence}"));
        }
    }

    /// Tells something.
    pub fn say(&mut self, at: Timestamp, text: String) {
        self.lines.push(Line { at, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_told_once_an_act_and_an_event_once() {
        let mut show = Show::new(Timestamp::UNIX_EPOCH);
        let at = Timestamp::UNIX_EPOCH;
        let event = |uid: &str| {
            Seen::Event(Told {
                uid: uid.to_owned(),
                reason: "Step".to_owned(),
                note: "20% to the canary".to_owned(),
            })
        };
        let route = Seen::Route(vec![Share { name: "a".to_owned(), percent: 100 }]);
        let preview = Seen::Preview(Some("b".to_owned()));
        show.begin(at, "Act 1".to_owned());
        for seen in [event("1"), event("1"), event("2"), route.clone(), route] {
            show.see(at, &seen);
        }
        show.begin(at, "Act 2".to_owned());
        for seen in [event("1"), event("3"), preview.clone(), preview, Seen::Preview(None)] {
            show.see(at, &seen);
        }
        let lines: Vec<&str> = show.lines.iter().map(|line| line.text.as_str()).collect();
        let step = "Step: 20% to the canary";
        let asking = "preview: requests with x-preview: true go to b";
        let want = ["Act 1", step, "weights: a 100%", "Act 2", step, asking, "preview: gone"];
        assert_eq!(lines, want);
        assert_eq!((show.share("a"), show.share("b")), (100, 0));
    }
}
