/** SIGKILL of tidegate in the middle of a step: the release goes on, and no step is applied twice. */
import { QUICK } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { effectOf, writes } from '../lib/writes.ts';

test('an effect happens at most once, whenever tidegate is killed', async ({ world, api, service, release }) => {
  test.setTimeout(240_000);
  const { replica, end } = await world.own('crash');
  try {
    const web = await service('crash');
    const ours = () => writes(world.auditLog, { namespace: web.namespace, name: web.name, resource: 'rollouts', tidegate: true });
    const { release: id } = await release({ ...web.plan('1.1.0'), steps: QUICK }, replica);
    const viewer = api('viewer', replica);

    // Killed right after each effect: whether it was recorded before the end is left to chance each time.
    let kills = 0;
    for (let seen = 0; ; ) {
      const ended = await until(
        `another effect after ${ours().map(effectOf).join(', ')}`,
        async () => {
          if (ours().length > seen) return 'no';
          return (await viewer.release(id)).state === 'succeeded' && 'yes';
        },
        60,
      );
      if (ended === 'yes') break;
      await replica.kill();
      kills += 1;
      seen = ours().length;
      await replica.start();
    }
    expect(kills).toBeGreaterThanOrEqual(3);

    expect(ours().map(effectOf).filter((e) => e !== 'void')).toEqual(['deploy', 'open pause 1', 'open pause 3', 'restore steps']);
    await web.settledOn('1.1.0');
    const steps = (await web.rollout()).spec.strategy.canary.steps;
    expect(steps).toEqual([{ setWeight: 50 }, { pause: {} }]);
    expect(await viewer.must('/api/v1/audit/verify')).toMatchObject({ ok: true });

    // Each step was passed once in the record too.
    const actions = (await viewer.events(id)).map((e) => e.action);
    for (const once of ['release.started', 'release.succeeded']) {
      expect(actions.filter((a) => a === once), once).toHaveLength(1);
    }
  } finally {
    await end();
  }
});

test('a rollback that was accepted ends at the known-good version though tidegate is killed', async ({ world, api, service, release }) => {
  test.setTimeout(180_000);
  const { replica, end } = await world.own('crash-back');
  try {
    const web = await service('crash-back');
    const { release: id } = await release({ ...web.plan('1.1.0'), steps: [{ weight: 40, bake: '10m' }, { weight: 100 }] }, replica);
    await until('the canary has its share', async () => (await api('viewer', replica).release(id)).weight === 40, 60);
    const onCall = api('on-call', replica);
    const answered = onCall.ask(`/api/v1/releases/${id}/rollback`, { body: { reason: 'then the lights went out' } }).catch(() => undefined);
    // As soon as the first patch is in the cluster, or the answer is there if that was quicker.
    await until('the first patch of the way back', () => {
      const ours = writes(world.auditLog, { namespace: web.namespace, name: web.name, tidegate: true });
      return ours.some((w) => ['abort', 'revert'].includes(effectOf(w)));
    });
    await replica.kill();
    await answered;
    await replica.start();
    await web.settledOn('1.0.0');
    const ended = await api('viewer', replica).until(id, ['rolled_back'], 60);
    expect(ended.reason).toContain('lights went out');
    await until('the journal is merged', () => replica.unmerged === 0);
    expect(await api('viewer', replica).must('/api/v1/audit/verify')).toMatchObject({ ok: true });
  } finally {
    await end();
  }
});
