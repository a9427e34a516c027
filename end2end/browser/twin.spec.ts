/** A canary Deployment beside a plain one, planned and released in the browser: its share, a person's gate, the way back. */
import type { Page } from '@playwright/test';
import { expect, test } from '../lib/test.ts';

const press = (page: Page, name: string) => page.getByRole('button', { name }).filter({ visible: true }).first().click();

test('a Deployment is released by a canary beside it and taken back', async ({ world, api, as }, info) => {
  const all = '/apis/apps/v1/namespaces/shop/deployments';
  const before = (await world.kube.get(`${all}/mailer`)).spec;
  const manager = await as('release-manager');
  await manager.goto('/plans/new?service=mailer');
  // A second try finds what the first one released.
  const version = `8.1.${info.retry}`;
  await manager.getByLabel('Name', { exact: true }).fill(`mailer-8-1-${info.retry}`);
  await manager.getByLabel('New image').fill(`registry.example.com/shop/mailer:${version}`);
  const document = manager.getByLabel(/same plan as YAML/);
  await expect(document).toHaveValue(new RegExp(`mailer:${version.replaceAll('.', '\\.')}`));
  const written = await document.inputValue();
  const canary = 'canary:\n      steps:\n        - {weight: 50, bake: 1s, gates: [{approval: on-call}]}\n        - {weight: 100}\n';
  const yaml = written.replace(/rolling:[\s\S]*?(?=\n {2}\w)/, canary.trimEnd());
  expect(yaml).not.toBe(written);
  await document.fill(yaml);
  await expect(manager.getByText(/no rule is broken/)).toBeVisible();
  await info.attach('the plan', { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });
  await manager.getByRole('button', { name: /^Save/ }).click();
  await expect(manager).toHaveURL(/\/plans\/\d+$/);
  const plan = Number(/\/plans\/(\d+)/.exec(manager.url())?.[1]);
  const { digest } = await api('viewer').must(`/api/v1/plans/${plan}`);
  await api('approver').must(`/api/v1/plans/${plan}/approvals`, { body: { digest, decision: 'approve' } });
  await expect(manager.locator('#why-not')).not.toContainText('Start release');
  await press(manager, 'Start release');
  await expect(manager).toHaveURL(/\/releases\/\d+/);

  // As many pods beside it as it has itself, and a person says whether it goes on.
  const title = manager.getByRole('heading', { level: 1 });
  await expect(title).toContainText('Waits for approval at 50 %', { timeout: 60_000 });
  await expect(manager.locator('.gate .fig b').first()).toHaveText(/^50\s*%/);
  const beside = (await world.kube.get(`${all}/mailer-tidegate`)).spec;
  expect([beside.replicas, beside.template.spec.containers[0].image]).toEqual([before.replicas, expect.stringContaining(version)]);
  expect((await world.kube.get(`${all}/mailer`)).spec.template).toEqual(before.template);
  await info.attach('beside it', { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });
  const onCall = await as('on-call', { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' });
  await onCall.goto(manager.url());
  await info.attach('390 px, dark', { body: await onCall.screenshot({ fullPage: true }), contentType: 'image/png' });

  await press(onCall, 'ROLL BACK');
  const panel = onCall.getByRole('dialog').filter({ visible: true });
  await expect(panel).toContainText('The second Deployment goes at once');
  await info.attach('the way back', { body: await onCall.screenshot(), contentType: 'image/png' });
  await panel.getByLabel(/^Reason/).fill('pressed by a test');
  await panel.getByRole('button', { name: /^Roll back to .* now$/ }).click();
  await expect(title).toContainText('Rolled back', { timeout: 60_000 });
  const left = (await world.kube.get(all)).items.map((d: { metadata: { name: string } }) => d.metadata.name);
  expect(left).not.toContain('mailer-tidegate');
  expect((await world.kube.get(`${all}/mailer`)).spec).toEqual(before);
  await info.attach('back', { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });
});
