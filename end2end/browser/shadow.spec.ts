/** Copies of a Deployment's requests, planned and looked at in the browser: no user sees the version, and they stop by a press. */
import type { Page } from '@playwright/test';
import { expect, test } from '../lib/test.ts';

const press = (page: Page, name: string) => page.getByRole('button', { name }).filter({ visible: true }).first().click();

test('requests to a Deployment are copied, judged and stopped, and no user sees the version', async ({ world, api, as }, info) => {
  const name = `quotes-${info.retry}`;
  const deployments = '/apis/apps/v1/namespaces/shop/deployments';
  const routes = '/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes';
  const labels = { app: name };
  await world.kube.create(deployments, {
    apiVersion: 'apps/v1', kind: 'Deployment',
    metadata: { name, labels, annotations: { 'sandbox.tidegate.dev/rps': '60' } },
    spec: {
      replicas: 3, selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'registry.example.com/shop/quotes:2.0.0' }] } },
    },
  });
  await world.kube.create('/api/v1/namespaces/shop/services', {
    apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { selector: labels, ports: [{ port: 80 }] },
  });
  const route = await world.kube.create(routes, {
    apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute', metadata: { name },
    spec: { rules: [{ backendRefs: [{ name, port: 80 }] }] },
  });

  const manager = await as('release-manager');
  const offered = manager.getByRole('button', { name: 'Shadow', exact: true });
  await expect(async () => {
    await manager.goto(`/plans/new?service=${name}`);
    await expect(offered).toBeVisible({ timeout: 1_000 });
  }).toPass();
  await offered.click();
  await expect(manager.getByText(/copies of 10 % of requests go to the new version/)).toBeVisible();
  await manager.getByLabel('Name', { exact: true }).fill(`${name}-2-1-0`);
  await manager.getByLabel('New image').fill('registry.example.com/shop/quotes:2.1.0');
  const document = manager.getByLabel(/same plan as YAML/);
  await expect(document).toHaveValue(/quotes:2\.1\.0/);
  const written = await document.inputValue();
  const shadow = 'shadow: {percent: 40, bake: 1s, gates: [analysis, {approval: on-call}]}';
  const yaml = written.replace(/shadow:[\s\S]*?(?=\n {2}\w)/, shadow);
  expect(yaml).not.toBe(written);
  await document.fill(yaml);
  await expect(manager.getByText(/no rule is broken/)).toBeVisible();
  await expect(manager.getByText(/a copied POST is done twice/).first()).toBeVisible();
  await info.attach('the plan', { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });
  await manager.getByRole('button', { name: /^Save/ }).click();
  await expect(manager).toHaveURL(/\/plans\/\d+$/);
  await expect(manager.getByText(/a copied POST is done twice/).first()).toBeVisible();
  await info.attach("the plan's page", { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });
  const plan = Number(/\/plans\/(\d+)/.exec(manager.url())?.[1]);
  const { digest } = await api('viewer').must(`/api/v1/plans/${plan}`);
  await api('approver').must(`/api/v1/plans/${plan}/approvals`, { body: { digest, decision: 'approve' } });
  await expect(manager.locator('#why-not')).not.toContainText('Start release');
  await press(manager, 'Start release');
  await expect(manager).toHaveURL(/\/releases\/\d+/);

  // Copies pass, and a person says whether users come.
  const title = manager.getByRole('heading', { level: 1 });
  await expect(title).toContainText('Waits for approval on copies of 40 %', { timeout: 90_000 });
  await expect(manager.locator('.gate .fig b').first()).toHaveText(/^0\s*%/);
  await expect(manager.getByText(/no user sees it/).first()).toBeVisible();
  await expect(manager.getByText('40 % of requests', { exact: true })).toBeVisible();
  await expect(manager.locator('.verdict')).toContainText(/Copies: errors .* copies of requests/);
  await expect(manager.locator('.verdict')).not.toContainText(/canary/i);
  await expect(manager.locator('.reach')).toContainText(`http://${name}-tidegate.shop.svc`);
  const filters = (await world.kube.get(`${routes}/${name}`)).spec.rules[0].filters;
  expect(filters.map((f: { requestMirror: { percent: number } }) => f.requestMirror.percent)).toEqual([40]);
  await info.attach('copied', { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });
  const onCall = await as('on-call', { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' });
  await onCall.goto(manager.url());
  await info.attach('390 px, dark', { body: await onCall.screenshot({ fullPage: true }), contentType: 'image/png' });

  await press(onCall, 'Stop copying');
  const panel = onCall.getByRole('dialog').filter({ visible: true });
  await expect(panel).toContainText('No user notices');
  await info.attach('stopping', { body: await onCall.screenshot(), contentType: 'image/png' });
  await panel.getByRole('button', { name: 'Stop copying' }).click();
  await expect(manager.getByText(/no user saw 2\.1\.0/).first()).toBeVisible({ timeout: 60_000 });
  expect((await world.kube.get(`${routes}/${name}`)).spec).toEqual(route.spec);
  const left = (await world.kube.get(deployments)).items.map((d: { metadata: { name: string } }) => d.metadata.name);
  expect(left).not.toContain(`${name}-tidegate`);
  await info.attach('stopped', { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });
  await world.kube.delete(`${deployments}/${name}`);
});
