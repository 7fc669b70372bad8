//! A seeded fleet as remote-write requests: agents with counters, gauges of few decimals, full
//! floats and latency buckets; or hosts with whole percentages. Its times may jitter and its agents be
//! replaced.

const START_MS: i64 = 1_760_000_000_000;
const STEP_MS: i64 = 10_000;
const BUCKETS: &[&str] =
    &["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
const COUNTERS: usize = 20;
const GAUGES: usize = 20;
const FLOATS: usize = 3;

/// Gauges of a host.
const HOST_GAUGES: usize = 10;
/// With [`Fleet::churning`], one agent of so many is replaced,
const REPLACED: usize = 10;
/// after each so many steps.
const LIFE: usize = 60;

pub(crate) struct Fleet {
    seed: u64,
    agents: usize,
    steps: usize,
    hosts: bool,
    jitter_ms: i64,
    churns: bool,
}

/// A request and the samples in it.
pub(crate) struct Request {
    #[allow(dead_code, reason = "not every bench counts")]
    pub(crate) samples: usize,
    pub(crate) body: Vec<u8>,
}

/// One series: its labels in wire form, and what moves its value.
struct Series {
    name: String,
    agent: usize,
    le: Option<&'static str>,
    labels: Vec<u8>,
    kind: Kind,
    value: f64,
    random: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Float,
    Bucket(usize),
    Percent,
}

impl Fleet {
    pub(crate) fn new(seed: u64, agents: usize, steps: usize) -> Fleet {
        Fleet { seed, agents, steps, hosts: false, jitter_ms: 0, churns: false }
    }

    /// Hosts with ten gauges of whole numbers each, instead of agents.
    #[allow(dead_code, reason = "not every bench has hosts")]
    pub(crate) fn of_hosts(self) -> Fleet {
        Fleet { hosts: true, ..self }
    }

    /// Every agent is scraped up to so many milliseconds early or late.
    #[allow(dead_code, reason = "not every bench has jitter")]
    pub(crate) fn jittering(self, jitter_ms: i64) -> Fleet {
        Fleet { jitter_ms, ..self }
    }

    /// A tenth of the agents is replaced every ten minutes.
    #[allow(dead_code, reason = "not every bench has churn")]
    pub(crate) fn churning(self) -> Fleet {
        Fleet { churns: true, ..self }
    }

    /// Series at a time.
    pub(crate) fn series(&self) -> usize {
        let agent = COUNTERS + GAUGES + FLOATS + BUCKETS.len();
        self.agents * if self.hosts { HOST_GAUGES } else { agent }
    }

    pub(crate) fn samples(&self) -> usize {
        self.series() * self.steps
    }

    pub(crate) fn end_seconds(&self) -> i64 {
        (START_MS + (self.steps as i64 - 1) * STEP_MS) / 1000
    }

    /// Whole hours of data.
    pub(crate) fn hours(&self) -> i64 {
        self.steps as i64 * STEP_MS / 3_600_000
    }

    /// Snappy bodies of `batch` samples each, step by step.
    #[allow(dead_code, reason = "not every bench has one connection")]
    pub(crate) fn requests(&self, batch: usize) -> Vec<Vec<u8>> {
        let one = self.requests_of(1, batch).into_iter().flatten();
        one.map(|request| request.body).collect()
    }

    /// The same for so many connections, each with agents of its own.
    pub(crate) fn requests_of(&self, connections: usize, batch: usize) -> Vec<Vec<Request>> {
        let mut series = self.all_series();
        let mut requests: Vec<Vec<Request>> = Vec::new();
        requests.resize_with(connections, Vec::new);
        let mut open = vec![(Vec::new(), 0); connections];
        let mut end = |connection: usize, (body, samples): &mut (Vec<u8>, usize)| {
            let request = Request { samples: *samples, body: compress(body) };
            requests[connection].push(request);
            (*samples, _) = (0, body.clear());
        };
        for step in 0..self.steps {
            for one in &mut series {
                if self.churns && step > 0 && step % LIFE == 0 {
                    one.replace(step / LIFE);
                }
                one.advance();
                let connection = one.agent % connections;
                let held = &mut open[connection];
                one.put(self.time_of(step, one.agent), &mut held.0);
                held.1 += 1;
                if held.1 == batch {
                    end(connection, held);
                }
            }
        }
        for (connection, held) in open.iter_mut().enumerate().filter(|(_, held)| held.1 > 0) {
            end(connection, held);
        }
        requests
    }

    fn time_of(&self, step: usize, agent: usize) -> i64 {
        let at = (step as u64) << 32 | agent as u64;
        let random = (at ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let jitter = random as i64 % (2 * self.jitter_ms + 1) - self.jitter_ms;
        START_MS + step as i64 * STEP_MS + jitter
    }

    fn all_series(&self) -> Vec<Series> {
        let mut all = Vec::new();
        for agent in 0..self.agents {
            let mut add = |name: String, le: Option<&'static str>, kind| {
                let number = all.len() as u64 + 1;
                let random = (self.seed ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let labels = labels(&name, agent, 0, le);
                all.push(Series { name, agent, le, labels, kind, value: 50.0, random });
            };
            if self.hosts {
                (0..HOST_GAUGES).for_each(|i| add(format!("cpu_usage_{i}"), None, Kind::Percent));
                continue;
            }
            (0..COUNTERS)
                .for_each(|i| add(format!("agent_requests_{i}_total"), None, Kind::Counter));
            (0..GAUGES).for_each(|i| add(format!("agent_gauge_{i}"), None, Kind::Gauge));
            (0..FLOATS).for_each(|i| add(format!("agent_ewma_{i}"), None, Kind::Float));
            for (i, le) in BUCKETS.iter().enumerate() {
                add("agent_latency_seconds_bucket".to_owned(), Some(le), Kind::Bucket(i));
            }
        }
        all
    }
}

impl Series {
    /// Another agent takes the place of this one's, if it is its turn.
    fn replace(&mut self, turn: usize) {
        if self.agent % REPLACED == turn % REPLACED {
            self.labels = labels(&self.name, self.agent, turn, self.le);
            self.value = 50.0;
        }
    }

    fn advance(&mut self) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let unit = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        self.value = match self.kind {
            Kind::Counter => self.value + (unit * 40.0).floor(),
            Kind::Gauge => ((self.value + unit - 0.5).clamp(0.0, 100.0) * 100.0).round() / 100.0,
            Kind::Float => self.value * 0.9 + unit * 10.0,
            Kind::Percent => (self.value + (unit * 3.0).floor() - 1.0).clamp(0.0, 100.0),
            Kind::Bucket(i) => self.value + (unit * (i + 1) as f64).floor(),
        };
    }

    /// Appends a `TimeSeries` message with one sample.
    fn put(&self, t: i64, out: &mut Vec<u8>) {
        let mut sample = vec![0x09];
        sample.extend_from_slice(&self.value.to_le_bytes());
        sample.push(0x10);
        varint(t as u64, &mut sample);
        out.push(0x0a);
        varint((self.labels.len() + 2 + sample.len()) as u64, out);
        out.extend_from_slice(&self.labels);
        out.push(0x12);
        varint(sample.len() as u64, out);
        out.extend_from_slice(&sample);
    }
}

fn labels(name: &str, agent: usize, life: usize, le: Option<&str>) -> Vec<u8> {
    let agent = match life {
        0 => format!("agent-{agent}"),
        life => format!("agent-{agent}-{life}"),
    };
    let mut pairs = vec![("__name__", name), ("agent", &agent), ("cluster", "eu-1")];
    pairs.push(("instance", "10.0.0.1:9100"));
    pairs.push(("job", "agents"));
    pairs.extend(le.map(|le| ("le", le)));
    let mut out = Vec::new();
    for (name, value) in pairs {
        out.push(0x0a);
        varint((name.len() + value.len() + 4) as u64, &mut out);
        for (tag, text) in [(0x0a, name), (0x12, value)] {
            out.push(tag);
            varint(text.len() as u64, &mut out);
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn compress(body: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(body).expect("a body below 4 GiB")
}
