/** A release's events as a stream: what was, then what comes, and after a broken connection on from there. */
import { ENDED } from '../lib/api.ts';
import { QUICK } from '../lib/plan.ts';
import { openStream, type StreamEvent } from '../lib/stream.ts';
import { expect, test } from '../lib/test.ts';

test('events can be resumed by Last-Event-ID: none is lost, none is told twice', async ({ world, api, service, release }) => {
  const web = await service('events');
  const { release: id } = await release({ ...web.plan('1.1.0'), steps: QUICK });
  const path = `${world.main.url}/api/v1/releases/${id}/events`;
  const token = world.main.tokens.viewer;

  const seen: StreamEvent[] = [];
  // Cut off after every few events, as a bad line does.
  while (!seen.some((e) => e.event === 'release.succeeded')) {
    const stream = await openStream(path, { token, lastEventId: seen.at(-1)?.id });
    seen.push(...(await stream.take(3, 60, (e) => e.event === 'release.succeeded')));
    stream.close();
  }
  const ended = await api('viewer').release(id);
  expect(ENDED).toContain(ended.state);

  const recorded = await api('viewer').events(id);
  expect(seen.map((e) => Number(e.id))).toEqual(recorded.map((e) => e.seq));
  for (const [i, event] of seen.entries()) {
    expect(event.event).toBe(recorded[i].action);
    expect(JSON.parse(event.data)).toEqual(recorded[i]);
  }
  expect(seen.map((e) => e.event)).toEqual(expect.arrayContaining(['release.started']));
});

test('a stream is refused like everything else without a token', async ({ world }) => {
  const answer = await fetch(`${world.main.url}/api/v1/releases/1/events`, { signal: AbortSignal.timeout(5_000) });
  expect(answer.status).toBe(401);
  await answer.body?.cancel();
});
