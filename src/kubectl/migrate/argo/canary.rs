//! A canary's steps, from Argo's list of things to do one after another.

use super::{
    super::{
        ledger::Ledger,
        metrics::Found,
        source::Fault,
        steps::{Draft, matching},
    },
    analysis::Gatherer,
    types::{Canary, Pause, RolloutAnalysis, SetCanaryScale, SetHeaderRoute, SetMirrorRoute, Step},
};
use crate::api::{Scale, units::Weight};

pub(super) const STEPS: &str = "spec.strategy.canary.steps";

/// Reads the list: what stands between two weights belongs to the first of them.
pub(super) struct Reader<'a, 'b> {
    /// Collects what steps measure.
    pub(super) gatherer: &'a mut Gatherer<'b>,
    /// Whether headers can be matched.
    pub(super) matches: bool,
    /// What the weights are shares of.
    pub(super) of: i64,
    /// What became of each field.
    pub(super) ledger: &'a mut Ledger,
    drafts: Vec<Draft>,
    scale: Option<(Scale, String)>,
}

impl<'a, 'b> Reader<'a, 'b> {
    /// Nothing read yet.
    pub(super) fn new(
        gatherer: &'a mut Gatherer<'b>,
        matches: bool,
        of: i64,
        ledger: &'a mut Ledger,
    ) -> Self {
        Self { gatherer, matches, of, ledger, drafts: vec![], scale: None }
    }

    /// The steps of a canary.
    pub(super) fn read(mut self, canary: &Canary) -> Result<Vec<Draft>, Fault> {
        for (i, step) in canary.steps.iter().enumerate() {
            self.step(step, &format!("{STEPS}[{i}]"))?;
        }
        if let Some((_, field)) = self.scale {
            self.ledger
                .lost(field, "no weight follows it; how many replicas stable has is up to its Deployment");
        }
        if self.drafts.is_empty() {
            self.ledger.ask(STEPS, "without steps all traffic goes over at once; give shares before 100");
            self.drafts.push(Draft { field: STEPS.to_owned(), weight: Weight::FULL, ..Draft::default() });
        }
        Ok(self.drafts)
    }

    fn step(&mut self, step: &Step, field: &str) -> Result<(), Fault> {
        if let Some(weight) = step.set_weight {
            self.weight(weight, &format!("{field}.setWeight"))?;
        }
        if let Some(scale) = &step.set_canary_scale {
            self.scale(scale, &format!("{field}.setCanaryScale"));
        }
        if let Some(route) = &step.set_header_route {
            self.header(route, &format!("{field}.setHeaderRoute"));
        }
        if let Some(route) = &step.set_mirror_route {
            self.mirror(route, &format!("{field}.setMirrorRoute"));
        }
        if let Some(pause) = &step.pause {
            self.pause(pause, &format!("{field}.pause"));
        }
        if let Some(analysis) = &step.analysis {
            self.analysis(analysis, &format!("{field}.analysis"))?;
        }
        Ok(())
    }

    fn share(&self) -> Weight {
        self.drafts.last().map_or(Weight::ZERO, |draft| draft.weight)
    }

    fn weight(&mut self, given: i64, field: &str) -> Result<(), Fault> {
        let percent = given.checked_mul(100).and_then(|hundred| hundred.checked_div(self.of));
        let weight =
            percent.and_then(|percent| i32::try_from(percent).ok()).and_then(|p| Weight::try_from(p).ok());
        let Some(weight) = weight else {
            return Err(Fault::new(field, format!("{given} is no weight; it must be from 0 to {}", self.of)));
        };
        if self.of != 100 {
            self.ledger.differs(field, format!("{given} of {} is {weight} here", self.of));
        }
        let before = self.share();
        if weight > before {
            self.ledger.carried(field);
            self.push(Draft { field: field.to_owned(), weight, ..Draft::default() });
        } else {
            let why = if weight == Weight::ZERO {
                "a run begins without a share by itself".to_owned()
            } else {
                format!("weights increase from step to step; the one before has {before} already")
            };
            self.ledger.lost(field, why);
        }
        Ok(())
    }

    fn push(&mut self, draft: Draft) {
        let scale = self.scale.take().map(|(scale, field)| {
            self.ledger.carried(&field);
            self.ledger
                .ask(field, "scaling: true in the controller's configuration, and `tidegate rbac --scaling`");
            scale
        });
        self.drafts.push(Draft { scale, ..draft });
    }

    fn pause(&mut self, pause: &Pause, field: &str) {
        let Some(current) = self.drafts.last_mut() else {
            self.ledger.lost(
                field,
                "before the first weight there is no step to wait in; to have a person agree before any traffic flows, let \
                 that be the review of the change of spec.target",
            );
            return;
        };
        match pause.duration {
            Some(duration) if duration.0.is_zero() => self.ledger.lost(field, "it takes no time"),
            Some(duration) => {
                if current.approval {
                    self.ledger.differs(field, "a person is asked last, when this time is over too");
                }
                current.hold = current.hold.saturating_add(duration.0);
                self.ledger.carried(field);
            }
            None => {
                current.approval = true;
                self.ledger.carried(field);
            }
        }
    }

    fn scale(&mut self, scale: &SetCanaryScale, field: &str) {
        let (wanted, at) = match (scale.replicas, scale.weight) {
            (Some(replicas), _) => {
                (Scale { replicas: Some(replicas), of_stable: None }, format!("{field}.replicas"))
            }
            (None, Some(weight)) => {
                (Scale { replicas: None, of_stable: Some(weight) }, format!("{field}.weight"))
            }
            (None, None) => return,
        };
        if wanted.replicas.or(wanted.of_stable).is_none_or(|least| least < 1) {
            self.ledger.lost(at, "the canary is never scaled down by a step, and has one ready pod at least");
            return;
        }
        if self.share() == Weight::FULL {
            self.ledger.lost(at, "no step follows that of weight 100");
            return;
        }
        if let Some((_, beaten)) = self.scale.replace((wanted, at)) {
            self.ledger.lost(beaten, "another scale follows before any weight does");
        }
    }

    fn header(&mut self, route: &SetHeaderRoute, field: &str) {
        let at = format!("{field}.match");
        if route.matching.is_empty() {
            let why = "a match holds until another step's takes its place or the run is over; it is not taken back before";
            return self.ledger.lost(field, why);
        }
        if self.share() == Weight::FULL {
            return self.ledger.lost(field, "no step follows that of weight 100");
        }
        if !self.matches {
            let why = "no other route can stand beside a VirtualRouter; name the GatewayRoute before it in spec.routes, and give \
                       the step a match";
            return self.ledger.lost(field, why);
        }
        let headers = route.matching.iter();
        let headers = headers.map(|asked| (asked.header_name.clone(), asked.header_value.exact.clone()));
        match matching(headers.collect()) {
            Err(why) => self.ledger.lost(at, why),
            Ok(found) => {
                self.ledger.carried(&at);
                self.ledger.lost(
                    format!("{field}.name"),
                    "the route that a match needs has a name of its own, <route>-preview-<rollout>",
                );
                self.ledger.ask(
                    &at,
                    "previews: true in the controller's configuration, and `tidegate rbac --previews`",
                );
                let weight = self.share();
                self.push(Draft {
                    field: field.to_owned(),
                    weight,
                    matching: Some(found),
                    ..Draft::default()
                });
            }
        }
    }

    fn mirror(&mut self, route: &SetMirrorRoute, field: &str) {
        let percent = route.percentage.and_then(|percent| Weight::try_from(percent).ok());
        let Some(percent) = percent.filter(|percent| *percent > Weight::ZERO) else {
            return self.ledger.lost(field, "a mirror is there for its step alone, and goes with it");
        };
        if self.drafts.iter().any(|draft| draft.mirror.is_none()) {
            let why =
                "mirrors come before all else: they are there to judge the canary before it answers anybody";
            return self.ledger.lost(field, why);
        }
        if !self.matches {
            let why = "a VirtualRouter has no mirrors; name the GatewayRoute before it in spec.routes, and give the step a mirror";
            return self.ledger.lost(field, why);
        }
        self.ledger.carried(format!("{field}.percentage"));
        self.push(Draft { field: field.to_owned(), mirror: Some(percent), ..Draft::default() });
    }

    fn analysis(&mut self, analysis: &RolloutAnalysis, field: &str) -> Result<(), Fault> {
        if self.drafts.is_empty() {
            self.ledger.lost(
                field,
                "before the first weight there is nothing to measure; judge it in a step, or in CI",
            );
            return Ok(());
        }
        let gathered = self.gatherer.gather(analysis, field, true, self.ledger)?;
        if let Some(current) = self.drafts.last_mut() {
            current.hold = current.hold.saturating_add(gathered.takes);
            current.metrics.extend(gathered.metrics);
        }
        Ok(())
    }
}

/// Moves the metrics of single steps to all steps, where nothing is measured in all: a step's analysis adds to
/// spec.analysis, and can't stand alone.
pub(super) fn to_all_steps(drafts: &mut [Draft], ledger: &mut Ledger) -> Vec<Found> {
    let mut all = vec![];
    for draft in drafts.iter_mut().filter(|draft| !draft.metrics.is_empty()) {
        ledger.differs(
            &draft.field,
            format!("what is measured at {} alone there is measured in every step here", draft.weight),
        );
        all.append(&mut draft.metrics);
    }
    all
}
