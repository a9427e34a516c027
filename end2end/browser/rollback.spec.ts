/** ROLL BACK: one press and one confirmation, from a phone, and with JavaScript off. */
import type { Page } from '@playwright/test';
import { LONG } from '../lib/plan.ts';
import type { Service } from '../lib/service.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

/** The two presses that a person makes on a release's page. */
async function rollBack(page: Page, to: string): Promise<void> {
  await page.getByRole('button', { name: 'ROLL BACK' }).filter({ visible: true }).first().click();
  const panel = page.getByRole('dialog', { name: new RegExp(`back to ${to.replaceAll('.', '\\.')}`) });
  await expect(panel).toBeVisible();
  // Consequences before the deed, from live data.
  await expect(panel.getByText('What happens')).toBeVisible();
  await expect(panel).toContainText(/20\s*%/);
  await panel.getByLabel(/^Reason/).fill('pressed by a test');
  await panel.getByRole('button', { name: `Roll back to ${to} now` }).click();
}

async function check(web: Service, pressed: number): Promise<void> {
  await web.settledOn('1.0.0', 30);
  test.info().annotations.push({ type: 'users back on 1.0.0', description: `${Date.now() - pressed} ms after the press` });
}

test('from a screen of 390 px, without scrolling', async ({ api, as, service, release }) => {
  const web = await service('phone');
  const { release: id } = await release({ ...web.plan('1.1.0'), steps: LONG });
  const page = await as('on-call', PHONE);
  await page.goto(`/releases/${id}`);
  await until('the canary has its share', async () => (await api('viewer').release(id)).weight === 20, 60);
  const button = page.getByRole('button', { name: 'ROLL BACK' }).filter({ visible: true }).first();
  await expect(button).toBeInViewport({ ratio: 1 });
  const box = (await button.boundingBox())!;
  expect(box.height, 'large enough for a thumb').toBeGreaterThanOrEqual(44);
  await expect(page.getByText(/Baking at 20|20\s*%/).first()).toBeVisible();

  const pressed = Date.now();
  await rollBack(page, '1.0.0');
  await check(web, pressed);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Rolled back');
  const ended = await api('viewer').until(id, ['rolled_back']);
  expect(ended.reason).toContain('pressed by a test');
  const events = await api('viewer').events(id);
  expect(events.find((e) => e.action === 'rollback.accepted')).toMatchObject({ actor: 'Jun Sato', via: 'browser' });
});

test('with JavaScript off, from the release itself', async ({ api, as, service, release }) => {
  const web = await service('plain');
  const { release: id } = await release({ ...web.plan('1.1.0'), steps: LONG.map((s) => ({ ...s, analysis: s.weight < 100 })) });
  await until('the canary has its share', async () => (await api('viewer').release(id)).weight === 20, 60);
  const page = await as('on-call', { javaScriptEnabled: false });
  await page.goto(`/releases/${id}`);
  // The page is complete without script: figures, steps, both charts, the way back.
  await expect(page.getByRole('heading', { level: 1 })).toContainText(`${web.name} 1.1.0`);
  await expect(page.getByText('of traffic on the new version')).toBeVisible();
  await expect(page.locator('svg.plot').first()).toBeVisible();

  const pressed = Date.now();
  await rollBack(page, '1.0.0');
  await expect(page).toHaveURL(new RegExp(`/releases/${id}`));
  await check(web, pressed);
  await api('viewer').until(id, ['rolled_back']);
  await page.reload();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Rolled back');
});

test('with JavaScript off, from the list of services, with no release at all', async ({ api, as, service }) => {
  const web = await service('unled');
  await web.bring('1.1.0');
  const onCall = api('on-call');
  await until('the new version is listed', async () => {
    const { workloads } = await onCall.must(`/api/v1/workloads?namespace=${web.namespace}`);
    return workloads[0]?.version === '1.1.0' && workloads[0].phase === 'healthy';
  });
  const page = await as('on-call', { javaScriptEnabled: false });
  await page.goto(`/services?q=${web.name}`);
  await page.getByRole('link', { name: /roll back/i }).first().click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText(`Roll ${web.name} back to 1.0.0?`);
  const pressed = Date.now();
  await page.getByRole('button', { name: 'Roll back to 1.0.0 now' }).click();
  await check(web, pressed);
});

test('a viewer sees the button, and why it is not for them', async ({ as, service, release }) => {
  const web = await service('seen');
  const { release: id } = await release({ ...web.plan('1.1.0'), steps: LONG });
  const page = await as('viewer');
  await page.goto(`/releases/${id}`);
  const button = page.getByRole('button', { name: 'ROLL BACK' }).filter({ visible: true }).first();
  await expect(button).toHaveAttribute('aria-disabled', 'true');
  await expect(page.getByText(/As viewer you may not roll back/).first()).toBeVisible();
});
