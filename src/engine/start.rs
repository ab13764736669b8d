//! Whether and how a run starts.

use std::{borrow::Cow, sync::Arc, time::Duration};

use kube::core::Duration as Elapsed;

use super::{
    decision::Effect,
    judgeable,
    observed::{ListSeen, RouteSeen, RouteState, RouteView},
    plan,
    template::{self, Refusal},
    turn::{MOST_LISTS, Turn, since},
};
use crate::api::{
    Analysis, EndReason, Evidence, HistoryEntry, Phase, PlannedStep, RouteRef, RouteStatus, Run, StageName,
    Step, Target, Transition, units::Weight,
};

/// That another Rollout steps a rule that is ours too.
pub(super) struct Owned {
    /// The same in a sentence, with the remedy.
    pub sentence: String,
    /// It can be read, and names the rule; one that can't be may step any.
    known: bool,
}

impl Turn<'_> {
    /// Why the routes don't allow a run, with the reason's word: missing, of a wrong shape, somebody else's.
    pub fn routes_refused(&self) -> Option<(&'static str, String)> {
        for seen in self.spec_routes() {
            match &seen.state {
                RouteState::Missing => {
                    return Some((
                        "RouteNotFound",
                        format!("{} does not exist in this namespace", seen.route),
                    ));
                }
                RouteState::Unusable { reason, message } => {
                    return Some((reason, format!("{}: {message}", seen.route)));
                }
                RouteState::Unreadable(why) => {
                    return Some(("RouteUnreadable", format!("{} can't be read: {why}", seen.route)));
                }
                RouteState::Refused(why) => return Some(("RouteRefused", why.clone())),
                RouteState::Present(view) => {
                    if let Some(owned) = self.foreign_owner(seen, view) {
                        return Some(("RouteOwned", owned.sentence));
                    }
                }
            }
        }
        None
    }

    /// What there is to tell where another living Rollout has left its stamp and steps a rule that is ours too.
    fn foreign_owner(&self, seen: &RouteSeen, view: &RouteView) -> Option<Owned> {
        view.stamps_of_others(&self.seen.subject).find_map(|(name, stamp)| {
            let other = self.seen.others.get(name)?;
            let living = stamp.is_some_and(|stamp| other.uid == stamp.uid);
            let rules = other.rules_of(&seen.route);
            let apart = |rules: &Vec<String>| {
                let ours = |list: &ListSeen| list.rule.as_ref().is_some_and(|rule| rules.contains(rule));
                !rules.is_empty() && !view.lists.iter().any(ours)
            };
            let clashes = living && !rules.as_ref().is_some_and(apart);
            let known = rules.is_some();
            let told =
                rules.filter(|rules| !rules.is_empty()).map(|rules| format!(" (rule {})", rules.join(", ")));
            clashes.then(|| {
                let sentence = format!(
                    "{} is stepped by the Rollout {name}{}; a rule has one Rollout, so take it out of one of them",
                    seen.route,
                    told.unwrap_or_default()
                );
                Owned { sentence, known }
            })
        })
    }

    /// The same where our stamp is not there: both saw the rule free, and the other has claimed it.
    pub fn came_second(&self, seen: &RouteSeen, view: &RouteView) -> Option<Owned> {
        self.foreign_owner(seen, view).filter(|_| view.stamp_of(&self.seen.subject).is_none())
    }

    /// Whether what a route gives our canary is another's to take back. Where it is not known, it may be as long as we have
    /// given nothing.
    pub fn is_anothers(&self, seen: &RouteSeen, view: &RouteView) -> bool {
        self.came_second(seen, view).is_some_and(|owned| owned.known || self.step_index() == 0)
    }

    /// The routes of the spec, in the fixed order.
    pub fn spec_routes(&self) -> Vec<&RouteSeen> {
        let named = |seen: &&RouteSeen| self.spec.routes.iter().any(|r| r.same(&seen.route));
        self.seen.routes.iter().filter(named).collect()
    }

    pub fn views(&self) -> Vec<(&RouteSeen, &Arc<RouteView>)> {
        self.spec_routes().into_iter().filter_map(|seen| Some((seen, seen.view()?))).collect()
    }

    /// Starts a run, if everything allows it; else says why not. `found` is the share that adoption found.
    pub fn start(&mut self, found: Option<Weight>) {
        if let Some((reason, sentence)) = self.routes_refused() {
            return self.say(Phase::Invalid, reason, sentence);
        }
        let analysis = match self.judged_by() {
            Ok(analysis) => analysis,
            // What goes back to what was stable so recently must not wait for who would judge it.
            Err(_) if self.is_return(found) => None,
            Err((phase, reason, sentence)) => return self.say(phase, reason, sentence),
        };
        let steps = self.steps(found);
        if steps.iter().any(|step| step.gates.is_some()) && !self.seen.unknown_gates.is_empty() {
            let names = self.seen.unknown_gates.join(", ");
            let sentence = format!(
                "spec.strategy names the gate {names}, which the controller's configuration does not have; name one of its \
                 gates, or add it there"
            );
            return self.say(Phase::Invalid, "UnknownGate", sentence);
        }
        let refused = self.previews_refused(&steps).or_else(|| self.mirrors_refused(&steps));
        if let Some((reason, sentence)) = refused {
            return self.say(Phase::Invalid, reason, sentence);
        }
        if let Some((phase, reason, sentence)) = self.scales_refused(&steps) {
            return self.say(phase, reason, sentence);
        }
        if self.has_leftovers() {
            let sentence = "the run waits until the preview of the one before is gone";
            return self.say(Phase::Progressing, "Waiting", sentence);
        }
        let Some(stable) = self.status.stable.clone() else {
            return;
        };
        let wanted = self.wanted();
        let mut routes = Vec::new();
        for (seen, view) in self.views() {
            if wanted.name_on(&seen.route) == view.name_of(&stable.name) && wanted.port == stable.port {
                let sentence = format!(
                    "spec.routes: target of {} is {}, which is what {}, which is live, is called there; it has to change with \
                     spec.target.name, or, to stay with what is live, be what it was, with spec.target.name: {}",
                    seen.route,
                    wanted.name_on(&seen.route),
                    stable.name,
                    stable.name
                );
                return self.say(Phase::Invalid, "SameName", sentence);
            }
            for list in &view.lists {
                let Some(entry) = list.entry(&stable) else {
                    let names: Vec<_> = list.entries.iter().map(|entry| entry.name.as_str()).collect();
                    let sentence = format!(
                        "{} does not list {}, which is stable (it lists {}); add its entry with weight 100",
                        list.of(&seen.route),
                        stable.name,
                        names.join(", ")
                    );
                    return self.say(Phase::Invalid, "StableNotListed", sentence);
                };
                routes.push(RouteStatus {
                    route: RouteRef { rule: list.rule.clone(), ..seen.route.clone() },
                    uid: view.uid.clone(),
                    stable_entry: entry.raw.clone(),
                    added: vec![],
                });
            }
        }
        if routes.len() > MOST_LISTS {
            let sentence = format!(
                "spec.routes comes to {} weighted lists, and {MOST_LISTS} are the most; name fewer rules",
                routes.len()
            );
            return self.say(Phase::Invalid, "TooManyRules", sentence);
        }
        if found.is_none()
            && let Some(sentence) = self.restore_stable(&stable)
        {
            let sentence = format!("the run waits until every route shows stable 100. {sentence}");
            self.told.out_of_sync = Some(("Drifted", sentence.clone()));
            return self.say(Phase::Invalid, "Drifted", sentence);
        }
        self.begin(found, steps, routes, analysis);
    }

    /// By what the run that would start now is judged, if it can be.
    fn judged_by(&self) -> Result<Option<Arc<Analysis>>, Refusal> {
        let invalid = |reason, sentence| Err((Phase::Invalid, reason, sentence));
        let analysis = template::analysis(self.spec, &self.seen.template)?;
        // What the spec itself has was held against the strategy before.
        if let Some(Cow::Owned(of_template)) = &analysis
            && let Some(sentence) = judgeable::refuse(Some(of_template), &self.spec.strategy)
        {
            return invalid("InvalidTemplate", sentence);
        }
        if !self.seen.unknown_providers.is_empty() {
            let names = self.seen.unknown_providers.join(", ");
            let sentence = format!(
                "spec.analysis, or its template, names the provider {names}, which the controller's configuration does not \
                 have; name one of its providers, or add it there"
            );
            return invalid("UnknownProvider", sentence);
        }
        if let Some(why) = &self.seen.unaskable {
            let sentence = format!("spec.analysis, or its template, can't be asked for: {why}");
            return invalid("InvalidQuery", sentence);
        }
        Ok(analysis.map(|analysis| Arc::new(analysis.into_owned())))
    }

    /// Whether going to the target is one step: it was stable so recently.
    fn is_return(&self, found: Option<Weight>) -> bool {
        found.is_none() && self.within_window(&self.wanted())
    }

    /// The plan of the run that would start now.
    fn steps(&self, found: Option<Weight>) -> Vec<PlannedStep> {
        let strategy = &self.spec.strategy;
        if self.is_return(found) { plan::instant(strategy) } else { plan::plan(strategy, found) }
    }

    fn begin(
        &mut self,
        found: Option<Weight>,
        steps: Vec<PlannedStep>,
        routes: Vec<RouteStatus>,
        analysis: Option<Arc<Analysis>>,
    ) {
        let canary = self.wanted();
        let instant_return = self.is_return(found);
        let number = self.greatest_run().saturating_add(1);
        let of = i32::try_from(steps.len()).unwrap_or(i32::MAX);
        let sentence = run_sentence(number, &canary, &steps, instant_return);
        self.status.run = Some(Run {
            number,
            started_at: self.now,
            progress_deadline: plan::deadline(self.spec, &steps),
            plan: steps.into(),
            analysis,
            on_deadline: self.spec.on_deadline,
            instant_return,
            without_progress: Elapsed::from(Duration::ZERO),
            pause: None,
            ended: None,
            promote_full: false,
            evidence: Evidence::default(),
            corrections: 0,
            corrected_at: None,
        });
        self.status.canary = Some(canary);
        // A share that adoption found is where the plan begins: the first step stands already.
        self.status.step = Some(Step::begin(i32::from(found.is_some()), of, found.unwrap_or(Weight::ZERO)));
        self.status.routes = routes;
        self.status.analysis.clear();
        self.forget_gates();
        self.memory.held = None;
        self.memory.scaled = None;
        self.announce(Transition::Started, false, "RunStarted", sentence.clone());
        self.say(Phase::Progressing, "Claiming", sentence);
        if !self.seen.subject.finalizer {
            self.effects.push(Effect::Hold);
        }
        self.claim();
    }

    /// Whether the target was stable so recently, in this very revision, that going back is one step.
    fn within_window(&self, target: &Target) -> bool {
        let Some(window) = &self.spec.rollback_window else {
            return false;
        };
        let versions = usize::try_from(window.versions).unwrap_or(0);
        let replaced = |entry: &&HistoryEntry| {
            entry.outcome == EndReason::Promoted && since(entry.at, self.now) <= window.within.span()
        };
        let mut recent = self.status.history.iter().filter(replaced).take(versions);
        recent.any(|entry| {
            entry.stable.same_entry(target) && target.hash.is_some() && entry.stable.hash == target.hash
        })
    }

    /// Until when a former stable may come back at once; `None` when it no longer may.
    pub fn window_end(&self, name: &str) -> Option<jiff::Timestamp> {
        let window = self.spec.rollback_window.as_ref()?;
        let versions = usize::try_from(window.versions).unwrap_or(0);
        let promoted = self.status.history.iter().filter(|entry| entry.outcome == EndReason::Promoted);
        let entry = promoted.take(versions).find(|entry| entry.stable.name == name)?;
        let end = super::turn::later(entry.at, window.within.span());
        (end > self.now).then_some(end)
    }
}

fn run_sentence(number: i64, canary: &Target, steps: &[PlannedStep], instant: bool) -> String {
    let name = &canary.name;
    if instant {
        return format!("Run {number}: {name} goes to 100% at once, for it was stable so recently");
    }
    if steps.iter().any(|step| step.stage.is_some()) {
        let before = steps.iter().any(|step| step.stage == Some(StageName::Before));
        let tried = if before { "is tried without traffic of its own, then gets" } else { "gets" };
        return format!("Run {number}: {name} {tried} all of it at once");
    }
    let stage = |step: &PlannedStep| match &step.matching {
        Some(matching) if step.weight == Weight::ZERO => format!("requests with {matching}"),
        Some(_) | None => step.traffic().to_string(),
    };
    let mut stages: Vec<String> = steps.iter().map(stage).collect();
    stages.dedup();
    format!("Run {number}: {name} goes to {} by steps", stages.join(", "))
}
