//! The command `tidegate demo`: sets the stage, plays all acts, and tells what they showed.

use std::{
    io::{self, IsTerminal, Write},
    pin::{Pin, pin},
    time::Duration,
};

use kube::Client;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Interval, MissedTickBehavior, Sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    acts::{self, Act, Beginning},
    front::FrontError,
    kubeconfig::{KubeconfigError, KubeconfigFile},
    manifests::ManifestError,
    measure::scrape_to_write,
    options::DemoOptions,
    people::{self, PeopleError},
    screen::{Manner, Screen},
    show::{Seen, Show},
    signals,
    story::{Cue, Otherwise, Scene},
    strategy::Strategy,
    summary::{Played, summary},
    traffic::{Traffic, TrafficError},
    watching,
    world::{self, ColorApp, NAMESPACE, WorldError},
};
use crate::{
    api::{Phase, RequestAction, Rollout},
    clock::Clock,
    config::{Config, ConfigError},
    controller,
    sandbox::apiserver::ApiServer,
};

/// All acts should take a quarter of it.
const LIMIT: Duration = Duration::from_mins(3);
/// How often the counts of the load are looked at; all else is shown when it happens.
const REDRAW: Duration = Duration::from_millis(500);
/// How long the controller may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

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
    /// Nothing is sent to color-app.
    #[error("cannot send requests to color-app")]
    Traffic(#[from] TrafficError),
    /// Something of the Rollout could not be changed.
    #[error("cannot steer the demo's Rollout")]
    People(#[from] PeopleError),
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
    /// The gateway ended although nobody asked it to.
    #[error("the gateway ended")]
    Gateway(#[source] FrontError),
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
    // From the beginning, or an Envoy would outlive a demo that is interrupted before its first act.
    let mut interrupted = pin!(signals::interrupted());
    let setting = Box::pin(Stage::set(&options, Screen::new(out, manner), controller));
    let mut stage = unless(interrupted.as_mut(), setting).await?;
    let mut outcome = unless(interrupted.as_mut(), stage.perform()).await;
    if options.keep && outcome.is_ok() {
        outcome = match unless(interrupted, stage.stay()).await {
            Err(DemoError::Interrupted) => Ok(()),
            ended => ended,
        };
    }
    // Of a play that broke off as well, all that was seen is printed.
    let closed = stage.screen.close(&stage.show);
    stage.clear().await;
    outcome.and(closed.map_err(DemoError::Output))
}

/// Goes on with something until the program is interrupted.
async fn unless<T>(
    interrupted: Pin<&mut impl Future<Output = io::Result<()>>>,
    work: impl Future<Output = Result<T, DemoError>>,
) -> Result<T, DemoError> {
    tokio::select! {
        // It is listened for before anything is begun.
        biased;
        ended = interrupted => Err(ended.map_or_else(DemoError::Signals, |()| DemoError::Interrupted)),
        done = work => done,
    }
}

/// All that takes part.
struct Stage<W: Write> {
    server: ApiServer,
    app: ColorApp,
    client: Client,
    clock: Clock,
    kubeconfig: KubeconfigFile,
    strategy: Strategy,
    traffic: Traffic,
    controller: JoinHandle<Result<(), DemoError>>,
    seen: mpsc::Receiver<Seen>,
    rollout: Option<Box<Rollout>>,
    show: Show,
    screen: Screen<W>,
    tick: Interval,
    limit: Pin<Box<Sleep>>,
    stop: DropGuard,
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
        let app = set_up(options, client.clone(), clock).await?;
        let kubeconfig = KubeconfigFile::write(None, &server.kubeconfig())?;
        let stop = CancellationToken::new();
        let previews = options.strategy == Strategy::BlueGreen && options.routes.has_previews();
        let traffic = Traffic::start(&app, options.rate, previews, clock, &stop)?;
        let running = controller(configuration(&app)?, client.clone(), stop.clone());
        let controller =
            tokio::spawn(
                async move { running.await.map_err(|error| DemoError::Controller(Box::new(error))) },
            );
        let seen = watching::start(&client, options.routes, &stop);
        let mut tick = tokio::time::interval(REDRAW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut show = Show::new(clock.now());
        show.carrier = app.front().name();
        Ok(Self {
            server,
            app,
            clock,
            kubeconfig,
            strategy: options.strategy,
            traffic,
            controller,
            seen,
            rollout: None,
            show,
            screen,
            tick,
            limit: Box::pin(tokio::time::sleep(LIMIT)),
            client,
            stop: stop.drop_guard(),
        })
    }

    async fn perform(&mut self) -> Result<(), DemoError> {
        let carrier = self.show.carrier.as_ref();
        let title = format!(
            "color-app v1 answers at {}{}, and a Rollout takes it over. To look: {}",
            self.app.url(),
            carrier.map_or_else(String::new, |carrier| format!(" behind a real {carrier}")),
            self.kubeconfig.export()
        );
        self.show.begin(self.clock.now(), title);
        let routes = self.app.routes();
        self.app.apply(&self.client, routes.rollout(self.strategy)).await?;
        while self.show.phase != Some(Phase::Healthy) {
            self.look().await?;
        }
        let mut played = Vec::new();
        for act in acts::acts(self.strategy, routes) {
            played.push(self.play(*act).await?);
        }
        self.show.load = self.traffic.tallies();
        self.screen.close(&self.show)?;
        let (load, carrier) = (&self.show.load, self.show.carrier.as_deref());
        let summary = summary(&played, load, carrier, self.rolled_back_in(&played));
        Ok(self.screen.print(&summary)?)
    }

    async fn play(&mut self, act: Act) -> Result<Played, DemoError> {
        let began = self.clock.now();
        self.show.begin(began, format!("Act {}: {}", act.number, act.title));
        self.app.set_error_share(act.version, act.error_share(false));
        let mut trial = act.trial(self.traffic.tallies());
        let cue = self.begin(&act).await?;
        let (mut greatest, mut raised, mut agreed) = (0, None, false);
        loop {
            self.look().await?;
            if let Some(trial) = &mut trial {
                trial.see(&self.show.load);
            }
            let share = self.show.share(&cue.target);
            if share > 0 && raised.is_none() {
                raised = Some(self.clock.now());
                self.app.set_error_share(act.version, act.error_share(true));
                if let Some(trial) = &trial {
                    self.show.see_trial(self.clock.now(), act.version, trial);
                }
            }
            greatest = share.max(greatest);
            let Some(rollout) = &self.rollout else { continue };
            if !agreed && act.asks(rollout, &cue) {
                agreed = true;
                self.ask(RequestAction::Promote).await?;
                continue;
            }
            let (shares, previewed) = (&self.show.shares, self.show.preview.is_some());
            let scene = Scene { shares, previewed, greatest, trial: trial.as_ref() };
            if let Some(judged) = act.judge(rollout, &cue, scene) {
                return Ok(Played { finished: judged?, began, over: self.clock.now(), raised, trial });
            }
        }
    }

    /// Does what an act begins with.
    async fn begin(&mut self, act: &Act) -> Result<Cue, DemoError> {
        let (routes, rollout) = (self.app.routes(), self.rollout.as_deref());
        let run =
            rollout.and_then(|rollout| Some(rollout.status.as_ref()?.run.as_ref()?.number)).unwrap_or(0);
        let generation = rollout.and_then(|rollout| rollout.metadata.generation).unwrap_or_default();
        let target = act.target(routes);
        if act.beginning == Beginning::Again {
            self.ask(RequestAction::Retry).await?;
            return Ok(Cue { target, generation, run });
        }
        if act.beginning == Beginning::New {
            self.app.apply(&self.client, routes.third()).await?;
        }
        let generation = people::release(&self.client, target.clone(), &routes.workload(act.version)).await?;
        Ok(Cue { target, generation, run })
    }

    /// Asks something of the run that is shown.
    async fn ask(&mut self, action: RequestAction) -> Result<(), DemoError> {
        let now = self.clock.now();
        self.show.say(now, format!("the demo asks: {}", action.word()));
        if let Some(status) = self.rollout.as_ref().and_then(|rollout| rollout.status.as_ref()) {
            people::ask(&self.client, action, status, now).await?;
        }
        Ok(())
    }

    /// Waits for what there is to see next, and shows it.
    async fn look(&mut self) -> Result<(), DemoError> {
        tokio::select! {
            seen = self.seen.recv() => self.take(seen.ok_or(DemoError::WatchesEnded)?),
            _ = self.tick.tick() => self.show.load = self.traffic.tallies(),
            ended = &mut self.controller => return Err(too_early(ended)),
            ended = self.app.ended() => return Err(DemoError::Gateway(ended)),
            () = &mut self.limit => return Err(DemoError::TimedOut { last: self.last() }),
        }
        Ok(self.screen.draw(&self.show)?)
    }

    fn take(&mut self, seen: Seen) {
        self.show.see(self.clock.now(), &seen);
        match seen {
            Seen::Rollout(rollout) => self.rollout = Some(rollout),
            Seen::Route(_) | Seen::Preview(_) | Seen::Event(_) => {}
        }
    }

    fn last(&self) -> String {
        match self.show.phase {
            Some(phase) => format!("the Rollout is {}: {}", phase.word(), self.show.message),
            None => "the controller has not taken the Rollout up".to_owned(),
        }
    }

    /// How long the last act's rollback took, from the gateway's last scrape; `None` where that is not known.
    fn rolled_back_in(&self, played: &[Played]) -> Option<Duration> {
        let (raised, routes) = (played.last()?.raised?, self.app.routes());
        let (requests, scrapes) = (self.server.requests(), self.app.front().scrapes());
        scrape_to_write(&requests, &scrapes, (&routes.resource().plural, routes.name()), raised)
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
            ended = self.app.ended() => Err(DemoError::Gateway(ended)),
        }
    }

    async fn clear(self) {
        let Self { server, app, controller, stop, .. } = self;
        drop(stop);
        if !controller.is_finished() {
            let stopping = controller.abort_handle();
            if tokio::time::timeout(STOP_LIMIT, controller).await.is_err() {
                tracing::warn!("the controller did not stop in time");
                stopping.abort();
            }
        }
        app.end().await;
        server.shutdown().await;
    }
}

/// color-app behind the gateway that is asked for.
async fn set_up(options: &DemoOptions, client: Client, clock: Clock) -> Result<ColorApp, WorldError> {
    #[cfg(feature = "gateway")]
    if let Some(envoy) = &options.envoy {
        return ColorApp::start_behind(envoy, client, options.routes).await;
    }
    ColorApp::start(client, clock, options.routes).await
}

fn too_early(ended: Result<Result<(), DemoError>, tokio::task::JoinError>) -> DemoError {
    match ended {
        Ok(Ok(())) => DemoError::ControllerEnded,
        Ok(Err(error)) => error,
        Err(panicked) => DemoError::Controller(Box::new(panicked)),
    }
}

/// The controller's configuration: one provider, which reads the gateway's own counters, and routes of its own for previews.
fn configuration(app: &ColorApp) -> Result<Config, ConfigError> {
    let text = format!(
        "providers:\n  default:\n    envoy: {{{}, scrapeInterval: 500ms, timeout: 5s}}\n\
         namespaces: [{NAMESPACE}]\npreviews: true\nlisten: 127.0.0.1:0\n",
        app.front().source()
    );
    Config::parse(&text, "the demo's configuration")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::demo::routes::Routes;

    const QUIET: DemoOptions = DemoOptions {
        routes: Routes::GatewayRoute,
        strategy: Strategy::Canary,
        keep: false,
        #[cfg(feature = "gateway")]
        envoy: None,
        plain: true,
        rate: NonZeroU32::MIN,
    };

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
