//! The host, under the names of node_exporter. sysinfo reads most of it; the modes of each CPU and
//! the details of memory come from `/proc`, where there is one.

use std::fs;

use sysinfo::{Disks, MemoryRefreshKind, Networks, System};

use crate::clock;
use crate::metrics::{Families, Kind};

/// Reads the host.
pub struct Host {
    system: Option<System>,
    disks: Option<Disks>,
    networks: Option<Networks>,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            system: System::new().ok(),
            disks: Disks::new_with_refreshed_list().ok(),
            networks: Networks::new_with_refreshed_list().ok(),
        }
    }
}

impl Host {
    /// Adds what it sees now.
    pub fn collect(&mut self, out: &mut Families) {
        cpus(out, &fs::read_to_string("/proc/stat").unwrap_or_default());
        self.memory(out);
        load(out);
        self.filesystems(out);
        self.network(out);
        times(out);
        uname(out);
    }

    fn memory(&mut self, out: &mut Families) {
        if let Ok(text) = fs::read_to_string("/proc/meminfo") {
            return meminfo(out, &text);
        }
        let Some(system) = &mut self.system else { return };
        system.refresh_memory_specifics(MemoryRefreshKind::everything());
        for (name, bytes) in [
            ("node_memory_MemTotal_bytes", system.total_memory()),
            ("node_memory_MemFree_bytes", system.free_memory()),
            ("node_memory_MemAvailable_bytes", system.available_memory()),
            ("node_memory_SwapTotal_bytes", system.total_swap()),
            ("node_memory_SwapFree_bytes", system.free_swap()),
        ] {
            out.gauge(name, "Memory of the host.", bytes as f64);
        }
    }

    fn filesystems(&mut self, out: &mut Families) {
        let Some(disks) = &mut self.disks else { return };
        disks.refresh(true);
        for disk in disks.iter() {
            let device = disk.name().to_string_lossy();
            let fstype = disk.file_system().to_string_lossy();
            let mountpoint = disk.mount_point().to_string_lossy();
            let labels = [("device", &*device), ("fstype", &*fstype), ("mountpoint", &*mountpoint)];
            let mut gauge = |name, help, value: f64| {
                out.family(name, Kind::Gauge, help).sample(&labels, value);
            };
            gauge(
                "node_filesystem_size_bytes",
                "Filesystem size in bytes.",
                disk.total_space() as f64,
            );
            gauge(
                "node_filesystem_avail_bytes",
                "Filesystem space available to non-root users in bytes.",
                disk.available_space() as f64,
            );
            gauge(
                "node_filesystem_readonly",
                "Filesystem read-only status.",
                f64::from(u8::from(disk.is_read_only())),
            );
        }
    }

    fn network(&mut self, out: &mut Families) {
        let Some(networks) = &mut self.networks else { return };
        networks.refresh(true);
        for (device, network) in networks.iter() {
            let device = device.to_string_lossy();
            for (name, help, value) in [
                (
                    "node_network_receive_bytes_total",
                    "Network device statistic receive_bytes.",
                    network.total_received(),
                ),
                (
                    "node_network_transmit_bytes_total",
                    "Network device statistic transmit_bytes.",
                    network.total_transmitted(),
                ),
                (
                    "node_network_receive_packets_total",
                    "Network device statistic receive_packets.",
                    network.total_packets_received(),
                ),
                (
                    "node_network_transmit_packets_total",
                    "Network device statistic transmit_packets.",
                    network.total_packets_transmitted(),
                ),
                (
                    "node_network_receive_errs_total",
                    "Network device statistic receive_errs.",
                    network.total_errors_on_received(),
                ),
                (
                    "node_network_transmit_errs_total",
                    "Network device statistic transmit_errs.",
                    network.total_errors_on_transmitted(),
                ),
            ] {
                out.family(name, Kind::Counter, help).sample(&[("device", &*device)], value as f64);
            }
        }
    }
}

/// `/proc/stat`: clock ticks of each CPU by mode. Linux shows them in hundredths of a second.
fn cpus(out: &mut Families, stat: &str) {
    const MODES: [&str; 8] =
        ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
    let help = "Seconds the CPUs spent in each mode.";
    let family = out.family("node_cpu_seconds_total", Kind::Counter, help);
    for line in stat.lines() {
        let mut fields = line.split_whitespace();
        let Some(cpu) = fields.next().and_then(|name| name.strip_prefix("cpu")) else { continue };
        // The line without a number is the sum.
        if cpu.is_empty() {
            continue;
        }
        for (mode, ticks) in MODES.iter().zip(fields) {
            if let Ok(ticks) = ticks.parse::<f64>() {
                family.sample(&[("cpu", cpu), ("mode", mode)], ticks / 100.0);
            }
        }
    }
}

/// `/proc/meminfo`: `Active(anon):  1234 kB` is `node_memory_Active_anon_bytes`.
fn meminfo(out: &mut Families, text: &str) {
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let (Some(key), Some(value)) = (fields.next(), fields.next()) else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let key = key.trim_end_matches(':').replace('(', "_").replace(')', "");
        let (name, value) = match fields.next() {
            Some("kB") => (format!("node_memory_{key}_bytes"), value * 1024.0),
            _ => (format!("node_memory_{key}"), value),
        };
        out.family(name, Kind::Gauge, "Memory information field.").sample(&[], value);
    }
}

fn load(out: &mut Families) {
    let Ok(load) = System::load_average() else { return };
    out.gauge("node_load1", "1m load average.", load.one);
    out.gauge("node_load5", "5m load average.", load.five);
    out.gauge("node_load15", "15m load average.", load.fifteen);
}

fn times(out: &mut Families) {
    if let Ok(boot) = System::boot_time() {
        out.gauge("node_boot_time_seconds", "Node boot time, in unixtime.", boot as f64);
    }
    out.gauge(
        "node_time_seconds",
        "System time in seconds since epoch (1970).",
        clock::now_seconds(),
    );
}

fn uname(out: &mut Families) {
    let uname = rustix::system::uname();
    let [sysname, release, version, machine, nodename] =
        [uname.sysname(), uname.release(), uname.version(), uname.machine(), uname.nodename()]
            .map(|text| text.to_string_lossy());
    let domainname = fs::read_to_string("/proc/sys/kernel/domainname").unwrap_or_default();
    let help = "Labeled system information as provided by the uname system call.";
    out.family("node_uname_info", Kind::Gauge, help).sample(
        &[
            ("sysname", &*sysname),
            ("release", &*release),
            ("version", &*version),
            ("machine", &*machine),
            ("nodename", &*nodename),
            ("domainname", domainname.trim()),
        ],
        1.0,
    );
}

/// The machine's name.
pub fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_become_families() {
        let mut out = Families::default();
        cpus(&mut out, "cpu  9 9 9 9\ncpu0 150 0 25 1000 1 2 3 4 0 0\ncpu11 1\nintr 5\n");
        meminfo(&mut out, "MemTotal:       16 kB\nActive(anon):    2 kB\nHugePages_Total:   3\n");
        let text = out.to_text();
        for line in [
            "node_cpu_seconds_total{cpu=\"0\",mode=\"user\"} 1.5\n",
            "node_cpu_seconds_total{cpu=\"0\",mode=\"steal\"} 0.04\n",
            "node_cpu_seconds_total{cpu=\"11\",mode=\"user\"} 0.01\n",
            "node_memory_MemTotal_bytes 16384\n",
            "node_memory_Active_anon_bytes 2048\n",
            "node_memory_HugePages_Total 3\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("cpu=\"\""));
    }

    #[test]
    fn this_host_is_seen() {
        let mut out = Families::default();
        Host::default().collect(&mut out);
        let text = out.to_text();
        for name in [
            "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}",
            "node_memory_MemAvailable_bytes ",
            "node_load1 ",
            "node_boot_time_seconds ",
            "node_uname_info{sysname=\"Linux\"",
            "node_network_receive_bytes_total{device=\"lo\"}",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }
}
