"""A metrics agent as it would use redis-py: pushes a fixed little world and reads it back.

seed_agent.py PORT BASE_SECONDS PROTOCOL: lists of JSON, hashes, sets, pipelines with and without MULTI, asyncio.
The same arguments push the same bytes, so two servers can be compared.
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


def element(base, i, **more):
    return json.dumps({"step": i, "value": round(3.0 / (i + 1), 4), "timestamp": stamp(base + i), **more})


def plain(client, base):
    for i in range(50):
        client.lpush("metrics:training:proj-1:loss", element(base, i))
        client.expire("metrics:training:proj-1:loss", 604800)
    client.hset("metrics:training:proj-1:current", mapping={"loss": 0.06, "wer": "12.5", "last_updated": stamp(base)})
    client.sadd("metrics:agents:active", "coder", "tester")
    client.srem("metrics:agents:active", "tester")


def pipelined(client, base):
    for transaction in (False, True):
        with client.pipeline(transaction=transaction) as pipe:
            for i in range(100):
                task = {"taskId": f"t{i}", "agent": f"agent-{i % 3}", "duration": 10 + i / 4, "timestamp": stamp(base + i)}
                pipe.rpush("metrics:tasks:completion_times", json.dumps(task))
            pipe.ltrim("metrics:tasks:completion_times", -150, -1)
            pipe.hincrby("metrics:tasks:counters", "completed_today", 100)
            pipe.execute()


async def concurrent(port, protocol, base):
    client = redis.asyncio.Redis(port=port, protocol=protocol)
    await asyncio.gather(*(one(client, base, gpu) for gpu in range(4)))
    await client.aclose()


async def one(client, base, gpu):
    for i in range(40):
        await client.lpush(f"metrics:gpu:gpu-{gpu}:temperature", json.dumps({"value": 60 + gpu + i % 7, "timestamp": stamp(base + i)}))


def read_back(client):
    keys = sorted(client.scan_iter("metrics:*", count=7))
    assert keys == sorted(client.keys("metrics:*")), keys
    for key in keys:
        kind = client.type(key)
        if kind == b"list":
            assert client.llen(key) == len(client.lrange(key, 0, -1))
        elif kind == b"hash":
            assert client.hgetall(key)
    return len(keys)


def main():
    port, base, protocol = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    client = redis.Redis(port=port, protocol=protocol)
    assert client.ping()
    plain(client, base)
    pipelined(client, base)
    asyncio.run(concurrent(port, protocol, base))
    subscriber = client.pubsub()
    subscriber.subscribe("events:alerts:gpu")
    assert subscriber.get_message(timeout=5)["type"] == "subscribe"
    assert client.publish("events:alerts:gpu", "hot") == 1
    assert subscriber.get_message(timeout=5)["data"] == b"hot"
    print(read_back(client), "keys")


main()
