//! The command `tidegate bench`: what the controller costs and how fast it is, counted and timed.
//!
//! The controller that is measured is this same program or another build of it, run as a process of its own in a namespace
//! of its own ([`stage`]), against the sandbox or a real API server ([`server`]). Each part is a file: [`requests`], [`rollback`],
//! [`idle`] (memory and restart), [`active`] and [`endurance`]. [`report`] holds what was found against the goals.

mod active;
mod audit;
mod calls;
mod cleaning;
mod endurance;
mod error;
mod eyes;
mod goals;
mod idle;
mod numbers;
mod objects;
mod picture;
mod process;
mod progress;
mod prometheus;
mod receiver;
mod replica;
mod report;
mod requests;
mod rollback;
mod server;
mod stage;
mod traffic;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use self::{cleaning::Rooms, progress::Progress, requests::Times, server::Server, stage::Stage};
pub use self::{
    error::BenchError,
    report::{Figure, Report},
};
use crate::demo::{Routes, signals};

/// How many fail at once where the controller has more to do than one rollback.
const AT_ONCE: usize = 6;

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// Calls of a whole run, of each step, at rest, and after an abort.
    Requests,
    /// From a bad answer of the metrics to the route on stable.
    Rollback,
    /// Memory and processor time with idle Rollouts.
    Memory,
    /// The same with many runs at once, and a takeover of all of them.
    Active,
    /// A restart among idle Rollouts while one fails.
    Restart,
    /// Many Rollouts in a loop of releases, for long: whether memory grows, or the calls.
    Endurance,
}

impl Part {
    /// What is measured where nothing is named: all that is done within half an hour.
    pub const USUAL: [Self; 5] = [Self::Requests, Self::Rollback, Self::Memory, Self::Active, Self::Restart];
}

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The parts.
    pub parts: Vec<Part>,
    /// The numbers of idle Rollouts, ascending.
    pub idle: Vec<usize>,
    /// The number of runs at once.
    pub active: usize,
    /// The number of rollbacks.
    pub runs: usize,
    /// How long endurance is measured.
    pub minutes: u64,
    /// The hold of a step there.
    pub hold: Duration,
    /// Where its picture is written.
    pub picture: Option<PathBuf>,
    /// With a standby and a Lease, a receiver of notices, and a scrape of both replicas.
    pub everything: bool,
    /// The kind of the routes.
    pub routes: Routes,
    /// Measure for seconds instead of minutes: shows that it works, the figures are worth little.
    pub brief: bool,
    /// The real API server; without one, the sandbox.
    pub kubeconfig: Option<PathBuf>,
    /// The audit log of the real API server.
    pub audit_log: Option<PathBuf>,
    /// The program that is measured as the controller; without one, this very program.
    pub program: Option<PathBuf>,
}

/// Measures, and removes everything again, whatever ends it. What one part lacks is told in the report, beside what the
/// others found.
pub async fn run(plan: Plan) -> Result<Report, BenchError> {
    let progress = Progress::new();
    let server = match &plan.kubeconfig {
        Some(kubeconfig) => Server::real(kubeconfig, plan.audit_log.as_deref(), plan.routes).await?,
        None => Server::sandbox(plan.routes).await?,
    };
    let program = match &plan.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().map_err(BenchError::machine("find this program"))?,
    };
    let rooms = Rooms::default();
    let bench = Bench { plan: &plan, server: &server, program: &program, progress: &progress, rooms: &rooms };
    let mut report = Report::new(server.name.clone(), &plan, server.records());
    let ended = tokio::select! {
        () = bench.measure(&mut report) => Ok(()),
        ended = signals::interrupted() => Err(match ended {
            Ok(()) => BenchError::Interrupted,
            Err(source) => BenchError::machine("wait for an interrupt")(source),
        }),
    };
    report.note("the rest", ended);
    report.note("clearing away", rooms.clean(&server.client, &progress).await);
    server.close().await;
    Ok(report)
}

struct Bench<'a> {
    plan: &'a Plan,
    server: &'a Server,
    program: &'a Path,
    progress: &'a Progress,
    rooms: &'a Rooms,
}

impl Bench<'_> {
    async fn measure(&self, report: &mut Report) {
        if self.asked(Part::Requests) {
            let outcome = self.requests(report).await;
            self.strike(report, "requests", outcome).await;
        }
        if self.asked(Part::Rollback) {
            let outcome = self.rollback(report).await;
            self.strike(report, "rollback", outcome).await;
        }
        if self.asked(Part::Memory) || self.asked(Part::Restart) {
            let outcome = self.idle(report).await;
            self.strike(report, "memory and restart", outcome).await;
        }
        if self.asked(Part::Active) {
            let outcome = self.active(report).await;
            self.strike(report, "active", outcome).await;
        }
        if self.asked(Part::Endurance) {
            let outcome = self.endurance(report).await;
            self.strike(report, "endurance", outcome).await;
        }
    }

    async fn requests(&self, report: &mut Report) -> Result<(), BenchError> {
        let times = if self.plan.brief { Times::BRIEF } else { Times::USUAL };
        let mut stage = self.stage("requests").await?;
        report.requests = requests::measure(&mut stage, times).await?;
        Ok(())
    }

    async fn rollback(&self, report: &mut Report) -> Result<(), BenchError> {
        let mut stage = self.stage("rollback").await?;
        stage.start()?;
        stage.ready().await?;
        for at_once in [1, AT_ONCE] {
            report.rollback.push(rollback::measure(&stage, at_once, self.plan.runs).await?);
        }
        Ok(())
    }

    async fn active(&self, report: &mut Report) -> Result<(), BenchError> {
        let mut stage = self.stage("active").await?;
        let hold = Duration::from_secs(if self.plan.brief { 1 } else { 30 });
        report.active = Some(active::measure(&mut stage, self.plan.active, hold, self.time()).await?);
        Ok(())
    }

    async fn endurance(&self, report: &mut Report) -> Result<(), BenchError> {
        let Plan { minutes, hold, .. } = *self.plan;
        let usual = || endurance::Times::usual(minutes, hold).ok_or(BenchError::TooShort { minutes, hold });
        let times = if self.plan.brief { endurance::Times::BRIEF } else { usual()? };
        let mut stage = self.stage("endurance").await?;
        let mut found = endurance::Endurance::new(self.plan.active, times);
        let outcome = endurance::measure(&mut stage, times, &mut found).await;
        let drawn = self.plan.picture.as_ref().map_or(Ok(()), |file| {
            let failed = BenchError::machine(format!("write {}", file.display()));
            std::fs::write(file, picture::drawn(&found)).map_err(failed)
        });
        report.endurance = Some(found);
        outcome.and(drawn)
    }

    async fn idle(&self, report: &mut Report) -> Result<(), BenchError> {
        let mut stage = self.stage("memory and restart").await?;
        if self.asked(Part::Memory) {
            report.memory.push(idle::measure(&mut stage, 0, self.time()).await?);
        }
        let templates = idle::templates(&mut stage, &objects::Way::quick(), 1).await?;
        let mut made = 0;
        for &rollouts in &self.plan.idle {
            idle::make(&stage, &templates, made, rollouts).await?;
            made = rollouts;
            if self.asked(Part::Memory) {
                report.memory.push(idle::measure(&mut stage, rollouts, self.time()).await?);
            }
            if self.asked(Part::Restart) {
                report.restart.push(idle::restart(&mut stage, rollouts).await?);
            }
        }
        Ok(())
    }

    async fn stage(&self, part: &str) -> Result<Stage<'_>, BenchError> {
        self.progress.say(&format!("{part}, on {}", self.server.name));
        let everything = self.plan.everything;
        Stage::set(self.server, self.program, self.progress, self.rooms, everything).await
    }

    /// Ends a part, however it went: what follows is not to be measured beside its leavings.
    async fn strike(&self, report: &mut Report, part: &'static str, outcome: Result<(), BenchError>) {
        let cleaned = self.rooms.clean(&self.server.client, self.progress).await;
        report.note(part, outcome);
        report.note("clearing away", cleaned);
    }

    fn asked(&self, part: Part) -> bool {
        self.plan.parts.contains(&part)
    }

    /// How long processor time is counted.
    fn time(&self) -> Duration {
        Duration::from_secs(if self.plan.brief { 2 } else { 60 })
    }
}
