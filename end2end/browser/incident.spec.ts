/** An incident: opened by hand, noted, told to the public, seen by people who are not signed in, resolved. */
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect, test } from '../lib/test.ts';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** What axe finds and whether the page scrolls sideways, wide and at 390 px, light and dark. */
async function findings(page: Page, name: string): Promise<string[]> {
  const found: string[] = [];
  for (const width of [1440, 390]) {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
      found.push(...violations.map((v) => `${name}, ${width} ${colorScheme}: ${v.id} ${v.nodes.map((n) => n.target.join(' ')).join('; ')}`));
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (over > 0) found.push(`${name}, ${width}: scrolls sideways by ${over} px`);
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  return found;
}

test('an incident is opened by hand, told to the public, and resolved', async ({ api, as, service, browser, baseURL, complaints }, info) => {
  const web = await service('fire');
  const page = await as('on-call', { viewport: { width: 1440, height: 900 } });
  const found: string[] = [];
  const headline = `Some pages of ${web.name} fail, try ${info.retry}`;

  // Opened from the service's page.
  await page.goto(`/services/sandbox/${web.namespace}/Rollout/${web.name}`);
  await page.getByRole('link', { name: 'Open an incident' }).click();
  await expect(page).toHaveURL(/\/incidents\/new/);
  found.push(...(await findings(page, 'new')));
  await expect(page.getByLabel('Service', { exact: true })).toHaveValue(`${web.name} production`);
  await page.getByLabel('What goes wrong').fill('Pages fail since the last deploy');
  await page.getByLabel('Severity').selectOption('high');
  await page.getByRole('button', { name: 'Open the incident' }).click();
  await expect(page).toHaveURL(/\/incidents\/\d+$/);
  const id = Number(/\d+$/.exec(page.url())?.[0]);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Open');
  const count = page.locator('[data-n=incidents]').first();
  await expect(count).toHaveText(/[1-9]/);

  // A note; the page takes it in without being loaded again.
  await page.evaluate(() => Object.assign(window, { stayed: true }));
  await page.getByLabel('Add a note: what you saw, what you did').fill('Errors began at 14:05.');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await expect(page.getByText('“Errors began at 14:05.”')).toBeVisible();

  // Somebody else's change comes by itself, and does not take away what is being written.
  const words = page.getByLabel('What users feel', { exact: true }).filter({ visible: true });
  await words.fill('Jun Sato is looking into it.');
  await page.getByRole('heading', { level: 1 }).click();
  await api('release-manager').must(`/api/v1/incidents/${id}/notes`, { body: { words: 'I see it, too.' } });
  await expect(page.getByText('“I see it, too.”')).toBeVisible();
  await expect(words).toHaveValue('Jun Sato is looking into it.');

  // A name is refused at its field, and the text stays to be put right.
  await page.getByLabel('What the public page calls it').fill(headline);
  await page.getByRole('button', { name: 'Publish this update' }).click();
  await expect(page.locator('.field', { has: words }).getByText(/names a person/)).toBeVisible();
  await expect(words).toHaveValue('Jun Sato is looking into it.');
  await words.fill('About 1 in 20 pages does not load.');
  await page.getByLabel('State shown').selectOption('identified');
  await page.getByRole('button', { name: 'Publish this update' }).click();
  await expect(page.getByRole('group', { name: /What the public reads/ }).getByText(headline)).toBeVisible();
  expect(await page.evaluate(() => (window as unknown as { stayed?: boolean }).stayed)).toBe(true);
  found.push(...(await findings(page, 'incident')));

  // Signed out, and without script.
  const outside = await (await browser.newContext({ baseURL, javaScriptEnabled: false })).newPage();
  await expect(async () => {
    await outside.goto('/status');
    await expect(outside.getByRole('heading', { name: headline })).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 30_000 });
  await expect(outside.getByText('About 1 in 20 pages does not load.')).toBeVisible();
  await expect(outside.getByText('Jun Sato')).toHaveCount(0);
  await expect(outside.locator('li', { hasText: web.name }).first()).not.toContainText('Works');
  const { components } = await (await outside.request.get('/api/v2/summary.json')).json();
  const component = components.find((c: { id: string }) => c.id === web.name);
  expect(component.status).not.toBe('operational');

  // Resolved, with words for the public.
  await page.getByRole('button', { name: 'Resolve', exact: true }).click();
  const panel = page.getByRole('dialog').filter({ visible: true });
  await panel.getByLabel(/Last words/).fill('All pages load again.');
  await panel.getByRole('button', { name: 'Resolve it' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Resolved');
  found.push(...(await findings(page, 'resolved')));
  await expect(async () => {
    await outside.goto('/status');
    await expect(outside.getByText('All pages load again.')).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 30_000 });
  await outside.context().close();

  // The list finds it, a viewer reads it and is told why there are no buttons.
  await page.goto(`/incidents?q=${id}&state=resolved`);
  await expect(page.getByRole('link', { name: 'Pages fail since the last deploy' })).toBeVisible();
  found.push(...(await findings(page, 'incidents')));
  const viewer = await as('viewer');
  await viewer.goto(`/incidents/${id}`);
  await expect(viewer.getByText(/As viewer you may not lead an incident/).first()).toBeVisible();
  await expect(viewer.getByRole('button', { name: 'Reopen' })).toHaveCount(0);
  expect(found.join('\n')).toBe('');
  expect(complaints.filter((c) => !c.includes('422'))).toEqual([]);
});
