//! The keymap backwards: series that have the name of one which agents' keys give become such a key, spelled as
//! agents spell it. Pure.
//!
//! One line a series: what it is called, the list or hash, its member or field, and, of a list, the label that is a
//! member of its elements. `{x}` in a key is the label `x`, which the series must have. Labels that are not in the
//! line are left out.

use std::sync::Arc;

use ringwell_storage::model::Labels;

use super::rule::{Part, Template};
use super::spell::{self, Time};

struct Shape {
    name: &'static str,
    list: bool,
    key: &'static str,
    part: &'static str,
    label: Option<&'static str>,
    scale: f64,
}

const fn list(name: &'static str, key: &'static str, part: &'static str) -> Shape {
    Shape { name, list: true, key, part, label: None, scale: 1.0 }
}

const fn hash(name: &'static str, key: &'static str, part: &'static str) -> Shape {
    Shape { list: false, ..list(name, key, part) }
}

/// The first that a series has all labels for is its shape.
const SHAPES: &[Shape] = &[
    list("training_loss", "metrics:training:{project}:loss", "value"),
    list("training_loss_step", "metrics:training:{project}:loss", "step"),
    list("training_wer", "metrics:training:{project}:wer", "value"),
    list("training_wer_step", "metrics:training:{project}:wer", "step"),
    hash("training_current_loss", "metrics:training:{project}:current", "loss"),
    hash("training_current_wer", "metrics:training:{project}:current", "wer"),
    hash("training_analysis_slope", "metrics:training:{project}:analysis", "slope"),
    hash("training_analysis_volatility", "metrics:training:{project}:analysis", "volatility"),
    Shape {
        label: Some("agent"),
        ..list("tasks_completion_duration_seconds", "metrics:tasks:completion_times", "duration")
    },
    hash("tasks_completed_today", "metrics:tasks:counters", "completed_today"),
    hash("tasks_throughput_per_hour", "metrics:tasks:aggregated", "throughput_per_hour"),
    hash("tasks_avg_duration_seconds", "metrics:tasks:aggregated", "avg_duration_seconds"),
    hash("tasks_sla_compliance_percent", "metrics:tasks:aggregated", "sla_compliance_percent"),
    list("gpu_utilization_percent", "metrics:gpu:{gpu}:utilization", "value"),
    list("gpu_utilization_percent", "metrics:gpu:utilization", "value"),
    list("gpu_memory_used_mb", "metrics:gpu:{gpu}:memory_used_mb", "value"),
    list("gpu_memory_used_mb", "metrics:gpu:memory_used_mb", "value"),
    list("gpu_temperature_celsius", "metrics:gpu:{gpu}:temperature", "value"),
    list("gpu_temperature_celsius", "metrics:gpu:temperature", "value"),
    hash("gpu_current_utilization_percent", "metrics:gpu:{gpu}:current", "utilization_percent"),
    hash("gpu_current_utilization_percent", "metrics:gpu:current", "utilization_percent"),
    hash("gpu_current_memory_used_mb", "metrics:gpu:{gpu}:current", "memory_used_mb"),
    hash("gpu_current_memory_used_mb", "metrics:gpu:current", "memory_used_mb"),
    hash("gpu_current_memory_total_mb", "metrics:gpu:{gpu}:current", "memory_total_mb"),
    hash("gpu_current_memory_total_mb", "metrics:gpu:current", "memory_total_mb"),
    hash("gpu_current_temperature_celsius", "metrics:gpu:{gpu}:current", "temperature_celsius"),
    hash("gpu_current_temperature_celsius", "metrics:gpu:current", "temperature_celsius"),
    hash("gpu_current_power_draw_watts", "metrics:gpu:{gpu}:current", "power_draw_watts"),
    hash("gpu_current_power_draw_watts", "metrics:gpu:current", "power_draw_watts"),
    hash("agent_tasks_completed_total", "metrics:agent:{agent}:performance", "tasks_completed"),
    hash("agent_avg_duration_seconds", "metrics:agent:{agent}:performance", "avg_duration_seconds"),
    hash("agent_error_rate_percent", "metrics:agent:{agent}:performance", "error_rate_percent"),
    hash("agent_current_tasks", "metrics:agent:{agent}:workload", "current_tasks"),
    hash("agents_load_balance_variance_percent", "metrics:agents:load_balance", "variance_percent"),
    hash(
        "agents_load_balance_avg_tasks_per_agent",
        "metrics:agents:load_balance",
        "avg_tasks_per_agent",
    ),
    list(
        "workflow_step_duration_seconds",
        "metrics:workflow:{workflow}:step:{step}:durations",
        "duration",
    ),
    Shape {
        scale: 1000.0,
        ..hash("alerts_last_fired_timestamp_seconds", "metrics:alerts:state", "{alertname}")
    },
    hash("alerts_fired_total", "metrics:alerts:counters", "{alertname}"),
];

/// The key and part of a series, if keys give one of that name.
pub(super) fn place(series: &Labels) -> Option<(String, Part)> {
    SHAPES.iter().filter(|shape| shape.name == series.metric_name()).find_map(|s| s.place(series))
}

impl Shape {
    fn place(&self, series: &Labels) -> Option<(String, Part)> {
        let fill = |text: &str| Template::read("key", text).ok()?.fill(series);
        // A part of a key that has a colon would be read as two.
        let whole = |text: &str| text.matches(':').count() == self.key.matches(':').count();
        let key = fill(self.key).filter(|key| whole(key))?;
        let part = fill(self.part)?;
        if !self.list {
            return Some((key, Part::Field { field: part.into_bytes().into(), scale: self.scale }));
        }
        let mut labels = String::new();
        if let Some(label) = self.label {
            spell::push_label(&mut labels, label, series.get(label)?);
        }
        // Runs are counted by steps that fall; one that has a name says it.
        if let Some(run) = series.get("run").filter(|run| run.parse::<u32>().is_err()) {
            spell::push_label(&mut labels, "run", run);
        }
        let member = Arc::from(part.as_str());
        Some((key, Part::Member { labels: labels.into(), member, time: Time::Iso }))
    }
}
