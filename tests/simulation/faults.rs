//! What may go wrong, and who may interfere. Each seed has its own few.

/// One kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    LosesRequests,
    LosesReplies,
    Delays,
    Doubles,
    Refuses,
    Crashes,
    Pauses,
    FreezesWatches,
    ReplaysOldLists,
    LosesMetrics,
    GivesNaN,
    ClocksDiffer,
    PeopleAbort,
    PeoplePromote,
    PeoplePause,
    PeopleSuspend,
    PeopleChangeTarget,
    PeopleSetWeights,
    PeopleReorder,
    PeopleAddWeight,
    ToolsRestoreGit,
    ToolsTakeStamps,
    ToolsTouch,
    RoutesAreReplaced,
    PodsVanish,
    ImagesChange,
    NewerLeads,
    PeopleDelete,
    /// Somebody makes something of a Rollout that can't be read as one.
    PeopleGarble,
    StampsAreForged,
    AdmissionRefuses,
    PeopleTouchPreviews,
    PeopleScale,
    ScalersChange,
    TemplatesChange,
}

impl Fault {
    pub const ALL: [Self; 35] = [
        Self::LosesRequests,
        Self::LosesReplies,
        Self::Delays,
        Self::Doubles,
        Self::Refuses,
        Self::Crashes,
        Self::Pauses,
        Self::FreezesWatches,
        Self::ReplaysOldLists,
        Self::LosesMetrics,
        Self::GivesNaN,
        Self::ClocksDiffer,
        Self::PeopleAbort,
        Self::PeoplePromote,
        Self::PeoplePause,
        Self::PeopleSuspend,
        Self::PeopleChangeTarget,
        Self::PeopleSetWeights,
        Self::PeopleReorder,
        Self::PeopleAddWeight,
        Self::ToolsRestoreGit,
        Self::ToolsTakeStamps,
        Self::ToolsTouch,
        Self::RoutesAreReplaced,
        Self::PodsVanish,
        Self::ImagesChange,
        Self::NewerLeads,
        Self::PeopleDelete,
        Self::PeopleGarble,
        Self::StampsAreForged,
        Self::AdmissionRefuses,
        Self::PeopleTouchPreviews,
        Self::PeopleScale,
        Self::ScalersChange,
        Self::TemplatesChange,
    ];
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub u64);

impl Faults {
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u64) != 0
    }

    #[must_use]
    pub const fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u64)
    }

    #[must_use]
    pub const fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << fault as u64))
    }

    pub fn list(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.has(*fault))
    }
}
