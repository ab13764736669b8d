//! Which of a route's weighted lists a Rollout steps, and by which names its entries go.
//!
//! A run freezes them: what it took stays its own until it is over, whatever becomes of the spec or of the object's
//! rules. Between runs they follow from the spec: the rules that it names, else every one that lists stable.

use std::sync::Arc;

use super::observed::{ListSeen, RouteState, RouteView};
use crate::api::{RolloutSpec, RolloutStatus, RouteRef, Target};

/// Why none of a route's lists can be stepped.
type Refusal = (&'static str, String);

/// What a Rollout sees of a route: of the whole object, the lists that are its own.
pub fn select(
    spec: &RolloutSpec,
    status: &RolloutStatus,
    route: &RouteRef,
    whole: &Arc<RouteView>,
) -> RouteState {
    if is_plain(spec, status, route, whole) {
        return RouteState::Present(Arc::clone(whole));
    }
    let names = Names::of(spec, status, route);
    let selected =
        if status.run.as_ref().is_some_and(|run| run.ended.as_ref().is_none_or(|ended| !ended.settled))
            && status.routes.iter().any(|noted| noted.route.same(route))
        {
            names.frozen(status, route, whole)
        } else {
            names.wanted(spec, status, route, whole).map(|lists| (lists, vec![]))
        };
    let (lists, gone) = match selected {
        Ok(selected) => selected,
        Err((reason, message)) => return RouteState::Unusable { reason, message },
    };
    let everything = lists.len() == whole.lists.len() && gone.is_empty();
    if everything && names.called.is_empty() {
        return RouteState::Present(Arc::clone(whole));
    }
    let lists =
        lists.into_iter().filter_map(|at| whole.lists.get(at)).map(|list| names.translated(list)).collect();
    RouteState::Present(Arc::new(RouteView { lists, gone, called: names.called, ..(**whole).clone() }))
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
    stable: Option<Target>,
    canary: Option<Target>,
    target: Target,
    /// A target's name, and how the route calls it; only where they differ.
    called: Vec<(String, String)>,
}

impl Names {
    fn of(spec: &RolloutSpec, status: &RolloutStatus, route: &RouteRef) -> Self {
        let plain = |name: &str, port| Target { name: name.to_owned(), port, ..Target::default() };
        let given = spec.routes.iter().find(|named| named.same(route)).unwrap_or(route);
        let stable = status.stable.clone().or_else(|| {
            let stable = spec.stable.as_ref()?;
            Some(plain(&stable.name, stable.port))
        });
        let mut called = Vec::new();
        let past = status.history.iter().flat_map(|entry| [&entry.target, &entry.stable]);
        for target in status.stable.iter().chain(&status.canary).chain(past) {
            let there = target.called.iter().find(|called| called.route == route.to_string());
            called.extend(there.map(|there| (target.name.clone(), there.name.clone())));
        }
        called.extend(given.target.clone().map(|name| (spec.target.name.clone(), name)));
        called.extend(
            spec.stable.as_ref().and_then(|stable| Some((stable.name.clone(), given.stable.clone()?))),
        );
        let mut first: Vec<(String, String)> = Vec::new();
        for (name, there) in called {
            if name != there && first.iter().all(|(known, _)| *known != name) {
                first.push((name, there));
            }
        }
        let target = plain(&spec.target.name, spec.target.port);
        Self { stable, canary: status.canary.clone(), target, called: first }
    }

    /// A list whose entries go by the names of targets.
    fn translated(&self, list: &ListSeen) -> ListSeen {
        let mut list = list.clone();
        for entry in &mut list.entries {
            if let Some((name, _)) = self.called.iter().find(|(_, there)| *there == entry.name) {
                entry.name.clone_from(name);
            }
        }
        list
    }

    fn has(&self, list: &ListSeen, target: &Target) -> bool {
        self.translated(list).entry(target).is_some()
    }

    fn lists_arm(&self, whole: &RouteView, at: usize, arm: Option<&Target>) -> bool {
        arm.is_some_and(|target| self.has(&whole.lists[at], target))
    }

    /// What the run took. A rule that is gone, or can't be read any more, is told beside the others, which are stepped and
    /// lowered as before.
    fn frozen(
        &self,
        status: &RolloutStatus,
        route: &RouteRef,
        whole: &RouteView,
    ) -> Result<(Vec<usize>, Vec<String>), Refusal> {
        let noted = status.routes.iter().filter(|noted| noted.route.same(route));
        let (mut lists, mut gone, mut unnamed) = (Vec::new(), Vec::new(), 0_usize);
        for noted in noted {
            match noted.route.rule.as_deref().filter(|rule| !rule.starts_with('#')) {
                None => unnamed += 1,
                Some(rule) => match named(whole, rule) {
                    Ok(at) => lists.push(at),
                    Err((_, why)) => gone.push(why),
                },
            }
        }
        if unnamed > 0 {
            let open = (0..whole.lists.len()).filter(|at| !lists.contains(at));
            let (mut ours, others): (Vec<usize>, Vec<usize>) =
                open.partition(|at| self.lists_arm(whole, *at, self.stable.as_ref()));
            // A rule that has lost stable's entry still has the canary's; an object's only list is ours whatever it has.
            let still =
                |at: &usize| whole.lists.len() == 1 || self.lists_arm(whole, *at, self.canary.as_ref());
            ours.extend(others.into_iter().filter(still).take(unnamed.saturating_sub(ours.len())));
            if ours.len() < unnamed {
                gone.push("a rule of it that listed stable is not there any more".to_owned());
            }
            lists.extend(ours);
        }
        lists.sort_unstable();
        lists.dedup();
        lists.retain(|at| match &whole.lists[*at].unusable {
            Some((_, why)) => {
                gone.push(why.clone());
                false
            }
            None => true,
        });
        if lists.is_empty() {
            let why = gone
                .into_iter()
                .next()
                .unwrap_or_else(|| "none of its rules lists stable any more".to_owned());
            return Err(("RuleNotFound", why));
        }
        Ok((lists, gone))
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
        let mut rules: Vec<&String> = specified.filter_map(|named| named.rule.as_ref()).collect();
        if spec.routes.iter().all(|named| !named.same(route)) {
            // One that the spec has left is let go of as it was taken.
            let noted = status.routes.iter().filter(|noted| noted.route.same(route));
            rules = noted.filter_map(|noted| noted.route.rule.as_ref()).collect();
            rules.retain(|rule| !rule.starts_with('#'));
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
        match lists.iter().find_map(|at| whole.lists[*at].unusable.clone()) {
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
            let list = self.translated(list);
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
