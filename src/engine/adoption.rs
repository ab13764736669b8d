//! What is stable at first sight of a Rollout.

use super::{
    observed::{EntrySeen, ListSeen, RouteSeen, RouteView},
    turn::Turn,
};
use crate::api::{Phase, Target, TargetRef, units::Weight};

/// What adoption found on the routes.
struct Found {
    stable: Target,
    /// The canary's share, where it has one already.
    share: Option<Weight>,
}

impl Turn<'_> {
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
}
