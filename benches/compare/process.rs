//! A gateway's process: on one core, with what it uses.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The core that gateways run on; the load has another.
pub const GATEWAY_CORE: usize = 0;
pub const LOAD_CORE: usize = 1;

/// A process and its children, ended when dropped.
pub struct Process(Child);

impl Process {
    /// Starts a command on the gateways' core; what it says goes to a file.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("the folder takes files");
        let errors = log.try_clone().expect("a file has handles");
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", &GATEWAY_CORE.to_string()]).arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            pinned.current_dir(folder);
        }
        pinned.stdin(Stdio::null()).stdout(log).stderr(errors);
        Self(pinned.spawn().expect("taskset is there"))
    }

    /// Its ids: its own, and its children's.
    fn ids(&self) -> Vec<u32> {
        let id = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        std::iter::once(id).chain(children.split_whitespace().filter_map(|id| id.parse().ok())).collect()
    }

    /// The CPU time used so far, by all threads.
    pub fn cpu(&self) -> Duration {
        let of_task = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
        };
        let of_process = |id: u32| -> Duration {
            let tasks = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
            tasks.filter_map(of_task).sum()
        };
        self.ids().into_iter().map(of_process).sum()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let of_process = |id: u32| {
            let text = std::fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
            let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
            Some(pages * rustix::param::page_size() as u64)
        };
        self.ids().into_iter().filter_map(of_process).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let id = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// Moves the calling thread to a core.
pub fn move_to(core: usize) {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores).expect("the machine has two cores");
}
