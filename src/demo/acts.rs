//! The acts: which there are, what each is about, and what the demo does in it.

use super::{
    routes::Routes,
    strategy::Strategy,
    traffic::{Tallies, Trial},
    world::USUAL_ERRORS,
};

/// How an act should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The version becomes stable.
    Promoted,
    /// The version goes back to 0 at its first step, because a metric failed.
    RolledBack,
    /// The version had everything, and goes back to 0 because a metric failed.
    PutBack,
}

/// How an act begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The version, which the route lists, becomes the target.
    Listed,
    /// The version's manifests are applied, and it becomes the target.
    New,
    /// The version failed, and somebody asks that it be tried again.
    Again,
}

/// What becomes of a version's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// As few fail as of any service.
    Usual,
    /// This share fails, in percent.
    Percent(u8),
    /// This share fails, in percent, from when everybody's requests come.
    PercentOfMany(u8),
}

/// What comes before a version's first share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// Requests that ask for it get the version; nobody else's do.
    Preview,
    /// A person agrees. In the demo it is the demo.
    Approval,
}

/// One act: a version becomes the Rollout's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// Counted from 1.
    pub number: u8,
    /// The version, such as `v2`.
    pub version: &'static str,
    /// What is to be seen, in a sentence.
    pub title: &'static str,
    /// How it begins.
    pub beginning: Beginning,
    /// What the version fails.
    pub fault: Fault,
    /// What comes before its first share.
    pub before: Before,
    /// How it should end.
    pub ending: Ending,
}

/// What is to be seen with a strategy and a kind of route.
pub fn acts(strategy: Strategy, routes: Routes) -> &'static [Act] {
    match (strategy, routes.has_previews()) {
        (Strategy::Canary, _) => &CANARY,
        (Strategy::BlueGreen, true) => &PREVIEWED,
        (Strategy::BlueGreen, false) => &APPROVED,
    }
}

/// A healthy version is promoted; a bad one, that no route lists yet, is rolled back.
const CANARY: [Act; 2] = [
    Act {
        number: 1,
        version: "v2",
        title: "v2 is healthy: it should be promoted.",
        beginning: Beginning::Listed,
        fault: Fault::Usual,
        before: Before::Nothing,
        ending: Ending::Promoted,
    },
    Act {
        number: 2,
        version: "v3",
        title: "v3 fails 5% of its requests, and no route lists it yet: it should be rolled back at its first step.",
        beginning: Beginning::New,
        fault: Fault::Percent(5),
        before: Before::Nothing,
        ending: Ending::RolledBack,
    },
];
/// A healthy version is tried and gets everything; a bad one fails its preview; one that does well there fails afterwards.
const PREVIEWED: [Act; 3] = [
    Act {
        number: 1,
        version: "v2",
        title: "v2 is healthy: those who ask for it should get it first, then everybody at once.",
        beginning: Beginning::Listed,
        fault: Fault::Usual,
        before: Before::Preview,
        ending: Ending::Promoted,
    },
    Act {
        number: 2,
        version: "v3",
        title: "v3 fails 30% of its requests, and no route lists it yet: it should fail its preview, and nobody who did not ask \
                for it should get it.",
        beginning: Beginning::New,
        fault: Fault::Percent(30),
        before: Before::Preview,
        ending: Ending::RolledBack,
    },
    Act {
        number: 3,
        version: "v3",
        title: "v3 is mended and tried again, but fails 10% once everybody's requests come: it should pass its preview, get \
                everything, and be put back at once.",
        beginning: Beginning::Again,
        fault: Fault::PercentOfMany(10),
        before: Before::Preview,
        ending: Ending::PutBack,
    },
];
/// The same where there is no preview: a person agrees to the switch.
const APPROVED: [Act; 2] = [
    Act {
        number: 1,
        version: "v2",
        title: "v2 is healthy: once the demo agrees to the switch, it should get everything at once.",
        beginning: Beginning::Listed,
        fault: Fault::Usual,
        before: Before::Approval,
        ending: Ending::Promoted,
    },
    Act {
        number: 2,
        version: "v3",
        title: "v3 fails 10% once everybody's requests come, and no route lists it yet: it should get everything once the demo \
                agrees, and be put back at once.",
        beginning: Beginning::New,
        fault: Fault::PercentOfMany(10),
        before: Before::Approval,
        ending: Ending::PutBack,
    },
];

impl Act {
    /// The version's name in routes.
    pub fn target(&self, routes: Routes) -> String {
        routes.target(self.version)
    }

    /// The share of its requests, from 0 to 1, that the version fails: of those before it has any share of everybody's, or
    /// of those after.
    pub fn error_share(&self, many: bool) -> f64 {
        match self.fault {
            Fault::Percent(percent) => f64::from(percent) / 100.0,
            Fault::PercentOfMany(percent) if many => f64::from(percent) / 100.0,
            Fault::PercentOfMany(_) | Fault::Usual => USUAL_ERRORS,
        }
    }

    /// The trial that comes before the version's first share, if one does.
    pub fn trial(&self, begun: Tallies) -> Option<Trial> {
        match self.before {
            Before::Preview => Some(Trial::new(self.version, begun)),
            Before::Nothing | Before::Approval => None,
        }
    }
}
