/** The loop: a plan written in a browser, approved by somebody else, released step by step, watched live, recorded. */
import { CHECKOUT, stepsOf } from '../lib/checkout.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

test('a plan is written, approved by another person, released and recorded', async ({ world, api, as }, info) => {
  // A second try finds what the first one released.
  const version = `1.42.${info.retry}`;
  const { kube } = world;
  const before = await kube.healthy('shop', 'checkout');
  const manager = await as('release-manager');

  // The manager writes it with the form.
  await manager.goto('/plans');
  await manager.getByRole('link', { name: /new plan/i }).first().click();
  await expect(manager).toHaveURL(/\/plans\/new/);
  await CHECKOUT.write(manager, version);
  await manager.getByRole('button', { name: /^Save/ }).click();
  await expect(manager).toHaveURL(/\/plans\/\d+$/);
  await expect(manager.getByRole('heading', { level: 1 })).toContainText(`checkout-${version.replaceAll('.', '-')}`);
  const plan = Number(/\/plans\/(\d+)/.exec(manager.url())?.[1]);
  const { digest } = await api('viewer').must(`/api/v1/plans/${plan}`);

  // The manager is no approver: the page says so, and the server too when asked past the page.
  const approve = manager.getByRole('button', { name: 'Approve this digest' }).first();
  await expect(approve).toHaveAttribute('aria-disabled', 'true');
  const past = await manager.request.post('/do/decide', {
    form: { plan, digest, decision: 'approve' },
    headers: { accept: 'application/json', origin: world.main.url },
  });
  expect(past.status()).toBe(403);
  await expect(manager.getByRole('button', { name: 'Start release' }).first()).toHaveAttribute('aria-disabled', 'true');

  // Somebody else approves exactly this digest.
  const approver = await as('approver');
  await approver.goto(`/plans/${plan}`);
  await approver.getByRole('button', { name: 'Approve this digest' }).filter({ visible: true }).first().click();
  const panel = approver.getByRole('dialog').filter({ visible: true });
  await panel.getByLabel(/^Comment/).fill('Read the difference; the steps are short, the analysis is on.');
  await panel.getByRole('button', { name: /^Approve/ }).click();
  await expect(approver.getByText(/approved/i).filter({ visible: true }).first()).toBeVisible();
  expect(await api('viewer').must(`/api/v1/plans/${plan}`)).toMatchObject({ valid_approvals: 1, state: 'approved' });

  // The manager's page learns of it by itself, and the release is started.
  const start = manager.getByRole('button', { name: 'Start release' }).filter({ visible: true }).first();
  await expect(start).not.toHaveAttribute('aria-disabled', 'true');
  await start.click();
  await expect(manager).toHaveURL(/\/releases\/\d+/);
  const release = Number(/\/releases\/(\d+)/.exec(manager.url())?.[1]);

  // Watched live: the chart grows and the gate moves in a page that is never loaded again.
  await manager.evaluate(() => Object.assign(window, { stayed: true }));
  // Of stable's errors: the line of the weight grows without any sample. One sample is drawn as two points.
  const drawn = () => manager.locator('svg.plot polyline.stable').evaluateAll((lines) => lines.map((l) => l.getAttribute('points')?.trim().split(' ').length ?? 0)[0] ?? 0);
  const weight = manager.locator('.gate .fig b').first();
  await expect(weight).toHaveText(/20\s*%/, { timeout: 60_000 });
  const early = await until('the chart has begun', async () => (await drawn()) || undefined, 40);
  await until('the chart grew', async () => (await drawn()) > Math.max(early, 2), 40);

  // Read by keys and by pointer, sample by sample, in a line that is told to those who do not see the chart.
  const reading = manager.locator('.reading');
  await manager.getByRole('group', { name: /^Charts/ }).focus();
  await manager.keyboard.press('Home');
  await expect(reading).toContainText(/weight \d+\s%; errors: stable/);
  const first = await reading.innerText();
  await manager.keyboard.press('ArrowRight');
  await expect(reading).not.toHaveText(first);
  await manager.keyboard.press('ArrowLeft');
  await expect(reading).toHaveText(first);
  await expect(manager.locator('.plot.over line')).toHaveCount(2);
  await manager.keyboard.press('Escape');
  await expect(manager.locator('.plot.over line')).toHaveCount(0);
  await manager.locator('.pane').first().hover();
  await expect(reading).toContainText('errors: stable');
  await info.attach('a chart that is read', { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });
  await manager.mouse.move(0, 0);
  await expect(weight).toHaveText(/60\s*%/, { timeout: 60_000 });
  await expect(manager.getByRole('heading', { level: 1 })).toContainText('Succeeded', { timeout: 60_000 });
  expect(await manager.evaluate(() => (window as unknown as { stayed?: boolean }).stayed)).toBe(true);

  // The cluster: Healthy on the new image, with the Rollout's own steps put back.
  const after = await kube.healthy('shop', 'checkout');
  expect(after.spec.template.spec.containers[0].image).toBe(CHECKOUT.image(version));
  await until('its own steps are back', async () => {
    const now = await kube.rollout('shop', 'checkout');
    return JSON.stringify(stepsOf(now)) === JSON.stringify(stepsOf(before));
  });

  // The history: who did what, in a chain that verifies, here and by recomputation.
  const actions = (await api('viewer').events(release)).map((e) => [e.action, e.actor]);
  expect(actions).toContainEqual(['release.started', 'Mara Lind']);
  expect(actions.at(-1)?.[0]).toMatch(/release\.(succeeded|steps\.restored)/);
  await manager.goto('/audit');
  await manager.getByRole('button', { name: /check the whole chain|verify/i }).first().click();
  await expect(manager.getByText(/verified|every event fits|intact/i).filter({ visible: true }).first()).toBeVisible();
  expect(await api('viewer').must('/api/v1/audit/verify')).toMatchObject({ ok: true });
});
