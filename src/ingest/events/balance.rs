//! How evenly the agents are loaded, as pattern 4 of the seed computes it.

use super::script::{number, parse_int};
use super::writes::Command;
use crate::inside::{Inside, strings};

const KEY: &[u8] = b"metrics:agents:load_balance";

/// Writes the balance of the agents that are active now. What cannot be computed, since nobody is
/// active or has a task, ends instead of being "NaN".
pub(super) fn of_load(inside: &dyn Inside) -> Vec<Command> {
    let active = inside.call(&[b"SMEMBERS", b"metrics:agents:active"]).reply;
    let tasks: Vec<f64> = strings(&active).iter().map(|agent| tasks_of(inside, agent)).collect();
    let average = tasks.iter().sum::<f64>() / tasks.len() as f64;
    let farthest = tasks.iter().map(|tasks| (tasks - average).abs()).fold(0.0, f64::max);
    let variance = farthest / average * 100.0;
    [(&b"variance_percent"[..], variance), (b"avg_tasks_per_agent", average)]
        .map(|(field, value)| {
            let field = field.to_vec();
            if value.is_finite() {
                vec![b"HSET".to_vec(), KEY.to_vec(), field, number(value).into_bytes()]
            } else {
                vec![b"HDEL".to_vec(), KEY.to_vec(), field]
            }
        })
        .into()
}

fn tasks_of(inside: &dyn Inside, agent: &[u8]) -> f64 {
    let key = [b"metrics:agent:", agent, b":workload"].concat();
    let tasks = strings(&inside.call(&[b"HGET", &key, b"current_tasks"]).reply);
    let tasks = tasks.first().map_or(0.0, |tasks| parse_int(&String::from_utf8_lossy(tasks)));
    // One agent's nonsense must not hide the others.
    if tasks.is_finite() { tasks } else { 0.0 }
}
