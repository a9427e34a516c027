/** A blue-green Rollout, planned and released in the browser: a preview, a person's gate, the switch, and the way back. */
import type { Page } from '@playwright/test';
import { expect, test } from '../lib/test.ts';

const press = (page: Page, name: string) => page.getByRole('button', { name }).filter({ visible: true }).first().click();

test('a blue-green Rollout is previewed, switched by a person and taken back', async ({ world, api, as }, info) => {
  const manager = await as('release-manager');
  await manager.goto('/plans/new?service=search');
  await expect(manager.getByRole('heading', { name: 'Strategy' })).toBeVisible();
  await expect(manager.getByRole('heading', { name: 'Steps' })).toBeHidden();
  const before = (await world.kube.rollout('shop', 'search')).spec.strategy;
  // A second try finds what the first one released.
  const version = `4.0.${info.retry}`;
  await manager.getByLabel('Name', { exact: true }).fill(`search-4-0-${info.retry}`);
  await manager.getByLabel('New image').fill(`registry.example.com/shop/search:${version}`);
  const document = manager.getByLabel(/same plan as YAML/);
  await expect(document).toHaveValue(new RegExp(`search:${version.replaceAll('.', '\\.')}`));
  const yaml = (await document.inputValue()).replace('bake: 2m', 'bake: 1s').replace('bake: 10m', 'bake: 2s');
  await document.fill(yaml);
  await expect(manager.getByText(/Bake before the switch: 1s, then on-call\. Bake after it: 2s/)).toBeVisible();
  await expect(manager.getByText(/no rule is broken/)).toBeVisible();
  await manager.getByRole('button', { name: /^Save/ }).click();
  await expect(manager).toHaveURL(/\/plans\/\d+$/);
  await expect(manager.getByText('After the switch', { exact: true })).toBeVisible();
  const plan = Number(/\/plans\/(\d+)/.exec(manager.url())?.[1]);
  const { digest } = await api('viewer').must(`/api/v1/plans/${plan}`);
  await api('approver').must(`/api/v1/plans/${plan}/approvals`, { body: { digest, decision: 'approve' } });
  const start = manager.getByRole('button', { name: 'Start release' }).filter({ visible: true }).first();
  await expect(start).not.toHaveAttribute('aria-disabled', 'true');
  await start.click();
  await expect(manager).toHaveURL(/\/releases\/\d+/);

  // Behind the preview Service, and nobody is on it until a person says so.
  const title = manager.getByRole('heading', { level: 1 });
  await expect(title).toContainText('Waits for approval at the preview', { timeout: 60_000 });
  await expect(manager.locator('.gate .fig b').first()).toHaveText(/^0\s*%/);
  await info.attach('preview', { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });
  const onCall = await as('on-call', { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  await onCall.goto(manager.url());
  await info.attach('preview, 390 px', { body: await onCall.screenshot({ fullPage: true }), contentType: 'image/png' });
  await press(onCall, 'Open the gate');
  await onCall.getByRole('dialog').filter({ visible: true }).getByRole('button', { name: 'Open the gate' }).click();
  await expect(title).toContainText('Succeeded', { timeout: 60_000 });
  const after = await world.kube.healthy('shop', 'search');
  expect(after.status.blueGreen.activeSelector).toBe(after.status.currentPodHash);
  expect(after.spec.strategy).toEqual(before);
  await info.attach('switched', { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });

  // The old pods stand by: the way back is a switch.
  await press(onCall, 'ROLL BACK');
  const panel = onCall.getByRole('dialog', { name: /back to 3\.9\.0/ });
  await expect(panel).toContainText('stand by');
  await info.attach('the way back, 390 px', { body: await onCall.screenshot(), contentType: 'image/png' });
  await panel.getByLabel(/^Reason/).fill('pressed by a test');
  await panel.getByRole('button', { name: 'Roll back to 3.9.0 now' }).click();
  await expect.poll(async () => (await world.kube.healthy('shop', 'search')).spec.template.spec.containers[0].image).toContain(':3.9.0');
  const home = await world.kube.healthy('shop', 'search');
  expect(home.status.blueGreen.activeSelector).toBe(home.status.stableRS);
});
