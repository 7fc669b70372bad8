//! The tools of the Model Context Protocol, at `/mcp` on the HTTP port (Streamable HTTP); `stdio`
//! carries the same to a pipe.
//!
//! Names, arguments and texts are those of redis-mcp-server 0.5.1, so that agents see no difference
//! where it works; where it does not (JSON that it refuses, the tools it lacks) they see what they
//! asked for. `docs/mcp.md` lists both. Every call stands for itself: there are no sessions, and
//! nothing runs while nobody calls. Who may call is decided before: the HTTP face checks Host,
//! Origin and the secret for every route.

mod arguments;
mod channels;
mod hashes;
mod keys;
mod lists;
mod queries;
mod sets;
pub mod stdio;
mod tool;
mod value;

use std::sync::Arc;

use axum::routing::{MethodRouter, any_service};
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    Implementation, JsonObject, ListToolsResult, PaginatedRequestParams, ServerCapabilities,
    ServerConfig, Tool as Described,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Map, Value, json};

use crate::inside::{Ask, Inside};
use crate::metrics::{Counter, Families, Kind};

use arguments::Arguments;
use channels::Subscriptions;
use tool::{Done, Failed, Keys, Outcome, Run, Tool};

const INSTRUCTIONS: &str = "Redis keys and their history. Lists and hashes named metrics:CATEGORY:ID:NAME are \
    also time series CATEGORY_NAME{CATEGORY=\"ID\"}, kept after LTRIM and EXPIRE; ask for them with query and \
    query_range. For counters use hincrby.";

/// How long `tools/list` stays true, in milliseconds: as long as the node runs.
const LIST_FRESH: u64 = 3_600_000;

/// All tools, by name.
static TOOLS: std::sync::LazyLock<Vec<&'static Tool>> = std::sync::LazyLock::new(|| {
    let parts =
        [lists::TOOLS, hashes::TOOLS, sets::TOOLS, keys::TOOLS, channels::TOOLS, queries::TOOLS];
    let mut all: Vec<&'static Tool> = parts.into_iter().flatten().collect();
    all.sort_by_key(|tool| tool.name);
    all
});

/// What tools work with.
pub struct Tools {
    inside: Arc<dyn Inside>,
    ask: Arc<dyn Ask>,
    subscriptions: Subscriptions,
    /// Calls of each tool, those that failed apart.
    calls: Vec<[Counter; 2]>,
}

impl Tools {
    /// Tools that work with these.
    pub fn new(inside: Arc<dyn Inside>, ask: Arc<dyn Ask>) -> Arc<Tools> {
        let calls = TOOLS.iter().map(|_| Default::default()).collect();
        Arc::new(Tools { inside, ask, subscriptions: Subscriptions::default(), calls })
    }

    /// What answers `/mcp`; a body may have so many bytes.
    pub fn route<S: Clone + Send + Sync + 'static>(
        self: &Arc<Self>,
        max_body: usize,
    ) -> MethodRouter<S> {
        let tools = Arc::clone(self);
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_max_request_body_bytes(max_body)
            // The door in front of all routes has checked both, by the operator's list.
            .disable_allowed_hosts()
            .disable_allowed_origins();
        let server = move || Ok(Server(Arc::clone(&tools)));
        let sessions = Arc::<NeverSessionManager>::default();
        any_service(StreamableHttpService::new(server, sessions, config))
    }

    /// Counts of calls, those never called left out.
    pub fn gather(&self, out: &mut Families) {
        let help = "Calls of MCP tools, by what became of them.";
        let family = out.family("ringwell_mcp_calls_total", Kind::Counter, help);
        for (tool, counters) in TOOLS.iter().zip(&self.calls) {
            for (outcome, counter) in ["ok", "failed"].iter().zip(counters) {
                if counter.get() > 0.0 {
                    family.sample(&[("tool", tool.name), ("outcome", outcome)], counter.get());
                }
            }
        }
    }

    async fn call(self: Arc<Self>, index: usize, arguments: JsonObject) -> CallToolResult {
        let outcome = match TOOLS.get(index) {
            Some(tool) => Arc::clone(&self).run(tool, arguments).await,
            None => Err(Failed("no such tool".to_owned())),
        };
        if let Some(counters) = self.calls.get(index) {
            counters[usize::from(outcome.is_err())].add(1);
        }
        let said = TOOLS.get(index).is_some_and(|tool| !matches!(tool.gives, tool::Gives::Unsaid));
        result(outcome, said)
    }

    async fn run(self: Arc<Self>, tool: &Tool, arguments: JsonObject) -> Outcome {
        let checked = Arguments::check(tool, &arguments)?;
        match tool.run {
            Run::Later(run) => run(self, arguments).await,
            Run::Keys(run) => {
                let mut keys = Keys::new(&*self.inside);
                let outcome = run(&mut keys, &checked);
                if let Some(written) = keys.written {
                    self.inside.acknowledged(written).await.map_err(Failed)?;
                }
                outcome
            }
        }
    }
}

/// What a call came to, as the protocol says it.
fn result(outcome: Outcome, said: bool) -> CallToolResult {
    let block = |text: String| ContentBlock::text(text);
    let Done { given, beside, whole } = match outcome {
        Ok(done) => done,
        Err(Failed(reason)) => {
            let mut result = CallToolResult::error(vec![block(reason.clone())]);
            // Who reads only this member finds the reason where redis-mcp-server puts it.
            result.structured_content = said.then(|| json!({"result": reason}));
            return result;
        }
    };
    let mut result = CallToolResult::success(given.blocks().into_iter().map(block).collect());
    result.structured_content = whole.or_else(|| {
        let mut members = Map::from_iter([("result".to_owned(), given.json())]);
        members.extend(beside.into_iter().map(|(name, value)| (name.to_owned(), value.json())));
        said.then_some(Value::Object(members))
    });
    result
}

/// One request's view of the tools.
struct Server(Arc<Tools>);

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        let mut config = ServerConfig::new(capabilities).with_instructions(INSTRUCTIONS);
        config.server_info = Implementation::new("ringwell", env!("CARGO_PKG_VERSION"));
        config
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = TOOLS.iter().map(|tool| tool.described()).collect();
        let mut listed = ListToolsResult::with_all_items(tools);
        listed.ttl_ms = Some(LIST_FRESH);
        listed.cache_scope = Some(CacheScope::Private);
        Ok(listed)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let found = TOOLS.binary_search_by_key(&request.name.as_ref(), |tool| tool.name);
        let Ok(index) = found else {
            return Ok(CallToolResult::error(vec![ContentBlock::text(format!(
                "Unknown tool: {}",
                request.name
            ))])
            .into());
        };
        let arguments = request.arguments.unwrap_or_default();
        Ok(Arc::clone(&self.0).call(index, arguments).await.into())
    }

    fn get_tool(&self, name: &str) -> Option<Described> {
        TOOLS.iter().find(|tool| tool.name == name).map(|tool| tool.described())
    }
}
