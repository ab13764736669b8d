//! Which of a route's weighted lists a Rollout steps, and by which names its entries go.
//!
//! A run freezes them: what it took stays its own until it is over, whatever becomes of the spec or of the object's
//! rules. Between runs they follow from the spec: the rules that it names, else every one that lists stable.

use std::sync::Arc;

use super::observed::{EntrySeen, ListSeen, RouteState, RouteView};
use crate::api::{RawEntry, RolloutSpec, RolloutStatus, RouteRef, Target, units::Weight};

/// Why none of a route's lists can be stepped.
type Refusal = (&'static str, String);

/// What a Rollout sees of a route: of the whole object, the lists that are its own.
pub fn select(spec: &RolloutSpec, status: &RolloutStatus, route: &RouteRef, found: RouteState) -> RouteState {
    let RouteState::Present(whole) = found else { return found };
    if is_plain(spec, status, route, &whole) {
        return RouteState::Present(whole);
    }
    let names = Names::of(spec, status, route, &whole);
    let selected = if names.frozen && status.routes.iter().any(|noted| noted.route.same(route)) {
        names.taken(status, route, &whole)
    } else {
        names.wanted(spec, status, route, &whole).map(|lists| (lists, vec![]))
    };
    let (lists, gone) = match selected {
        Ok(selected) => selected,
        Err((reason, message)) => return RouteState::Unusable { reason, message },
    };
    let lone = whole.lists.iter().any(|list| list.lone);
    let everything = lists.len() == whole.lists.len() && gone.is_empty() && !lone;
    if everything && names.called.is_empty() {
        return RouteState::Present(whole);
    }
    let (own, beside): (Vec<_>, Vec<_>) =
        whole.lists.iter().enumerate().partition(|(at, _)| lists.contains(at));
    let translated = |lists: Vec<(usize, &ListSeen)>| -> Vec<ListSeen> {
        lists.into_iter().map(|(_, list)| names.translated(&whole, list)).collect()
    };
    let (own, beside) = (translated(own), translated(beside));
    RouteState::Present(Arc::new(RouteView { beside, gone, called: names.called, ..whole.with_lists(own) }))
}

/// The objects of spec and status that are routes, each once.
pub fn routes(spec: &RolloutSpec, status: &RolloutStatus) -> Vec<RouteRef> {
    let mut objects: Vec<RouteRef> = Vec::new();
    for route in spec.routes.iter().chain(status.routes.iter().map(|noted| &noted.route)) {
        if !objects.iter().any(|known| known.same(route)) {
            objects.push(route.clone());
        }
    }
    objects
}

/// Whether a run is not over yet.
fn is_underway(status: &RolloutStatus) -> bool {
    status.run.as_ref().is_some_and(|run| run.ended.as_ref().is_none_or(|ended| !ended.settled))
}

/// Whether a single target can do what the run asks for, or the next one would: it has all traffic or none.
fn is_switched(spec: &RolloutSpec, status: &RolloutStatus) -> bool {
    match status.run.as_ref().filter(|_| is_underway(status)) {
        Some(run) => run.plan.iter().all(|step| [Weight::ZERO, Weight::FULL].contains(&step.weight)),
        None => spec.strategy.blue_green.is_some(),
    }
}

/// Whether an entry of that name has weight anywhere on the object.
fn has_weight(whole: &RouteView, name: &str) -> bool {
    whole.lists.iter().flat_map(|list| &list.entries).any(|entry| entry.name == name && entry.weight > 0)
}

/// Whether there is nothing to choose and nothing to translate, as on most routes.
fn is_plain(spec: &RolloutSpec, status: &RolloutStatus, route: &RouteRef, whole: &RouteView) -> bool {
    let [list] = whole.lists.as_slice() else { return false };
    let specified = spec.routes.iter().filter(|named| named.same(route));
    let noted = status.routes.iter().map(|noted| &noted.route).filter(|noted| noted.same(route));
    let mut refs = specified.chain(noted.clone());
    let past = status.history.iter().flat_map(|entry| [&entry.target, &entry.stable]);
    let mut targets = status.stable.iter().chain(&status.canary).chain(past);
    list.rule.is_none()
        && list.unusable.is_none()
        && noted.count() < 2
        && refs.all(|route| route.rule.is_none() && route.target.is_none() && route.stable.is_none())
        && targets.all(|target| target.called.is_empty())
}

/// The names that a Rollout knows its targets by on one route.
struct Names {
    /// A run is under way, and what it took is its own.
    frozen: bool,
    stable: Option<Target>,
    canary: Option<Target>,
    target: Target,
    /// A target's name, and how the route calls it; only where they differ.
    called: Vec<(String, String)>,
    /// Single targets can be stepped.
    switched: bool,
    /// Stable's entry on this route, as the run found it.
    noted: Option<RawEntry>,
}

impl Names {
    /// What was called somehow when it was taken up keeps that name, whatever the spec says of it later: a changed word there
    /// must not move traffic. No two targets go by one name.
    fn of(spec: &RolloutSpec, status: &RolloutStatus, route: &RouteRef, whole: &RouteView) -> Self {
        let frozen = is_underway(status);
        let given = spec.routes.iter().find(|named| named.same(route)).unwrap_or(route);
        let specified = [
            Some((spec.target.name.as_str(), given.target.as_deref())),
            spec.stable.as_ref().map(|stable| (stable.name.as_str(), given.stable.as_deref())),
        ];
        let specified: Vec<(&str, &str)> =
            specified.into_iter().flatten().map(|(name, there)| (name, there.unwrap_or(name))).collect();
        let kept = |target: &Target| {
            let there = target.called.iter().find(|called| called.route == route.to_string());
            there.map(|there| there.name.clone())
        };
        let mut known: Vec<(String, String)> = Vec::new();
        let mut know = |name: &str, there: &str| {
            if known.iter().all(|(one, other)| one != name && other != there) {
                known.push((name.to_owned(), there.to_owned()));
            }
        };
        if let Some(stable) = &status.stable {
            // A route that has just joined is not known to it; there the spec says what has the traffic.
            let joined = specified.iter().find(|(name, there)| {
                *name == stable.name && has_weight(whole, there) && !has_weight(whole, name)
            });
            let there = kept(stable).or_else(|| joined.map(|(_, there)| (*there).to_owned()));
            know(&stable.name, there.as_deref().unwrap_or(&stable.name));
        }
        if let Some(canary) = status.canary.as_ref().filter(|_| frozen) {
            know(&canary.name, kept(canary).as_deref().unwrap_or(&canary.name));
        }
        for (name, there) in specified {
            know(name, there);
        }
        let past = status.history.iter().flat_map(|entry| [&entry.target, &entry.stable]);
        for target in status.canary.iter().chain(past) {
            if let Some(there) = kept(target) {
                know(&target.name, &there);
            }
        }
        known.retain(|(name, there)| name != there);
        let plain = |name: &str, port| Target { name: name.to_owned(), port, ..Target::default() };
        let stable = status.stable.clone().or_else(|| {
            let stable = spec.stable.as_ref()?;
            Some(plain(&stable.name, stable.port))
        });
        let target = plain(&spec.target.name, spec.target.port);
        let switched = is_switched(spec, status);
        let noted = status.routes.iter().find(|noted| frozen && noted.route.same(route));
        let noted = noted.map(|noted| noted.stable_entry.clone());
        Self { frozen, stable, canary: status.canary.clone(), target, called: known, switched, noted }
    }

    /// The target that an entry goes by the name of.
    fn target_of<'a>(&'a self, called: &'a str) -> &'a str {
        self.called.iter().find(|(_, there)| there == called).map_or(called, |(name, _)| name)
    }

    /// A list whose entries go by the names of targets. A single target that can be switched becomes a list: whoever it
    /// does not name has nothing of its traffic.
    fn translated(&self, whole: &RouteView, list: &ListSeen) -> ListSeen {
        let mut list = list.clone();
        for entry in &mut list.entries {
            entry.name = self.target_of(&entry.name).to_owned();
        }
        for mirror in list.mirrors.iter_mut().flat_map(|mirrors| &mut mirrors.entries) {
            mirror.name = self.target_of(&mirror.name).to_owned();
        }
        if list.lone {
            list.unusable = None;
            let canary = self.canary.as_ref().filter(|_| self.frozen);
            for target in self.stable.iter().chain(canary).chain([&self.target]) {
                if list.entry(target).is_none()
                    && let Some(absent) = self.absent(whole, &list, target)
                {
                    list.entries.push(absent);
                }
            }
        }
        list
    }

    /// The entry of a target that a single target does not name: like the one that stands there.
    fn absent(&self, whole: &RouteView, list: &ListSeen, target: &Target) -> Option<EntrySeen> {
        let mut entry = list.entries.first()?.clone();
        if let Some(noted) = self
            .noted
            .as_ref()
            .filter(|_| self.stable.as_ref().is_some_and(|stable| stable.same_entry(target)))
        {
            // Stable's own is known, port and all.
            let port = noted.0.get("port").and_then(serde_json::Value::as_i64);
            let port = port.and_then(|port| i32::try_from(port).ok());
            return Some(EntrySeen { name: target.name.clone(), port, weight: 0, raw: noted.clone() });
        }
        let there = self.called.iter().find(|(name, _)| *name == target.name);
        let there = there.map_or(&target.name, |(_, there)| there);
        *Arc::make_mut(&mut entry.raw.0).pointer_mut(whole.name_field)? = there.as_str().into();
        Some(EntrySeen { name: target.name.clone(), port: target.port.or(entry.port), weight: 0, ..entry })
    }

    /// Why a list can't be stepped in this way.
    fn refusal(&self, list: &ListSeen) -> Option<Refusal> {
        list.unusable.clone().filter(|_| !(list.lone && self.switched))
    }

    fn has(&self, list: &ListSeen, target: &Target) -> bool {
        let is = |entry: &EntrySeen| {
            self.target_of(&entry.name) == target.name && (target.port.is_none() || target.port == entry.port)
        };
        list.entries.iter().any(is)
    }

    /// What the run took, by what tells a rule from the others. One that is gone, or can't be read any more, is told beside the
    /// others, which are lowered as before while nothing is raised. What has just our weights in place of one that is gone is
    /// taken for it under another name.
    fn taken(
        &self,
        status: &RolloutStatus,
        route: &RouteRef,
        whole: &RouteView,
    ) -> Result<(Vec<usize>, Vec<String>), Refusal> {
        let noted = status.routes.iter().filter(|noted| noted.route.same(route));
        let (mut lists, mut gone) = (Vec::new(), Vec::new());
        for noted in noted {
            let rule = noted.route.rule.as_ref();
            match whole.lists.iter().position(|list| list.rule.as_ref() == rule) {
                Some(at) => lists.push(at),
                None => gone.push(match rule.filter(|rule| !rule.starts_with('#')) {
                    Some(rule) => format!("its rule {rule}, which the run took, is not there any more"),
                    None => "a rule without a name, which the run took, is not there any more".to_owned(),
                }),
            }
        }
        let others = (0..whole.lists.len()).filter(|at| !lists.contains(at));
        let renamed: Vec<usize> =
            others.filter(|at| self.has_our_weights(status, whole, &whole.lists[*at])).collect();
        if renamed.len() == gone.len() {
            lists.extend(renamed);
        }
        lists.sort_unstable();
        lists.retain(|at| match self.refusal(&whole.lists[*at]) {
            Some((_, why)) => {
                gone.push(why);
                false
            }
            None => true,
        });
        if lists.is_empty() {
            let why = gone.into_iter().next().unwrap_or_else(|| "it has none of the run's rules".to_owned());
            return Err(("RuleNotFound", why));
        }
        Ok((lists, gone))
    }

    /// Whether a list gives the two arms what the run's present step gives them, or the one before.
    fn has_our_weights(&self, status: &RolloutStatus, whole: &RouteView, list: &ListSeen) -> bool {
        let (Some(stable), Some(canary), Some(run)) = (&self.stable, &self.canary, &status.run) else {
            return false;
        };
        let list = self.translated(whole, list);
        let share = list.weight(canary);
        let index = status.step.as_ref().and_then(|step| usize::try_from(step.index).ok()).unwrap_or(0);
        let steps = [index, index.saturating_sub(1)].map(|at| run.plan.get(at.saturating_sub(1)));
        let planned = steps.into_iter().flatten().any(|step| i64::from(step.weight.percent()) == share);
        share > 0 && planned && list.weight(stable) == 100 - share && list.total() == 100
    }

    /// What the next run is to take.
    fn wanted(
        &self,
        spec: &RolloutSpec,
        status: &RolloutStatus,
        route: &RouteRef,
        whole: &RouteView,
    ) -> Result<Vec<usize>, Refusal> {
        let specified = spec.routes.iter().filter(|named| named.same(route));
        let rules: Vec<&String> = specified.filter_map(|named| named.rule.as_ref()).collect();
        if spec.routes.iter().all(|named| !named.same(route)) {
            // One that the spec has left is let go of as it was taken.
            return self.taken(status, route, whole).map(|(lists, _)| lists);
        }
        let lists: Vec<usize> = if !rules.is_empty() {
            let lists: Result<Vec<usize>, Refusal> =
                rules.into_iter().map(|rule| named(whole, rule)).collect();
            lists?
        } else if whole.lists.len() == 1 {
            vec![0]
        } else {
            let stable = match &self.stable {
                Some(stable) => stable.clone(),
                None => self.guess(whole)?,
            };
            let lists: Vec<usize> =
                (0..whole.lists.len()).filter(|at| self.has(&whole.lists[*at], &stable)).collect();
            if lists.is_empty() {
                let message = format!(
                    "none of its rules lists {}, which is stable; add its entry with all the weight to the rule that is \
                     meant, or name the rule",
                    stable.name
                );
                return Err(("StableNotListed", message));
            }
            lists
        };
        match lists.iter().find_map(|at| self.refusal(&whole.lists[*at])) {
            Some(refusal) => Err(refusal),
            None => Ok(lists),
        }
    }

    /// What has all the weight on the rules that list the target, or else on all: it is what adoption finds stable.
    fn guess(&self, whole: &RouteView) -> Result<Target, Refusal> {
        let readable = || whole.lists.iter().filter(|list| list.unusable.is_none());
        let mut lists: Vec<&ListSeen> = readable().filter(|list| self.has(list, &self.target)).collect();
        if lists.is_empty() {
            lists = readable().collect();
        }
        let mut holders = lists.into_iter().map(|list| {
            let list = self.translated(whole, list);
            let mut weighted = list.entries.iter().filter(|entry| entry.weight > 0);
            let first = weighted.next().map(|entry| entry.name.clone());
            first.filter(|_| weighted.next().is_none())
        });
        let first = holders.next().flatten();
        match first.filter(|first| holders.all(|holder| holder.as_ref() == Some(first))) {
            Some(name) => Ok(Target { name, ..Target::default() }),
            None => Err((
                "Ambiguous",
                "its rules do not all send their traffic to one target, so which of them are meant can't be told; name \
                 the rule in spec.routes, or give spec.stable"
                    .to_owned(),
            )),
        }
    }
}

/// The only list whose rule has a name.
fn named(whole: &RouteView, rule: &str) -> Result<usize, Refusal> {
    let is =
        |at: &usize| whole.lists[*at].rule_field.is_some() && whole.lists[*at].rule.as_deref() == Some(rule);
    let found: Vec<usize> = (0..whole.lists.len()).filter(is).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let known = whole.lists.iter().filter(|list| list.rule_field.is_some());
            let known: Vec<&str> = known.filter_map(|list| list.rule.as_deref()).collect();
            let known = if known.is_empty() { "none has a name".to_owned() } else { known.join(", ") };
            Err(("RuleNotFound", format!("it has no rule named {rule} ({known})")))
        }
        _ => Err(("RuleAmbiguous", format!("it has several rules named {rule}; one must remain"))),
    }
}
