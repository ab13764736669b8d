//! What must hold, held against what happened: S1–S8 after every action, L1–L3 at the end. It knows the truth — what is
//! stored, what is in effect, which version is bad — and nothing of what the controllers have in mind.

use std::collections::{BTreeMap, BTreeSet};

use json_patch::PatchOperation;
use tidegate::{
    api::{EndReason, RolloutStatus, RouteRef, Run, Stamp, Target, stamp_annotation},
    engine::{
        decision::{Decision, Effect, Purpose, RouteWrite},
        observed::{ListSeen, Observed, RouteView, WorkloadSeen},
    },
};

use crate::{
    mutants::stamp_of,
    process::{Process, ROLLOUT, UID},
    server::{Answer, Code, Request, RolloutNow, RouteNow, Server},
    standing::Standing,
    traffic::Traffic,
};

/// What was violated, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub rule: &'static str,
    pub sentence: String,
}

/// A process in one of its lives.
pub type Sender = (usize, u32);

/// A change of a route that a controller has sent and that is stored.
#[derive(Clone, Copy)]
pub struct Landed<'a> {
    pub server: &'a Server,
    pub sender: Sender,
    pub route: usize,
    pub write: &'a RouteWrite,
}

#[derive(Default)]
pub struct Oracle {
    pub violation: Option<Violation>,
    pub quiet_at: Option<u64>,
    /// Writes of the controllers that were stored.
    pub writes: u64,
    /// Who raised each epoch.
    epochs: BTreeMap<i64, Sender>,
    pub standing: Standing,
    /// What people allowed.
    promoted: BTreeSet<(i64, i32)>,
    promoted_full: BTreeSet<i64>,
    /// Runs that people ended.
    aborted: BTreeSet<i64>,
    /// Lowerings that were decided and have not been sent.
    owed: Vec<String>,
    notes: u64,
}

/// Clocks differ by a tenth, and calls take their time.
const OF_A_HOLD: f64 = 0.88;
/// A version that turned bad so long ago has been seen to be.
const SEEN_BY_NOW: u64 = 60_000;

impl Oracle {
    pub fn is_content(&self) -> bool {
        self.violation.is_none()
    }

    pub fn violated(&mut self, rule: &'static str, sentence: String) {
        self.violation.get_or_insert(Violation { rule, sentence });
    }

    fn demand(&mut self, holds: bool, rule: &'static str, sentence: impl FnOnce() -> String) {
        if !holds {
            self.violated(rule, sentence());
        }
    }

    pub fn promoted(&mut self, run: i64, step: i32) {
        self.promoted.insert((run, step));
    }

    pub fn promoted_full(&mut self, run: i64) {
        self.promoted_full.insert(run);
    }

    pub fn aborted(&mut self, run: i64) {
        self.aborted.insert(run);
    }

    pub fn told(&mut self) {
        self.notes += 1;
        self.demand(self.notes < 2_000, "S7", || "more than 2,000 Events in one seed".to_owned());
    }

    /// Time goes on: what was decided at once must have been sent by now.
    pub fn pass(&mut self, from: u64, to: u64, server: &Server, processes: &[Process]) {
        if to == from {
            return;
        }
        if let Some(owed) = self.owed.pop() {
            self.violated("L1", format!("a lowering waits for something else: {owed}"));
        }
        let owner = self.epochs.get(&server.rollout().status.epoch).copied();
        let owner = owner.map(|(id, life)| (&processes[id], life));
        let alive = owner.filter(|(process, life)| process.up && process.life == *life);
        self.standing.pass(to - from, server, alive.map(|(process, _)| process));
    }

    pub fn decided(&mut self, process: &Process, seen: &Observed, decision: &Decision) {
        let acts = decision.before.is_some() || decision.store || decision.effects.iter().any(Effect::writes);
        self.demand(!acts || process.status().format <= RolloutStatus::FORMAT, "S3", || {
            format!("controller {} acts on what a newer version keeps", process.id)
        });
        for effect in &decision.effects {
            match effect {
                Effect::Write(write) if write.purpose == Purpose::Lower => {
                    self.owed.push(write.route.to_string());
                }
                Effect::Write(write) if write.purpose == Purpose::Raise => {
                    self.may_decide(process, seen, write);
                }
                _ => {}
            }
        }
        if decision.effects.iter().any(Effect::lowers)
            && let Some((run, ended)) = ended(&decision.after)
        {
            // What is ended is ended on every route that it is on.
            let lowered = |route: &RouteRef| {
                decision.effects.iter().any(|effect| match effect {
                    Effect::Write(write) => write.route.same(route),
                    _ => false,
                })
            };
            let canary = decision.after.canary.as_ref();
            let missed = seen.routes.iter().find(|route| {
                let known = decision.after.routes.iter().any(|known| known.route.same(&route.route));
                let up = route.view().is_some_and(|view| canary.is_some_and(|canary| view.gives(canary)));
                known && up && ended != EndReason::Promoted && !lowered(&route.route)
            });
            if let Some(missed) = missed {
                self.violated(
                    "L1",
                    format!("run {run} is ended and {} is not lowered with the others", missed.route),
                );
            }
        }
    }

    fn may_decide(&mut self, process: &Process, seen: &Observed, write: &RouteWrite) {
        let Some(stamp) = stamp_of(write) else { return };
        let marked =
            seen.routes.iter().filter_map(|route| route.view()).any(|view| is_marked(view, stamp.run));
        self.demand(!marked, "S2", || {
            format!("controller {} raises run {} although it sees a mark", process.id, stamp.run)
        });
    }

    /// A change of a route leaves a process.
    pub fn sends(&mut self, server: &Server, process: &Process, write: &RouteWrite) {
        if write.purpose == Purpose::Lower
            && let Some(place) = self.owed.iter().position(|owed| *owed == write.route.to_string())
        {
            self.owed.swap_remove(place);
        }
        if write.purpose != Purpose::Raise {
            return;
        }
        let canary = server.rollout().status.canary.clone();
        let name = canary.as_ref().map(|canary| canary.name.as_str());
        let ready =
            process.workloads.iter().find(|(known, _)| Some(*known) == name).map(|(_, now)| &now.seen);
        let gone = matches!(ready, Some(WorkloadSeen::Present(pods)) if pods.ready == 0);
        self.demand(!gone, "S5", || {
            format!("controller {} gives traffic to {name:?}, which it knows to have no pod", process.id)
        });
    }

    /// A change of a route by a controller is stored.
    pub fn route_written(&mut self, landed: &Landed, before: &RouteNow, request: &Request) {
        let Landed { server, sender, route, write } = *landed;
        self.writes += 1;
        self.demand(self.writes < 1_500, "S7", || "more than 1,500 writes in one seed".to_owned());
        self.touches_only_ours(&server.paths(route), write, request);
        let (Some(was), Some(is)) = (before.view(), server.route(route).view()) else {
            return self.violated("S4", format!("route {route} can't be read any more"));
        };
        let (old, new) = (ours(was), ours(is));
        let above = |old: &Stamp, new: &Stamp| new.epoch >= old.epoch;
        let keeps = old.as_ref().zip(new.as_ref()).is_none_or(|(old, new)| above(old, new));
        self.demand(keeps, "S3", || format!("{old:?} was written over by {new:?}"));
        if let Some((old, new)) = old.as_ref().zip(new.as_ref()) {
            let unmarked = old.aborted && !new.aborted && old.run == new.run;
            self.demand(!unmarked, "S2", || format!("the mark of run {} was taken away", old.run));
        }
        match write.purpose {
            Purpose::Raise => self.raised(landed, was, is),
            Purpose::Lower => self.lowered(server, was, is, new.as_ref()),
            Purpose::Claim => {
                self.owns(server, sender, new.as_ref());
                let kept = |(was, is): (&ListSeen, &ListSeen)| {
                    was.entries.iter().all(|old| {
                        is.entries.iter().any(|new| (&new.name, new.weight) == (&old.name, old.weight))
                    })
                };
                let same = was.lists.iter().zip(&is.lists).all(kept);
                self.demand(same, "S4", || "a claim changed weights".to_owned());
            }
            Purpose::Correct | Purpose::Retire | Purpose::Release => self.may_only_take(landed, was, is),
        }
    }

    /// Whoever raises or claims does it under an epoch that is its own.
    fn owns(&mut self, server: &Server, sender: Sender, stamp: Option<&Stamp>) {
        let Some(stamp) = stamp else { return };
        let owner = self.epochs.get(&stamp.epoch).copied();
        let recorded = server.rollout().status.epoch;
        self.demand(owner == Some(sender), "S3", || {
            format!(
                "controller {sender:?} writes under epoch {}, which is {owner:?}'s; recorded is {recorded}",
                stamp.epoch
            )
        });
    }

    fn raised(&mut self, landed: &Landed, was: &RouteView, is: &RouteView) {
        let Landed { server, sender, write, .. } = *landed;
        let status = &server.rollout().status;
        let Some((stamp, run)) = ours(is).zip(status.run.as_ref()) else {
            return self.violated("S1", "a raise outside any run".to_owned());
        };
        self.owns(server, sender, Some(&stamp));
        self.demand(was.resource_version == write.view.resource_version, "S1", || {
            "a raise landed on a route that is not the one its sender saw".to_owned()
        });
        let step = status.step.as_ref().map_or(0, |step| step.index);
        self.demand(stamp.run == run.number && stamp.step <= step, "S1", || {
            format!(
                "a raise for run {} step {} while run {} step {step} is intended",
                stamp.run, stamp.step, run.number
            )
        });
        let Some((stable, canary)) = status.stable.as_ref().zip(status.canary.as_ref()) else { return };
        let planned = planned(run, stamp.step);
        for list in &is.lists {
            let (given, rest) = (list.weight(canary), list.weight(stable));
            self.demand(given == planned && rest == 100 - planned, "S1", || {
                format!("{} has {given}% and {} {rest}% in a step of {planned}%", canary.name, stable.name)
            });
            self.demand(list.total() == 100, "S1", || {
                "the weights do not sum to 100 after a raise".to_owned()
            });
        }
        self.demand(!is_marked(was, stamp.run), "S2", || {
            format!("run {} rose on a route that bears its mark", stamp.run)
        });
    }

    /// What is put right, taken out or let go gives no canary more, and is done in a run by whoever holds it.
    fn may_only_take(&mut self, landed: &Landed, was: &RouteView, is: &RouteView) {
        let Landed { server, sender, write, .. } = *landed;
        let status = &server.rollout().status;
        let in_a_run = status.run.as_ref().is_some_and(|run| run.ended.is_none());
        let failed = status
            .run
            .as_ref()
            .is_some_and(|run| run.ended.as_ref().is_some_and(|ended| ended.reason != EndReason::Promoted));
        let given = |view: &RouteView| status.canary.as_ref().map_or(0, |canary| share(view, canary));
        let live =
            status.stable.as_ref().map(|stable| &stable.name) == status.canary.as_ref().map(|c| &c.name);
        self.demand(live || !(in_a_run || failed) || given(is) <= given(was), "S1", || {
            format!("to {} gave the canary {}% in place of {}%", write.purpose.verb(), given(is), given(was))
        });
        // One that was decided at rest, and lands after the next run's intent and before its claim, leaves the stamp as it is.
        let before_the_claim =
            ours(was) == ours(is) && ours(is).is_none_or(|stamp| stamp.epoch < status.epoch);
        if in_a_run && write.purpose == Purpose::Correct && !before_the_claim {
            self.owns(server, sender, ours(is).as_ref());
        }
    }

    /// Whoever was deposed without a stamp to tell him lowers the canary that he knows of, which may not be today's: that
    /// one gets no more by it.
    fn lowered(&mut self, server: &Server, was: &RouteView, is: &RouteView, stamp: Option<&Stamp>) {
        self.demand(stamp.is_some_and(|stamp| stamp.aborted), "S2", || "a lowering left no mark".to_owned());
        let status = &server.rollout().status;
        let given = |view: &RouteView| status.canary.as_ref().map_or(0, |canary| share(view, canary));
        let deposed = stamp.is_some_and(|stamp| stamp.epoch < status.epoch);
        let of = |list: &ListSeen| status.canary.as_ref().map_or(0, |canary| list.weight(canary));
        let lower = was
            .lists
            .iter()
            .zip(&is.lists)
            .all(|(was, is)| was.total() > 0 && of(is) * was.total() <= of(was) * is.total());
        let left = given(is);
        self.demand(left == 0 || (deposed && lower), "S1", || format!("a lowering left the canary {left}%"));
        let all_have = is.lists.iter().all(|list| list.total() > 0);
        self.demand(all_have, "S4", || "nothing has weight after a lowering".to_owned());
    }

    /// A lowering may be refused for what it tests, and for nothing else.
    pub fn route_refused(&mut self, write: &RouteWrite, now: &RouteNow, answer: &Answer) {
        let (Answer::Refused(Code::Unprocessable), Some(view)) = (answer, now.view()) else { return };
        let stamp = |view: &RouteView| view.stamps.get(ROLLOUT).cloned();
        let stamped = stamp(view).is_some() && stamp(view) == stamp(&write.view);
        let names = |view: &RouteView| {
            let entries = view.lists.iter().flat_map(|list| &list.entries);
            entries.map(|entry| entry.name.clone()).collect::<Vec<_>>()
        };
        let places = |view: &RouteView| {
            view.lists
                .iter()
                .map(|list| (list.path.clone(), list.rule_field.clone(), list.rule.clone()))
                .collect::<Vec<_>>()
        };
        let unmoved = places(view) == places(&write.view);
        let same = stamped && unmoved && names(view) == names(&write.view) && write.add.is_empty();
        self.demand(write.purpose != Purpose::Lower || !same, "L1", || {
            "a lowering was refused although the stamp and the entries are as they were".to_owned()
        });
    }

    fn touches_only_ours(&mut self, lists: &[String], write: &RouteWrite, request: &Request) {
        let Request::WriteRoute { patch, .. } = request else { return };
        let stamp = format!("/metadata/annotations/{}", stamp_annotation(ROLLOUT).replace('/', "~1"));
        for operation in &patch.0 {
            let path = match operation {
                PatchOperation::Test(_) => continue,
                PatchOperation::Add(add) => add.path.as_str(),
                PatchOperation::Remove(remove) => remove.path.as_str(),
                _ => "another operation",
            };
            let inside = lists.iter().find_map(|list| path.strip_prefix(list.as_str()));
            let ours = path == stamp
                || (path == "/metadata/annotations" && !write.view.annotated)
                || inside.is_some_and(|rest| rest.ends_with("/weight") || !rest[1..].contains('/'));
            self.demand(ours, "S4", || format!("a write touches {path}"));
        }
    }

    /// A status is stored.
    pub fn status_stored(
        &mut self,
        server: &Server,
        sender: Sender,
        before: &RolloutNow,
        now: u64,
        traffic: &Traffic,
    ) {
        self.writes += 1;
        let (was, is) = (&before.status, &server.rollout().status);
        self.demand(was.format <= RolloutStatus::FORMAT, "S3", || {
            "a newer version's status was written over".to_owned()
        });
        self.demand(is.epoch >= was.epoch, "S3", || {
            format!("epoch {} was recorded over {}", is.epoch, was.epoch)
        });
        if is.epoch > was.epoch {
            self.epochs.insert(is.epoch, sender);
        }
        let (Some(old), Some(new)) = (&was.run, &is.run) else {
            return self.standing.weights_changed(server);
        };
        self.demand(new.number >= old.number, "S1", || {
            format!("run {} came after {}", new.number, old.number)
        });
        if new.number == old.number && old.ended.is_none() {
            let (from, to) = (index(was), index(is));
            self.demand(to >= from, "S1", || format!("step {to} came after {from}"));
            let promoted = new.ended.as_ref().is_some_and(|ended| ended.reason == EndReason::Promoted);
            if from >= 1 && (to > from || promoted) {
                let jumped = to > from + 1;
                self.advanced(server, old, from, jumped, now, traffic);
            }
            let failed = new.ended.as_ref().is_some_and(|ended| ended.reason == EndReason::Failed);
            let blameless = traffic.bad_from.is_none_or(|from| from > now) || canary(is) != Some("v2");
            self.demand(!(failed && blameless), "S5", || {
                "a version that is not bad was found to be".to_owned()
            });
        }
        if old.ended.is_some() && new.number == old.number {
            self.demand(new.ended.is_some(), "S2", || format!("run {} was ended and goes on", new.number));
        }
        self.standing.weights_changed(server);
    }

    /// A run went on from a step.
    fn advanced(&mut self, server: &Server, run: &Run, from: i32, jumped: bool, now: u64, traffic: &Traffic) {
        let number = run.number;
        self.demand(!self.aborted.contains(&number), "S2", || {
            format!("run {number} went on after it was aborted")
        });
        let asked = self.promoted.contains(&(number, from)) || self.promoted_full.contains(&number);
        if asked {
            return;
        }
        self.demand(!jumped, "S1", || format!("run {number} left steps out after step {from}"));
        let bad = traffic.bad_from.is_some_and(|since| since == 0 || since + SEEN_BY_NOW < now);
        let bad = bad && canary(&server.rollout().status) == Some("v2");
        self.demand(!bad, "S1", || format!("run {number} went on from step {from} with a bad version"));
        let hold = run
            .plan
            .get(usize::try_from(from - 1).unwrap_or(0))
            .map_or(0, |step| step.hold.span().as_millis());
        let watched = self.standing.held((number, from));
        let needed = (hold as f64 * OF_A_HOLD) as u64;
        self.demand(watched >= needed, "S1", || {
            format!("step {from} of run {number} was held for {watched} of {hold} ms")
        });
        let looks = self.standing.looks((number, from));
        self.demand(looks > 0, "S8", || format!("step {from} of run {number} was left without any evidence"));
    }
}

fn canary(status: &RolloutStatus) -> Option<&str> {
    status.canary.as_ref().map(|canary: &Target| canary.name.as_str())
}

fn ended(status: &RolloutStatus) -> Option<(i64, EndReason)> {
    let run = status.run.as_ref()?;
    Some((run.number, run.ended.as_ref()?.reason))
}

pub fn index(status: &RolloutStatus) -> i32 {
    status.step.as_ref().map_or(0, |step| step.index)
}

pub fn planned(run: &Run, step: i32) -> i64 {
    let place = usize::try_from(step - 1).ok();
    place.and_then(|place| run.plan.get(place)).map_or(0, |step| i64::from(step.weight.percent()))
}

fn ours(view: &RouteView) -> Option<Stamp> {
    view.stamp(ROLLOUT).filter(|stamp| stamp.uid == UID)
}

/// Whether a route carries the mark of a run.
fn is_marked(view: &RouteView, run: i64) -> bool {
    ours(view).is_some_and(|stamp| stamp.run == run && stamp.aborted)
}

/// The greatest share that a list of a route gives a version.
pub fn share(view: &RouteView, target: &Target) -> i64 {
    view.lists.iter().map(|list| list.weight(target)).max().unwrap_or(0)
}
