//! What a message means: the commands that the seed's own code would send for it.
//!
//! Where the seed reads a counter and writes it back, the node adds to it, which loses nothing.
//! Members that a message lacks write nothing.

use serde_json::{Map, Value};

use super::script::{is_scalar, json, number, text};

/// A command with its arguments.
pub(super) type Command = Vec<Vec<u8>>;

/// What follows from one message.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Meant {
    /// What is written, in order.
    pub(super) commands: Vec<Command>,
    /// The training project that the message is about.
    pub(super) project: Option<String>,
    /// Whether the agents' load has moved.
    pub(super) balance: bool,
}

const TRAINING: &[u8] = b"events:training:progress";
const TASKS: &[u8] = b"events:tasks:updates";
const AGENTS: &[u8] = b"events:agents:status";
const ERRORS: &[u8] = b"events:errors:";

const SEVEN_DAYS: &str = "604800";
const ONE_DAY: &str = "86400";
/// Errors of one channel that are kept, the newest first.
const ERRORS_KEPT: &str = "9999";

/// Whether messages of a channel mean anything here.
pub(super) fn is_known(channel: &[u8]) -> bool {
    [TRAINING, TASKS, AGENTS].contains(&channel)
        || channel.strip_prefix(ERRORS).is_some_and(|kind| !kind.is_empty())
}

/// What a message means; `None` if it makes no sense.
pub(super) fn meaning(channel: &[u8], message: &[u8]) -> Option<Meant> {
    if let Some(kind) = channel.strip_prefix(ERRORS) {
        return error(channel, kind, message);
    }
    let event: Map<String, Value> = serde_json::from_slice(message).ok()?;
    match channel {
        TRAINING => training(&event),
        TASKS => task(&event),
        AGENTS => agent(&event),
        _ => None,
    }
}

/// Pattern 1: loss and word error rate as lists, and the newest of both as a hash.
fn training(event: &Map<String, Value>) -> Option<Meant> {
    let project = id(event, "projectId")?;
    let mut commands = Vec::new();
    let mut current = vec!["HSET".to_owned(), format!("metrics:training:{project}:current")];
    for name in ["loss", "wer"] {
        let Some(value) = scalar(event, name)? else { continue };
        let element = object(&[
            ("step", scalar(event, "step")?),
            ("value", Some(value)),
            ("timestamp", scalar(event, "timestamp")?),
        ]);
        push(&mut commands, &format!("metrics:training:{project}:{name}"), &element, SEVEN_DAYS);
        current.extend([name.to_owned(), text(value)]);
    }
    if let Some(timestamp) = scalar(event, "timestamp")? {
        current.extend(["last_updated".to_owned(), text(timestamp)]);
    }
    if current.len() > 2 {
        commands.push(current.into_iter().map(String::into_bytes).collect());
    }
    Some(Meant { commands, project: Some(project), balance: false })
}

/// Pattern 2: a task that is done is counted, for all and for its agent, and its duration listed.
fn task(event: &Map<String, Value>) -> Option<Meant> {
    let status = event.get("status")?.as_str()?;
    if status != "done" {
        return Some(Meant::default());
    }
    let agent = id(event, "agent")?;
    let element = object(&[
        ("taskId", scalar(event, "taskId")?),
        ("agent", scalar(event, "agent")?),
        ("duration", scalar(event, "duration_seconds")?),
        ("timestamp", scalar(event, "timestamp")?),
    ]);
    let mut commands =
        vec![command(&["HINCRBY", "metrics:tasks:counters", "completed_today", "1"])];
    push(&mut commands, "metrics:tasks:completion_times", &element, ONE_DAY);
    let performance = format!("metrics:agent:{agent}:performance");
    commands.push(command(&["HINCRBY", &performance, "tasks_completed", "1"]));
    Some(Meant { commands, ..Meant::default() })
}

/// Pattern 4: who is busy, and with how much.
fn agent(event: &Map<String, Value>) -> Option<Meant> {
    let agent = id(event, "agentType")?;
    let status = event.get("status")?.as_str()?;
    let mut commands = Vec::new();
    match status {
        "busy" => commands.push(command(&["SADD", "metrics:agents:active", &agent])),
        "idle" => commands.push(command(&["SREM", "metrics:agents:active", &agent])),
        _ => {}
    }
    let tasks = match scalar(event, "taskCount")? {
        None | Some(Value::Null | Value::Bool(false)) => "0".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "0".to_owned(),
        Some(Value::Number(n)) => n.as_f64().map(number)?,
        Some(value) => text(value),
    };
    let workload = format!("metrics:agent:{agent}:workload");
    commands.push(command(&["HSET", &workload, "current_tasks", &tasks]));
    Some(Meant { commands, project: None, balance: true })
}

/// Errors are counted by kind, and kept as they are under the name of their channel.
fn error(channel: &[u8], kind: &[u8], message: &[u8]) -> Option<Meant> {
    let kind = std::str::from_utf8(kind).ok()?;
    let channel = std::str::from_utf8(channel).ok()?;
    serde_json::from_slice::<Map<String, Value>>(message).ok()?;
    let mut commands = vec![command(&["HINCRBY", "metrics:errors:counters", kind, "1"])];
    commands.push(vec![b"LPUSH".to_vec(), channel.as_bytes().to_vec(), message.to_vec()]);
    commands.push(command(&["LTRIM", channel, "0", ERRORS_KEPT]));
    commands.push(command(&["EXPIRE", channel, SEVEN_DAYS]));
    Some(Meant { commands, ..Meant::default() })
}

fn push(commands: &mut Vec<Command>, key: &str, element: &str, keep: &str) {
    commands.push(command(&["LPUSH", key, element]));
    commands.push(command(&["EXPIRE", key, keep]));
}

fn command(words: &[&str]) -> Command {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// A member that names something: a text or a number, not empty.
fn id(event: &Map<String, Value>, name: &str) -> Option<String> {
    match event.get(name)? {
        value @ (Value::String(_) | Value::Number(_)) => Some(text(value)),
        _ => None,
    }
    .filter(|id| !id.is_empty())
}

/// A member that may be missing; `None` if it is there and no scalar.
fn scalar<'a>(event: &'a Map<String, Value>, name: &str) -> Option<Option<&'a Value>> {
    match event.get(name) {
        Some(value) if !is_scalar(value) => None,
        value => Some(value),
    }
}

/// `JSON.stringify` of an object; members without a value are left out.
fn object(members: &[(&str, Option<&Value>)]) -> String {
    let members = members.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let members: Vec<String> =
        members.map(|(name, value)| format!("\"{name}\":{}", json(value))).collect();
    format!("{{{}}}", members.join(","))
}
