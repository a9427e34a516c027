/** What changes shows by itself; what is clicked acts: the page is really alive, not only rendered. */
import { LONG } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

test('a click changes state in place, and another browser sees it without reloading', async ({ api, as, service, release }) => {
  const web = await service('live');
  const { release: id } = await release({ ...web.plan('1.1.0'), steps: LONG });
  await until('the canary has its share', async () => (await api('viewer').release(id)).weight === 20, 60);
  const [manager, viewer] = [await as('release-manager'), await as('viewer')];
  for (const page of [manager, viewer]) {
    await page.goto(`/releases/${id}`);
    await page.evaluate(() => Object.assign(window, { stayed: true }));
  }
  const heading = (page: typeof manager) => page.getByRole('heading', { level: 1 });
  await manager.getByRole('button', { name: 'Pause', exact: true }).filter({ visible: true }).first().click();
  await expect(heading(manager)).toContainText(/held/i);
  await expect(heading(viewer)).toContainText(/held/i);
  expect((await api('viewer').release(id)).state).toBe('paused');
  await manager.getByRole('button', { name: 'Resume', exact: true }).filter({ visible: true }).first().click();
  await expect(heading(viewer)).not.toContainText(/held/i);
  for (const page of [manager, viewer]) {
    expect(await page.evaluate(() => (window as unknown as { stayed?: boolean }).stayed)).toBe(true);
  }
});

test('the list of services follows the cluster without reloading', async ({ as, service }) => {
  const web = await service('listed');
  const page = await as('viewer');
  await page.goto(`/services?q=${web.name}`);
  const row = page.getByRole('row').filter({ hasText: web.name });
  await expect(row).toContainText('1.0.0');
  await page.evaluate(() => Object.assign(window, { stayed: true }));
  await web.bring('1.1.0');
  await expect(row).toContainText('1.1.0');
  expect(await page.evaluate(() => (window as unknown as { stayed?: boolean }).stayed)).toBe(true);
});
