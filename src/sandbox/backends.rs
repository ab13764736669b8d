//! The versions of color-app: tiny servers on loopback whose faults can be changed while they run.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::serve::{self, Body, full};

/// The response header that tells which version answered.
pub const VERSION_HEADER: &str = "x-app-version";

/// What goes wrong in a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Share of requests answered 500, from 0 to 1.
    pub error_share: f64,
    /// Added before every answer but those to `/health`.
    pub latency: Latency,
    /// Connections are refused, and open ones end.
    pub down: bool,
}

/// Added latency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Latency {
    /// None.
    #[default]
    None,
    /// The same for every request.
    Fixed(Duration),
    /// Exponential, with this mean.
    Exponential(Duration),
}

/// A running backend; dropping it closes its port.
pub struct Backend {
    address: SocketAddr,
    faults: watch::Sender<Faults>,
    _stop: DropGuard,
}

struct App {
    version: HeaderValue,
    text: String,
    rng: Mutex<fastrand::Rng>,
    faults: watch::Receiver<Faults>,
}

impl Backend {
    /// Starts a version of color-app that answers `colour` on `/color` and `/`, and `ok` on `/health`. The seed decides which requests
    /// fail and how latency falls.
    pub async fn start(version: &str, colour: &str, seed: u64) -> io::Result<Self> {
        Self::start_on(serve::bind_loopback().await?, version, colour, seed)
    }

    /// The same on a listener.
    pub fn start_on(listener: TcpListener, version: &str, colour: &str, seed: u64) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let header = HeaderValue::from_str(version)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let (faults, watched) = watch::channel(Faults::default());
        let text = serde_json::json!({"color": colour, "version": version}).to_string();
        let rng = Mutex::new(fastrand::Rng::with_seed(seed));
        let app = Arc::new(App { version: header, text, rng, faults: watched.clone() });
        let stop = CancellationToken::new();
        tokio::spawn(run(listener, address, app, watched, stop.clone()));
        Ok(Self { address, faults, _stop: stop.drop_guard() })
    }

    /// Where it listens, or would if it were up.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what goes wrong, from the next request on; the port closes or opens a moment later.
    pub fn set_faults(&self, faults: Faults) {
        self.faults.send_replace(faults);
    }

    /// What goes wrong now.
    pub fn faults(&self) -> Faults {
        *self.faults.borrow()
    }
}

/// Serves while up. A refused connection needs a closed port, so going down drops the listener.
async fn run(
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    mut faults: watch::Receiver<Faults>,
    stop: CancellationToken,
) {
    let mut open = Some(listener);
    loop {
        let listener = match open.take() {
            Some(listener) => listener,
            None => match TcpListener::bind(address).await {
                Ok(listener) => listener,
                Err(error) => {
                    tracing::warn!(%address, %error, "cannot open a backend's port again; trying on");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = sleep(Duration::from_millis(50)) => continue,
                    }
                }
            },
        };
        let up = stop.child_token();
        let handler = app.clone();
        let serving = serve::serve(listener, up.clone(), move |request| answer(handler.clone(), request));
        tokio::select! {
            () = serving => {}
            _ = faults.wait_for(|faults| faults.down) => {}
        }
        up.cancel();
        tokio::select! {
            () = stop.cancelled() => return,
            seen = faults.wait_for(|faults| !faults.down) => if seen.is_err() { return },
        }
    }
}

async fn answer(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    let mut response = if path == "/health" {
        Response::new(full("ok\n"))
    } else if path == "/" || path.starts_with("/color") {
        let (failed, wait) = app.fate();
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let mut response = Response::new(full(app.text.clone()));
        if failed {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    } else {
        let mut response = Response::new(full("only /color and /health are served\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    };
    response.headers_mut().insert(VERSION_HEADER, app.version.clone());
    response
}

impl App {
    /// Whether the next request fails, and how long it takes.
    fn fate(&self) -> (bool, Duration) {
        let faults = *self.faults.borrow();
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = rng.f64() < faults.error_share;
        let wait = match faults.latency {
            Latency::None => Duration::ZERO,
            Latency::Fixed(time) => time,
            Latency::Exponential(mean) => mean.mul_f64(-(1.0 - rng.f64()).ln()),
        };
        (failed, wait)
    }
}
