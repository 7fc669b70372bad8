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
    kib(&status, "VmRSS:")
}

/// What this process uses; zeros where the system does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Bytes of memory.
    pub resident: u64,
    /// Most bytes of memory it ever had.
    pub peak: u64,
    /// Seconds of processor time of its own.
    pub user: f64,
    /// Seconds the system worked for it.
    pub system: f64,
    /// Bytes of memory the machine has.
    pub machine: u64,
}

impl Usage {
    /// Looks at this process.
    pub fn now() -> Usage {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (status, stat) = (read("/proc/self/status"), read("/proc/self/stat"));
        // The name, in brackets, may hold spaces; the times are the 12th and 13th field behind it.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let mut ticks = fields.skip(11).map(|field| field.parse::<f64>().unwrap_or(0.0) / 100.0);
        Usage {
            resident: kib(&status, "VmRSS:"),
            peak: kib(&status, "VmHWM:"),
            user: ticks.next().unwrap_or(0.0),
            system: ticks.next().unwrap_or(0.0),
            machine: kib(&read("/proc/meminfo"), "MemTotal:"),
        }
    }
}

/// The bytes behind a name in a list of KiB.
fn kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
