/** What was measured and concluded, asked for afterwards: as a file, again, and under another policy. */
import { writeFileSync } from 'node:fs';
import { planYaml } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';

const POLICY = (rate: number) => `
rollback_triggers: {error_rate_threshold: ${rate}}
rollback_conditions: {confirmation_samples: 1, min_requests: 1}
rollback_actions: [{type: automatic_rollback, delay: 1m}]
`;

test('a release that went back by itself can be judged again, and tried under a policy', async ({ world, api, service }, info) => {
  const web = await service('again', { replicas: 2, rps: 100 });
  const manager = api('release-manager');
  const steps = [{ weight: 20, bake: '5m', analysis: true }, { weight: 100 }];
  const { id: plan, digest } = await manager.must('/api/v1/plans', { body: planYaml({ ...web.plan('1.1.0-errors-20pct'), steps }) });
  await api('approver').must(`/api/v1/plans/${plan}/approvals`, { body: { digest, decision: 'approve' } });
  const { id } = await manager.must(`/api/v1/plans/${plan}/releases`, { body: { digest } });
  await manager.until(id, ['rolled_back'], 90);

  const samples = await api('viewer').must(`/api/v1/releases/${id}/samples`);
  expect(samples.length).toBeGreaterThan(0);
  expect(samples.at(-1)).toMatchObject({ step: 0, weight: 20, asked: 0.2, latency: { bounds_ms: expect.any(Array) } });
  const csv = await api('viewer').ask(`/api/v1/releases/${id}/samples?format=csv`);
  expect(csv.headers.get('content-disposition')).toBe(`attachment; filename="tidegate-release-${id}.csv"`);
  expect(csv.body.trim().split('\r\n').length).toBe(samples.length + 1);

  const again = world.main.command('verdict', 'replay', String(id));
  expect(again).toMatch(/^same .*step 1 {2}fail$/m);
  expect(again).toMatch(/, 0 of them differ$/m);

  const tried = (rate: number) => {
    const file = info.outputPath(`policy-${rate}.yaml`);
    writeFileSync(file, POLICY(rate));
    return world.main.command('policy', 'try', file, '--service', web.name);
  };
  expect(tried(0.05)).toMatch(new RegExp(`^release ${id} of ${web.name}, .*: errors [\\d.]+ %; the limit is 5 % .*, it ended: rolled back`, 'm'));
  expect(tried(0.05)).toContain('default would have fired on 1 of 1 releases in 14 days');
  expect(tried(0.9)).toContain('default would have fired on 0 of 1 releases in 14 days');
});
