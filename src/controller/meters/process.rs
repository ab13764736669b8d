//! What the kernel says of this process, read for each scrape. Only Linux says it where we ask.

use std::fmt;

use jiff::Timestamp;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{
    definitions as known,
    registered::{counter, gauge},
};

/// The kernel counts processor time in these, on every architecture that there is.
const TICKS_A_SECOND: f64 = 100.0;
/// Where `/proc/self/stat` has the time spent in the program and in the kernel, counted from behind the name.
const TIMES: [usize; 2] = [11, 12];

/// This process.
#[derive(Debug)]
pub struct Process {
    /// When it started.
    pub started: Timestamp,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        gauge(to, &known::STARTED, [([], self.started.as_millisecond() as f64 / 1000.0)])?;
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        gauge(to, &known::RESIDENT, resident(&read("status")).map(|bytes| ([], bytes)))?;
        match processor_time(&read("stat")) {
            Some(seconds) => counter(to, &known::CPU, seconds),
            None => Ok(()),
        }
    }
}

/// Memory in RAM, in bytes.
fn resident(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Processor time so far, in seconds.
fn processor_time(stat: &str) -> Option<f64> {
    // A name may have blanks and brackets of its own.
    let (_, behind) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let [user, kernel] = TIMES.map(|place| fields.get(place).and_then(|field| field.parse::<u64>().ok()));
    Some((user? + kernel?) as f64 / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read_and_what_it_does_not_is_left_out() {
        assert_eq!(resident("VmPeak:\t  9 kB\nVmRSS:\t  2048 kB\n"), Some(2 << 20));
        assert_eq!(resident(""), None);
        let stat = "7 (a) b)) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 7 8";
        assert_eq!(processor_time(stat), Some(2.0));
        assert_eq!(processor_time(""), None);
    }
}
