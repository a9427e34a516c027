/** The rollback policies of a namespace: written in the browser, fired on what users feel, and carried out before everybody's eyes. */
import { LONG } from '../lib/plan.ts';
import { receiver } from '../lib/receiver.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

/** As it is used in the field; a test has no ten minutes. */
const FILE = `rollback_triggers:
  error_rate_threshold: 0.05  # 5% error rate
  response_time_p95_ms: 5000  # 5 seconds
  workflow_failure_rate: 0.10  # 10% workflow failures
  pod_restart_rate: 0.20      # 20% pod restart rate

rollback_conditions:
  min_observation_time: "10m"
  max_rollback_time: "30m"
  confirmation_samples: 3

rollback_actions:
  - type: "pause_rollout"
    immediate: true
  - type: "notify_oncall"
    channels: ["slack", "pagerduty"]
  - type: "automatic_rollback"
    delay: "5m"
    confirmation_required: false
  - type: "incident_creation"
    severity: "high"
    auto_assign: true
`;

const POLICY_MAP = (namespace: string) => `/api/v1/namespaces/${namespace}/configmaps/rollback-policies`;

test('fires, holds, tells on-call, counts down, rolls back, opens an incident, and the public page tells of it', async ({
  world,
  api,
  as,
  browser,
  service,
  release,
}) => {
  const web = await service('policy', { rps: 80 });
  const pager = await receiver();
  const admin = api('administrator');
  for (const [kind, more] of [
    ['slack', { secret: `${pager.origin}/slack` }],
    ['pagerduty', { secret: 'k'.repeat(32), endpoint: pager.origin }],
  ] as const) {
    await admin.must('/api/v1/destinations', { body: { name: `${kind} of ${web.name}`, kind, ...more } });
  }
  /** What was told about this service. */
  const told = (path: RegExp) => pager.got.filter((g) => path.test(g.path) && g.body.includes(web.name)).map((g) => JSON.parse(g.body));
  await world.kube.create(`/api/v1/namespaces/${web.namespace}/configmaps`, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'rollback-policies' },
    data: { 'policies.yaml': FILE },
  });

  // What kubectl brought is in force and shown; the release manager shortens its times.
  const manager = await as('release-manager');
  await manager.goto('/policies');
  const file = manager.locator('section.policyfile', { hasText: web.namespace });
  await expect(file).toContainText('In force, written outside Tidegate');
  await expect(file).toContainText('errors over 5 %');
  await expect(file).toContainText('failed workflows over 10');
  await file.getByRole('link', { name: 'Change' }).click();
  const text = manager.getByLabel(/^The file/);
  await expect(text).toHaveValue(FILE);
  const save = manager.getByRole('button', { name: 'Save' });
  const short = FILE.replace('"10m"', '"2s"').replace('"5m"', '"12s"');
  for (const [wrong, field] of [
    [short.replace('"12s"', '"10 parsecs"'), 'rollback_actions[2].delay'],
    [short.replace('"12s"', '"31m"'), 'rollback_actions[2].delay'],
    [short.replace('error_rate_threshold', 'error_rates'), 'rollback_triggers.error_rates'],
    [short.replace('pod_restart_rate: 0.20', 'queries: [{name: q, query: "sum(", above: 1}]'), 'rollback_triggers.queries[0].query'],
  ] as const) {
    await text.fill(wrong);
    await save.click();
    await expect(manager.getByRole('alert')).toContainText(field);
    await expect(text).toHaveValue(wrong);
  }
  expect((await world.kube.get(POLICY_MAP(web.namespace))).data['policies.yaml']).toBe(FILE);
  await text.fill(short);
  await manager.getByRole('button', { name: 'Check and try' }).click();
  await expect(manager.getByText(/^default would have fired 0 times in 14 days/)).toBeVisible();
  await expect(manager.getByText(/^Watching services all the time, it would have fired 0 times in 14 days, on 1 service/)).toBeVisible();
  await manager.getByLabel(/^Reason/).fill('a test has no ten minutes');
  await save.click();
  await expect(manager).toHaveURL(/\/policies$/);
  await expect(file).toContainText('In force');
  // Comments and all.
  await until('the cluster holds it', async () => {
    return (await world.kube.get(POLICY_MAP(web.namespace))).data['policies.yaml'] === short;
  });

  // Written past Tidegate, it is told on the page that stands open.
  await world.kube.call(
    'PATCH',
    POLICY_MAP(web.namespace),
    { data: { 'policies.yaml': `${short}# by kubectl\n` } },
    'application/merge-patch+json',
  );
  await expect(file).toContainText('In force, written outside Tidegate', { timeout: 30_000 });

  // No analysis is planned: only the policy looks.
  const { release: id } = await release({ ...web.plan('1.1.0-errors-20pct'), steps: LONG });
  const page = await as('on-call');
  await page.goto(`/releases/${id}`);
  await expect(page.getByText('Policy default rolls this back, unless somebody stops it.')).toBeVisible({ timeout: 90_000 });
  await expect(page.getByRole('timer').first()).toBeVisible();
  expect((await api('viewer').release(id)).state).toBe('paused');
  await until('on-call is told', () => told(/slack/).length > 0 && told(/enqueue/).length > 0);
  expect(JSON.stringify(told(/slack/)[0])).toContain('Policy default fired');
  const [alarm] = told(/enqueue/);
  expect(alarm).toMatchObject({ event_action: 'trigger', routing_key: 'k'.repeat(32) });
  const ended = await api('viewer').until(id, ['rolled_back'], 60);
  expect(ended.reason).toMatch(/^Rolled back by policy default: errors /);
  await web.settledOn('1.0.0');
  await until('the alarm is taken back', () => told(/enqueue/).some((e) => e.event_action === 'resolve' && e.dedup_key === alarm.dedup_key));
  pager.close();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Rolled back');
  const policy = page.locator('section', { hasText: 'Rollback policy' }).last();
  await expect(policy).toContainText('Held: the weight may only fall.');
  await expect(policy).toContainText(/Incident .* is open/);

  // The incident, told to the public by on-call.
  const { incidents } = await api('viewer').must('/api/v1/incidents');
  const incident = incidents.find((i: { release?: number }) => i.release === id);
  expect(incident).toMatchObject({ severity: 'high', policy: 'default' });
  await page.goto(`/incidents/${incident.id}`);
  await expect(page.getByRole('heading', { level: 1 })).toContainText(web.name);
  await page.getByRole('region', { name: 'Tell the public' }).getByLabel('What users feel').fill('Some requests failed for a minute. The earlier version is back.');
  await page.getByRole('button', { name: /Publish/ }).click();
  const outside = await browser.newContext();
  const status = await outside.newPage();
  await status.goto(`${world.main.url}/status`);
  await expect(status.getByText('Some requests failed for a minute. The earlier version is back.')).toBeVisible();
  await outside.close();
  expect(await api('viewer').must('/api/v1/audit/verify')).toMatchObject({ ok: true });
});

test('on-call stops the countdown on a phone, with a reason', async ({ world, api, as, service, release }) => {
  const web = await service('stopped', { rps: 80 });
  await world.kube.create(`/api/v1/namespaces/${web.namespace}/configmaps`, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'rollback-policies' },
    data: { 'policies.yaml': FILE.replace('"10m"', '"2s"').replace('"5m"', '"20m"') },
  });
  await until('the policy is in force', async () => {
    const { files } = await api('viewer').must('/api/v1/policies');
    return files.some((f: { namespace: string; policies: unknown[] }) => f.namespace === web.namespace && f.policies.length === 1);
  });
  const { release: id } = await release({ ...web.plan('1.1.0-errors-20pct'), steps: LONG });
  const page = await as('on-call', { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  await page.goto(`/releases/${id}`);
  const banner = page.getByText('Policy default rolls this back, unless somebody stops it.');
  await expect(banner).toBeVisible({ timeout: 90_000 });
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await page.getByText('Stop it').click();
  await page.getByLabel('Why the version may stay').fill('a load test');
  await page.getByRole('button', { name: 'Stop the rollback' }).click();
  await expect(banner).toBeHidden();
  await expect(page.getByText(/Stopped by Jun Sato/)).toBeVisible();
  expect(await api('viewer').must(`/api/v1/releases/${id}/policy`)).toMatchObject({ firing: { stopped_by: 'Jun Sato' } });
  expect((await api('viewer').release(id)).state).toBe('paused');
});

test('a service that fails between releases counts down on its own page, and on-call stops it on a phone', async ({ world, api, as, service }) => {
  // A version is on record after half a minute, and the policy wants readings of its own.
  test.setTimeout(300_000);
  const web = await service('between', { rps: 80 });
  await world.kube.create(`/api/v1/namespaces/${web.namespace}/configmaps`, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'rollback-policies' },
    data: { 'policies.yaml': `${FILE.replace('"10m"', '"2s"').replace('"5m"', '"20m"')}service_watch: {rollback_within: 2h}\n` },
  });
  const workload = `sandbox/${web.namespace}/Rollout/${web.name}`;
  const viewer = api('viewer');
  await until(
    'the first version is on record',
    async () => (await viewer.must(`/api/v1/workloads/${workload}/known-good`)).versions.length > 0,
    90,
  );
  await web.bring('1.1.0-errors-20pct');
  const page = await as('on-call', { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  await page.goto(`/services/${workload}`);
  const banner = page.getByText('Policy default rolls this back, unless somebody stops it.');
  await expect(banner).toBeVisible({ timeout: 120_000 });
  await expect(page.getByRole('timer')).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await page.getByText('Stop it').click();
  await page.getByLabel('Why the version may stay').fill('a load test');
  await page.getByRole('button', { name: 'Stop the rollback' }).click();
  await expect(banner).toBeHidden();
  await expect(page.getByText(/Stopped by Jun Sato/)).toBeVisible();
  expect(await viewer.must(`/api/v1/workloads/${workload}/policy`)).toMatchObject({ policy: 'default', firing: { stopped_by: 'Jun Sato' } });
  expect(await web.runs()).toBe(web.image('1.1.0-errors-20pct'));
});
