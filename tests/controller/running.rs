//! The controller at work: in a runtime of its own, or as the program that it is.

use std::{
    ffi::OsStr,
    fs::File,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    time::Duration,
};

use tidegate::config::Config;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;

pub enum Running {
    /// In a runtime of its own, so that ending that ends everything it does, at once and unasked.
    Here {
        runtime: tokio::runtime::Runtime,
        stop: CancellationToken,
        done: tokio::task::JoinHandle<()>,
        /// Where it serves health and metrics.
        address: SocketAddr,
    },
    /// The program itself.
    Program(Mutex<Child>),
}

impl Cluster {
    pub fn config_text(&self) -> String {
        format!(
            "providers: {}\nlisten: {}\npreviews: {}\nscaling: true\n{}",
            self.providers, self.listen, self.previews, self.scope
        )
    }

    pub fn run_controller(&mut self) {
        let config = Config::parse(&self.config_text(), "test").unwrap();
        let config = if self.sharing { config.sharing() } else { config };
        let listener = TcpListener::bind(config.listen).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let kubeconfig = self.kubeconfig();
        let done = runtime.spawn(async move {
            let client = tidegate::controller::client(Some(&kubeconfig)).await.unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let stop = async move { stopped.cancelled().await };
            if let Err(error) = tidegate::controller::run_on(listener, config, client, stop).await {
                eprintln!("the controller ended: {error}");
            }
        });
        self.controller = Some(Running::Here { runtime, stop, done, address });
    }

    /// Runs the controller as a process of its own.
    pub fn run_program(&mut self) {
        self.run_program_with(&[]);
    }

    /// The same with this in its environment.
    pub fn run_program_with(&mut self, environment: &[(&str, &OsStr)]) {
        let child = self.program().envs(environment.iter().copied()).spawn().unwrap();
        self.controller = Some(Running::Program(Mutex::new(child)));
    }

    /// The program, about to run as the controller; what it logs is appended to a file.
    fn program(&self) -> Command {
        let config = self.file("tidegate.yaml", &self.config_text());
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("run").arg("--config").arg(config).arg("--kubeconfig").arg(self.kubeconfig());
        command.args(self.sharing.then_some("--shards=auto"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What the program has logged.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// How the program has ended, once it has.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        match &self.controller {
            Some(Running::Program(child)) => child.lock().unwrap().try_wait().unwrap(),
            Some(Running::Here { .. }) | None => panic!("no program runs"),
        }
    }

    /// What the controller that runs here answers to `/readyz`: the HTTP status, and a sentence.
    pub async fn readyz(&self) -> (u16, String) {
        self.answer("readyz").await
    }

    /// Whether the controller that runs here says that it acts.
    pub async fn acts(&self) -> bool {
        self.metrics().await.contains("tidegate_leader 1")
    }

    /// What the controller that runs here tells of itself.
    pub async fn metrics(&self) -> String {
        self.answer("metrics").await.1
    }

    /// Where the controller serves health and metrics.
    pub fn served_at(&self) -> SocketAddr {
        match &self.controller {
            Some(Running::Here { address, .. }) => *address,
            Some(Running::Program(_)) if self.listen.port() > 0 => self.listen,
            Some(Running::Program(_)) | None => panic!("nobody knows where the controller serves"),
        }
    }

    async fn answer(&self, path: &str) -> (u16, String) {
        let address = self.served_at();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        match client.get(format!("http://{address}/{path}")).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            // It listens before it serves.
            Err(error) => (0, error.to_string()),
        }
    }

    /// The controller is gone from one moment to the next.
    pub fn kill_controller(&mut self) {
        if let Some(running) = self.controller.take() {
            running.kill();
        }
    }

    /// The controller is asked to end, and does.
    pub async fn stop_controller(&mut self) {
        let Some(running) = self.controller.take() else { panic!("no controller runs here") };
        running.stop().await;
    }
}

impl Running {
    /// The program's process.
    pub fn pid(&self) -> String {
        let Self::Program(child) = self else { panic!("it runs here") };
        child.lock().unwrap().id().to_string()
    }

    /// Whether the program has ended by itself.
    pub fn has_ended(&self) -> bool {
        let Self::Program(child) = self else { panic!("it runs here") };
        child.lock().unwrap().try_wait().unwrap().is_some()
    }

    pub fn kill(self) {
        match self {
            Self::Here { runtime, .. } => runtime.shutdown_background(),
            Self::Program(child) => {
                let mut child = child.into_inner().unwrap();
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }

    pub async fn stop(self) {
        let Self::Here { runtime, stop, done, .. } = self else { panic!("it is a program") };
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), done).await.expect("ends in time").unwrap();
        runtime.shutdown_background();
    }
}
