//! The story the demo fleet tells: what each of its members pushes at a moment.
//!
//! Everything is a function of seed, start and time, so tests and benches see the same world. Key
//! and element shapes are those that agents with Redis tools write. One run converges, one diverges,
//! one agent is three times slower than the rest, one GPU runs hot.

use std::f64::consts::TAU;

/// A Redis command, word by word.
pub type Command = Vec<Vec<u8>>;

/// A run begins anew after so many milliseconds; its steps begin at 0 again.
const RUN: i64 = 12 * 3_600_000;
/// Lists keep so many elements.
const KEPT: &str = "999";
const WEEK: &str = "604800";
const DAY: &str = "86400";

/// How a training run goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Course {
    Converges,
    Diverges,
    Plods,
}

const RUNS: [(&str, Course); 3] = [
    ("demo-speech", Course::Converges),
    ("demo-vision", Course::Diverges),
    ("demo-text", Course::Plods),
];

/// Agents, and the seconds a task takes each of them on average.
const AGENTS: [(&str, f64); 8] = [
    ("demo-planner", 40.0),
    ("demo-coder", 55.0),
    ("demo-tester", 45.0),
    ("demo-reviewer", 50.0),
    ("demo-researcher", 150.0),
    ("demo-writer", 48.0),
    ("demo-deployer", 52.0),
    ("demo-debugger", 60.0),
];

/// GPUs, with the temperature each has when idle, and how much a full load adds.
const GPUS: [(&str, f64, f64); 2] = [("demo-gpu-0", 42.0, 25.0), ("demo-gpu-1", 58.0, 36.0)];
const GPU_MEMORY_MB: f64 = 81_920.0;

/// A fleet; equal seeds and starts give equal fleets.
#[derive(Clone, Debug)]
pub struct Fleet {
    seed: u64,
    start: i64,
}

impl Fleet {
    /// A fleet whose story begins at `start`, in milliseconds since 1970.
    pub fn new(seed: u64, start: i64) -> Fleet {
        Fleet { seed, start }
    }

    /// All that the fleet pushes at `t`, having pushed last at `after`.
    pub fn round(&self, after: i64, t: i64) -> Vec<Command> {
        let mut out = Vec::new();
        let iso = iso(t);
        RUNS.iter().for_each(|(project, course)| self.train(project, *course, t, &iso, &mut out));
        GPUS.iter().for_each(|(gpu, idle, heat)| self.gpu(gpu, *idle, *heat, t, &iso, &mut out));
        AGENTS.iter().for_each(|(agent, pace)| self.agent(agent, *pace, after, t, &iso, &mut out));
        self.summary(t, &mut out);
        out
    }

    /// How many elements the loss list of a run gets for so many rounds: one each.
    pub fn projects() -> impl Iterator<Item = &'static str> {
        RUNS.iter().map(|(project, _)| *project)
    }

    fn train(&self, project: &str, course: Course, t: i64, iso: &str, out: &mut Vec<Command>) {
        let phase = (t - self.start).rem_euclid(RUN);
        let (step, hours) = (phase / 1000, phase as f64 / 3_600_000.0);
        let smooth = match course {
            Course::Converges => 0.18 + 3.2 * (-hours / 0.9).exp(),
            Course::Diverges if hours < 3.5 => 0.6 + 2.6 * (-hours / 1.2).exp(),
            Course::Diverges => 0.74 * ((hours - 3.5) / 1.1).min(5.0).exp(),
            Course::Plods => 1.4 + 1.6 * (-hours / 6.0).exp(),
        };
        let loss = (smooth * (1.0 + 0.03 * self.noise(project, t))).max(0.001);
        let wer = (loss * 9.0 + 2.0 + 0.3 * self.noise(&format!("{project} wer"), t)).min(100.0);
        for (metric, value) in [("loss", loss), ("wer", wer)] {
            let key = format!("metrics:training:{project}:{metric}");
            let element = format!(r#"{{"step":{step},"value":{value:.4},"timestamp":"{iso}"}}"#);
            push(&key, &element, WEEK, out);
        }
        let current = format!("metrics:training:{project}:current");
        let (loss, wer) = (format!("{loss:.4}"), format!("{wer:.4}"));
        hset(&current, &[("loss", &loss), ("wer", &wer), ("last_updated", iso)], out);
        hset(&format!("context:project:{project}"), &[("status", "training")], out);
    }

    fn gpu(&self, gpu: &str, idle: f64, heat: f64, t: i64, iso: &str, out: &mut Vec<Command>) {
        let wave = (TAU * (t - self.start) as f64 / 1_500_000.0).sin();
        let load = (78.0 + 14.0 * wave + 3.0 * self.noise(gpu, t)).clamp(0.0, 100.0);
        let memory = GPU_MEMORY_MB * (0.55 + 0.002 * load);
        let warmth = idle + heat * load / 100.0 + 0.6 * self.noise(&format!("{gpu} heat"), t);
        let power = 90.0 + 5.1 * load;
        let lists = [("utilization", load), ("memory_used_mb", memory), ("temperature", warmth)];
        for (metric, value) in lists {
            let key = format!("metrics:gpu:{gpu}:{metric}");
            push(&key, &format!(r#"{{"value":{value:.1},"timestamp":"{iso}"}}"#), DAY, out);
        }
        let fields = [
            ("utilization_percent", load),
            ("memory_used_mb", memory),
            ("memory_total_mb", GPU_MEMORY_MB),
            ("temperature_celsius", warmth),
            ("power_draw_watts", power),
        ];
        let texts = fields.map(|(field, value)| (field, format!("{value:.1}")));
        let pairs = texts.each_ref().map(|(field, text)| (*field, text.as_str()));
        hset(&format!("metrics:gpu:{gpu}:current"), &pairs, out);
    }

    /// An agent works task after task; those that ended since `after` are reported.
    fn agent(&self, agent: &str, pace: f64, after: i64, t: i64, iso: &str, out: &mut Vec<Command>) {
        let period = (pace * 1000.0) as i64;
        let ended = |t: i64| (t - self.start).div_euclid(period);
        let duration =
            |task: i64| (pace * (1.0 + 0.15 * self.noise(agent, task * period))).max(1.0);
        for task in ended(after)..ended(t) {
            let element = format!(
                r#"{{"taskId":"demo-task-{agent}-{task}","agent":"{agent}","duration":{:.1},"timestamp":"{iso}"}}"#,
                duration(task)
            );
            push("metrics:tasks:completion_times", &element, DAY, out);
        }
        let rest = 3 * period;
        let busy = (t - self.start).rem_euclid(12 * period) >= rest;
        let verb = if busy { "SADD" } else { "SREM" };
        out.push(command(&[verb, "metrics:agents:active", agent]));
        let queued =
            if busy { 1 + (2.0 + 1.5 * self.noise(agent, t / 60_000)).max(0.0) as i64 } else { 0 };
        let queued = queued.to_string();
        hset(&format!("metrics:agent:{agent}:workload"), &[("current_tasks", &queued)], out);
        let done = ended(t).max(0).to_string();
        let average = format!("{:.1}", duration(ended(t)));
        let errors = format!("{:.2}", (1.5 + 0.8 * self.noise(agent, t / 300_000)).max(0.0));
        hset(
            &format!("metrics:agent:{agent}:performance"),
            &[
                ("tasks_completed", &done),
                ("avg_duration_seconds", &average),
                ("error_rate_percent", &errors),
            ],
            out,
        );
    }

    fn summary(&self, t: i64, out: &mut Vec<Command>) {
        let since = |t: i64, period: f64| ((t - self.start) as f64 / (period * 1000.0)).max(0.0);
        let done: f64 = AGENTS.iter().map(|(_, pace)| since(t, *pace).floor()).sum();
        let hourly: f64 = AGENTS.iter().map(|(_, pace)| 3600.0 / pace).sum();
        let average = hourly.recip() * 3600.0 * AGENTS.len() as f64;
        let (done, hourly, average) =
            (format!("{done:.0}"), format!("{hourly:.1}"), format!("{average:.1}"));
        hset("metrics:tasks:counters", &[("completed_today", &done)], out);
        let sla = format!("{:.1}", 98.0 + 0.5 * self.noise("sla", t / 60_000));
        hset(
            "metrics:tasks:aggregated",
            &[
                ("throughput_per_hour", &hourly),
                ("avg_duration_seconds", &average),
                ("sla_compliance_percent", &sla),
            ],
            out,
        );
    }

    /// Noise around 0, rarely beyond 2, the same for the same name and moment.
    fn noise(&self, name: &str, t: i64) -> f64 {
        let hash = |i: u64| {
            let bytes = [name.as_bytes(), &t.to_le_bytes()].concat();
            let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes, self.seed ^ i);
            (hash >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..4).map(hash).sum::<f64>() * 1.73 - 3.46
    }
}

/// A push as the agents make it: the newest in front, bounded, kept for a while.
fn push(key: &str, element: &str, ttl: &str, out: &mut Vec<Command>) {
    out.push(command(&["LPUSH", key, element]));
    out.push(command(&["LTRIM", key, "0", KEPT]));
    out.push(command(&["EXPIRE", key, ttl]));
}

fn hset(key: &str, pairs: &[(&str, &str)], out: &mut Vec<Command>) {
    let fields = pairs.iter().flat_map(|(field, value)| [*field, *value]);
    let words: Vec<&str> = ["HSET", key].into_iter().chain(fields).collect();
    out.push(command(&words));
}

fn command(words: &[&str]) -> Command {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// A moment as JavaScript's `toISOString` writes it.
fn iso(t: i64) -> String {
    match jiff::Timestamp::from_millisecond(t) {
        Ok(moment) => moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        Err(_) => t.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_795_000_000_000;

    #[test]
    fn equal_fleets_push_equal_rounds() {
        let (a, b) = (Fleet::new(7, START), Fleet::new(7, START));
        let other = Fleet::new(8, START);
        let round = |fleet: &Fleet| fleet.round(START + 15_000, START + 30_000);
        assert_eq!(round(&a), round(&b));
        assert_ne!(round(&a), round(&other));
    }

    #[test]
    fn the_story_is_told() {
        let fleet = Fleet::new(1, START);
        let value = |key: &str, hours: f64| -> f64 {
            let t = START + (hours * 3.6e6) as i64;
            let round = fleet.round(t - 1000, t);
            let push = round.iter().find(|c| c[0] == b"LPUSH" && c[1] == key.as_bytes()).unwrap();
            let element: serde_json::Value = serde_json::from_slice(&push[2]).unwrap();
            element["value"].as_f64().unwrap()
        };
        let loss = |project: &str, hours| value(&format!("metrics:training:{project}:loss"), hours);
        assert!(loss("demo-speech", 0.1) > 2.0 && loss("demo-speech", 5.9) < 0.3);
        assert!(loss("demo-vision", 5.9) > 2.0 * loss("demo-vision", 3.4));
        let heat = |gpu| value(&format!("metrics:gpu:{gpu}:temperature"), 3.0);
        assert!(heat("demo-gpu-1") > heat("demo-gpu-0") + 15.0);
    }

    #[test]
    fn every_name_says_that_it_is_a_demo() {
        let names = RUNS.iter().map(|r| r.0).chain(AGENTS.iter().map(|a| a.0));
        assert!(names.chain(GPUS.iter().map(|g| g.0)).all(|name| name.starts_with("demo-")));
    }

    #[test]
    fn tasks_are_counted_once_however_rounds_are_cut() {
        let fleet = Fleet::new(1, START);
        let tasks = |step: i64| {
            let rounds = (START..START + 600_000).step_by(step as usize);
            let commands = rounds.flat_map(|t| fleet.round(t, t + step));
            commands
                .filter(|c| c[1] == b"metrics:tasks:completion_times" && c[0] == b"LPUSH")
                .count()
        };
        assert_eq!(tasks(1000), tasks(15_000));
    }
}
