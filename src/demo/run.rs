//! The command `tidegate demo`: sets the stage, plays both acts, and tells what they showed.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    num::NonZeroU32,
    pin::Pin,
    time::Duration,
};

use http::uri::InvalidUri;
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{MissedTickBehavior, Sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    frame,
    kubeconfig::{KubeconfigError, KubeconfigFile},
    manifests::{self, MANAGER, ManifestError},
    measure::scrape_to_write,
    routes::Routes,
    screen::{Manner, Screen, seconds},
    show::{Seen, Show},
    signals,
    story::{self, Act, Ending, Finished, Otherwise},
    watching,
    world::{self, ColorApp, NAMESPACE, WorldError},
};
use crate::{
    api::{Phase, Rollout},
    clock::Clock,
    config::{Config, ConfigError},
    controller,
    sandbox::{
        apiserver::ApiServer,
        load::{Load, LoadConfig, NotLoopback},
    },
};

const ROLLOUT: &str = "color";
/// The share of requests that the bad version fails.
const BAD_SHARE: f64 = 0.05;
/// Both acts should take half of it.
const LIMIT: Duration = Duration::from_secs(90);
/// How often the counts of the load are looked at; all else is shown when it happens.
const REDRAW: Duration = Duration::from_millis(500);
/// How long the controller may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What `tidegate demo` is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoOptions {
    /// The kind of route that splits the traffic.
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub routes: Routes,
    /// Stay up after the last act, until interrupted, and say how to look around.
    #[arg(long)]
    pub keep: bool,
    /// Print plain lines on a terminal too.
    #[arg(long)]
    pub plain: bool,
    /// Requests sent to color-app each second. The fewer, the longer the proof of a step takes.
    #[arg(long, default_value = "1000", value_name = "PER SECOND")]
    pub rate: NonZeroU32,
}

/// Why the demo did not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The world could not be made.
    #[error("cannot set the demo's stage")]
    World(#[from] WorldError),
    /// The kubeconfig could not be written.
    #[error("cannot tell kubectl of the demo")]
    Kubeconfig(#[from] KubeconfigError),
    /// A manifest of the demo was refused.
    #[error("cannot apply the demo's manifests")]
    Manifests(#[from] ManifestError),
    /// The controller's configuration was refused.
    #[error("cannot configure the demo's controller")]
    Config(#[from] ConfigError),
    /// The gateway's address could not be read.
    #[error("cannot read the gateway's address")]
    Address(#[from] InvalidUri),
    /// The load was refused.
    #[error("cannot send load to the gateway")]
    Load(#[from] NotLoopback),
    /// The Rollout's target could not be changed.
    #[error("cannot make {target} the target of the Rollout {ROLLOUT}")]
    Target {
        /// The target.
        target: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// Standard output is closed.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
    /// Signals could not be listened to.
    #[error("cannot wait for an interrupt")]
    Signals(#[source] io::Error),
    /// The controller failed.
    #[error("the controller failed")]
    Controller(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The controller ended although nobody asked it to.
    #[error("the controller ended by itself")]
    ControllerEnded,
    /// The watches ended although nobody asked them to.
    #[error("the demo's watches ended by themselves")]
    WatchesEnded,
    /// An act ended in another way.
    #[error(transparent)]
    Otherwise(#[from] Otherwise),
    /// It took too long.
    #[error("the demo was not over after {} s; {last}", LIMIT.as_secs())]
    TimedOut {
        /// Where the Rollout stood, in a sentence.
        last: String,
    },
    /// Ctrl-C, or the system.
    #[error("interrupted before the end")]
    Interrupted,
}

/// Plays the demo on standard output with the real controller: drawn live on a terminal, else told line by line.
pub async fn run(options: DemoOptions) -> Result<(), DemoError> {
    let out = io::stdout();
    let manner = if out.is_terminal() && !options.plain { Manner::Live } else { Manner::Lines };
    play(options, out, manner, |config, client, stop| controller::run(config, client, stop.cancelled_owned()))
        .await
}

/// Plays the demo on `out`, with a controller that runs until its token is cancelled.
pub async fn play<W, C, F, E>(
    options: DemoOptions,
    out: W,
    manner: Manner,
    controller: C,
) -> Result<(), DemoError>
where
    W: Write,
    C: FnOnce(Config, Client, CancellationToken) -> F,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut stage = Stage::set(&options, Screen::new(out, manner), controller).await?;
    let outcome = stage.perform(options.keep).await;
    // Of a play that broke off as well, all that was seen is printed.
    let closed = stage.screen.close(&stage.show);
    stage.clear().await;
    outcome.and(closed.map_err(DemoError::Output))
}

/// All that takes part.
struct Stage<W: Write> {
    server: ApiServer,
    app: ColorApp,
    client: Client,
    clock: Clock,
    kubeconfig: KubeconfigFile,
    load: Load,
    controller: JoinHandle<Result<(), DemoError>>,
    seen: mpsc::Receiver<Seen>,
    rollout: Option<Box<Rollout>>,
    show: Show,
    screen: Screen<W>,
    interrupted: Pin<Box<dyn Future<Output = io::Result<()>>>>,
    limit: Pin<Box<Sleep>>,
    stop: DropGuard,
}

/// An act that is over.
struct Played {
    finished: Finished,
    began: Timestamp,
    over: Timestamp,
    /// When the version's first share was seen on the route.
    raised: Option<Timestamp>,
}

impl<W: Write> Stage<W> {
    async fn set<C, F, E>(options: &DemoOptions, screen: Screen<W>, controller: C) -> Result<Self, DemoError>
    where
        C: FnOnce(Config, Client, CancellationToken) -> F,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        let server = world::start_server(None, None).await?;
        let client = server.client().map_err(|source| WorldError::Client(Box::new(source)))?;
        let clock = server.clock();
        let app = ColorApp::start(client.clone(), clock, options.routes).await?;
        app.set_error_share(story::BAD.version, BAD_SHARE);
        let kubeconfig = KubeconfigFile::write(None, &server.kubeconfig())?;
        let stop = CancellationToken::new();
        let load = start_load(&app, options.rate, clock, &stop)?;
        let running = controller(configuration(&app)?, client.clone(), stop.clone());
        let controller =
            tokio::spawn(
                async move { running.await.map_err(|error| DemoError::Controller(Box::new(error))) },
            );
        let seen = watching::start(&client, ROLLOUT, options.routes, &stop);
        Ok(Self {
            server,
            app,
            clock,
            kubeconfig,
            load,
            controller,
            seen,
            rollout: None,
            show: Show::new(clock.now()),
            screen,
            interrupted: Box::pin(signals::interrupted()),
            limit: Box::pin(tokio::time::sleep(LIMIT)),
            client,
            stop: stop.drop_guard(),
        })
    }

    async fn perform(&mut self, keep: bool) -> Result<(), DemoError> {
        let title = format!(
            "color-app v1 answers at {}, and a Rollout takes it over. To look: {}",
            self.app.url(),
            self.kubeconfig.export()
        );
        self.show.begin(self.clock.now(), title);
        manifests::apply(&self.client, self.app.routes().rollout()).await?;
        self.watch_until(|show, _| (show.phase == Some(Phase::Healthy)).then_some(())).await?;
        let healthy = self.act(story::HEALTHY).await?;
        manifests::apply(&self.client, self.app.routes().third()).await?;
        let bad = self.act(story::BAD).await?;
        self.show.tally = self.load.tally();
        self.screen.close(&self.show)?;
        let summary = self.summary(&[healthy, bad]);
        self.screen.print(&summary)?;
        if keep { self.stay().await } else { Ok(()) }
    }

    async fn act(&mut self, act: Act) -> Result<Played, DemoError> {
        let (began, target, clock) = (self.clock.now(), act.target(self.app.routes()), self.clock);
        self.show.begin(began, format!("Act {}: {}", act.number, act.title));
        let generation = self.set_target(&act).await?;
        let (mut greatest, mut raised) = (0, None);
        let judged = self
            .watch_until(|show, rollout| {
                let share = show.share(&target);
                if share > 0 {
                    raised.get_or_insert_with(|| clock.now());
                }
                greatest = greatest.max(share);
                act.judge(rollout?, (&target, generation), &show.shares, greatest)
            })
            .await?;
        Ok(Played { finished: judged?, began, over: self.clock.now(), raised })
    }

    /// Names the act's version as the Rollout's target; the generation that has it.
    async fn set_target(&self, act: &Act) -> Result<i64, DemoError> {
        let routes = self.app.routes();
        let (target, workload) = (act.target(routes), routes.workload(act.version));
        let patch = json!({"spec": {"target": {
            "name": target,
            "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload},
        }}});
        let api: Api<Rollout> = Api::namespaced(self.client.clone(), NAMESPACE);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(ROLLOUT, &params, &Patch::Merge(patch)).await {
            Ok(rollout) => Ok(rollout.metadata.generation.unwrap_or_default()),
            Err(source) => Err(DemoError::Target { target, source: Box::new(source) }),
        }
    }

    /// Shows what the watches see until `done` says that it is enough.
    async fn watch_until<T>(
        &mut self,
        mut done: impl FnMut(&Show, Option<&Rollout>) -> Option<T>,
    ) -> Result<T, DemoError> {
        let mut tick = tokio::time::interval(REDRAW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                seen = self.seen.recv() => self.take(seen.ok_or(DemoError::WatchesEnded)?),
                _ = tick.tick() => self.show.tally = self.load.tally(),
                ended = &mut self.controller => return Err(too_early(ended)),
                ended = &mut self.interrupted => {
                    return Err(ended.map_or_else(DemoError::Signals, |()| DemoError::Interrupted));
                }
                () = &mut self.limit => return Err(DemoError::TimedOut { last: self.last() }),
            }
            self.screen.draw(&self.show)?;
            if let Some(found) = done(&self.show, self.rollout.as_deref()) {
                return Ok(found);
            }
        }
    }

    fn take(&mut self, seen: Seen) {
        self.show.see(self.clock.now(), &seen);
        match seen {
            Seen::Rollout(rollout) => self.rollout = Some(rollout),
            Seen::Route(_) | Seen::Event(_) => {}
        }
    }

    fn last(&self) -> String {
        match self.show.phase {
            Some(phase) => format!("the Rollout is {}: {}", phase.word(), self.show.message),
            None => "the controller has not taken the Rollout up".to_owned(),
        }
    }

    fn summary(&self, acts: &[Played]) -> String {
        let mut text = String::from("\n");
        for act in acts {
            let Finished { act: played, share, sentence } = &act.finished;
            let ending = match played.ending {
                Ending::Promoted => "promoted".to_owned(),
                Ending::RolledBack => format!("rolled back at {share}%"),
            };
            let took = seconds(act.began, act.over);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "Act {}: {} {ending} after {took}.", played.number, played.version);
            let _ = writeln!(text, "  {sentence}");
        }
        let _ = writeln!(text, "Requests: {}.", frame::load(&self.show.tally));
        let raised = acts.last().and_then(|act| act.raised);
        let took = raised.and_then(|raised| {
            let (requests, scrapes) = (self.server.requests(), self.app.gateway().scrapes());
            let routes = self.app.routes();
            scrape_to_write(&requests, &scrapes, (&routes.resource().plural, routes.name()), raised)
        });
        if let Some(took) = took {
            let _ = writeln!(
                text,
                "From the gateway's last scrape to the write of the rolled back route: {} ms.",
                took.as_millis()
            );
        }
        text
    }

    /// Keeps everything up until interrupted.
    async fn stay(&mut self) -> Result<(), DemoError> {
        // Nobody looks any more; the watches end by it.
        self.seen.close();
        let text = format!(
            "\nEverything stays up: the controller, the load, color-app at {}. In another terminal:\n\n  {}\n  \
             kubectl get rollouts -o wide\n\nCtrl-C ends it.\n",
            self.app.url(),
            self.kubeconfig.export()
        );
        self.screen.print(&text)?;
        tokio::select! {
            ended = &mut self.controller => Err(too_early(ended)),
            ended = &mut self.interrupted => ended.map_err(DemoError::Signals),
        }
    }

    async fn clear(self) {
        let Self { server, controller, stop, .. } = self;
        drop(stop);
        if !controller.is_finished() {
            let stopping = controller.abort_handle();
            if tokio::time::timeout(STOP_LIMIT, controller).await.is_err() {
                tracing::warn!("the controller did not stop in time");
                stopping.abort();
            }
        }
        server.shutdown().await;
    }
}

fn too_early(ended: Result<Result<(), DemoError>, tokio::task::JoinError>) -> DemoError {
    match ended {
        Ok(Ok(())) => DemoError::ControllerEnded,
        Ok(Err(error)) => error,
        Err(panicked) => DemoError::Controller(Box::new(panicked)),
    }
}

fn start_load(
    app: &ColorApp,
    rate: NonZeroU32,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<Load, DemoError> {
    let config = LoadConfig {
        url: app.url().parse()?,
        rate,
        in_flight: 512,
        timeout: Duration::from_secs(2),
        headers: app.routes().headers(),
    };
    let load = Load::new(config, clock)?;
    let (running, stop) = (load.clone(), stop.clone());
    tokio::spawn(async move { running.run(None, &stop).await });
    Ok(load)
}

/// The controller's configuration: one provider, which scrapes the gateway itself.
fn configuration(app: &ColorApp) -> Result<Config, ConfigError> {
    let text = format!(
        "providers:\n  default:\n    envoy:\n      urls: [\"{}\"]\n      scrapeInterval: 500ms\n\
         namespaces: [{NAMESPACE}]\nlisten: 127.0.0.1:0\n",
        app.stats_url()
    );
    Config::parse(&text, "the demo's configuration")
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: DemoOptions =
        DemoOptions { routes: Routes::GatewayRoute, keep: false, plain: true, rate: NonZeroU32::MIN };

    #[tokio::test]
    async fn a_controller_that_fails_ends_the_demo_with_what_was_seen() {
        let mut out = Vec::new();
        let failing = |_, _, _| async { Err(io::Error::other("no luck")) };
        let error = play(QUIET, &mut out, Manner::Lines, failing).await.unwrap_err();
        assert_eq!(error.to_string(), "the controller failed");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("no luck"));
        let seen = String::from_utf8(out).unwrap();
        assert!(seen.contains("and a Rollout takes it over. To look: export KUBECONFIG="), "{seen}");
    }

    #[tokio::test]
    async fn a_controller_that_ends_by_itself_is_no_success() {
        let mut out = Vec::new();
        let idle = |_, _, _| async { Ok::<_, io::Error>(()) };
        let error = play(QUIET, &mut out, Manner::Live, idle).await.unwrap_err();
        assert!(matches!(error, DemoError::ControllerEnded), "{error}");
    }
}
