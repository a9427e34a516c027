/** A canary Rollout whose own steps are followed, planned and released in the browser: they are shown, and a person opens its pause. */
import { expect, test } from '../lib/test.ts';

test('the own steps of a Rollout are chosen, shown, and left by a person', async ({ api, as, service, world }, info) => {
  const web = await service('follows');
  await web.kube.create(`/apis/argoproj.io/v1alpha1/namespaces/${web.namespace}/analysistemplates`, {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'AnalysisTemplate',
    metadata: { name: 'quick' },
    spec: {
      metrics: [
        {
          name: 'answers',
          interval: '1s',
          count: 3,
          successCondition: 'result[0] > 0.5',
          provider: { prometheus: { address: world.file.sandbox.prometheus_url, query: 'vector(0.98765)' } },
        },
      ],
    },
  });
  const analysis = { templates: [{ templateName: 'quick' }] };
  const steps = [{ setWeight: 20 }, { analysis }, { pause: {} }, { setWeight: 60 }, { pause: { duration: '2s' } }];
  await web.kube.patchRollout(web.namespace, web.name, { spec: { strategy: { canary: { steps } } } });
  await web.settledOn('1.0.0');
  const manager = await as('release-manager');
  await manager.goto(`/plans/new?service=${web.name}`);
  await manager.getByLabel('New image').fill(web.image('1.1.0'));
  const document = manager.getByLabel(/same plan as YAML/);
  await expect(document).toHaveValue(/:1\.1\.0/);
  await manager.getByRole('button', { name: 'Its own steps' }).click();
  await expect(document).toHaveValue(/follow:/);
  await expect(manager.getByText(/as its owner wrote them/)).toBeVisible();
  await expect(manager.getByRole('heading', { name: 'Steps', exact: true })).toBeHidden();
  await manager.getByRole('button', { name: /^Save/ }).click();
  await expect(manager).toHaveURL(/\/plans\/\d+$/);
  await expect(manager.getByText('Its own steps').first()).toBeVisible();
  const plan = Number(/\/plans\/(\d+)/.exec(manager.url())?.[1]);
  const { digest } = await api('viewer').must(`/api/v1/plans/${plan}`);
  await api('approver').must(`/api/v1/plans/${plan}/approvals`, { body: { digest, decision: 'approve' } });
  const start = manager.getByRole('button', { name: 'Start release' }).filter({ visible: true }).first();
  await expect(start).not.toHaveAttribute('aria-disabled', 'true');
  await start.click();
  await expect(manager).toHaveURL(/\/releases\/\d+/);

  const title = manager.getByRole('heading', { level: 1 });
  await expect(title).toContainText('at 20 %', { timeout: 60_000 });
  // The page was there before its measurements: they come by the stream.
  const run = manager.getByRole('article').filter({ hasText: 'Step 2 of the Rollout' });
  await expect(run.getByText('Passed', { exact: true }).first()).toBeVisible({ timeout: 60_000 });
  await expect(run.getByRole('list', { name: /^Measurements/ }).getByText('0.9877')).toHaveCount(3);
  await expect(run.getByText('result[0] > 0.5')).toBeVisible();
  await expect(manager.getByText('20 %, analysis, pause without end').first()).toBeVisible();
  await expect(manager.getByText('60 %, pause 2s').first()).toBeVisible();
  await info.attach('at its pause', { body: await manager.screenshot({ fullPage: true }), contentType: 'image/png' });
  const phone = await as('viewer', { viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  await phone.goto(manager.url());
  await info.attach('at its pause, 390 px', { body: await phone.screenshot({ fullPage: true }), contentType: 'image/png' });
  expect((await web.rollout()).spec.strategy.canary.steps).toEqual(steps);

  const promote = manager.getByRole('button', { name: 'Promote', exact: true }).filter({ visible: true }).first();
  await promote.click();
  await manager.getByRole('button', { name: 'Promote this step' }).click();
  await expect(title).toContainText('Succeeded', { timeout: 60_000 });
  const after = await web.settledOn('1.1.0');
  expect(after.spec.strategy.canary.steps).toEqual(steps);
});
