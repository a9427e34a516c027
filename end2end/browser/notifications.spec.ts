/** Where notifications go: added by a form, tried out, seen delivered; the same with JavaScript off. */
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { createHmac } from 'node:crypto';
import { receiver } from '../lib/receiver.ts';
import { expect, test } from '../lib/test.ts';

const KEY = Buffer.alloc(32, 9).toString('base64');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

async function clean(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1440, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
      const found = violations.map((v) => `${v.id}: ${v.help} ${v.nodes.map((n) => n.html.slice(0, 160)).join('\n')}`);
      expect(found, `${page.url()} ${colorScheme} ${width}`).toEqual([]);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wide, `${page.url()} scrolls sideways at ${width}`).toBeLessThanOrEqual(0);
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
}

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with' : 'without';
  test(`a webhook is added, tried out, and seen delivered, ${how} JavaScript`, async ({ as }) => {
    const { origin, got, say, close } = await receiver();
    const url = `${origin}/hook`;
    const name = `Board, ${how} script`;
    const page = await as('administrator', { javaScriptEnabled, viewport: { width: 1440, height: 900 } });
    await page.goto('/notifications');
    await page.getByRole('link', { name: 'Add a destination' }).first().click();
    await page.getByRole('navigation', { name: 'Kinds' }).getByRole('link', { name: 'Webhook' }).click();
    // Every fault at its field; what was right stays.
    await page.getByLabel('Name, as the log shows it').fill(name);
    await page.getByLabel('Address').fill('http://example.com/hook');
    await page.getByLabel('Signing key', { exact: true }).fill('not a key');
    await page.getByRole('button', { name: 'Add it' }).click();
    await expect(page.getByRole('alert')).toContainText('A rule is broken');
    await expect(page.getByLabel('Name, as the log shows it')).toHaveValue(name);
    await expect(page.getByLabel('Address')).toHaveAttribute('aria-invalid', 'true');
    await expect(page.getByLabel('Address')).toHaveAccessibleDescription(/sent encrypted only/);
    await expect(page.getByLabel('Signing key', { exact: true })).toHaveAttribute('aria-invalid', 'true');
    await expect(page.getByLabel('Signing key', { exact: true })).toHaveValue('');
    expect(page.url()).not.toContain('not%20a%20key');
    if (javaScriptEnabled) await clean(page);
    await page.getByLabel('Address').fill(url);
    await page.getByLabel('Signing key', { exact: true }).fill(`whsec_${KEY}`);
    await page.getByRole('button', { name: 'Add it' }).click();

    await expect(page).toHaveURL(/\/notifications$/);
    const destination = page.getByRole('listitem').filter({ hasText: name });
    await expect(destination).toContainText('Not tried yet');
    await expect(destination).toContainText('secret encrypted');
    say.push(400);
    await destination.getByRole('button', { name: 'Send a test' }).click();
    const row = page.getByRole('row').filter({ hasText: `Tidegate can tell ${name}` });
    const shows = async (words: string) =>
      expect(async () => {
        if (!javaScriptEnabled) await page.reload();
        await expect(row).toContainText(words, { timeout: 2_000 });
      }).toPass({ timeout: 30_000 });
    await shows('Given up');
    await expect(row).toContainText('Answered 400: as told');
    if (javaScriptEnabled) await clean(page);
    await row.getByRole('button', { name: 'Try again' }).click();
    await shows('Delivered');
    await expect(destination).toContainText('Works');
    const last = got.at(-1)!;
    const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = last.headers;
    const expected = createHmac('sha256', Buffer.from(KEY, 'base64')).update(`${id}.${at}.${last.body}`).digest('base64');
    expect(signature).toBe(`v1,${expected}`);
    expect(got[0]!.headers['webhook-id']).toBe(id);

    await destination.getByRole('link', { name: `Change ${name}` }).click();
    await expect(page.getByLabel('Keep the one that is there')).toBeChecked();
    expect(await page.content()).not.toContain(KEY);
    if (javaScriptEnabled) await clean(page);
    await page.getByRole('button', { name: `Remove ${name}` }).click();
    await expect(page).toHaveURL(/\/notifications$/);
    await expect(page.getByRole('link', { name: `Change ${name}` })).toHaveCount(0);
    await expect(row).toContainText('Delivered');
    close();
  });
}

test('whoever does not administer sees the log, and no way to change who is told', async ({ as }) => {
  const page = await as('on-call');
  await page.goto('/notifications');
  await expect(page.getByRole('heading', { level: 2, name: 'Told' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Add a destination' })).toHaveCount(0);
  await expect(page.getByText(/changed by administrators/)).toBeVisible();
  await page.goto('/notifications/new');
  await expect(page.getByRole('heading', { level: 1, name: 'You may not see this' })).toBeVisible();
});
