/** A plain Deployment, planned and released in the browser: one rolling update, no weights. */
import { expect, test } from '../lib/test.ts';

test('a Deployment is planned as a rolling update and released', async ({ api, as }, info) => {
  const manager = await as('release-manager');
  await manager.goto('/plans/new?service=mailer');
  await expect(manager.getByRole('heading', { name: 'Strategy' })).toBeVisible();
  await expect(manager.getByRole('heading', { name: 'Steps' })).toBeHidden();
  // A second try finds what the first one released.
  const image = `registry.example.com/shop/mailer:7.1.${info.retry}`;
  await manager.getByLabel('Name', { exact: true }).fill(`mailer-7-1-${info.retry}`);
  await manager.getByLabel('New image').fill(image);
  const document = manager.getByLabel(/same plan as YAML/);
  await expect(document).toHaveValue(new RegExp(`mailer:7\\.1\\.${info.retry}`));
  await expect(document).not.toHaveValue(/canary/);
  await document.fill((await document.inputValue()).replace(/bake: 5m/, 'bake: 2s'));
  await expect(manager.getByText(/Bake after it: 2s/)).toBeVisible();
  await expect(manager.getByText(/no rule is broken/)).toBeVisible();
  await manager.getByRole('button', { name: /^Save/ }).click();
  await expect(manager).toHaveURL(/\/plans\/\d+$/);
  const plan = Number(/\/plans\/(\d+)/.exec(manager.url())?.[1]);
  const { digest } = await api('viewer').must(`/api/v1/plans/${plan}`);
  await api('approver').must(`/api/v1/plans/${plan}/approvals`, { body: { digest, decision: 'approve' } });

  const start = manager.getByRole('button', { name: 'Start release' }).filter({ visible: true }).first();
  await expect(start).not.toHaveAttribute('aria-disabled', 'true');
  await start.click();
  await expect(manager).toHaveURL(/\/releases\/\d+/);
  await expect(manager.getByRole('heading', { level: 1 })).toContainText('Succeeded', { timeout: 60_000 });
  await expect(manager.getByRole('button', { name: 'ROLL BACK' }).filter({ visible: true }).first()).toBeEnabled();
});
