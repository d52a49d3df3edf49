//! How busy the host is, as Linux tells it; elsewhere nothing is known.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How much of the host is in use, percent. What cannot be found out is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Host {
    /// Of all cores, since somebody looked last; at the first look, since the host started.
    pub cpu_percent: Option<f64>,
    /// Of the memory that could be had.
    pub memory_percent: Option<f64>,
    /// Of the disk on which the data lies.
    pub disk_percent: Option<f64>,
}

impl Host {
    /// Looks at memory and disk; `cpu` was looked at before.
    pub(super) fn look(cpu: Option<f64>, data: &Path) -> Self {
        let memory = fs::read_to_string("/proc/meminfo").ok();
        Self {
            cpu_percent: cpu,
            memory_percent: memory.and_then(|text| memory_in_use(&text)),
            disk_percent: disk(data),
        }
    }
}

/// What the cores had done when somebody looked last.
#[derive(Debug, Default)]
pub(crate) struct Cpu(Mutex<Ticks>);

/// Time of all cores since the host started, in the unit of the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Ticks {
    idle: u64,
    all: u64,
}

impl Cpu {
    /// How much of the cores was in use since the last call, percent.
    pub(super) fn share(&self) -> Option<f64> {
        let now = Ticks::read(&fs::read_to_string("/proc/stat").ok()?)?;
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let share = now.since(*last);
        // Two looks at once see no time between them: the later one goes on from the same place.
        if share.is_some() {
            *last = now;
        }
        share
    }
}

impl Ticks {
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        // user nice system idle iowait irq softirq steal; what follows is counted among the first two already.
        let times: Vec<u64> = line.split_ascii_whitespace().take(8).map_while(|time| time.parse().ok()).collect();
        let idle = times.get(3)? + times.get(4).copied().unwrap_or_default();
        Some(Self { idle, all: times.iter().sum() })
    }

    fn since(self, last: Self) -> Option<f64> {
        let (all, idle) = (self.all.checked_sub(last.all)?, self.idle.checked_sub(last.idle)?);
        (all > 0).then(|| percent(all - idle.min(all), all))
    }
}

fn memory_in_use(meminfo: &str) -> Option<f64> {
    let of = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_ascii_whitespace().next()?.parse().ok()
    };
    let (all, free) = (of("MemTotal")?, of("MemAvailable")?);
    (all > 0).then(|| percent(all.saturating_sub(free), all))
}

/// In use of the file system on which the path lies, or the nearest folder above it that is there.
fn disk(path: &Path) -> Option<f64> {
    let found = path.ancestors().find_map(|place| {
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        rustix::fs::statvfs(place).ok()
    })?;
    // What only the administrator of the host may use is not free.
    let used = found.f_blocks.saturating_sub(found.f_bfree);
    let all = used + found.f_bavail;
    (all > 0).then(|| percent(used, all))
}

/// With one decimal.
#[expect(clippy::cast_precision_loss, reason = "a share with one decimal is exact enough")]
fn percent(part: u64, all: u64) -> f64 {
    (part as f64 * 1000.0 / all as f64).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_busy_by_what_passed_since_the_last_look() {
        let at = |text: &str| Ticks::read(text).unwrap();
        let (first, then) = (at("cpu  10 0 10 70 10 0 0 0 5 5\ncpu0 1 1"), at("cpu  40 0 20 120 20 0 0 0 9 9\n"));
        assert_eq!(first, Ticks { idle: 80, all: 100 });
        assert_eq!(first.since(Ticks::default()), Some(20.0));
        assert_eq!(then.since(first), Some(40.0));
        assert_eq!(then.since(then), None);
        assert_eq!(Ticks::read("intr 5"), None);
    }

    #[test]
    fn memory_that_can_be_had_is_not_in_use() {
        assert_eq!(memory_in_use("MemTotal:  1000 kB\nMemFree: 10 kB\nMemAvailable:   250 kB\n"), Some(75.0));
        assert_eq!(memory_in_use("MemTotal:  1000 kB\n"), None);
    }

    #[test]
    fn a_disk_is_found_by_a_path_that_is_yet_to_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let share = disk(&folder.path().join("data/files")).unwrap();
        assert!((0.0..=100.0).contains(&share), "{share}");
        assert!(disk(Path::new("data")).is_some());
    }
}
