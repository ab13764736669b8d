//! The live view, in a terminal of 80 columns.

use std::{
    io::Read,
    sync::{Arc, Mutex},
    time::Duration,
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::program::{BY_HOLDS, LONG, Scene};

const ROWS: u16 = 40;
const COLUMNS: u16 = 80;

/// A terminal, and what runs in it.
struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    fn run(scene: &Scene, line: &str) -> Self {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_kubectl-tidegate"));
        command.env_clear();
        command.env("TERM", "xterm-256color");
        command.env("KUBECONFIG", scene.kubeconfig());
        command.args(line.split(' '));
        let child = pair.slave.spawn_command(command).unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let (mut from, to) = (pair.master.try_clone_reader().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut chunk) {
                to.lock().unwrap().process(&chunk[..read]);
            }
        });
        Self { screen, child, _master: pair.master }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn is_live(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    /// Waits until the screen shows all of it.
    async fn shows(&self, parts: &[&str]) -> String {
        let shown = async {
            loop {
                let text = self.text();
                if parts.iter().all(|part| text.contains(part)) {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LONG, shown)
            .await
            .unwrap_or_else(|_| panic!("never {parts:?}:\n{}", self.text()))
    }

    /// As Ctrl-C does.
    fn interrupt(&self) {
        let pid = self.child.process_id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_watched_from_step_to_step() {
    let scene = Scene::of(BY_HOLDS).await;
    let mut terminal = Terminal::run(&scene, "get color --watch");
    terminal.shows(&["Healthy: color-app-v1.default is live", "100% ████"]).await;
    assert!(terminal.is_live());
    scene.to_approval().await;
    let text = terminal
        .shows(&[
            "Paused 2/3 at 50%",
            "✓  1  20%",
            "▶  2  50%    paused",
            "   3  100%   hold 1s",
            "2 of 2 pods ready",
        ])
        .await;
    let bars: Vec<&str> = text.lines().filter(|line| line.contains('█')).collect();
    assert_eq!(bars.len(), 2, "{text}");
    assert!(bars.iter().all(|bar| bar.matches('█').count() == bar.matches('░').count()), "half each: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= usize::from(COLUMNS)), "{text}");
    // A word that is broken at the edge would end up alone.
    assert!(text.contains("promote to go on"), "{text}");
    scene.run("promote color").await.ends(0);
    terminal.shows(&["Healthy: color-app-v2.default is live"]).await;
    terminal.interrupt();
    let ended = terminal.child.wait().unwrap();
    assert_eq!(ended.exit_code(), 130);
    let text = terminal.shows(&["Healthy: color-app-v2.default is live"]).await;
    assert!(!terminal.is_live(), "the terminal is given back, and what was seen last stays:\n{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_lines_are_never_redrawn() {
    let scene = Scene::of(BY_HOLDS).await;
    let mut terminal = Terminal::run(&scene, "--plain get color --watch");
    terminal.shows(&["Healthy: color-app-v1.default is live"]).await;
    scene.to_approval().await;
    let text = terminal.shows(&["Paused 2/3 at 50%"]).await;
    assert!(!terminal.is_live());
    assert!(text.contains("Healthy: color-app-v1.default is live"), "what was said stays: {text}");
    assert!(!text.contains(['█', '▶', '✓']), "{text}");
    terminal.interrupt();
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 130);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_keep_to_the_width_and_are_watched() {
    let scene = Scene::of(BY_HOLDS).await;
    let mut terminal = Terminal::run(&scene, "list --watch");
    terminal.shows(&["NAME", "color-app-v1.default", "Healthy"]).await;
    scene.run("release color --target color-app-v2.default").await.ends(0);
    terminal.shows(&["color-app-v2.default", "Progressing", "Paused"]).await;
    terminal.interrupt();
    assert_eq!(terminal.child.wait().unwrap().exit_code(), 130);
    let mut terminal = Terminal::run(&scene, "history color");
    assert!(terminal.child.wait().unwrap().success());
}
