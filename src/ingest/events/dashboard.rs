//! The dashboard's message, member by member as the seed's `getDashboardMetrics` makes it.
//!
//! What is not there is `null` where the seed's arithmetic gives NaN, and absent where it gives
//! nothing.

use std::collections::HashMap;

use serde_json::Value;

use super::script::{is_scalar, json, json_number, parse_float, parse_int};
use crate::inside::{Inside, strings};

/// Where the message is published.
pub(super) const CHANNEL: &[u8] = b"events:dashboard:update";

/// The message for one project at this moment.
pub(super) fn message(inside: &dyn Inside, project: &str, now: i64) -> String {
    let training = Hash::read(inside, &format!("metrics:training:{project}:current"));
    let tasks = Hash::read(inside, "metrics:tasks:aggregated");
    let gpu = Hash::read(inside, "metrics:gpu:current");
    let agents = Hash::read(inside, "metrics:agents:load_balance");
    let mut trend = list(inside, &format!("metrics:training:{project}:loss"), "49");
    trend.reverse();
    let trend = trend.iter().map(|element| members(element, &["step", "value"]));
    let completions = list(inside, "metrics:tasks:completion_times", "99");
    let recent = completions.iter().map(|e| members(e, &["timestamp", "duration", "agent"]));
    let active = strings(&inside.call(&[b"SMEMBERS", b"metrics:agents:active"]).reply).len();
    object(&[
        (
            "training",
            object(&[
                ("currentLoss", training.float("loss")),
                ("currentWER", training.float("wer")),
                ("lastUpdated", training.text("last_updated")),
                ("lossTrend", array(trend)),
            ]),
        ),
        (
            "tasks",
            object(&[
                ("throughputPerHour", tasks.int("throughput_per_hour")),
                ("avgDurationSeconds", tasks.float("avg_duration_seconds")),
                ("slaCompliancePercent", tasks.float("sla_compliance_percent")),
                ("recentCompletions", array(recent)),
            ]),
        ),
        (
            "gpu",
            object(&[
                ("utilizationPercent", gpu.float("utilization_percent")),
                ("memoryUsedMB", gpu.float("memory_used_mb")),
                ("memoryTotalMB", gpu.float("memory_total_mb")),
                ("temperatureCelsius", gpu.float("temperature_celsius")),
                ("powerDrawWatts", gpu.float("power_draw_watts")),
            ]),
        ),
        (
            "agents",
            object(&[
                ("activeCount", active.to_string()),
                ("loadVariancePercent", agents.float("variance_percent")),
                ("avgTasksPerAgent", agents.float("avg_tasks_per_agent")),
            ]),
        ),
        ("timestamp", Value::String(moment(now)).to_string()),
    ])
}

/// A hash of current values.
struct Hash(HashMap<String, String>);

impl Hash {
    fn read(inside: &dyn Inside, key: &str) -> Hash {
        let pairs = strings(&inside.call(&[b"HGETALL", key.as_bytes()]).reply);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs = pairs.chunks_exact(2).filter_map(|pair| match pair {
            [field, value] => Some((text(field), text(value))),
            _ => None,
        });
        Hash(pairs.collect())
    }

    fn float(&self, field: &str) -> String {
        self.0.get(field).map_or_else(|| "null".to_owned(), |v| json_number(parse_float(v)))
    }

    fn int(&self, field: &str) -> String {
        self.0.get(field).map_or_else(|| "null".to_owned(), |v| json_number(parse_int(v)))
    }

    /// Empty if it is not there, which leaves the member out.
    fn text(&self, field: &str) -> String {
        self.0.get(field).map_or_else(String::new, |text| Value::String(text.clone()).to_string())
    }
}

/// The newest elements of a list that are JSON objects.
fn list(inside: &dyn Inside, key: &str, last: &str) -> Vec<Value> {
    let args: [&[u8]; 4] = [b"LRANGE", key.as_bytes(), b"0", last.as_bytes()];
    let elements = strings(&inside.call(&args).reply);
    let parsed = elements.iter().filter_map(|element| serde_json::from_slice(element).ok());
    parsed.filter(Value::is_object).collect()
}

/// Some members of an element, those that it has.
fn members(element: &Value, names: &[&'static str]) -> String {
    let spelled = |name: &&'static str| {
        let value = element.get(*name)?;
        Some((*name, if is_scalar(value) { json(value) } else { value.to_string() }))
    };
    object(&names.iter().filter_map(spelled).collect::<Vec<_>>())
}

fn object(members: &[(&str, String)]) -> String {
    let members = members.iter().filter(|(_, value)| !value.is_empty());
    let members: Vec<String> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

/// `toISOString` of a moment in milliseconds.
fn moment(now: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(now).unwrap_or_default();
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
