/**
 * How long users meet a bad canary: from its first failed request until the router sends it nothing any more, at 5 % of the
 * traffic, with nobody looking. And whether a healthy one whose latency wanders is left alone. Both by the simulated users'
 * own counts and by the weight in the cluster.
 * BENCH_GUARD is the number of bad ones; there are twice as many healthy ones.
 */
import { figures, HEAD, row } from '../lib/stats.ts';
import { canaryWeight, type Obj } from '../lib/kube.ts';
import type { Api } from '../lib/api.ts';
import { planYaml, type Step } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { Service } from '../lib/service.ts';
import type { World } from '../lib/world.ts';

const N = Number(process.env.BENCH_GUARD ?? 10);
/** Releases at once: more would be a bench of the machine. */
const AT_ONCE = 5;
/** Requests a second: one in twenty goes to the canary. */
const RPS = 100;

const BAD: Step[] = [{ weight: 5, bake: '10m', analysis: true }, { weight: 100 }];
const GOOD: Step[] = [{ weight: 5, bake: '60s', analysis: true }, { weight: 25, bake: '60s', analysis: true }, { weight: 100 }];

type Ask = (role: 'release-manager' | 'approver') => Api;

async function begin(world: World, api: Ask, tag: string, steps: Step[]): Promise<{ web: Service; id: number }> {
  const web = await Service.make(world.kube, 'guard', { replicas: 2, rps: RPS });
  const manager = api('release-manager');
  const { id: plan, digest } = await manager.must('/api/v1/plans', { body: planYaml({ ...web.plan(tag), steps }) });
  await api('approver').must(`/api/v1/plans/${plan}/approvals`, { body: { digest, decision: 'approve' } });
  const { id } = await manager.must(`/api/v1/plans/${plan}/releases`, { body: { digest } });
  return { web, id };
}

/** Failed requests of one version, as its users count them. */
async function failed(world: World, web: Service, hash: string): Promise<number> {
  const text = await (await fetch(`${world.file.sandbox.traffic_url}/metrics`)).text();
  const its = (line: string) =>
    line.startsWith('http_requests_total{') &&
    line.includes(`namespace="${web.namespace}"`) &&
    line.includes(hash) &&
    /code="5/.test(line);
  return text.split('\n').filter(its).reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Milliseconds from the first failed request of the canary until its weight is 0. */
async function away(world: World, api: Ask): Promise<number> {
  const { web, id } = await begin(world, api, '1.1.0-errors-20pct', BAD);
  let gone = 0;
  let hash = '';
  const end = await world.kube.watchRollout(web.namespace, web.name, (rollout: Obj) => {
    const weight = canaryWeight(rollout);
    if (weight > 0) hash ||= rollout.status.currentPodHash;
    else if (hash) gone ||= performance.now();
  });
  await until('it has users', () => hash !== '', 60);
  await until('one of them met an error', async () => (await failed(world, web, hash)) > 0, 60);
  const met = performance.now();
  await until('nobody is sent to it', () => gone > 0, 180);
  end();
  await api('release-manager').until(id, ['rolled_back'], 60);
  await web.remove();
  return gone - met;
}

/** How a healthy release ends whose latency wanders. */
async function left(world: World, api: Ask): Promise<string> {
  const { web, id } = await begin(world, api, '1.1.0-noisy-20pct', GOOD);
  const ended = await api('release-manager').until(id, ['succeeded', 'rolled_back'], 400);
  await web.remove();
  return ended.state;
}

async function inTurns<T>(count: number, one: () => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  const worker = async () => {
    while (count-- > 0) all.push(await one());
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, worker));
  return all;
}

test('a bad canary goes, a noisy one stays', async ({ world, api }) => {
  test.setTimeout(N * 180_000 + 600_000);
  const times = await inTurns(N, () => away(world, api));
  const ends = await inTurns(2 * N, () => left(world, api));
  const stayed = ends.filter((state) => state === 'succeeded').length;
  console.log(
    [
      '',
      HEAD,
      row('errors=20% at weight 5: first failed request → the router sends it nothing', figures(times)),
      '',
      `healthy with noisy latency: ${stayed} of ${ends.length} succeeded`,
      '',
    ].join('\n'),
  );
  expect(stayed).toBe(ends.length);
});
