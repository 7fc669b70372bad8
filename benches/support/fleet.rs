//! A seeded fleet as remote-write requests: agents with counters, gauges of few decimals, full
//! floats and latency buckets.

const START_MS: i64 = 1_760_000_000_000;
const STEP_MS: i64 = 10_000;
const BUCKETS: &[&str] =
    &["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
const COUNTERS: usize = 20;
const GAUGES: usize = 20;
const FLOATS: usize = 3;

pub(crate) struct Fleet {
    seed: u64,
    agents: usize,
    steps: usize,
    jitter: u64,
}

/// One series: its labels in wire form, and what moves its value.
struct Series {
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
}

impl Fleet {
    pub(crate) fn new(seed: u64, agents: usize, steps: usize) -> Fleet {
        Fleet { seed, agents, steps, jitter: 0 }
    }

    /// The same fleet, each agent's steps up to so many milliseconds late.
    pub(crate) fn late_by(self, jitter: u64) -> Fleet {
        Fleet { jitter, ..self }
    }

    pub(crate) fn series(&self) -> usize {
        self.agents * (COUNTERS + GAUGES + FLOATS + BUCKETS.len())
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
    pub(crate) fn requests(&self, batch: usize) -> Vec<Vec<u8>> {
        let mut series = self.all_series();
        let all = series.len();
        let mut requests = Vec::new();
        let (mut body, mut held) = (Vec::new(), 0);
        for step in 0..self.steps {
            let t = START_MS + step as i64 * STEP_MS;
            for (place, one) in series.iter_mut().enumerate() {
                one.advance();
                let agent = place * self.agents / all;
                one.put(t + self.lateness(step, agent), &mut body);
                held += 1;
                if held == batch {
                    requests.push(compress(&body));
                    body.clear();
                    held = 0;
                }
            }
        }
        if held > 0 {
            requests.push(compress(&body));
        }
        requests
    }

    fn lateness(&self, step: usize, agent: usize) -> i64 {
        let mixed = (self.seed ^ (step as u64) << 20 ^ agent as u64 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
            .wrapping_mul(0xd6e8_feb8_6659_fd93);
        ((mixed >> 33) % (self.jitter + 1)) as i64
    }

    fn all_series(&self) -> Vec<Series> {
        let mut all = Vec::new();
        for agent in 0..self.agents {
            let mut add = |name: String, le: Option<&str>, kind| {
                let number = all.len() as u64 + 1;
                let random = (self.seed ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                all.push(Series { labels: labels(&name, agent, le), kind, value: 50.0, random });
            };
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
    fn advance(&mut self) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let unit = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        self.value = match self.kind {
            Kind::Counter => self.value + (unit * 40.0).floor(),
            Kind::Gauge => ((self.value + unit - 0.5).clamp(0.0, 100.0) * 100.0).round() / 100.0,
            Kind::Float => self.value * 0.9 + unit * 10.0,
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

fn labels(name: &str, agent: usize, le: Option<&str>) -> Vec<u8> {
    let agent = format!("agent-{agent}");
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
