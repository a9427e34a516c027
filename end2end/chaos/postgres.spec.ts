/** ROLL BACK works while Postgres does not: frozen, and stopped for real. Its record follows when Postgres is back. */
import type { Obj } from '../lib/kube.ts';
import { LONG } from '../lib/plan.ts';
import { signIn } from '../lib/people.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

const back = (events: Obj[]) => events.filter((e) => e.action === 'rollback.accepted');

test('a rollback acts while Postgres is frozen, and is in the chain once afterwards', async ({ world, api, service, release }) => {
  const { postgres, replica, end } = await world.own('frozen');
  try {
    const web = await service('frozen');
    const { release: id } = await release({ ...web.plan('1.1.0'), steps: LONG }, replica);
    const onCall = api('on-call', replica);
    await until('the canary has its share', async () => (await onCall.release(id)).weight === 20, 60);

    postgres.freeze();
    const pressed = Date.now();
    const receipt = await onCall.must(`/api/v1/releases/${id}/rollback`, { body: { reason: 'errors, and no database' } });
    const answered = Date.now() - pressed;
    expect(receipt).toMatchObject({ recorded: false, to_version: '1.0.0' });
    expect(receipt.took_ms, 'the patches themselves wait for nothing').toBeLessThan(1_000);
    expect(answered).toBeLessThan(5_000);
    await web.settledOn('1.0.0', 30);
    expect(replica.unmerged).toBe(1);

    postgres.thaw();
    const ended = await api('viewer', replica).until(id, ['rolled_back'], 60);
    expect(ended.reason).toContain('no database');
    await until('the journal is merged', () => replica.unmerged === 0);
    expect(back(await onCall.events(id))).toHaveLength(1);
    expect(await onCall.must('/api/v1/audit/verify')).toMatchObject({ ok: true });
  } finally {
    await end();
  }
});

test('a rollback by the page acts while Postgres is stopped, at 390 px', async ({ world, api, service, release, browser }) => {
  const { postgres, replica, end } = await world.own('stopped');
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  try {
    const web = await service('stopped');
    const { release: id } = await release({ ...web.plan('1.1.0'), steps: LONG }, replica);
    await until('the canary has its share', async () => (await api('viewer', replica).release(id)).weight === 20, 60);
    const page = await context.newPage();
    await signIn(page, 'on-call', replica.url);
    await page.goto(`${replica.url}/releases/${id}`);

    await postgres.kill();
    await page.getByRole('button', { name: 'ROLL BACK' }).filter({ visible: true }).first().click();
    await page.getByLabel(/^Reason/).filter({ visible: true }).fill('the database is gone');
    await page.getByRole('button', { name: 'Roll back to 1.0.0 now' }).filter({ visible: true }).click();
    await web.settledOn('1.0.0', 30);
    expect(replica.unmerged).toBe(1);

    await postgres.start();
    const ended = await api('viewer', replica).until(id, ['rolled_back'], 60);
    expect(ended.reason).toContain('database is gone');
    await until('the journal is merged', () => replica.unmerged === 0);
    expect(back(await api('viewer', replica).events(id))).toHaveLength(1);
    expect(await api('viewer', replica).must('/api/v1/audit/verify')).toMatchObject({ ok: true });
    // The page that was open all the time tells it too, by itself.
    await expect(page.getByText(/rolled back/i).filter({ visible: true }).first()).toBeVisible({ timeout: 30_000 });
  } finally {
    await context.close();
    await end();
  }
});

test('any workload can be rolled back while Postgres is stopped, with no release at all', async ({ world, api, service }) => {
  const { postgres, replica, end } = await world.own('glass');
  try {
    const web = await service('glass');
    await web.bring('1.1.0');
    const onCall = api('on-call', replica);
    const path = `/api/v1/workloads/sandbox/${web.namespace}/Rollout/${web.name}/rollback`;
    await until('the version is known', async () => {
      const { workloads } = await onCall.must(`/api/v1/workloads?namespace=${web.namespace}`);
      return workloads[0]?.version === '1.1.0' && workloads[0].phase === 'healthy';
    });
    await postgres.kill();
    const receipt = await onCall.must(path, { body: { reason: 'break glass' } });
    expect(receipt).toMatchObject({ recorded: false, to_version: '1.0.0' });
    await web.settledOn('1.0.0', 60);
    // The public page says what it knows, database or not.
    expect((await onCall.ask('/api/v2/summary.json', { token: null })).status).toBe(200);
    await postgres.start();
    await until('the journal is merged', () => replica.unmerged === 0, 60);
    const { events } = await onCall.must(`/api/v1/audit?service=${web.name}`);
    expect(back(events)).toHaveLength(1);
    expect(back(events)[0]).toMatchObject({ reason: 'break glass' });
    expect(await onCall.must('/api/v1/audit/verify')).toMatchObject({ ok: true });
  } finally {
    await end();
  }
});
