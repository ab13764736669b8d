//! Steps, or blue/green, out of Flagger's weights and iterations.

use std::time::Duration as Span;

use super::{
    super::{
        ledger::Ledger,
        steps::{Draft, default_hold, matching},
        values::duration,
    },
    types::Analysis,
};
use crate::api::{Approval, BlueGreen, RequestMatch, Stage, units::Weight};

/// How long Flagger waits between checks where nothing is said, and at least.
const INTERVAL: Span = Span::from_mins(1);
const LEAST_INTERVAL: Span = Span::from_secs(10);
/// How many checks blue/green has with the provider kubernetes, which has no shares.
const ITERATIONS: u32 = 10;

/// The way of a rollout.
pub(super) enum Way {
    /// By steps.
    Steps(Vec<Draft>),
    /// All at once.
    Switch(Box<BlueGreen>),
}

/// Reads the strategy out of an analysis.
pub(super) struct Reader<'a> {
    /// The analysis.
    pub(super) analysis: &'a Analysis,
    /// Its field.
    pub(super) at: &'a str,
    /// Whether headers can be matched.
    pub(super) matches: bool,
    /// Whether there are shares at all.
    pub(super) shares: bool,
    /// What became of each field.
    pub(super) ledger: &'a mut Ledger,
}

/// The time between checks.
pub(super) fn interval(analysis: &Analysis) -> Span {
    analysis.interval.map_or(INTERVAL, |given| given.0.max(LEAST_INTERVAL))
}

impl Reader<'_> {
    /// The strategy, with the approvals that webhooks ask for.
    pub(super) fn read(mut self) -> Way {
        if self.analysis.interval.is_some() {
            let each = interval(self.analysis);
            let at = format!("{}.interval", self.at);
            self.ledger.carried(&at);
            let each = crate::api::units::spell(each);
            self.ledger.differs(
                at,
                format!(
                    "one check each {each} decides there; here the canary is looked at all that time, and a step waits for \
                     proof for up to three holds"
                ),
            );
        }
        let iterations = self.iterations();
        let way = match (iterations, self.matched()) {
            (0, _) => Way::Steps(self.weights()),
            (iterations, Some(matching)) => Way::Steps(self.tried_by_some(iterations, matching)),
            (iterations, None) => Way::Switch(Box::new(self.switch(iterations))),
        };
        self.approved(way)
    }

    fn iterations(&mut self) -> u32 {
        match self.analysis.iterations {
            Some(iterations) if iterations > 0 => {
                self.ledger.carried(format!("{}.iterations", self.at));
                iterations
            }
            Some(_) | None if !self.shares => ITERATIONS,
            Some(_) | None => 0,
        }
    }

    fn watched(&self, iterations: u32) -> Span {
        interval(self.analysis).saturating_mul(iterations)
    }

    fn switch(&mut self, iterations: u32) -> BlueGreen {
        let hold = duration(self.watched(iterations)).unwrap_or_else(default_hold);
        let after = Stage {
            hold: duration(interval(self.analysis)).unwrap_or_else(default_hold),
            max_hold: None,
            approval: None,
            gates: None,
        };
        self.ledger.differs(
            self.at,
            format!(
                "Flagger is done when the checks are; here the target has all traffic for {} more, and is put back if it fails",
                after.hold
            ),
        );
        let before = Stage { hold, max_hold: None, approval: None, gates: None };
        BlueGreen { preview: None, scale: None, before: Some(before), after }
    }

    fn tried_by_some(&mut self, iterations: u32, matching: RequestMatch) -> Vec<Draft> {
        let at = format!("{}.match[0]", self.at);
        self.ledger
            .ask(&at, "previews: true in the controller's configuration, and `tidegate rbac --previews`");
        let hold = self.watched(iterations);
        vec![Draft { field: at, matching: Some(matching), hold, ..Draft::default() }]
    }

    /// Who tries the version: the first of the matches, if it asks for exact headers and nothing else.
    fn matched(&mut self) -> Option<RequestMatch> {
        let mut found = None;
        for (i, asked) in self.analysis.matching.iter().enumerate() {
            let at = format!("{}.match[{i}]", self.at);
            let headers = asked.headers.iter().map(|(name, value)| (name.clone(), value.exact.clone()));
            let read = if !self.matches {
                Err("no other route can stand beside a VirtualRouter; name the GatewayRoute before it in spec.routes".to_owned())
            } else if let Some(more) = asked.more.keys().next() {
                Err(format!("it asks for {more} too, and only headers can be asked for"))
            } else if found.is_some() {
                Err("one match of several is enough there; here a step has one, all of whose headers a request must have".to_owned())
            } else {
                matching(headers.collect())
            };
            match read {
                Ok(read) => {
                    self.ledger.carried(at);
                    found = Some(read);
                }
                Err(why) => self.ledger.lost(at, why),
            }
        }
        found
    }

    fn weights(&mut self) -> Vec<Draft> {
        let (mut weights, at) = self.listed();
        for (weight, _) in &mut weights {
            *weight = (*weight).min(100);
        }
        let hold = interval(self.analysis);
        let mut drafts: Vec<Draft> = self.mirror(hold).into_iter().collect();
        for (percent, field) in weights {
            let before = drafts.last().map_or(Weight::ZERO, |draft| draft.weight);
            match Weight::try_from(percent) {
                Ok(weight) if weight > before => {
                    drafts.push(Draft { field, weight, hold, ..Draft::default() });
                }
                Ok(_) | Err(_) => {
                    self.ledger.lost(
                        field,
                        format!("weights increase from step to step; the one before has {before}"),
                    );
                }
            }
        }
        if drafts.iter().all(|draft| draft.mirror.is_some()) {
            let why = "nothing says by which shares traffic goes over, so Flagger would not step either; give the steps";
            self.ledger.ask(at.clone(), why);
            drafts.push(Draft { field: at, weight: Weight::FULL, hold, ..Draft::default() });
        }
        drafts
    }

    /// The step before any share, where requests are to be copied first.
    fn mirror(&mut self, hold: Span) -> Option<Draft> {
        let Analysis { mirror: true, mirror_weight, .. } = self.analysis else { return None };
        let percent = Weight::try_from(mirror_weight.unwrap_or(100)).ok();
        let percent = percent.filter(|percent| *percent > Weight::ZERO && self.matches)?;
        let field = format!("{}.mirror", self.at);
        self.ledger.carried(&field);
        if mirror_weight.is_some() {
            self.ledger.carried(format!("{}.mirrorWeight", self.at));
        }
        Some(Draft { field, mirror: Some(percent), hold, ..Draft::default() })
    }

    /// The shares that Flagger steps through, each with its field, and what speaks for all of them.
    fn listed(&mut self) -> (Vec<(i32, String)>, String) {
        let Analysis { step_weight, step_weights, max_weight, .. } = self.analysis;
        let step = step_weight.unwrap_or_default();
        if step <= 0 {
            let at = format!("{}.stepWeights", self.at);
            let each = step_weights.iter().enumerate().map(|(i, weight)| (*weight, format!("{at}[{i}]")));
            let each: Vec<(i32, String)> = each.collect();
            for (_, field) in &each {
                self.ledger.carried(field);
            }
            return (each, at);
        }
        let at = format!("{}.stepWeight", self.at);
        self.ledger.carried(&at);
        let last = step_weights.last().copied().map(|last| last.min(100));
        if last.is_none() && max_weight.is_some() {
            self.ledger.carried(format!("{}.maxWeight", self.at));
        }
        if let (Some(_), last) = (last, step_weights.len() - usize::from(!step_weights.is_empty())) {
            self.ledger.carried(format!("{}.stepWeights[{last}]", self.at));
        }
        let most = last.or(*max_weight).filter(|most| *most > 0).unwrap_or(100);
        // Flagger adds a step as long as the most is not reached, and so may go beyond it.
        let shares = (1..).map(|n: i32| n.saturating_mul(step));
        let below = shares.clone().take_while(|share| *share < most).count();
        let shares: Vec<(i32, String)> = shares.take(below + 1).map(|share| (share, at.clone())).collect();
        if let Some((highest, _)) = shares.last().filter(|(highest, _)| *highest > most && most < 100) {
            let past =
                format!("steps of {step} go past {most}, to {highest}, before they end; so Flagger does it");
            self.ledger.differs(&at, past);
        }
        (shares, at)
    }

    /// Adds the approvals; what else a webhook does is told.
    fn approved(&mut self, mut way: Way) -> Way {
        for (i, hook) in self.analysis.webhooks.iter().enumerate() {
            let at = format!("{}.webhooks[{i}]", self.at);
            if !matches!(
                hook.kind.as_str(),
                "confirm-rollout" | "confirm-promotion" | "confirm-traffic-increase"
            ) {
                self.ledger.lost(at, format!("{}: {}", hook.name, super::known::of_webhook(&hook.kind)));
                continue;
            }
            self.ledger.carried(format!("{at}.type"));
            match &mut way {
                Way::Steps(drafts) => confirm(&hook.kind, drafts, &at, self.ledger),
                Way::Switch(both) => {
                    if let Some(before) = &mut both.before {
                        before.approval = Some(Approval::Required);
                    }
                }
            }
        }
        way
    }
}

fn confirm(kind: &str, drafts: &mut [Draft], at: &str, ledger: &mut Ledger) {
    match kind {
        "confirm-rollout" => {
            if let Some(first) = drafts.first_mut() {
                first.approval = true;
            }
            ledger.differs(
                at,
                "there nothing flows before it is confirmed; here the first step's traffic does, and no more until a person \
                 agrees. To have nothing flow, name a gate in gates.before of the first step",
            );
        }
        "confirm-promotion" => {
            if let Some(last) = drafts.iter_mut().rfind(|draft| draft.weight < Weight::FULL) {
                last.approval = true;
            }
        }
        _ => drafts.iter_mut().for_each(|draft| draft.approval = true),
    }
}
