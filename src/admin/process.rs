//! The usual figures of a process, under their usual names in Prometheus.

use std::fmt::Write as _;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Appends what the kernel tells of this process; a figure that it does not tell is left out.
pub(super) fn write(text: &mut String) {
    if let Some((cpu_seconds, resident, virtual_size, started)) = stat() {
        gauge(text, "process_cpu_seconds_total", "counter", "User and system CPU time.", cpu_seconds);
        gauge(text, "process_resident_memory_bytes", "gauge", "Resident memory.", resident);
        gauge(text, "process_virtual_memory_bytes", "gauge", "Virtual memory.", virtual_size);
        if let Some(boot) = boot_time() {
            gauge(text, "process_start_time_seconds", "gauge", "Start, in unix seconds.", boot + started);
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        gauge(text, "process_open_fds", "gauge", "Open file descriptors.", open.count() as f64);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        gauge(text, "process_max_fds", "gauge", "File descriptors at most.", most as f64);
    }
}

fn gauge(text: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

/// CPU seconds, resident and virtual bytes, and the start in seconds after boot: proc(5), `/proc/pid/stat`.
fn stat() -> Option<(f64, f64, f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, second, may hold anything but ends with the last parenthesis; the third field follows.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let ticks = clock_ticks_per_second() as f64;
    let cpu = (field(14)? + field(15)?) / ticks;
    Some((cpu, field(24)? * page_size() as f64, field(23)?, field(22)? / ticks))
}

fn boot_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}
