/**
 * `/services` with thousands of Rollouts in the cluster: first byte, whole page, and what tidegate holds in memory. The
 * Rollouts have no pods, but the real controller has reconciled each.
 */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { Agent } from 'node:http';
import { figures, HEAD, row } from '../lib/stats.ts';
import { signIn } from '../lib/people.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

const N = Number(process.env.BENCH_ROLLOUTS ?? 5_000);
const ASKED = 100;
const NAMESPACE = 'many';
const ROLLOUTS = `/apis/argoproj.io/v1alpha1/namespaces/${NAMESPACE}/rollouts`;

function rollout(i: number) {
  const name = `service-${String(i).padStart(5, '0')}`;
  const container = { name: 'app', image: `registry.example.com/many/${name}:1.${i % 40}.${i % 7}` };
  return {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Rollout',
    metadata: { name, labels: { app: name, team: `team-${i % 50}` }, annotations: { 'sandbox.tidegate.dev/rps': '0' } },
    spec: {
      replicas: 0,
      selector: { matchLabels: { app: name } },
      strategy: { canary: { steps: [{ setWeight: 20 }, { pause: {} }, { setWeight: 60 }, { pause: {} }] } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [container] } },
    },
  };
}

/** Resident memory of a process in MiB: now, and at most so far. */
function memory(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
  return { now: of('VmRSS'), peak: of('VmHWM') };
}

/** Milliseconds to the first byte of the answer and to its last, and how many bytes came. */
function load(url: string, cookie: string, agent: Agent): Promise<{ first: number; whole: number; bytes: number; status: number }> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    let first = 0;
    let bytes = 0;
    http
      .get(url, { agent, headers: { cookie, accept: 'text/html' } }, (response) => {
        response.once('readable', () => (first = performance.now() - began));
        response.on('data', (chunk: Buffer) => (bytes += chunk.length));
        response.once('error', reject);
        response.once('end', () => resolve({ first, whole: performance.now() - began, bytes, status: response.statusCode ?? 0 }));
      })
      .once('error', reject);
  });
}

test(`/services with ${N} Rollouts`, async ({ world, browser }) => {
  const { kube } = world;
  await kube.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  let next = 0;
  const lane = async () => {
    while (next < N) await kube.create(ROLLOUTS, rollout(next++));
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  await until(
    'the controller has seen each',
    async () => {
      const { items } = await kube.get(ROLLOUTS);
      return items.every((r: { status?: { observedGeneration?: string } }) => r.status?.observedGeneration);
    },
    600,
  );

  const began = performance.now();
  const { replica, end } = await world.own('list');
  const ready = performance.now() - began;
  const context = await browser.newContext();
  const agent = new Agent({ keepAlive: true });
  try {
    const page = await context.newPage();
    await signIn(page, 'viewer', replica.url);
    const cookie = (await context.cookies()).map((c) => `${c.name}=${c.value}`).join('; ');
    const listed = await until('every workload is listed', async () => {
      const answer = await fetch(`${replica.url}/api/v1/workloads`, { headers: { authorization: `Bearer ${replica.tokens.viewer}` } });
      const { workloads } = (await answer.json()) as { workloads: unknown[] };
      return workloads.length >= N && workloads.length;
    });
    const rested = memory(replica.file.pid);
    const lines = [HEAD];
    for (const [what, path] of [
      ['`/services`', '/services'],
      ['`/services?q=service-04`, filtered on the server', '/services?q=service-04'],
    ]) {
      const first: number[] = [];
      const whole: number[] = [];
      let bytes = 0;
      for (let i = 0; i < ASKED; i++) {
        const seen = await load(replica.url + path, cookie, agent);
        expect(seen.status).toBe(200);
        first.push(seen.first);
        whole.push(seen.whole);
        bytes = seen.bytes;
      }
      lines.push(row(`${what}: first byte`, figures(first)), row(`${what}: whole page, ${(bytes / 1024).toFixed(0)} KiB`, figures(whole)));
    }
    const loaded = memory(replica.file.pid);
    const cdp = await page.goto(`${replica.url}/services`).then(() => page.evaluate(() => performance.getEntriesByType('navigation')[0].toJSON()));
    console.log(
      [
        '',
        `${listed} workloads listed; replica ready ${(ready / 1000).toFixed(1)} s after its Postgres was started`,
        '',
        ...lines,
        '',
        `in Chromium: first byte ${cdp.responseStart.toFixed(0)} ms, DOM ready ${cdp.domContentLoadedEventEnd.toFixed(0)} ms, loaded ${cdp.loadEventEnd.toFixed(0)} ms`,
        `resident memory: ${rested.now.toFixed(0)} MiB before, ${loaded.now.toFixed(0)} MiB after ${2 * ASKED} pages, at most ${loaded.peak.toFixed(0)} MiB`,
        '',
      ].join('\n'),
    );
    expect(loaded.peak).toBeLessThan(256);
  } finally {
    agent.destroy();
    await context.close();
    await end();
  }
});
