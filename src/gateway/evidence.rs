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
    /// The remarks at its end.
    remarks: String,
    level: Level,
}

impl Verdict {
    fn new(level: Level, reason: &'static str, mut message: String, own: Option<(&Fleet, usize)>) -> Self {
        message.truncate(message.floor_char_boundary(MESSAGE));
        // The next that leads waits for as many.
        if let Some((fleet, count)) = own.filter(|(fleet, _)| !message.contains(&named_envoys(fleet))) {
            message = format!("{message}; {count}{}are connected", named_envoys(fleet));
        }
        Self { holds: level == Level::Has, reason, message, remarks: String::new(), level }
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
        Self { remarks: remarks.join("; "), ..Self::new(worst, reason, told.join("; "), *own) }
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
                let same_remarks = told["reason"] == self.reason
                    && told["message"].as_str().is_some_and(|told| told.ends_with(&self.remarks));
                (!same_message).then_some(if same_remarks { DETAIL } else { PASSING })
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
mod tests {
    use super::*;
    use crate::xds::Kind;

    /// The present publication.
    const NOW: u64 = 5;

    fn gateway() -> Fleet {
        Fleet::gateway("shop", "gw")
    }

    fn envoy(number: u64, has: u64) -> Connected {
        let from = Some(format!("10.0.0.{number}:1000").parse().unwrap());
        let is_new = has == 0;
        Connected { number, fleet: gateway(), from, stats: None, is_new, has, at: has, refusals: [].into() }
    }

    fn refusing(number: u64, has: u64) -> Connected {
        let refusals = [(Kind::Routes, "no such cluster".to_owned())].into();
        Connected { refusals, at: NOW, is_new: false, ..envoy(number, has) }
    }

    fn verdict(since: Option<u64>, envoys: &[Connected], held: Option<&Held>) -> Verdict {
        expecting(0, since, envoys, held, &gateway())
    }

    fn expecting(
        expected: usize,
        since: Option<u64>,
        envoys: &[Connected],
        held: Option<&Held>,
        gateway: &Fleet,
    ) -> Verdict {
        let fleets = vec![Served { fleet: gateway, envoys, expected, number: NOW, since, held }];
        Verdict::of(&Claim { generation: 7, fleets, ..Claim::default() })
    }

    #[test]
    fn those_that_were_connected_before_a_failover_are_waited_for() {
        let gateway = gateway();
        let status = |verdict: &Verdict| {
            verdict.status(ObjectKind::VirtualGateway, 7, &json!({}), Timestamp::UNIX_EPOCH)
        };
        let both = verdict(Some(1), &[envoy(1, 1), envoy(2, 1)], None);
        assert_eq!(told_envoys(&gateway, &status(&both)), 2);
        let one = expecting(2, Some(1), &[envoy(1, 1)], None, &gateway);
        assert_eq!((one.holds, one.reason), (false, "Pending"));
        assert!(
            one.message.starts_with("1 of 1 Envoys of shop/gw have generation 7; 1 more"),
            "{}",
            one.message
        );
        assert!(expecting(2, Some(1), &[envoy(1, 1), envoy(2, 1)], None, &gateway).holds);
        // Of another gateway, or with none.
        let other = Fleet::gateway("shop", "gw-2");
        assert_eq!(told_envoys(&other, &status(&both)), 0);
        assert_eq!(told_envoys(&gateway, &status(&verdict(Some(1), &[], None))), 0);
        assert_eq!(told_envoys(&gateway, &Value::Null), 0);
        // Whatever else is said of it, the count is there.
        let faults = vec!["listener 8443: one of two".to_owned(); 300];
        let invalid = Verdict::of(&Claim { faults, own: Some((&gateway, 3)), ..Claim::default() });
        assert!(invalid.message.ends_with("; 3 Envoys of shop/gw are connected"), "{}", invalid.message);
        assert_eq!(told_envoys(&gateway, &status(&invalid)), 3);
    }

    #[test]
    fn it_is_in_effect_once_every_envoy_that_serves_has_it() {
        let lagging = Connected { is_new: false, ..envoy(9, 3) };
        for (envoys, holds, reason, message) in [
            (vec![], false, "NoEnvoy", "no Envoy of shop/gw is connected"),
            (
                vec![envoy(1, 4), envoy(2, 5)],
                true,
                "Programmed",
                "2 of 2 Envoys of shop/gw have generation 7",
            ),
            (
                vec![envoy(1, 4), lagging.clone()],
                false,
                "Pending",
                "1 of 2 Envoys of shop/gw have generation 7; not yet: 10.0.0.9",
            ),
            (
                vec![envoy(1, 4), envoy(2, 0)],
                true,
                "Programmed",
                "1 of 2 Envoys of shop/gw have generation 7, 1 of them starting",
            ),
            (
                vec![envoy(2, 0)],
                false,
                "NoEnvoy",
                "0 of 1 Envoys of shop/gw have generation 7, 1 of them starting",
            ),
            (
                vec![envoy(1, 4), refusing(2, 3)],
                false,
                "Refused",
                "1 of 2 Envoys of shop/gw have generation 7; 10.0.0.2 refuses what it is sent: no such cluster",
            ),
            // What it refuses came after this one.
            (vec![refusing(2, 4)], true, "Programmed", "1 of 1 Envoys of shop/gw have generation 7"),
            (
                vec![lagging.clone(), lagging.clone(), lagging.clone(), lagging.clone(), lagging],
                false,
                "Pending",
                "0 of 5 Envoys of shop/gw have generation 7; not yet: 10.0.0.9, 10.0.0.9, 10.0.0.9, 2 more",
            ),
        ] {
            let got = verdict(Some(4), &envoys, None);
            assert_eq!((got.holds, got.reason, got.message.as_str()), (holds, reason, message));
        }
        assert!(!verdict(None, &[envoy(1, 4)], None).holds, "it was never published");
        assert_eq!(Verdict::of(&Claim::default()).reason, "NoGateway");
        let nobodys = Verdict::of(&Claim { is_behind: true, ..Claim::default() });
        assert_eq!((nobodys.holds, nobodys.reason), (false, "NoEnvoy"));
    }

    #[test]
    fn what_is_worse_is_said_later_and_what_is_better_at_once() {
        let kind = ObjectKind::GatewayRoute;
        let status = |verdict: &Verdict, generation| {
            verdict.status(kind, generation, &json!({}), Timestamp::UNIX_EPOCH)
        };
        let has = verdict(Some(1), &[envoy(1, 1)], None);
        let more = verdict(Some(1), &[envoy(1, 1), envoy(2, 1)], None);
        let none = verdict(Some(1), &[], None);
        let refused = verdict(Some(1), &[refusing(1, 0)], None);
        let lags = verdict(Some(2), &[Connected { is_new: false, ..envoy(1, 1) }], None);
        let remarked = |remark: &str, envoys: &[Connected]| {
            let gateway = gateway();
            let (number, since) = (NOW, Some(1));
            let served = Served { fleet: &gateway, envoys, expected: 0, number, since, held: None };
            let (remarks, fleets) = (vec![remark.to_owned()], vec![served]);
            Verdict::of(&Claim { generation: 7, remarks, fleets, ..Claim::default() })
        };
        let one = [envoy(1, 1)];
        let (astray, hidden) = (remarked("its target leads nowhere", &one), remarked("it is hidden", &one));
        let more_astray = remarked("its target leads nowhere", &[envoy(1, 1), envoy(2, 1)]);
        assert_eq!((astray.holds, astray.reason), (true, "ProgrammedWithRemarks"));
        for (before, now, patience) in [
            (&has, &has, None),
            (&has, &more, Some(DETAIL)),
            (&has, &none, Some(FLAPPING)),
            (&has, &lags, Some(FLAPPING)),
            (&has, &refused, Some(PASSING)),
            (&none, &has, Some(Duration::ZERO)),
            (&none, &refused, Some(PASSING)),
            (&none, &lags, Some(PASSING)),
            (&refused, &refused, None),
            (&astray, &astray, None),
            (&has, &astray, Some(PASSING)),
            (&astray, &more_astray, Some(DETAIL)),
            (&astray, &hidden, Some(PASSING)),
            (&astray, &has, Some(PASSING)),
        ] {
            assert_eq!(now.patience(kind, 7, &status(before, 7)), patience, "{before:?} {now:?}");
        }
        // Of the generation before, or nothing at all.
        for before in [status(&has, 6), Value::Null] {
            assert_eq!(has.patience(kind, 7, &before), Some(Duration::ZERO));
            assert_eq!(lags.patience(kind, 7, &before), Some(PASSING));
            assert_eq!(refused.patience(kind, 7, &before), Some(PASSING));
        }
        let told = status(&has, 7);
        assert_eq!(told["conditions"][0]["observedGeneration"], 7);
        assert_eq!(told["observedGeneration"], 7);
    }
}
