"""Agents that publish events, and the seed's patterns run by hand.

seed_events.py publish PORT BASE: publishes a fixed little world, some of it nonsense.
seed_events.py by_hand PORT BASE: does on that server what the seed's code does for each of these events.
seed_events.py crowd PORT N: publishes N task events from eight connections at once.
"""

import asyncio
import datetime
import json
import sys

import redis
import redis.asyncio


def stamp(seconds):
    when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stringify(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def training(base):
    for step in range(60):
        yield {"projectId": "proj-1", "step": step, "loss": round(3 / (step + 1), 4), "wer": 40 - step / 8, "timestamp": stamp(base + step), "host": "x"}


def tasks(base):
    for i in range(40):
        status = "done" if i % 4 else "started"
        yield {"status": status, "taskId": f"t{i}\u00fc", "agent": f"agent-{i % 3}", "duration_seconds": 10 + i / 4, "timestamp": stamp(base + i)}


def agents():
    for i in range(50):
        yield {"agentType": f"agent-{i}", "status": "idle" if i % 5 == 0 else "busy", "taskCount": i % 7}
    yield {"agentType": "agent-1", "status": "idle"}


def publish(client, base):
    say = lambda channel, event: client.publish(channel, event if isinstance(event, str) else json.dumps(event))
    for event in training(base):
        assert say("events:training:progress", event) == 0
    for nonsense in ("", "{", "[1]", '{"projectId":{}}'):
        say("events:training:progress", nonsense)
    for event in tasks(base):
        say("events:tasks:updates", event)
    for event in agents():
        say("events:agents:status", event)
    say("events:errors:critical", {"errorId": 1})


def by_hand(client, base):
    for event in training(base):
        for name in ("loss", "wer"):
            key = f"metrics:training:{event['projectId']}:{name}"
            client.lpush(key, stringify({"step": event["step"], "value": number(event[name]), "timestamp": event["timestamp"]}))
            client.expire(key, 604800)
        for field, member in (("loss", "loss"), ("wer", "wer"), ("last_updated", "timestamp")):
            client.hset(f"metrics:training:{event['projectId']}:current", field, number(event[member]))
    for event in tasks(base):
        if event["status"] != "done":
            continue
        increment(client, "metrics:tasks:counters", "completed_today")
        element = {"taskId": event["taskId"], "agent": event["agent"], "duration": event["duration_seconds"], "timestamp": event["timestamp"]}
        client.lpush("metrics:tasks:completion_times", stringify(js(element)))
        client.expire("metrics:tasks:completion_times", 86400)
        increment(client, f"metrics:agent:{event['agent']}:performance", "tasks_completed")
    for event in agents():
        if event["status"] == "busy":
            client.sadd("metrics:agents:active", event["agentType"])
        else:
            client.srem("metrics:agents:active", event["agentType"])
        client.hset(f"metrics:agent:{event['agentType']}:workload", "current_tasks", event.get("taskCount") or 0)
    active = client.smembers("metrics:agents:active")
    loads = [int(client.hget(b"metrics:agent:%s:workload" % agent, "current_tasks") or "0") for agent in active]
    average = sum(loads) / len(loads)
    variance = max(abs(load - average) for load in loads) / average * 100
    client.hset("metrics:agents:load_balance", "variance_percent", number(variance))
    client.hset("metrics:agents:load_balance", "avg_tasks_per_agent", number(average))


def number(value):
    """As JavaScript spells it: no idle fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def js(element):
    return {name: number(value) for name, value in element.items()}


def increment(client, key, field):
    client.hset(key, field, int(client.hget(key, field) or "0") + 1)


async def crowd(port, count):
    async def one(agent):
        client = redis.asyncio.Redis(port=port)
        for i in range(count // 8):
            await client.publish("events:tasks:updates", json.dumps({"status": "done", "taskId": i, "agent": f"a{agent}", "duration_seconds": i}))
        await client.aclose()

    await asyncio.gather(*(one(agent) for agent in range(8)))


def main():
    what, port, argument = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if what == "crowd":
        asyncio.run(crowd(port, argument))
    else:
        {"publish": publish, "by_hand": by_hand}[what](redis.Redis(port=port), argument)


main()
