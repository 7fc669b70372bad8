// An agent as it would use ioredis and node-redis: node_agent.mjs PORT RESP MODULES.
// The same arguments push the same bytes, so two servers can be compared; what is read back is printed.

import { createRequire } from 'node:module';

const [port, resp, modules] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];
const require = createRequire(`${modules}/`);
const key = 'metrics:training:proj-1:loss';
const element = (step) => JSON.stringify({ step, value: 3 / (step + 1), timestamp: `2026-11-22T10:00:${String(step % 60).padStart(2, '0')}.000Z` });
const show = (what, value) => console.log(what, JSON.stringify(value));
// Whatever does not come in time fails the run.
setTimeout(() => { console.error('too slow'); process.exit(1); }, 60000).unref();

async function ioredis() {
  const Redis = require('ioredis').default ?? require('ioredis');
  const options = { port, protocol: resp, maxRetriesPerRequest: 1 };
  const client = new Redis(options);
  const subscriber = new Redis(options);
  for (let step = 0; step < 20; step++) await client.lpush(key, element(step));
  show('expire', await client.expire(key, 604800));
  show('lrange', await client.lrange(key, 0, 99));
  show('hset', await client.hset('state', { a: 1, b: 'two' }));
  show('hgetall', await client.hgetall('state'));
  show('zadd', await client.zadd('marks', 1.5, 'x', 2, 'y'));
  show('zrange', await client.zrange('marks', 0, -1, 'WITHSCORES'));
  show('sadd', await client.sadd('team', 'coder'));
  show('smembers', await client.smembers('team'));
  show('multi', await client.multi().incr('n').incr('n').get('n').exec());
  show('pipeline', await client.pipeline().rpush('l', 'a', 'b').llen('l').get('none').exec());
  show('wrong', await client.lpush('state', 'x').catch((error) => error.message));
  const message = new Promise((resolve) => subscriber.on('message', (channel, text) => resolve([channel, text])));
  await subscriber.subscribe('events:alerts:gpu');
  show('publish', await client.publish('events:alerts:gpu', '{"severity":"critical"}'));
  show('message', await message);
  await Promise.all([client.quit(), subscriber.quit()]);
}

async function nodeRedis() {
  const { createClient } = require('redis');
  const client = createClient({ url: `redis://127.0.0.1:${port}`, RESP: resp });
  await client.connect();
  const subscriber = await client.duplicate().connect();
  for (let step = 0; step < 20; step++) await client.lPush(key, element(100 + step));
  show('expire', await client.expire(key, 604800));
  show('lRange', await client.lRange(key, 0, 99));
  show('hSet', await client.hSet('state2', { a: 1, b: 'two' }));
  show('hGetAll', await client.hGetAll('state2'));
  show('zAdd', await client.zAdd('marks2', [{ score: 1.5, value: 'x' }, { score: 2, value: 'y' }]));
  show('zRange', await client.zRangeWithScores('marks2', 0, -1));
  show('sAdd', await client.sAdd('team2', 'coder'));
  show('sMembers', [...(await client.sMembers('team2'))]);
  show('multi', await client.multi().incr('n2').incr('n2').get('n2').exec());
  show('wrong', await client.lPush('state2', 'x').catch((error) => error.message));
  let arrived;
  const message = new Promise((resolve) => { arrived = resolve; });
  await subscriber.subscribe('events:alerts:gpu', (text, channel) => arrived([channel, text]));
  show('publish', await client.publish('events:alerts:gpu', '{"severity":"critical"}'));
  show('message', await message);
  await Promise.all([client.close(), subscriber.close()]);
}

await ioredis();
await nodeRedis();
