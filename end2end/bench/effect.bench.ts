/**
 * How long from the press until 95 % of the traffic, by the router's weights, is on the known-good version: Tidegate beside
 * the official kubectl plugin, on workloads of the same kind in the same state, in turns. Neither knows of a release: the
 * bad version came past both. And whether anybody was sent to nothing meanwhile.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { figures, HEAD, row } from '../lib/stats.ts';
import { Service } from '../lib/service.ts';
import { canaryWeight, type Obj } from '../lib/kube.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import type { World } from '../lib/world.ts';

const N = Number(process.env.BENCH_EFFECTS ?? 5);
/** Longer than this is not waited: the plugin stands at a step then, until a person opens it. */
const MOST = 20_000;

const run = promisify(execFile);

const ROUTES = {
  'in flight at 50 %': 'abort',
  'promoted, old pods still there': 'undo',
  'promoted, old pods gone': 'undo',
} as const;
type Route = keyof typeof ROUTES;

/** Share of the traffic on a version, in percent, as the controller tells what the router does. */
function share(rollout: Obj, hash: string): number {
  const { stableRS, currentPodHash } = rollout.status ?? {};
  const weight = canaryWeight(rollout);
  if (stableRS === hash) return 100 - weight;
  return currentPodHash === hash ? weight : 0;
}

/** A workload that serves a bad version, and the hash of the good one. */
async function arrange(world: World, route: Route): Promise<{ web: Service; good: string }> {
  const { kube } = world;
  const web = await Service.make(kube, 'effect', { replicas: 3 });
  if (route === 'promoted, old pods gone') {
    await kube.patchRollout(web.namespace, web.name, { spec: { strategy: { canary: { scaleDownDelaySeconds: 1 } } } });
    await kube.healthy(web.namespace, web.name);
  }
  const good = (await web.rollout()).status.stableRS;
  if (route === 'in flight at 50 %') {
    const image = { op: 'replace', path: '/spec/template/spec/containers/0/image', value: web.image('1.1.0') };
    await kube.patchRollout(web.namespace, web.name, [image], 'json');
    await until('it stands at its first pause', async () => {
      const rollout = await web.rollout();
      return rollout.status.phase === 'Paused' && canaryWeight(rollout) === 50;
    });
  } else {
    await web.bring('1.1.0');
  }
  if (route === 'promoted, old pods gone') {
    const sets = `/apis/apps/v1/namespaces/${web.namespace}/replicasets?labelSelector=rollouts-pod-template-hash%3D${good}`;
    await until('its old pods are gone', async () => ((await kube.get(sets)).items[0]?.status.replicas ?? 0) === 0);
  }
  return { web, good };
}

/** Requests that found no pod, once Prometheus has seen the time after `since`. */
async function toNothing(world: World, web: Service, since: number): Promise<number> {
  const ask = async (query: string) => {
    const answer = await fetch(`${world.file.sandbox.prometheus_url}/api/v1/query?query=${encodeURIComponent(query)}`);
    const { data } = (await answer.json()) as Obj;
    return Number(data.result[0]?.value[1] ?? 0);
  };
  const of = `http_requests_total{namespace="${web.namespace}"}`;
  await until('Prometheus has seen it', async () => (await ask(`max(timestamp(${of}))`)) * 1000 > since + 1000);
  return ask(`sum(http_requests_total{namespace="${web.namespace}", code="503"})`);
}

test('from the press to the known-good version', async ({ world, api }) => {
  test.setTimeout(N * Object.keys(ROUTES).length * 150_000);
  const onCall = api('on-call');
  const { bin_dir, admin_kubeconfig } = world.file.sandbox;
  const lines = [HEAD];
  let lost = 0;
  for (const [route, verb] of Object.entries(ROUTES) as [Route, string][]) {
    const effects = { tidegate: [] as number[], plugin: [] as number[] };
    const calls = { tidegate: [] as number[], plugin: [] as number[] };
    let never = 0;
    for (let i = 0; i < N * 2; i++) {
      const who = i % 2 ? 'plugin' : 'tidegate';
      const { web, good } = await arrange(world, route);
      const press = {
        tidegate: () => onCall.must(`/api/v1/workloads/sandbox/${web.namespace}/Rollout/${web.name}/rollback`, { body: { reason: 'bench' } }),
        plugin: () => run(`${bin_dir}/kubectl-argo-rollouts`, ['--kubeconfig', admin_kubeconfig, '-n', web.namespace, verb, web.name]),
      }[who];
      if (who === 'tidegate') {
        await until('Tidegate has seen it, too', async () => {
          const { workloads } = await onCall.must('/api/v1/workloads');
          const row = workloads.find((w: Obj) => w.key.namespace === web.namespace);
          return route === 'in flight at 50 %' ? row?.weight === 50 : row?.version === '1.1.0' && row.phase === 'healthy';
        });
      }
      let pressed = Number.POSITIVE_INFINITY;
      let arrived = (_: number) => {};
      const there = new Promise<number>((resolve) => (arrived = resolve));
      const end = await world.kube.watchRollout(web.namespace, web.name, (rollout) => {
        if (share(rollout, good) >= 95 && performance.now() > pressed) arrived(performance.now() - pressed);
      });
      pressed = performance.now();
      await press();
      calls[who].push(performance.now() - pressed);
      const timer = setTimeout(() => arrived(Number.NaN), MOST);
      const took = await there;
      clearTimeout(timer);
      end();
      if (Number.isNaN(took)) never += 1;
      else effects[who].push(took);
      if (who === 'tidegate') {
        expect(took, route).not.toBeNaN();
        await web.settledOn('1.0.0');
        lost += await toNothing(world, web, Date.now());
      }
      await web.remove();
    }
    for (const who of ['tidegate', 'plugin'] as const) {
      const name = who === 'plugin' ? `plugin, \`${verb}\`` : 'Tidegate, over REST';
      lines.push(row(`${route}; ${name}: the call`, figures(calls[who])));
      if (effects[who].length) lines.push(row(`${route}; ${name}: 95 % on the good version`, figures(effects[who])));
    }
    if (never) lines.push(`| ${route}; plugin: not within ${MOST / 1000} s, it stands at a step | ${never} | | | | |`);
  }
  console.log(['', ...lines, '', `requests of simulated users to nothing during Tidegate's rollbacks: ${lost}`, ''].join('\n'));
  expect(lost).toBe(0);
});
