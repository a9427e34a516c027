/**
 * How long from the press of ROLL BACK (its HTTP request is sent) until the API server has the patch, beside a bare PATCH
 * of the same kind on the same Rollout a moment before. Both ends by one clock: ours when the request leaves, and the API
 * server's own audit log for the moment at which it had stored the write.
 */
import { LONG, planYaml } from '../lib/plan.ts';
import { figures, HEAD, row } from '../lib/stats.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { effectOf, writes } from '../lib/writes.ts';

const N = Number(process.env.BENCH_N ?? 100);

const clock = () => performance.timeOrigin + performance.now();

test('from the press to the patch', async ({ world, api, service }) => {
  test.setTimeout(N * 15_000 + 60_000);
  const web = await service('bench', { replicas: 2 });
  const manager = api('release-manager');
  const onCall = api('on-call');
  const body = planYaml({ ...web.plan('1.1.0'), steps: LONG });
  const { id: plan, digest } = await manager.must('/api/v1/plans', { body });
  const status = `/apis/argoproj.io/v1alpha1/namespaces/${web.namespace}/rollouts/${web.name}/status?fieldValidation=Strict`;
  const press: number[] = [];
  const bare: number[] = [];
  const own: number[] = [];
  let last: number | undefined;

  for (let i = 0; i < N; i++) {
    const approved = await manager.must(`/api/v1/plans/${plan}`);
    if (approved.valid_approvals < 1) await api('approver').must(`/api/v1/plans/${plan}/approvals`, { body: { digest, decision: 'approve' } });
    // What was rolled back comes again by a retry only.
    const { id } = last
      ? await manager.must(`/api/v1/releases/${last}/retry`, { body: { reason: 'bench' } })
      : await manager.must(`/api/v1/plans/${plan}/releases`, { body: { digest } });
    last = id;
    await until('the canary has its share', async () => (await manager.release(id)).weight === 20, 60);
    const { status: is } = await web.rollout();

    // A patch of the same form and size as an abort, that changes nothing: the way there, and nothing else.
    const patch = [
      { op: 'test', path: '/status/currentPodHash', value: is.currentPodHash },
      { op: 'add', path: '/status/promoteFull', value: false },
    ];
    const patched = clock();
    await world.kube.patch(status, patch, 'json');
    const pressed = clock();
    const receipt = await onCall.must(`/api/v1/releases/${id}/rollback`, { body: { reason: 'bench' } });
    own.push(receipt.took_ms);

    const all = writes(world.auditLog, { namespace: web.namespace, name: web.name, resource: 'rollouts' });
    const ours = all.find((w) => w.user === 'admin' && w.stored >= patched && w.subresource === 'status');
    const theirs = all.find((w) => w.user.endsWith(':tidegate') && w.stored >= pressed && /abort|revert/.test(effectOf(w)));
    bare.push(ours!.stored - patched);
    press.push(theirs!.stored - pressed);
    await manager.until(id, ['rolled_back'], 60);
    await web.settledOn('1.0.0');
  }

  const [p, b, o] = [figures(press), figures(bare), figures(own)];
  console.log(
    [
      '',
      HEAD,
      row('press of ROLL BACK (REST) → API server has the patch', p),
      row('bare kube PATCH → API server has it', b),
      row('the whole route, as the receipt tells (`took_ms`)', o),
      '',
      `p99 / p99 of the bare PATCH: ${(p.p99 / b.p99).toFixed(2)}; p50: ${(p.p50 / b.p50).toFixed(2)}; difference at p50: ${(p.p50 - b.p50).toFixed(1)} ms`,
      '',
    ].join('\n'),
  );
  expect(press).toHaveLength(N);
});
