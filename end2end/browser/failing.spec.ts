/** A version that fails every fifth request: Tidegate takes it back by itself, and says so to everybody. */
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { routerWeights } from '../lib/writes.ts';

test('a failing canary goes back by itself, its weight never rises after the verdict, and the status page tells it', async ({
  world,
  api,
  as,
  browser,
  service,
  release,
}) => {
  const web = await service('failing', { rps: 80 });
  const viewer = api('viewer');
  const steps = [
    { weight: 25, bake: '60s', analysis: true },
    { weight: 75, bake: '60s', analysis: true },
    { weight: 100 },
  ];
  const watched = await web.watch();
  const page = await as('viewer');
  // The public page, in a browser of somebody who has no account.
  const outside = await browser.newContext();
  const status = await outside.newPage();
  await status.goto(`${world.main.url}/status`);

  const { release: id } = await release({ ...web.plan('1.1.0-errors-20pct'), steps, minRequests: 40 });
  await page.goto(`/releases/${id}`);

  const notice = status.getByText(`Faulty update of ${web.name}`);
  await until(
    'the machine-readable status tells of the incident',
    async () => {
      const { incidents } = await viewer.must('/api/v2/summary.json', { token: null });
      return incidents.some((i: { name: string }) => i.name.includes(web.name));
    },
    90,
  );
  const ended = await viewer.until(id, ['rolled_back'], 60);
  expect(ended.reason).toMatch(/error/i);
  await web.settledOn('1.0.0');
  watched.end();

  // The record: a failing verdict with its figures, then back; nobody pressed anything.
  const events = await viewer.events(id);
  const verdict = events.find((e) => e.action === 'release.verdict' && /fail/i.test(JSON.stringify(e)));
  expect(verdict, events.map((e) => e.action).join(', ')).toBeDefined();
  expect(events.filter((e) => e.seq >= verdict!.seq).every((e) => e.via === 'system')).toBe(true);
  expect(ended.verdict).toMatchObject({ class: 'fail' });

  // The cluster: what the router was given, and what the controller said, never rose from the verdict on.
  const decided = new Date(verdict!.at).getTime();
  for (const seen of [routerWeights(world.auditLog, web.namespace, web.canaryIngress), watched.weights]) {
    expect(Math.max(...seen.map((w) => w.weight))).toBe(25);
    let last = 25;
    for (const { weight } of seen.filter((w) => w.at.getTime() >= decided)) {
      expect(weight).toBeLessThanOrEqual(last);
      last = weight;
    }
    expect(seen.at(-1)?.weight).toBe(0);
  }

  // The pages, which nobody has reloaded.
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Rolled back');
  await expect(page.getByRole('heading', { name: 'Verdict' })).toBeVisible();
  await status.reload();
  await expect(notice.first()).toBeVisible();
  await expect(status.locator('body')).not.toContainText('1.1.0'); // the public page speaks of what users feel
  await outside.close();

  const { incidents } = await viewer.must('/api/v2/incidents.json', { token: null });
  const told = incidents.find((i: { name: string }) => i.name.includes(web.name));
  await until('the incident is resolved', async () => {
    const list = (await viewer.must('/api/v2/incidents.json', { token: null })).incidents;
    return list.find((i: { id: string }) => i.id === told.id).status === 'resolved';
  });
  expect(await viewer.must('/api/v1/audit/verify')).toMatchObject({ ok: true });
});
