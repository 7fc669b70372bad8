"""An agent with the official MCP SDK.

mcp_agent.py replay stdio COMMAND... | http URL [TOKEN]: makes a fixed row of calls and prints what each gave, a line
of JSON a call, so that two servers can be compared.
mcp_agent.py seed ...: pushes as the seed does, JSON as a string, and asks for the curve.
mcp_agent.py progress ...: publishes training progress, through the official server.
mcp_agent.py list ...: prints the tools.
"""

import asyncio
import contextlib
import json
import re
import sys
import time

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

LIST, HASH, SET, ZSET = "metrics:queue:q:depth", "metrics:queue:q:state", "team", "marks"

CALLS = [
    ("lpush", dict(name=LIST, value="plain", expire=100)),
    ("lpush", dict(name=LIST, value=0.5)),
    ("lpush", dict(name=LIST, value=12)),
    ("rpush", dict(name=LIST, value="gr\u00fc\u00df \U0001f600 \"q\" 'a'\n\\")),
    ("rpush", dict(name=LIST, value="last", expire=0)),
    ("llen", dict(name=LIST)),
    ("lrange", dict(name=LIST, start=0, stop=-1)),
    ("lrange", dict(name=LIST, start=1, stop=1)),
    ("lrange", dict(name="none", start=0, stop=-1)),
    ("lrem", dict(name=LIST, count=0, element="last")),
    ("lrem", dict(name=LIST, count=1, element=0.5)),
    ("lrem", dict(name=LIST, count=0, element="absent")),
    ("lpop", dict(name=LIST)),
    ("rpop", dict(name=LIST)),
    ("lpop", dict(name="none")),
    ("rpop", dict(name="none")),
    ("llen", dict(name="none")),
    ("type", dict(key=LIST)),
    ("type", dict(key="none")),
    ("expire", dict(name=LIST, expire_seconds=500)),
    ("expire", dict(name="none", expire_seconds=500)),
    ("hset", dict(name=HASH, key="a", value="text", expire_seconds=100)),
    ("hset", dict(name=HASH, key="b", value=1.0)),
    ("hset", dict(name=HASH, key="c", value=87)),
    ("hset", dict(name=HASH, key="tiny", value=0.00001)),
    ("hset", dict(name=HASH, key="big", value=1e16)),
    ("hget", dict(name=HASH, key="b")),
    ("hget", dict(name=HASH, key="tiny")),
    ("hget", dict(name=HASH, key="none")),
    ("hgetall", dict(name=HASH)),
    ("hgetall", dict(name="none")),
    ("hexists", dict(name=HASH, key="a")),
    ("hexists", dict(name=HASH, key="none")),
    ("hdel", dict(name=HASH, key="a")),
    ("hdel", dict(name=HASH, key="a")),
    ("sadd", dict(name=SET, value="coder")),
    ("sadd", dict(name=SET, value="coder", expire_seconds=60)),
    ("smembers", dict(name=SET)),
    ("smembers", dict(name="none")),
    ("srem", dict(name=SET, value="coder")),
    ("srem", dict(name=SET, value="coder")),
    ("zadd", dict(key=ZSET, score=1, member="one")),
    ("zadd", dict(key=ZSET, score=2.5, member="it's", expiration=60)),
    ("zadd", dict(key=ZSET, score=1795000000123, member="t")),
    ("zrange", dict(key=ZSET, start=0, end=-1)),
    ("zrange", dict(key=ZSET, start=0, end=-1, with_scores=True)),
    ("zrange", dict(key="none", start=0, end=-1)),
    ("zrem", dict(key=ZSET, member="one")),
    ("zrem", dict(key=ZSET, member="one")),
    ("set", dict(key="word", value="w", expiration=60)),
    ("set", dict(key="word", value=5)),
    ("get", dict(key="word")),
    ("get", dict(key="none")),
    ("rename", dict(old_key="word", new_key="word2")),
    ("rename", dict(old_key="none", new_key="x")),
    ("dbsize", {}),
    ("scan_all_keys", dict(pattern="word*")),
    ("scan_all_keys", dict(pattern="nothing*")),
    ("scan_keys", dict(pattern="word*", count=1000)),
    ("publish", dict(channel="news", message='{"a": 1}')),
    ("subscribe", dict(channel="news")),
    ("psubscribe", dict(pattern="n*")),
    ("read_messages", dict(subscription_id="none", timeout_ms=-1)),
    ("read_messages", dict(subscription_id="none", timeout_ms=5001)),
    ("read_messages", dict(subscription_id="none", max_messages=0)),
    ("read_messages", dict(subscription_id="none", max_messages=101)),
    ("read_messages", dict(subscription_id="none")),
    ("unsubscribe", dict(subscription_id="none")),
    ("lpush", dict(name="word2", value="x")),
    ("hset", dict(name="word2", key="a", value="x")),
    ("hget", dict(name="word2", key="a")),
    ("sadd", dict(name="word2", value="x")),
    ("zadd", dict(key="word2", score=1, member="x")),
    ("lrange", dict(name="word2", start=0, stop=1)),
    ("delete", dict(key="word2")),
    ("delete", dict(key="word2")),
]


STREAM = "log:stream"


async def streams(client):
    """The stream tools, which only redis-mcp-server has; numbers of entries are times."""
    calls = [
        ("xadd", dict(key=STREAM, fields={"loss": "0.5", "step": 1}, expiration=300)),
        ("xadd", dict(key=STREAM, fields={"loss": "0.4"})),
        ("xrange", dict(key=STREAM, count=10)),
        ("xrange", dict(key="none", count=10)),
        ("xgroup_create", dict(key=STREAM, group_name="g", start_id="0")),
        ("xgroup_create", dict(key=STREAM, group_name="g", start_id="0")),
        ("xgroup_create", dict(key="new", group_name="g", start_id="$")),
        ("xreadgroup", dict(key=STREAM, group_name="g", consumer_name="c", count=1)),
        ("xreadgroup", dict(key=STREAM, group_name="g", consumer_name="c", count=5)),
        ("xreadgroup", dict(key=STREAM, group_name="g", consumer_name="c", block_ms=20)),
        ("xreadgroup", dict(key=STREAM, group_name="none", consumer_name="c")),
    ]
    ids = []
    for tool, arguments in calls:
        line = show(await client.call_tool(tool, arguments))
        ids += [one for one in re.findall(r"[0-9]{13}-[0-9]+", line) if one not in ids]
        print(json.dumps([tool, arguments]), re.sub(r"[0-9]{13}-[0-9]+", "ID", line))
    for tool, arguments in [
        ("xack", dict(key=STREAM, group_name="g", entry_ids=ids)),
        ("xack", dict(key=STREAM, group_name="g", entry_ids=["0-1"])),
        ("xdel", dict(key=STREAM, entry_id=ids[0])),
        ("xdel", dict(key=STREAM, entry_id="0-1")),
        ("xdel", dict(key=STREAM, entry_id="nonsense")),
        ("xgroup_destroy", dict(key=STREAM, group_name="g")),
        ("xgroup_destroy", dict(key=STREAM, group_name="g")),
        ("type", dict(key=STREAM)),
    ]:
        line = show(await client.call_tool(tool, arguments))
        print(tool, re.sub(r"[0-9]{13}-[0-9]+", "ID", line))


@contextlib.asynccontextmanager
async def session(how, *rest):
    if how == "stdio":
        streams = stdio_client(StdioServerParameters(command=rest[0], args=list(rest[1:])))
    else:
        headers = {"Authorization": f"Bearer {rest[1]}"} if len(rest) > 1 else None
        streams = streamablehttp_client(rest[0], headers=headers)
    async with streams as opened:
        async with ClientSession(opened[0], opened[1]) as client:
            await client.initialize()
            yield client


def show(given):
    texts = [getattr(block, "text", None) for block in given.content]
    structured = given.structuredContent
    if structured and "result" in structured:
        structured = structured["result"]
    line = json.dumps([texts, structured], sort_keys=True)
    line = re.sub(r'(ttl[\\\\]?": )[0-9]+', r"\1N", line)
    return re.sub(r"[0-9a-f]{32}", "ID", line)


async def replay(client):
    for tool, arguments in CALLS:
        print(json.dumps([tool, arguments]), show(await client.call_tool(tool, arguments)))
    handle = (await client.call_tool("psubscribe", {"pattern": "n*"})).structuredContent["result"]["subscription_id"]
    other = (await client.call_tool("subscribe", {"channel": "news"})).structuredContent["result"]["subscription_id"]
    for word in ("one", "two"):
        await client.call_tool("publish", {"channel": "news", "message": word})
    for one in (handle, other):
        messages = []
        # The first call of redis-mcp-server hears its own subscription and gives up.
        while len(messages) < 2:
            read = await client.call_tool("read_messages", {"subscription_id": one, "max_messages": 2, "timeout_ms": 2000})
            messages += read.structuredContent["result"]["messages"]
        print(json.dumps(messages, sort_keys=True))
        print(show(await client.call_tool("read_messages", {"subscription_id": one, "timeout_ms": 0})))
        print(show(await client.call_tool("unsubscribe", {"subscription_id": one})))


async def seed(client):
    """The seed's pattern 1, and what it finds missing."""
    key, now = "metrics:training:proj-1:loss", int(time.time()) - 100
    elements = []
    for step in range(20):
        elements.insert(0, json.dumps({"step": step, "value": round(3 / (step + 1), 4), "timestamp": now + step}, separators=(",", ":")))
        pushed = await client.call_tool("lpush", {"name": key, "value": elements[0], "expire": 604800})
        assert not pushed.isError and pushed.content[0].text == f"Value '{elements[0]}' pushed to the left of list '{key}'.", pushed
    ranged = await client.call_tool("lrange", {"name": key, "start": 0, "stop": -1})
    assert json.loads(ranged.structuredContent["result"]) == elements
    trimmed = await client.call_tool("ltrim", {"name": key, "start": 0, "stop": 4})
    assert not trimmed.isError
    assert (await client.call_tool("llen", {"name": key})).structuredContent == {"result": 5}
    counted = await client.call_tool("query", {"query": f'count_over_time(training_loss{{project="proj-1"}}[1h])'})
    assert counted.structuredContent["result"][0]["value"][1] == "20", counted
    assert json.loads(counted.content[0].text) == counted.structuredContent
    curve = await client.call_tool("query_range", {"query": "training_loss", "start": now, "end": now + 19, "step": "1s"})
    values = [value for _, value in curve.structuredContent["result"][0]["values"]]
    assert [float(v) for v in values] == [json.loads(e)["value"] for e in reversed(elements)], values
    missing = await client.call_tool("hget", {"name": "metrics:tasks:counters", "key": "completed_today"})
    text = "Field 'completed_today' not found in hash 'metrics:tasks:counters'."
    assert missing.content[0].text == text and missing.structuredContent == {"result": text, "found": False, "value": None}, missing
    for expected in (1, 2):
        added = await client.call_tool("hincrby", {"name": "metrics:tasks:counters", "key": "completed_today"})
        assert added.structuredContent == {"result": expected}, added
    found = await client.call_tool("hget", {"name": "metrics:tasks:counters", "key": "completed_today"})
    assert found.structuredContent == {"result": "2", "found": True, "value": "2"}, found
    for score in (10, 20, 30):
        await client.call_tool("zadd", {"key": "z", "score": score, "member": f"m{score}"})
    scored = await client.call_tool("zrangebyscore", {"key": "z", "min": "(10", "max": 30})
    assert scored.content[0].text == "['m20', 'm30']", scored
    for tool, arguments, told in (
        ("query", {"query": "sum("}, "parse"),
        ("query_range", {"query": "1", "start": 5, "end": 1, "step": 1}, "end timestamp must not be before start time"),
        ("lpush", {"name": "k", "value": {"a": 1}}, "JSON.stringify"),
        ("lpush", {"name": "k"}, "'value' is missing"),
        ("llen", {"name": 5}, "'name' must be a string"),
        ("no_such_tool", {}, "Unknown tool"),
    ):
        refused = await client.call_tool(tool, arguments)
        assert refused.isError and told in refused.content[0].text, (tool, refused)


async def progress(client):
    """Publishes what the seed's trainers publish."""
    refused = await client.call_tool("lpush", {"name": "metrics:training:proj-1:loss", "value": '{"step": 1}'})
    assert refused.isError and "validation error" in refused.content[0].text, refused
    for step in range(10):
        event = {"projectId": "proj-1", "step": step, "loss": 0.25, "wer": 12, "timestamp": f"2026-11-22T10:00:0{step}.000Z"}
        told = await client.call_tool("publish", {"channel": "events:training:progress", "message": json.dumps(event)})
        assert told.content[0].text == "Message published to channel 'events:training:progress'.", told


async def show_tools(client):
    tools = (await client.list_tools()).tools
    assert [tool.model_dump() for tool in tools] == [tool.model_dump() for tool in (await client.list_tools()).tools]
    for tool in tools:
        print(json.dumps([tool.name, tool.inputSchema.get("required") or [], sorted(tool.inputSchema.get("properties", {}))]))


async def main():
    what, *rest = sys.argv[1:]
    async with session(*rest) as client:
        await {"replay": replay, "streams": streams, "seed": seed, "progress": progress, "list": show_tools}[what](client)


asyncio.run(main())
