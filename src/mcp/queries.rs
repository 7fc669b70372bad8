//! Tools for PromQL: what agents' lists and hashes have become.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rmcp::model::JsonObject;
use serde_json::{Value, json};

use super::Tools;
use super::arguments::Arguments;
use super::tool::{Done, Failed, Gives, Kind, Outcome, Run, Tool, may, must};
use super::value::Given;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "query",
        about: "Ask in PromQL what holds at one moment, such as training_loss{project=\"proj-1\"} or \
                rate(tasks_completed_today[1h]). Keys metrics:CATEGORY:ID:NAME are series \
                CATEGORY_NAME{CATEGORY=\"ID\"}. time is RFC 3339 or seconds since 1970; now if left out.",
        takes: &[must("query", Kind::Text), may("time", Kind::Value, "null")],
        gives: Gives::Unsaid,
        run: Run::Later(|tools, args| ask(tools, args, false)),
    },
    Tool {
        name: "query_range",
        about: "Ask in PromQL for a curve: one value every step (such as 30s or 5m) from start to end, RFC 3339 \
                or seconds since 1970.",
        takes: &[
            must("query", Kind::Text),
            must("start", Kind::Value),
            must("end", Kind::Value),
            must("step", Kind::Value),
        ],
        gives: Gives::Unsaid,
        run: Run::Later(|tools, args| ask(tools, args, true)),
    },
];

fn ask(tools: Arc<Tools>, args: JsonObject, range: bool) -> BoxFuture<'static, Outcome> {
    Box::pin(async move {
        let args = Arguments::unchecked(&args);
        let names = if range { &["query", "start", "end", "step"][..] } else { &["query", "time"] };
        let parameters = names.iter().map(|name| ((*name).to_owned(), args.value(name)));
        let asked = tools.ask.ask(parameters.collect(), range).await.map_err(Failed)?;
        let mut whole: Value = serde_json::from_str(&asked.data)
            .map_err(|e| Failed(format!("the answer cannot be shown: {e}")))?;
        if !asked.notes.is_empty() {
            whole["notes"] = json!(asked.notes);
        }
        let shown = std::iter::once(asked.data).chain(asked.notes);
        let given = Given::texts(shown.collect());
        Ok(Done { given, beside: Vec::new(), whole: Some(whole) })
    })
}
