/**
 * How long from the press until 95 % of the traffic, by the router's weights, is on the known-good version: Tidegate beside
 * the official kubectl plugin (of a Deployment kubectl itself), on workloads of the same kind in the same state, in turns.
 * Neither knows of a release: the bad version came past both. And whether anybody was sent to nothing meanwhile.
 * BENCH_EFFECTS is the number of rounds, BENCH_ROUTE a part of the name of the routes to be measured.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { figures, HEAD, row } from '../lib/stats.ts';
import { Service } from '../lib/service.ts';
import { canaryWeight, type Obj } from '../lib/kube.ts';
import type { Api } from '../lib/api.ts';
import { planYaml } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { behindRoute, blueGreen, deployment, MAILER, mailerOf } from '../lib/workloads.ts';
import type { World } from '../lib/world.ts';

const N = Number(process.env.BENCH_EFFECTS ?? 5);
/** Longer than this is not waited: the plugin stands at a step then, until a person opens it. */
const MOST = 20_000;

const run = promisify(execFile);

interface Target {
  kind: 'Rollout' | 'Deployment';
  name: string;
}

/** A workload that serves a bad version. */
interface Arranged {
  web: Service;
  target: Target;
  /** Hash of the good one's pods. */
  good: string;
  /** Tidegate sees it as it is. */
  seen: (row: Obj) => boolean;
  /** Nobody is on the bad version any more: only the call is measured. */
  over?: boolean;
  /** Of a release that Tidegate drives: no tool beside it knows how to leave that. */
  release?: number;
  /** Its weights stand in an HTTPRoute. */
  routed?: boolean;
}

type Ask = (role: 'release-manager' | 'approver') => Api;

interface Route {
  arrange: (world: World, api: Ask) => Promise<Arranged>;
  /** How the other tool is asked, where there is one for it. */
  other?: (target: Target) => [string, string[]];
}

const plugin = (verb: string): Route['other'] => ({ name }) => ['kubectl-argo-rollouts', [verb, name]];
const BAD = { op: 'replace', path: '/spec/template/spec/containers/0/image' };

const ROUTES: Record<string, Route> = {
  'in flight at 50 %': { arrange: (world) => inFlight(world), other: plugin('abort') },
  'in flight at 50 %, paused by somebody': { arrange: (world) => inFlight(world, 'paused'), other: plugin('abort') },
  'aborted, the bad version still wanted': { arrange: (world) => inFlight(world, 'aborted'), other: plugin('undo') },
  'promoted, old pods still there': { arrange: (world) => promoted(world, false), other: plugin('undo') },
  'promoted, old pods gone': { arrange: (world) => promoted(world, true), other: plugin('undo') },
  'blue-green, old pods standing by': { arrange: (world) => switched(world, false), other: plugin('undo') },
  'blue-green, old pods gone': { arrange: (world) => switched(world, true), other: plugin('undo') },
  'Deployment, rolled out': { arrange: rolled, other: ({ name }) => ['kubectl', ['rollout', 'undo', `deployment/${name}`]] },
  'canary Deployment at 50 %': { arrange: (world, api) => beside(world, api, false) },
  'canary Deployment at 50 %, by an HTTPRoute': { arrange: (world, api) => beside(world, api, true) },
};

async function inFlight(world: World, then?: 'paused' | 'aborted'): Promise<Arranged> {
  const { kube } = world;
  const web = await Service.make(kube, 'effect', { replicas: 3 });
  const good = (await web.rollout()).status.stableRS;
  await kube.patchRollout(web.namespace, web.name, [{ ...BAD, value: web.image('1.1.0') }], 'json');
  await until('it stands at its first pause', async () => {
    const rollout = await web.rollout();
    return rollout.status.phase === 'Paused' && canaryWeight(rollout) === 50;
  });
  if (then === 'paused') await kube.patchRollout(web.namespace, web.name, { spec: { paused: true } });
  if (then === 'aborted') {
    const path = `/apis/argoproj.io/v1alpha1/namespaces/${web.namespace}/rollouts/${web.name}/status`;
    await kube.patch(path, { status: { abort: true } });
  }
  const seen = (row: Obj) => (then === 'aborted' ? row.phase === 'degraded' : row.weight === 50);
  return { web, target: { kind: 'Rollout', name: web.name }, good, seen, over: then === 'aborted' };
}

const onBad = (row: Obj) => row.version === '1.1.0' && row.phase === 'healthy';

async function promoted(world: World, gone: boolean): Promise<Arranged> {
  const { kube } = world;
  const web = await Service.make(kube, 'effect', { replicas: 3 });
  if (gone) {
    await kube.patchRollout(web.namespace, web.name, { spec: { strategy: { canary: { scaleDownDelaySeconds: 1 } } } });
    await kube.healthy(web.namespace, web.name);
  }
  const good = (await web.rollout()).status.stableRS;
  await web.bring('1.1.0');
  if (gone) await withoutPods(web, good);
  return { web, target: { kind: 'Rollout', name: web.name }, good, seen: onBad };
}

async function withoutPods(web: Service, hash: string): Promise<void> {
  const sets = `/apis/apps/v1/namespaces/${web.namespace}/replicasets?labelSelector=rollouts-pod-template-hash%3D${hash}`;
  await until('its old pods are gone', async () => ((await web.kube.get(sets)).items[0]?.status.replicas ?? 0) === 0);
}

async function switched(world: World, gone: boolean): Promise<Arranged> {
  const { kube } = world;
  const web = await Service.make(kube, 'effect', { replicas: 1 });
  const good = (await blueGreen(web, { autoPromotionEnabled: true, scaleDownDelaySeconds: gone ? 1 : 600 })).status.stableRS;
  await kube.patchRollout(web.namespace, 'search', [{ ...BAD, value: web.image('1.1.0') }], 'json');
  await until('it is switched', async () => {
    const { status } = await kube.rollout(web.namespace, 'search');
    return status.phase === 'Healthy' && status.stableRS !== good && status.blueGreen.activeSelector === status.stableRS;
  });
  if (gone) await withoutPods(web, good);
  return { web, target: { kind: 'Rollout', name: 'search' }, good, seen: onBad };
}

const hashOf = (set: Obj) => set.metadata.labels['pod-template-hash'];

async function mailer(world: World): Promise<{ web: Service; target: Target; good: string }> {
  const web = await Service.make(world.kube, 'effect', { replicas: 1 });
  await deployment(web, { replicas: 4, minReadySeconds: 0 });
  const { items } = await world.kube.get(`/apis/apps/v1/namespaces/${web.namespace}/replicasets?labelSelector=app%3Dmailer`);
  return { web, target: { kind: 'Deployment', name: 'mailer' }, good: hashOf(items[0]) };
}

async function rolled(world: World): Promise<Arranged> {
  const made = await mailer(world);
  const { web } = made;
  await world.kube.patch(`${MAILER(web)}/mailer`, [{ ...BAD, value: web.image('1.1.0') }], 'json');
  await until('it is rolled out', async () => {
    const { metadata, status } = await mailerOf(web);
    const all = [status.updatedReplicas, status.replicas, status.availableReplicas];
    return status.observedGeneration >= metadata.generation && all.every((pods) => pods === 4);
  });
  return { ...made, seen: onBad };
}

/** By a release of Tidegate's: as many pods beside it as it has itself, or half of an HTTPRoute's weight. */
async function beside(world: World, api: Ask, routed: boolean): Promise<Arranged> {
  const made = await mailer(world);
  const { web } = made;
  if (routed) await behindRoute(web);
  const manager = api('release-manager');
  const steps = [{ weight: 50, bake: '10m' }, { weight: 100 }];
  const workload = { namespace: web.namespace, name: 'mailer' };
  const plan = planYaml({ ...web.plan('1.1.0'), name: web.namespace, service: 'mailer', steps, workload });
  const body = plan.replace('workload: {', 'workload: {kind: Deployment, ');
  const its = (row: Obj) => row.key.namespace === web.namespace && row.key.name === 'mailer' && row.phase === 'healthy';
  await until('Tidegate has seen it', async () => (await manager.must('/api/v1/workloads')).workloads.some(its));
  const { id, digest } = await manager.must('/api/v1/plans', { body });
  await api('approver').must(`/api/v1/plans/${id}/approvals`, { body: { digest, decision: 'approve' } });
  const started = await manager.must(`/api/v1/plans/${id}/releases`, { body: { digest } });
  await until('it stands at 50 %', async () => (await manager.release(started.id)).weight === 50);
  return { ...made, seen: () => true, release: started.id, routed };
}

/** Calls `arrived` with each share of the traffic on the good version, in percent, by whatever sends it. */
async function watchShare({ web, target, good, routed }: Arranged, arrived: (share: number) => void): Promise<() => void> {
  const { kube, namespace } = web;
  if (target.kind === 'Rollout') {
    return kube.watchRollout(namespace, target.name, (rollout) => {
      const { stableRS, currentPodHash, blueGreen } = rollout.status ?? {};
      const weight = canaryWeight(rollout);
      if (blueGreen?.activeSelector) arrived(blueGreen.activeSelector === good ? 100 : 0);
      else if (stableRS === good) arrived(100 - weight);
      else arrived(currentPodHash === good ? weight : 0);
    });
  }
  if (routed) {
    return kube.watch(`/apis/gateway.networking.k8s.io/v1/namespaces/${namespace}/httproutes?watch=1`, (route) => {
      const refs: Obj[] = route.spec.rules[0].backendRefs;
      const weights = (of: Obj[]) => of.reduce((sum, ref) => sum + (ref.weight ?? 1), 0);
      arrived((100 * weights(refs.filter((ref) => ref.name === target.name))) / weights(refs));
    });
  }
  const ready = new Map<string, number>();
  const count = (set: Obj, pods: number) => {
    ready.set(hashOf(set), pods);
    const all = [...ready.values()].reduce((sum, pods) => sum + pods, 0);
    arrived(all === 0 ? 0 : (100 * (ready.get(good) ?? 0)) / all);
  };
  const sets = `/apis/apps/v1/namespaces/${namespace}/replicasets?watch=1&labelSelector=app%3Dmailer`;
  return kube.watch(
    sets,
    (set) => count(set, set.status?.readyReplicas ?? 0),
    (set) => count(set, 0),
  );
}

/** Requests that found no pod, as the simulated users count them. */
async function toNothing(world: World, { web, target }: Arranged): Promise<number> {
  const text = await (await fetch(`${world.file.sandbox.traffic_url}/metrics`)).text();
  const name = `sandbox_requests_to_nothing_total{namespace="${web.namespace}",service="${target.name}"}`;
  const line = text.split('\n').find((l) => l.startsWith(name));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}

test('from the press to the known-good version', async ({ world, api }) => {
  const asked = Object.entries(ROUTES).filter(([name]) => name.includes(process.env.BENCH_ROUTE ?? ''));
  test.setTimeout(N * asked.length * 150_000);
  const onCall = api('on-call');
  const { bin_dir, admin_kubeconfig } = world.file.sandbox;
  const lines = [HEAD];
  let lost = 0;
  for (const [route, { arrange, other }] of asked) {
    const tools = other ? (['tidegate', 'other'] as const) : (['tidegate'] as const);
    const effects = { tidegate: [] as number[], other: [] as number[] };
    const calls = { tidegate: [] as number[], other: [] as number[] };
    /** Of Tidegate's call: until the API server had taken its last request; the rest is the record in Postgres. */
    const taken: number[] = [];
    let [never, its] = [0, ''];
    for (let i = 0; i < N * tools.length; i++) {
      const who = tools[i % tools.length];
      const arranged = await arrange(world, api);
      const { web, target, seen, over, release } = arranged;
      const [program, args] = other?.(target) ?? ['', []];
      its = `\`${[program, ...args.slice(0, -1)].join(' ')}\``;
      const of = release ? `releases/${release}` : `workloads/sandbox/${web.namespace}/${target.kind}/${target.name}`;
      const press = {
        tidegate: () => onCall.must(`/api/v1/${of}/rollback`, { body: { reason: 'bench' } }),
        other: () => run(`${bin_dir}/${program}`, ['--kubeconfig', admin_kubeconfig, '-n', web.namespace, ...args]),
      }[who];
      if (who === 'tidegate') {
        await until('Tidegate has seen it, too', async () => {
          const { workloads } = await onCall.must('/api/v1/workloads');
          const row = workloads.find((w: Obj) => w.key.namespace === web.namespace && w.key.name === target.name);
          return row && seen(row);
        });
      }
      let pressed = Number.POSITIVE_INFINITY;
      let arrived = (_: number) => {};
      const there = new Promise<number>((resolve) => (arrived = resolve));
      let last = Number.NaN;
      const end = await watchShare(arranged, (share) => {
        last = share;
        if (share >= 95 && performance.now() > pressed) arrived(performance.now() - pressed);
      });
      await until('its traffic is watched', () => (over ? last >= 95 : last < 95));
      pressed = performance.now();
      const answer = await press();
      if (who === 'tidegate') taken.push((answer as Obj).took_ms);
      calls[who].push(performance.now() - pressed);
      const timer = setTimeout(() => arrived(Number.NaN), MOST);
      const took = over ? 0 : await there;
      clearTimeout(timer);
      end();
      if (Number.isNaN(took)) never += 1;
      else if (!over) effects[who].push(took);
      if (who === 'tidegate') {
        expect(took, route).not.toBeNaN();
        lost += await toNothing(world, arranged);
      }
      await web.remove();
    }
    for (const who of tools) {
      const name = who === 'other' ? its : 'Tidegate, over REST';
      lines.push(row(`${route}; ${name}: the call`, figures(calls[who])));
      if (who === 'tidegate') lines.push(row(`${route}; ${name}: the cluster has taken it`, figures(taken)));
      if (effects[who].length) lines.push(row(`${route}; ${name}: 95 % on the good version`, figures(effects[who])));
    }
    if (never) lines.push(`| ${route}; ${its}: not within ${MOST / 1000} s, it stands at a step | ${never} | | | | |`);
  }
  console.log(['', ...lines, '', `requests of simulated users to nothing during Tidegate's rollbacks: ${lost}`, ''].join('\n'));
  expect(lost).toBe(0);
});
