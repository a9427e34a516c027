/**
 * Pictures of the running pages, for README.md and docs/. They are always taken, so that the test cannot rot; only
 * `npm run pictures` (TIDEGATE_PICTURES=1) writes them to docs/pictures/.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { LONG, planYaml } from '../lib/plan.ts';
import { small } from '../lib/png.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

const DIR = fileURLToPath(new URL('../../docs/pictures', import.meta.url));
/** What a picture may weigh: they are part of every clone. */
const MOST = 150 * 1024;

const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  dark: { colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 } },
} as const;

async function picture(page: Page, name: string, look: keyof typeof LOOKS): Promise<void> {
  await page.setViewportSize(LOOKS[look].viewport);
  await page.emulateMedia({ colorScheme: LOOKS[look].colorScheme, reducedMotion: 'reduce' });
  await page.evaluate(() => window.scrollTo(0, 0));
  const png = small(await page.screenshot({ animations: 'disabled', caret: 'hide' }));
  expect.soft(png.length, `${name}-${look}.png`).toBeLessThan(MOST);
  if (process.env.TIDEGATE_PICTURES) {
    mkdirSync(DIR, { recursive: true });
    writeFileSync(`${DIR}/${name}-${look}.png`, png);
  }
}

test('pictures of the pages', async ({ api, as, service, release }) => {
  test.setTimeout(240_000);
  const viewer = api('viewer');
  const [web, bad] = await Promise.all([service('payments', { replicas: 6, rps: 90, plain: true }), service('basket', { replicas: 4, rps: 90, plain: true })]);
  const analysed = LONG.map((s) => ({ ...s, analysis: s.weight < 100 }));
  const good = await release({ ...web.plan('1.1.0'), steps: analysed, minRequests: 60 });
  // Taken back by itself meanwhile, for the pages that tell of it.
  const failed = await release({ ...bad.plan('1.1.0-errors-20pct'), steps: analysed, minRequests: 60 });
  await viewer.until(failed.release, ['rolled_back'], 120);
  await until('a verdict and a chart', async () => (await viewer.release(good.release)).verdict?.class === 'pass', 60);

  // A plan under way may not be edited; the one after it may.
  const { id: next } = await api('release-manager').must('/api/v1/plans', { body: planYaml({ ...web.plan('1.2.0'), steps: analysed }) });

  const page = await as('release-manager', { viewport: LOOKS.light.viewport });
  await page.goto(`/releases/${good.release}`);
  await until('a chart worth looking at', async () => {
    const points = await page.locator('svg.plot polyline.canary').last().getAttribute('points');
    return (points ?? '').split(' ').length >= 12;
  }, 90);
  for (const look of ['light', 'dark', 'phone'] as const) await picture(page, 'release', look);
  await page.getByRole('button', { name: 'ROLL BACK' }).filter({ visible: true }).first().click();
  await expect(page.getByRole('dialog').filter({ visible: true })).toBeVisible();
  await picture(page, 'rollback', 'phone');
  for (const [name, path] of [
    ['now', '/'],
    ['services', '/services'],
    ['plan', `/plans/${good.plan}`],
    ['editor', `/plans/${next}/edit`],
    ['failed', `/releases/${failed.release}`],
    ['audit', '/audit'],
    ['status', '/status'],
  ]) {
    expect((await page.goto(path))?.status(), path).toBe(200);
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
    await picture(page, name, 'light');
    if (name === 'services' || name === 'status') await picture(page, name, 'dark');
  }
});
