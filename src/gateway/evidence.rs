//! Whether an object's present generation is in effect, from what the Envoys have acknowledged. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::quarantine::Held;
use crate::{
    conditions::{Condition, conditions},
    dataplane::ObjectKind,
    xds::{Connected, Fleet},
};

/// What is usually over in a moment, such as an Envoy that has not answered yet, is not worth a write before it lasts so long.
const PASSING: Duration = Duration::from_secs(2);
/// An Envoy that connects again, and a control plane that was started anew and waits for all of them, must not make a condition
/// flap: what was in effect is said not to be any more once it has lasted so long. Envoys come back within half a minute at most.
const FLAPPING: Duration = Duration::from_secs(40);
/// The same in other words, such as how many Envoys there are.
const DETAIL: Duration = Duration::from_mins(1);

/// The reason of what is in effect and does not all that its writer will have meant.
const REMARKED: &str = "ProgrammedWithRemarks";

/// How many Envoys a sentence names.
const NAMED: usize = 3;
/// How long a message may be, in bytes: that of a condition may have 32,768.
const MESSAGE: usize = 2_000;

/// What is known of an object.
#[derive(Debug, Default)]
pub struct Claim<'a> {
    /// Its generation.
    pub generation: i64,
    /// What of it cannot be served, each in a sentence.
    pub faults: Vec<String>,
    /// What it does and its writer will not have meant, each in a sentence.
    pub remarks: Vec<String>,
    /// The fleets that serve it, or would.
    pub fleets: Vec<Served<'a>>,
    /// It is reached through other objects alone: where none leads to it, no Envoy has it, and no reference of its own is to blame.
    pub is_behind: bool,
    /// Its own Envoys, where it is what has some, and how many.
    pub own: Option<(&'a Fleet, usize)>,
}

/// An object at a fleet that serves it.
#[derive(Debug)]
pub struct Served<'a> {
    /// The fleet.
    pub fleet: &'a Fleet,
    /// Its Envoys.
    pub envoys: &'a [Connected],
    /// How many were there a moment ago, as before this process led, where they may still be on their way to it.
    pub expected: usize,
    /// The number of the present publication.
    pub number: u64,
    /// The number of the first publication with the present generation; `None` where there is none yet.
    pub since: Option<u64>,
    /// Why it is not served as it stands.
    pub held: Option<&'a Held>,
}

/// How many Envoys a fleet had by what its object says.
pub fn told_envoys(fleet: &Fleet, status: &Value) -> usize {
    let count = || {
        let message = told(fleet.object().kind, status)?["message"].as_str()?;
        let (before, _) = message.split_once(&named_envoys(fleet))?;
        before.rsplit(' ').next()?.parse().ok()
    };
    count().unwrap_or_default()
}

/// What a message says but for its numbers: how many Envoys there are is a detail.
fn words(message: &str) -> String {
    message.replace(" of them starting", "").chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// What stands behind the count of a fleet's Envoys in every message that has one.
fn named_envoys(fleet: &Fleet) -> String {
    format!(" Envoys of {fleet} ")
}

/// What is to be said of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the present generation is in effect at every Envoy.
    pub holds: bool,
    /// A word for machines.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
    level: Level,
}

impl Verdict {
    fn new(level: Level, reason: &'static str, mut message: String, own: Option<(&Fleet, usize)>) -> Self {
        message.truncate(message.floor_char_boundary(MESSAGE));
        // The next that leads waits for as many.
        let untold = |(fleet, count): &(&Fleet, usize)| *count > 0 && !message.contains(&named_envoys(fleet));
        if let Some((fleet, count)) = own.filter(untold) {
            message = format!("{message}; {count}{}are connected", named_envoys(fleet));
        }
        Self { holds: level == Level::Has, reason, message, level }
    }

    /// Judges a claim.
    pub fn of(claim: &Claim<'_>) -> Self {
        let Claim { generation, faults, remarks, fleets, is_behind, own } = claim;
        if !faults.is_empty() {
            return Self::new(Level::Refuses, "Invalid", faults.join("; "), *own);
        }
        if fleets.is_empty() && *is_behind {
            let told = "no Envoy of a gateway or of a node goes by it".to_owned();
            return Self::new(Level::NoEnvoy, Level::NoEnvoy.reason(), told, *own);
        }
        if fleets.is_empty() {
            let told = "no VirtualGateway that is served here takes it: see its virtualGatewayRef, and the gateway's \
                        namespaceSelector and gatewayRouteSelector";
            return Self::new(Level::Refuses, "NoGateway", told.to_owned(), *own);
        }
        let standings: Vec<(Level, String)> =
            fleets.iter().map(|served| served.standing(*generation)).collect();
        let worst = standings.iter().map(|(level, _)| *level).max().unwrap_or(Level::Has);
        let told = standings.into_iter().filter(|(level, _)| *level == worst).map(|(_, told)| told);
        let told: Vec<String> = told.chain(remarks.iter().cloned()).collect();
        let reason = match worst {
            Level::Has if !remarks.is_empty() => REMARKED,
            level => level.reason(),
        };
        Self::new(worst, reason, told.join("; "), *own)
    }

    /// How long it waits until it is said of an object with such a status, from when it is first so; `None` where it is said. What
    /// others wait for is said at once.
    pub fn patience(&self, kind: ObjectKind, generation: i64, status: &Value) -> Option<Duration> {
        let (new, worse) = self.level.patience();
        let told = told(kind, status).filter(|_| status["observedGeneration"] == generation);
        let Some(told) = told else { return Some(new) };
        let same_message = told["message"] == self.message.as_str();
        match (told["status"] == "True", self.holds) {
            // Who has mended what a remark says looks whether it is gone.
            (true, true) => {
                let same_words = told["message"].as_str().map(words) == Some(words(&self.message));
                (!same_message).then_some(if same_words { DETAIL } else { PASSING })
            }
            (true, false) => Some(worse),
            (false, true) => Some(Duration::ZERO),
            (false, false) if told["reason"] == self.reason => (!same_message).then_some(PASSING),
            (false, false) => Some(new),
        }
    }

    /// The status of an object that says it.
    pub fn status(&self, kind: ObjectKind, generation: i64, status: &Value, now: Timestamp) -> Value {
        // AWS's own CRDs know no generation in a condition, and this one beside.
        let mut wanted = json!({"conditions": conditions(status), "observedGeneration": generation});
        let own = match kind {
            ObjectKind::GatewayRoute => Some(generation),
            ObjectKind::VirtualGateway
            | ObjectKind::VirtualRouter
            | ObjectKind::VirtualService
            | ObjectKind::VirtualNode
            | ObjectKind::HttpRoute
            | ObjectKind::GrpcRoute => None,
        };
        let Self { holds, reason, message, .. } = self;
        let condition = Condition {
            kind: condition_of(kind),
            holds: *holds,
            reason,
            message: message.clone(),
            generation: own,
        };
        condition.put(&mut wanted, now);
        wanted
    }
}

/// The condition in which it is said. Of routers and nodes it is AWS's own, which the controller reads where there is no other.
fn condition_of(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::GatewayRoute
        | ObjectKind::VirtualGateway
        | ObjectKind::HttpRoute
        | ObjectKind::GrpcRoute => "Programmed",
        ObjectKind::VirtualRouter => "VirtualRouterActive",
        ObjectKind::VirtualService => "VirtualServiceActive",
        ObjectKind::VirtualNode => "VirtualNodeActive",
    }
}

fn told(kind: ObjectKind, status: &Value) -> Option<&Value> {
    let conditions = status["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == condition_of(kind))
}

/// Whether what was said last of an object is ours, which nobody else would take back.
pub fn is_told(kind: ObjectKind, status: &Value) -> bool {
    let ours = [Level::Has, Level::Lags, Level::NoEnvoy, Level::Refuses].map(Level::reason);
    let ours = ours.into_iter().chain([REMARKED, "Invalid", "NoGateway"]);
    told(kind, status).is_some_and(|told| ours.clone().any(|ours| told["reason"] == ours))
}

/// How an object stands at a fleet, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Has,
    Lags,
    NoEnvoy,
    /// Some refuse it, or something that was sent with it.
    Disputed,
    /// All refuse it, and it is held.
    Refuses,
}

impl Level {
    fn reason(self) -> &'static str {
        match self {
            Self::Has => "Programmed",
            Self::Lags => "Pending",
            Self::NoEnvoy => "NoEnvoy",
            Self::Disputed | Self::Refuses => "Refused",
        }
    }

    /// How long it has to last before it is said where something else, or nothing, was said of the generation; and where it was said
    /// to be in effect.
    fn patience(self) -> (Duration, Duration) {
        match self {
            Self::Has | Self::Refuses => (Duration::ZERO, Duration::ZERO),
            Self::Lags | Self::NoEnvoy => (PASSING, FLAPPING),
            Self::Disputed => (PASSING, PASSING),
        }
    }
}

impl Served<'_> {
    fn standing(&self, generation: i64) -> (Level, String) {
        let fleet = self.fleet;
        if let Some(held) = self.held {
            let blame = if held.is_sure { "" } else { " (or something that changed with it)" };
            let told = format!(
                "Envoy refuses generation {generation}{blame}, and has what was before: {}",
                held.words
            );
            return (Level::Refuses, told);
        }
        let has = |envoy: &&Connected| self.since.is_some_and(|since| envoy.has >= since);
        let (there, missing): (Vec<&Connected>, Vec<&Connected>) = self.envoys.iter().partition(has);
        let refuses = |envoy: &&&Connected| envoy.refusal_of(self.number).is_some();
        let refusing: Vec<&&Connected> = missing.iter().filter(refuses).collect();
        // One that has just been started serves nobody yet.
        let (new, lagging): (Vec<&Connected>, Vec<&Connected>) =
            missing.iter().filter(|envoy| !refuses(envoy)).partition(|envoy| envoy.is_new);
        let all = self.envoys.len();
        let starting = match new.len() {
            0 => String::new(),
            some => format!(", {some} of them starting"),
        };
        let count = there.len();
        let so_far = format!("{count} of {all} Envoys of {fleet} have generation {generation}{starting}");
        if let Some(first) = refusing.first() {
            let words = first.refusal_of(self.number).unwrap_or_default();
            let named = named(refusing.iter().map(|envoy| **envoy));
            return (Level::Disputed, format!("{so_far}; {named} refuses what it is sent: {words}"));
        }
        if !lagging.is_empty() {
            return (Level::Lags, format!("{so_far}; not yet: {}", named(lagging.into_iter())));
        }
        let absent = self.expected.saturating_sub(all);
        if absent > 0 && all > 0 {
            let told =
                format!("{so_far}; {absent} more were connected a moment ago, and may serve what was before");
            return (Level::Lags, told);
        }
        if there.is_empty() {
            let told = if all == 0 { format!("no Envoy of {fleet} is connected") } else { so_far };
            return (Level::NoEnvoy, told);
        }
        (Level::Has, so_far)
    }
}

/// The first of some Envoys, by where they are connected from.
fn named<'a>(envoys: impl ExactSizeIterator<Item = &'a Connected>) -> String {
    let more = envoys.len().saturating_sub(NAMED);
    let name = |envoy: &Connected| envoy.from.map_or("one".to_owned(), |from| from.ip().to_string());
    let mut names: Vec<String> = envoys.take(NAMED).map(name).collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests;
