//! This process, under the names of Prometheus's client libraries.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::metrics::Families;

/// Reads this process.
pub struct Process {
    system: Option<System>,
    pid: Option<Pid>,
}

impl Default for Process {
    fn default() -> Process {
        Process { system: System::new().ok(), pid: sysinfo::get_current_pid().ok() }
    }
}

impl Process {
    /// Adds what it sees now.
    pub fn collect(&mut self, out: &mut Families) {
        let (Some(system), Some(pid)) = (&mut self.system, self.pid) else { return };
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
        let Some(process) = system.process(pid) else { return };
        out.counter(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            process.accumulated_cpu_time() as f64 / 1000.0,
        );
        out.gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            process.memory() as f64,
        );
        out.gauge(
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            process.virtual_memory() as f64,
        );
        out.gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            process.start_time() as f64,
        );
        if let Some(open) = process.open_files() {
            out.gauge("process_open_fds", "Number of open file descriptors.", open as f64);
        }
        if let Some(limit) = process.open_files_limit() {
            out.gauge("process_max_fds", "Maximum number of open file descriptors.", limit as f64);
        }
        if let Some(threads) = process.tasks().map(|tasks| tasks.len() + 1) {
            out.gauge("process_threads", "Number of threads.", threads as f64);
        }
    }
}

/// Resident memory of this process; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
