/** axe finds nothing on any page: light, dark, and at 390 px; no page scrolls sideways; no page complains. */
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { LONG, planYaml, QUICK } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { places, type Ids } from './pages.ts';

const WIDE = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
const LOOKS = [
  { look: 'light', colorScheme: 'light', viewport: WIDE },
  { look: 'dark', colorScheme: 'dark', viewport: WIDE },
  { look: 'phone', colorScheme: 'light', viewport: PHONE },
  { look: 'phone, dark', colorScheme: 'dark', viewport: PHONE },
] as const;

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

async function findings(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  return violations.map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `  ${n.target.join(' ')}  ${n.html.slice(0, 160)}`).join('\n')}`);
}

test('axe finds nothing on any page, in either theme, at 1440 and at 390 px', async ({ api, as, service, release, complaints }) => {
  test.setTimeout(400_000);
  const [web, done] = await Promise.all([service('axe'), service('axe-done')]);
  const running = await release({ ...web.plan('1.1.0'), steps: LONG.map((s) => ({ ...s, analysis: s.weight < 100 })), minRequests: 20 });
  const ended = await release({ ...done.plan('1.1.0'), steps: [{ weight: 50, bake: '2s' }, QUICK.at(-1)!] });
  await api('viewer').until(ended.release, ['succeeded'], 90);
  await until('there is a verdict to show', async () => (await api('viewer').release(running.release)).verdict, 60);
  // A plan that may still be edited.
  const yaml = planYaml({ ...web.plan('1.2.0'), steps: LONG });
  const open = await api('release-manager').must('/api/v1/plans', { body: yaml });
  const alarm = { title: 'axe: some pages fail', severity: 'high', impact: 'About 1 in 20 pages fails.', release: running.release };
  const incident = await api('on-call').must('/api/v1/incidents', { body: alarm });
  const ids: Ids = {
    plan: open.id,
    running: running.release,
    ended: ended.release,
    workload: `sandbox/${web.namespace}/Rollout/${web.name}`,
    incident: incident.id,
  };

  const page = await as('release-manager', { viewport: WIDE });
  const found: string[] = [];
  const look = async (name: string) => {
    for (const { look, colorScheme, viewport } of LOOKS) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      found.push(...(await findings(page)).map((f) => `${name}, ${look}: ${f}`));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) found.push(`${name}, ${look}: scrolls sideways by ${wide} px`);
    }
    await page.setViewportSize(WIDE);
  };
  for (const place of places(ids)) {
    await test.step(place.name, async () => {
      const response = await page.goto(place.path);
      expect.soft(response?.status(), place.path).toBe(place.status ?? 200);
      await expect.soft(page.getByRole('heading', { level: 1 })).toHaveCount(1);
      expect.soft(await page.title()).toMatch(/Tidegate|Status/);
      await look(place.name);
    });
  }
  // The panel over the page.
  await page.goto(`/releases/${ids.running}`);
  await page.getByRole('button', { name: 'ROLL BACK' }).filter({ visible: true }).first().click();
  await expect(page.getByRole('dialog').filter({ visible: true })).toBeVisible();
  await look('release with its panel');
  expect(found.join('\n')).toBe('');
  const ours = complaints.filter((c) => !/no-such-page|\/setup/.test(c));
  expect(ours).toEqual([]);
});

test('a page can be read and used by keyboard: skip link, focus in sight, panel closed by Escape', async ({ as, service, release }) => {
  const web = await service('keys');
  const { release: id } = await release({ ...web.plan('1.1.0'), steps: LONG });
  const page = await as('on-call', { viewport: WIDE });
  await page.goto(`/releases/${id}`);
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to content' })).toBeFocused();
  const button = page.getByRole('button', { name: 'ROLL BACK' }).filter({ visible: true }).first();
  await button.focus();
  await page.keyboard.press('Enter');
  const panel = page.getByRole('dialog').filter({ visible: true });
  await expect(panel).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(panel).toHaveCount(0);
});
