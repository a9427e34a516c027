/** What is open to everybody, and what machines read. */
import { execFileSync } from 'node:child_process';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

test('the summary has the shape of Statuspage and the age of its data', async ({ api }) => {
  const { status, body, headers } = await api('viewer').ask('/api/v2/summary.json', { token: null });
  expect(status).toBe(200);
  expect(body.page).toMatchObject({ id: expect.any(String), name: expect.any(String), updated_at: expect.any(String) });
  expect(['none', 'minor', 'major', 'critical', 'maintenance']).toContain(body.status.indicator);
  const names = body.components.map((c: { name: string }) => c.name);
  expect(names).toEqual(expect.arrayContaining(['cart', 'checkout', 'mailer', 'search']));
  for (const component of body.components) {
    expect(['operational', 'degraded_performance', 'partial_outage', 'major_outage', 'under_maintenance']).toContain(component.status);
  }
  expect(body.tidegate.age_seconds).toBeLessThan(30);
  expect(Date.parse(headers.get('x-data-as-of') ?? '')).not.toBeNaN();
});

test('liveness, readiness and metrics are there for machines', async ({ api }) => {
  const anybody = api('viewer');
  expect((await anybody.ask('/healthz', { token: null })).status).toBe(200);
  expect((await anybody.ask('/readyz', { token: null })).status).toBe(200);
  const metrics = await anybody.ask('/metrics', { token: null });
  expect(metrics.status).toBe(200);
  expect(metrics.body).toMatch(/^# TYPE /m);
});

test('the OpenAPI document names every route that the specification of the API does', async ({ api }) => {
  const { body } = await api('viewer').ask('/api/openapi.json', { token: null });
  expect(body.openapi).toMatch(/^3\./);
  const releases = ['pause', 'resume', 'promote', 'skip', 'abort', 'rollback', 'events'].map((d) => `/api/v1/releases/{id}/${d}`);
  expect(Object.keys(body.paths)).toEqual(
    expect.arrayContaining([
      '/api/v1/plans',
      '/api/v1/plans/{id}',
      '/api/v1/plans/{id}/approvals',
      '/api/v1/plans/{id}/releases',
      '/api/v1/releases',
      '/api/v1/releases/{id}',
      ...releases,
      '/api/v1/workloads',
      '/api/v1/workloads/{cluster}/{namespace}/{kind}/{name}/rollback',
      '/api/v1/audit',
      '/api/v1/audit/verify',
      '/api/v2/summary.json',
    ]),
  );
});

test('every workload of the demo world is listed with its version, and the paper\'s own Rollout too', async ({ api }) => {
  const { workloads } = await until('the workloads are listed', async () => {
    const list = await api('viewer').must('/api/v1/workloads');
    return list.workloads.length >= 5 && list;
  });
  const by = (namespace: string, name: string) =>
    workloads.find((w: { key: { namespace: string; name: string } }) => w.key.namespace === namespace && w.key.name === name);
  expect(by('shop', 'search')).toMatchObject({ service: 'search', strategy: 'blue-green', version: '3.9.0' });
  expect(by('shop', 'mailer')).toMatchObject({ key: { kind: 'Deployment' }, strategy: 'rolling', version: '0.12.1' });
  expect(by('agent-platform', 'coderun-controller-rollout')).toMatchObject({ strategy: 'canary', version: 'v1.2.3', phase: 'healthy' });
});

test('the chain can be exported as NDJSON, and verified by the command line', async ({ world, api }) => {
  const { body } = await api('viewer').ask('/api/v1/audit?format=ndjson');
  const events = String(body).trim().split('\n').map((line) => JSON.parse(line));
  expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i + 1));
  for (const [i, event] of events.entries()) {
    if (i > 0) expect(event.previous).toBe(events[i - 1].hash);
  }
  const { tidegate } = world.file.binaries;
  const words = execFileSync(tidegate, ['audit', 'verify'], { env: { ...process.env, ...world.main.env }, encoding: 'utf8', timeout: 30_000 });
  expect(words).toMatch(/\d+/);
});
