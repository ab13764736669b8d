//! One seed retold, action by action, in sentences.

use std::fmt::Write;

use tidegate::engine::{
    decision::{Decision, Effect, PreviewWrite, RouteWrite},
    gate::Question,
};

use crate::{kept::Actor, mutants::stamp_of, versions::RolloutNow, world::World};

/// Either tells nothing and costs nothing, or keeps every sentence.
#[derive(Debug, Default)]
pub struct Story(Option<String>);

impl Story {
    pub fn told() -> Self {
        Self(Some(String::new()))
    }

    pub fn is_told(&self) -> bool {
        self.0.is_some()
    }

    pub fn add(&mut self, now: u64, sentence: &str) {
        if let Some(text) = &mut self.0
            && !sentence.is_empty()
        {
            let _ = writeln!(text, "{:9.3} s  {sentence}", now as f64 / 1_000.0);
        }
    }

    pub fn text(self) -> String {
        self.0.unwrap_or_default()
    }
}

/// What a controller has decided.
pub fn decision(teller: &str, decision: &Decision) -> String {
    let mut parts = Vec::new();
    if decision.before.is_some() {
        parts.push("stores its intent".to_owned());
    }
    for effect in &decision.effects {
        match effect {
            Effect::Write(write) => parts.push(format!("will {}", spelled(write))),
            Effect::Preview(write) => parts.push(format!("will {} {}", write.change.verb(), write.route)),
            Effect::Scale(write) => parts.push(format!("will scale {} to {}", write.workload, write.to)),
            Effect::Look { .. } => parts.push("asks the metrics".to_owned()),
            Effect::Ask { request, .. } => {
                let of = |question: &Question| format!("{} step {}", question.when.word(), question.step);
                let questions: Vec<String> = request.questions.iter().map(of).collect();
                parts.push(format!("asks the gate {}", questions.join(", ")));
            }
            Effect::Tell(note) => parts.push(format!("says {}: {}", note.reason, note.message)),
            Effect::Hold => parts.push("takes the Rollout under guard".to_owned()),
            Effect::Release => parts.push("lets the Rollout go".to_owned()),
            Effect::Reread => parts.push("will read the Rollout".to_owned()),
        }
    }
    if parts.is_empty() && !decision.store {
        return String::new();
    }
    if decision.store {
        parts.push("records it".to_owned());
    }
    let message = decision.after.message.as_deref().unwrap_or_default();
    format!("{teller} {} ({message})", parts.join(", "))
}

impl World {
    /// Which process acts, and for which Rollout where there are two.
    pub fn teller(&self, by: Actor) -> String {
        match self.server.rollouts.len() {
            1 => format!("controller {}", by.process),
            _ => format!("controller {} for {}", by.process, self.named(by.rollout)),
        }
    }

    pub fn told_write(&self, by: Actor, route: usize, write: &RouteWrite) -> String {
        let weights = self.server.route(route).view(by.rollout).map(|view| {
            let entries = view.lists.iter().flat_map(|list| &list.entries);
            let each = entries.map(|entry| format!("{} {}", entry.name, entry.weight));
            each.collect::<Vec<_>>().join(", ")
        });
        format!(
            "{}: its {} lands on route {route}: {}; stamp {}",
            self.teller(by),
            write.purpose.verb(),
            weights.unwrap_or_default(),
            stamp_of(write).map_or("as it was".to_owned(), tidegate::api::Stamp::spelled),
        )
    }

    pub fn told_preview(&self, by: Actor, write: &PreviewWrite) -> String {
        format!("{}: {} of {} lands", self.teller(by), write.change.verb(), write.route)
    }

    pub fn told_status(&self, by: Actor, before: &RolloutNow) -> String {
        let now = self.server.rollout(by.rollout);
        let spell = |status: &tidegate::api::RolloutStatus| {
            let run = status.run.as_ref();
            let ended = run.and_then(|run| run.ended.as_ref());
            let ended = ended.map_or(String::new(), |ended| {
                format!(" {}{}", ended.reason.word(), if ended.settled { " settled" } else { "" })
            });
            let pause = run
                .and_then(|run| run.pause.as_ref())
                .map_or(String::new(), |pause| format!(" paused {}", pause.reason.word()));
            let step = status.step.as_ref().map_or(0, |step| step.index);
            format!(
                "epoch {} run {} step {step}{pause}{ended}",
                status.epoch,
                run.map_or(0, |run| run.number)
            )
        };
        let (was, is) = (spell(&before.status), spell(&now.status));
        let what = if was == is { format!("{is} as before") } else { format!("{was} → {is}") };
        format!("{}: its status is stored: {what}", self.teller(by))
    }
}

fn spelled(write: &RouteWrite) -> String {
    let mut text = format!("{} {}", write.purpose.verb(), write.route.name);
    for (place, weight) in &write.weights {
        let entries =
            write.view.lists.get(place.list).map(|list| list.entries.as_slice()).unwrap_or_default();
        let name = entries.get(place.entry).map_or("?", |entry| entry.name.as_str());
        let _ = write!(text, " {name}={weight}");
    }
    text
}
