//! The beginnings: what is stable at first sight of a Rollout, and whether and how a run starts.

use std::{borrow::Cow, sync::Arc, time::Duration};

use kube::core::Duration as Elapsed;

use super::{
    decision::Effect,
    judgeable,
    observed::{EntrySeen, ListSeen, RouteSeen, RouteState, RouteView},
    plan,
    template::{self, Refusal},
    turn::{MOST_LISTS, Turn, since},
};
use crate::api::{
    Analysis, EndReason, Evidence, HistoryEntry, Phase, PlannedStep, RouteRef, RouteStatus, Run, StageName,
    Step, Target, TargetRef, units::Weight,
};

/// What adoption found on the routes.
struct Found {
    stable: Target,
    /// The canary's share, where it has one already.
    share: Option<Weight>,
}

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

    fn views(&self) -> Vec<(&RouteSeen, &Arc<RouteView>)> {
        self.spec_routes().into_iter().filter_map(|seen| Some((seen, seen.view()?))).collect()
    }

    /// First sight: finds out what is stable, and starts or rests.
    pub fn adopt(&mut self) {
        if let Some((reason, sentence)) = self.routes_refused() {
            return self.say(Phase::Invalid, reason, sentence);
        }
        match self.find_stable() {
            Err(sentence) => self.say(Phase::Invalid, "Ambiguous", sentence),
            Ok(Found { stable, share: None }) => {
                self.advise_gitops();
                self.status.stable = Some(stable);
                self.rest();
            }
            Ok(Found { stable, share: Some(share) }) => {
                self.advise_gitops();
                self.status.stable = Some(stable);
                self.start(Some(share));
            }
        }
    }

    /// Routes whose weights a GitOps tool owns get the advice before anything happens.
    fn advise_gitops(&mut self) {
        let tools = ["kustomize-controller", "argocd", "helm"];
        let owned =
            |view: &RouteView| view.writer.as_ref().is_some_and(|w| tools.iter().any(|t| w.starts_with(t)));
        let advice: Vec<String> = self
            .views()
            .into_iter()
            .filter(|(_, view)| owned(view))
            .map(|(seen, view)| {
                format!(
                    "{}: {} owns the weights. {}",
                    seen.route,
                    super::drift::writer(view),
                    super::drift::remedy(view)
                )
            })
            .collect();
        for sentence in advice {
            self.tell(false, "GitOps", sentence);
        }
    }

    fn find_stable(&self) -> Result<Found, String> {
        let mut found: Option<Found> = None;
        let views = self.views();
        let lists = views.iter().flat_map(|(seen, view)| view.lists.iter().map(move |list| (*seen, list)));
        for (seen, list) in lists {
            let one = self.find_on(seen, list)?;
            match &found {
                Some(first) if !first.stable.same_entry(&one.stable) => {
                    return Err(format!(
                        "{} has all its weight on {}, another route on {}; they must agree (where it calls the same \
                         version otherwise, routes[].target and routes[].stable say how)",
                        list.of(&seen.route),
                        one.stable.name,
                        first.stable.name
                    ));
                }
                Some(first) if first.share != one.share => {
                    return Err(format!(
                        "{} shows another canary share than the first route; they must agree",
                        list.of(&seen.route)
                    ));
                }
                Some(_) => {}
                None => found = Some(one),
            }
        }
        found.ok_or_else(|| "no route could be read".to_owned())
    }

    fn find_on(&self, seen: &RouteSeen, list: &ListSeen) -> Result<Found, String> {
        let weighted: Vec<&EntrySeen> = list.entries.iter().filter(|entry| entry.weight > 0).collect();
        match weighted.as_slice() {
            [] => Err(format!("{} gives no target any weight; give stable 100", list.of(&seen.route))),
            [one] => Ok(Found { stable: self.target_of(one, seen, list)?, share: None }),
            several => {
                let Some(stable) = self.specified_stable() else {
                    let names: Vec<_> = several.iter().map(|e| format!("{} {}", e.name, e.weight)).collect();
                    return Err(format!(
                        "{} splits traffic ({}); give spec.stable to tell which of them is stable",
                        list.of(&seen.route),
                        names.join(", ")
                    ));
                };
                self.find_share(seen, list, &stable, several)
            }
        }
    }

    fn find_share(
        &self,
        seen: &RouteSeen,
        list: &ListSeen,
        stable: &Target,
        several: &[&EntrySeen],
    ) -> Result<Found, String> {
        let canary = self.wanted();
        let route = list.of(&seen.route);
        if list.entry(stable).is_none() {
            return Err(format!("{route} does not list spec.stable {}", stable.name));
        }
        if let Some(stranger) = several.iter().find(|e| !e.is(stable) && !e.is(&canary)) {
            return Err(format!(
                "{route} gives {} weight {}, which is neither stable nor target; take it out first",
                stranger.name, stranger.weight
            ));
        }
        let (share, total) = (list.weight(&canary) * 100, list.total());
        let percent = i32::try_from(share / total.max(1)).ok().filter(|_| share % total.max(1) == 0);
        let weight = percent.and_then(|percent| Weight::try_from(percent).ok());
        let weight = weight.ok_or_else(|| format!("{route}: the canary's share is no whole percentage"))?;
        Ok(Found { stable: stable.clone(), share: Some(weight) })
    }

    /// What the spec says is stable, where it does.
    fn specified_stable(&self) -> Option<Target> {
        let stable = self.spec.stable.as_ref()?;
        Some(self.of_ref(stable, |route| route.stable.as_ref()))
    }

    /// The target of an entry, with what the spec knows of it. Where a route has names of its own, one that is not in the spec
    /// is no target's: taken for one, it would be in the way of the version's own name later.
    fn target_of(&self, entry: &EntrySeen, seen: &RouteSeen, list: &ListSeen) -> Result<Target, String> {
        let wanted = self.wanted();
        let there = wanted.name_on(&seen.route).to_owned();
        let renamed = there != wanted.name;
        let known = [Some(wanted), self.specified_stable()];
        if let Some(target) = known.into_iter().flatten().find(|target| entry.is(target)) {
            return Ok(target);
        }
        if renamed {
            return Err(format!(
                "{} calls versions by names of its own (routes[].target: {there}), and which one it calls {} is not told; give \
                 spec.stable, and {} as routes[].stable",
                list.of(&seen.route),
                entry.name,
                entry.name
            ));
        }
        let twins = list.entries.iter().filter(|other| other.name == entry.name).count() > 1;
        let port = if twins { entry.port } else { None };
        Ok(self.of_ref(&TargetRef { name: entry.name.clone(), port, workload_ref: None }, |_| None))
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
        if let Some((reason, sentence)) = self.previews_refused(&steps) {
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
        let number = self.greatest_run() + 1;
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
        self.memory.held = None;
        self.memory.scaled = None;
        self.tell(false, "RunStarted", sentence.clone());
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
        Some(_) | None => step.weight.to_string(),
    };
    let mut stages: Vec<String> = steps.iter().map(stage).collect();
    stages.dedup();
    format!("Run {number}: {name} goes to {} by steps", stages.join(", "))
}
