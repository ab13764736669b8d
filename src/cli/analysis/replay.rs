//! `tidegate analysis replay`: what would have become of yesterday.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Error, Output, clear_progress, columns, manifests, print, progress, read, write};
use crate::{
    config::Config,
    engine::look::LookRequest,
    metrics::{Providers, Span},
    trial::{self, Course, FIXED, Plan, Replayed, Yesterday},
};

/// How much of the past stable is known by before a run.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Counts in a file, or a Rollout over the past of a Prometheus.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recorded counts (JSON): one sequence, a list of them, or an object whose `sequences` is one
    #[arg(short, long, value_name = "FILE", conflicts_with = "rollout", required_unless_present = "rollout")]
    file: Option<PathBuf>,
    /// A Rollout (YAML, with its AnalysisTemplate if it names one), tried over the past of the provider that it names
    #[arg(
        long,
        value_name = "FILE",
        requires = "from",
        requires = "to",
        requires = "canary",
        requires = "stable"
    )]
    rollout: Option<PathBuf>,
    /// When the run would have begun, like 2026-11-24T09:00:00Z
    #[arg(long, value_name = "TIME", requires = "rollout")]
    from: Option<Timestamp>,
    /// When the recording ends
    #[arg(long, value_name = "TIME", requires = "rollout")]
    to: Option<Timestamp>,
    /// The version that was new, as the metrics name it
    #[arg(long, value_name = "NAME", requires = "rollout")]
    canary: Option<String>,
    /// The version that it was compared with
    #[arg(long, value_name = "NAME", requires = "rollout")]
    stable: Option<String>,
    /// The controller's configuration, for its providers
    #[arg(long, value_name = "FILE", env = "TIDEGATE_CONFIG", requires = "rollout")]
    config: Option<PathBuf>,
    /// A Prometheus in place of the configured provider
    #[arg(long, value_name = "URL", requires = "rollout")]
    prometheus: Option<String>,
    /// Write a page with the evidence over time to FILE
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Draw the evidence of recorded counts to FILE, an SVG
    #[arg(long, value_name = "FILE", requires = "file")]
    picture: Option<PathBuf>,
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Replays, and tells.
pub(super) async fn run(args: &Args) -> Result<(), Error> {
    match (&args.file, &args.rollout, args.from, args.to, &args.canary, &args.stable) {
        (Some(file), ..) => recorded(args, file),
        (None, Some(file), Some(from), Some(to), Some(canary), Some(stable)) => {
            yesterday(args, file, (from, to), (canary, stable)).await
        }
        _ => Err(Error::Nothing("give --file, or --rollout with --from, --to, --canary and --stable")),
    }
}

fn recorded(args: &Args, file: &Path) -> Result<(), Error> {
    let failed = |source| Error::Recorded { file: file.display().to_string(), source };
    let all = trial::read(&read(file)?).map_err(failed)?;
    let all: Vec<Replayed> = all.iter().map(trial::replay).collect::<Result<_, _>>().map_err(failed)?;
    if let Some(file) = &args.html {
        write(file, &trial::sequences_page(&all))?;
    }
    if let Some(file) = &args.picture {
        write(file, &trial::sequences_picture(&all))?;
    }
    print(&match args.output {
        Output::Table => all.iter().map(table).collect::<Vec<_>>().join("\n"),
        Output::Json => serde_json::to_string_pretty(&all)? + "\n",
    })?;
    Ok(())
}

fn table(replayed: &Replayed) -> String {
    let head = ["poll", "step", "canary", "stable", "ln E harm", "ln E safe", "verdict"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (at, seen) in replayed.polls.iter().enumerate() {
        let poll = seen.poll;
        rows.push(vec![
            at.to_string(),
            poll.step.to_string(),
            format!("{} of {}", poll.x, poll.m),
            format!("{} of {}", poll.y, poll.n),
            format!("{:.3}", seen.log_e_harm),
            format!("{:.3}", seen.log_e_safe),
            seen.verdict.to_string(),
        ]);
    }
    let bounds = format!("Fail from {:.3}, Safe from {:.3}", replayed.fails_at, replayed.safe_at);
    format!("{} ({bounds})\n{}", replayed.id, columns(&rows))
}

/// What the command has to say of a run over the past.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(flatten)]
    course: &'a Course,
    /// What a fixed threshold would have done.
    fixed: String,
    /// Looks that the past has.
    looks: usize,
}

async fn yesterday(
    args: &Args,
    file: &Path,
    (from, to): (Timestamp, Timestamp),
    (canary, stable): (&str, &str),
) -> Result<(), Error> {
    let (rollout, providers) = (manifests::rollout(file, args.prometheus.is_some())?, providers(args)?);
    let name = rollout.metadata.name.as_deref().unwrap_or("rollout");
    let namespace = rollout.metadata.namespace.as_deref().unwrap_or("default");
    let spec = &rollout.spec;
    let Some(analysis) = &spec.analysis else {
        return Err(Error::Nothing("the Rollout has no analysis, so its steps go by their holds alone"));
    };
    if from >= to {
        return Err(Error::Nothing("--from must be before --to"));
    }
    let request = LookRequest::of_run(spec, analysis, (namespace, name), (canary, stable));
    let span = Span { start: from.checked_sub(HOUR)?, end: to, step: analysis.interval.span() };
    let told = |done: f64| progress(&format!("reading the past: {:.0} %", done * 100.0));
    let recording = providers.recorded(&request, span, &told).await?;
    clear_progress();
    if recording.arms.is_empty() && recording.numbers.values().all(Vec::is_empty) {
        return Err(Error::Nothing(
            "the provider has no counters of either version in that time; check --canary and --stable against the labels, and \
             how long the provider keeps its past",
        ));
    }
    let settle = providers.settle(analysis.provider.as_deref()).unwrap_or_default();
    let mut traffic = Yesterday::new(&recording, analysis.interval.span());
    let plan = Plan {
        spec,
        name: (namespace, name),
        stable,
        canary,
        settle,
        span: (from, to),
        ends_at_a_pause: false,
    };
    let mut course = trial::follow(&plan, &mut traffic)?;
    // The plan's weights were not those of that day.
    course.moments.retain(|moment| moment.reason != "TrafficShare");
    let fixed = fixed(&course, &traffic, from);
    if let Some(file) = &args.html {
        write(file, &trial::course_page(name, &course, &fixed))?;
    }
    let told = Told { course: &course, fixed, looks: recording.arms.len() };
    print(&match args.output {
        Output::Table => course_table(&told),
        Output::Json => serde_json::to_string_pretty(&told)? + "\n",
    })?;
    Ok(())
}

fn providers(args: &Args) -> Result<Providers, Error> {
    let config = match (&args.prometheus, &args.config) {
        (Some(url), _) => {
            let url = serde_json::Value::from(url.as_str());
            let text = format!(
                "providers: {{past: {{prometheus: {{url: {url}}}}}}}\ndefaults: {{provider: past}}\n"
            );
            Config::parse(&text, "--prometheus")?
        }
        (None, Some(file)) => Config::load(file)?,
        (None, None) => {
            return Err(Error::Nothing(
                "give --prometheus with an address, or --config with the controller's configuration",
            ));
        }
    };
    Ok(Providers::from_config(&config.providers)?)
}

/// What a fixed threshold would have done, against what was done.
fn fixed(course: &Course, yesterday: &Yesterday<'_>, from: Timestamp) -> String {
    let rule = FIXED.name();
    let put_back = (course.end == trial::End::RolledBack).then_some(course.at);
    match (yesterday.ended_by(FIXED, from), put_back) {
        (None, None) => format!("A fixed threshold ({rule}) would not have ended it either."),
        (None, Some(at)) => {
            let failed = yesterday.failed_between(at, Timestamp::MAX);
            format!(
                "A fixed threshold ({rule}) would never have ended it: {failed:.0} canary requests failed after this."
            )
        }
        (Some(at), None) => format!("A fixed threshold ({rule}) would have put it back at {at}."),
        (Some(fixed), Some(ours)) => {
            let failed = yesterday.failed_between(fixed.min(ours), fixed.max(ours));
            let word = if fixed < ours { "earlier" } else { "later" };
            format!(
                "A fixed threshold ({rule}) would have put it back at {fixed}: {failed:.0} failed requests {word}."
            )
        }
    }
}

fn course_table(told: &Told<'_>) -> String {
    let course = told.course;
    let mut rows = vec![["time", "canary", "what", "why"].map(str::to_owned).to_vec()];
    for moment in &course.moments {
        let time = moment.at.to_string();
        rows.push(vec![
            time,
            format!("{} %", moment.share),
            moment.reason.to_owned(),
            moment.sentence.clone(),
        ]);
    }
    let end = format!(
        "{} at {}, with {} % to the canary: {}",
        course.end, course.at, course.share, course.sentence
    );
    format!("{}\n{end}\n{}\n{} looks were recorded.\n", columns(&rows), told.fixed, told.looks)
}
