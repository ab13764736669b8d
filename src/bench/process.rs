//! The controller as a process of its own, and what the kernel says of it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::error::BenchError;

/// How much of its log is shown where it did not do what was waited for.
const TAIL: usize = 10;
/// The kernel counts processor time in these.
const TICKS_A_SECOND: f64 = 100.0;
/// Where `/proc/PID/stat` has the time spent in the program and in the kernel, counted from behind the name.
const TIMES: [usize; 2] = [11, 12];

/// A running controller. Dropping it kills it.
pub struct Controller {
    child: Child,
    log: PathBuf,
}

/// What the kernel says of a process at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Memory in RAM, in KiB, files included.
    pub rss: u64,
    /// The most that it ever was.
    pub peak: u64,
    /// Memory that belongs to no file, in KiB.
    pub anonymous: u64,
    /// Processor time so far.
    pub cpu: Duration,
}

impl Controller {
    /// Starts a program as a controller.
    pub fn start(program: &Path, config: &Path, kubeconfig: &Path, log: &Path) -> Result<Self, BenchError> {
        let failed = || BenchError::machine(format!("start {} as a controller", program.display()));
        let written = File::options().create(true).append(true).open(log).map_err(failed())?;
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(config).arg("--kubeconfig").arg(kubeconfig);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(written);
        let child = command.spawn().map_err(failed())?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Ends it as a machine that loses power would.
    pub fn kill(mut self) {
        self.end();
    }

    /// What the kernel says of it now.
    pub fn usage(&self) -> Result<Usage, BenchError> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.child.id());
            std::fs::read_to_string(&path).map_err(BenchError::machine(format!("read {path}")))
        };
        let (status, stat) = (read("status")?, read("stat")?);
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "not as proc(5) describes it");
        usage(&status, &stat).ok_or_else(|| BenchError::machine("read what the kernel says")(odd()))
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    fn end(&mut self) {
        // It may have ended by itself; then there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.end();
    }
}

/// From the texts of `/proc/PID/status` and `/proc/PID/stat`.
fn usage(status: &str, stat: &str) -> Option<Usage> {
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    // The name of the program, in parentheses, may hold anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks = |place: usize| after_name.split_whitespace().nth(place)?.parse::<f64>().ok();
    let cpu = Duration::try_from_secs_f64((ticks(TIMES[0])? + ticks(TIMES[1])?) / TICKS_A_SECOND).ok()?;
    Some(Usage { rss: kib("VmRSS")?, peak: kib("VmHWM")?, anonymous: kib("RssAnon")?, cpu })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_understood() {
        let status = "Name:\ttidegate\nVmHWM:\t   20000 kB\nVmRSS:\t   15000 kB\nRssAnon:\t    6000 kB\n";
        let stat = "42 (a ) name) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 1000 1 2";
        let want = Usage { rss: 15000, peak: 20000, anonymous: 6000, cpu: Duration::from_secs(2) };
        assert_eq!(usage(status, stat), Some(want));
        assert_eq!(usage("", stat), None);
        assert_eq!(usage(status, "42 (x) S 1"), None);
    }
}
