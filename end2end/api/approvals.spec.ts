/** What runs is what was approved: an edit voids approvals, and one that is taken back stops the next step. */
import { planYaml, QUICK } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { effectOf, writes } from '../lib/writes.ts';

test('an edit voids every approval given before it', async ({ api, service }) => {
  const web = await service('voids');
  const [manager, approver] = [api('release-manager'), api('approver')];
  const yaml = planYaml({ ...web.plan('1.1.0'), steps: QUICK });
  const { id, digest } = await manager.must('/api/v1/plans', { body: yaml });
  await approver.must(`/api/v1/plans/${id}/approvals`, { body: { digest, decision: 'approve' } });
  const edited = await manager.must(`/api/v1/plans/${id}`, { method: 'PUT', body: yaml.replace('bake: 4s', 'bake: 1s') });
  expect(edited.version).toBe(2);
  expect(edited.digest).not.toBe(digest);
  const plan = await manager.must(`/api/v1/plans/${id}`);
  expect(plan).toMatchObject({ valid_approvals: 0, state: 'open' });
  expect(plan.approvals[0]).toMatchObject({ state: 'void', digest });
  const refused = await manager.ask(`/api/v1/plans/${id}/releases`, { body: {} });
  expect(refused.status).toBe(409);
  expect(refused.body.detail).toMatch(/1 more approval of exactly this version/);
});

test('an approval that is taken back stops the next step, and given again lets it go on', async ({ world, api, service, release }) => {
  const web = await service('revoked');
  const steps = [{ weight: 20, bake: '6s' }, { weight: 60, bake: '1s' }, { weight: 100 }];
  const { plan, digest, release: id } = await release({ ...web.plan('1.1.0'), steps });
  const [viewer, approver] = [api('viewer'), api('approver')];
  await until('the first step is reached', async () => (await viewer.release(id)).weight === 20, 60);
  await approver.must(`/api/v1/plans/${plan}/approvals`, { method: 'DELETE', body: { reason: 'second thoughts' } });
  // It stands, and says for whom.
  const held = await until(
    'the release stands for want of an approval',
    async () => {
      const now = await viewer.release(id);
      return /approv/i.test(now.note ?? '') && now;
    },
    30,
  );
  expect(held.ceiling).toBe(20);
  const opened = () =>
    writes(world.auditLog, { namespace: web.namespace, name: web.name, tidegate: true }).map(effectOf).filter((e) => e.startsWith('open'));
  expect(opened()).toEqual([]);
  await approver.must(`/api/v1/plans/${plan}/approvals`, { body: { digest, decision: 'approve' } });
  await viewer.until(id, ['succeeded'], 60);
  expect(opened()).toEqual(['open pause 1', 'open pause 3']);
});
