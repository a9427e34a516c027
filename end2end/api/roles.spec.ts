/** Every role tries every deed. The table is written out here, so that a change to it is read by somebody. */
import { ROLES, type Role } from '../lib/api.ts';
import { LONG, planYaml } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';

type Deed =
  | 'see'
  | 'write plan'
  | 'edit plan'
  | 'approve'
  | 'start'
  | 'promote'
  | 'skip'
  | 'open on-call gate'
  | 'pause'
  | 'resume'
  | 'abort'
  | 'roll back'
  | 'roll back workload';

const ALL: Role[] = [...ROLES];
const HALT: Role[] = ['release-manager', 'approver', 'on-call', 'administrator'];
const MAY: Record<Deed, Role[]> = {
  see: ALL,
  'write plan': ['release-manager'],
  'edit plan': ['release-manager'],
  approve: ['approver'],
  start: ['release-manager'],
  promote: ['release-manager'],
  skip: ['release-manager'],
  'open on-call gate': ['on-call'],
  pause: HALT,
  resume: ['release-manager', 'on-call'],
  abort: HALT,
  'roll back': HALT,
  'roll back workload': HALT,
};

// In this order each deed meets the release in a state that it is for; halting deeds come last.
const ORDER = Object.keys(MAY) as Deed[];

test('every role may do exactly what the table says, and a refusal says who may', async ({ world, api, service }) => {
  const web = await service('roles');
  const steps = [{ ...LONG[0], approval: 'on-call' as const }, ...LONG.slice(1)];
  const yaml = planYaml({ ...web.plan('1.1.0'), steps });
  const manager = api('release-manager');
  const plan = await manager.must('/api/v1/plans', { body: yaml });
  const workload = `/api/v1/workloads/sandbox/${web.namespace}/Rollout/${web.name}/rollback`;
  let release = 0;

  const deeds: Record<Deed, () => [string, object]> = {
    see: () => [`/api/v1/plans/${plan.id}`, {}],
    // Refused for want of the role before the document is looked at; where the role fits, it is empty: 422.
    'write plan': () => ['/api/v1/plans', { body: '{}' }],
    'edit plan': () => [`/api/v1/plans/${plan.id}`, { method: 'PUT', body: '{}' }],
    approve: () => [`/api/v1/plans/${plan.id}/approvals`, { body: { digest: plan.digest, decision: 'approve' } }],
    start: () => [`/api/v1/plans/${plan.id}/releases`, { body: { digest: plan.digest } }],
    promote: () => [`/api/v1/releases/${release}/promote`, { body: {} }],
    skip: () => [`/api/v1/releases/${release}/skip`, { body: {} }],
    'open on-call gate': () => [`/api/v1/releases/${release}/gate`, { body: {} }],
    pause: () => [`/api/v1/releases/${release}/pause`, { body: { reason: 'roles' } }],
    resume: () => [`/api/v1/releases/${release}/resume`, { body: {} }],
    abort: () => [`/api/v1/releases/${release}/abort`, { body: {} }],
    'roll back': () => [`/api/v1/releases/${release}/rollback`, { body: {} }],
    'roll back workload': () => [workload, { body: {} }],
  };

  const found = {} as Record<Deed, Role[]>;
  for (const deed of ORDER) {
    // Those who may not come first: the deed must still be possible when they try.
    const order = [...ALL].sort((a, b) => Number(MAY[deed].includes(a)) - Number(MAY[deed].includes(b)));
    found[deed] = [];
    for (const role of order) {
      const [path, ask] = deeds[deed]();
      const answer = await api(role).ask(path, ask);
      expect([200, 201, 403, 409, 422], `${role}, ${deed}: ${JSON.stringify(answer.body)}`).toContain(answer.status);
      if (answer.status === 403) {
        expect(answer.type).toContain('application/problem+json');
        expect(answer.body.detail, `${role}, ${deed}`).toMatch(/approver|release manager|on-call|administrator/);
      } else {
        found[deed].push(role);
      }
      if (deed === 'start' && answer.status === 201) {
        release = answer.body.id;
        await manager.until(release, ['waiting', 'running']);
      }
      if (deed === 'resume' || deed === 'pause') {
        // Held or not, whichever the next one needs.
        const undo = deed === 'pause' ? 'resume' : 'pause';
        if (answer.status === 200 && role !== order.at(-1)) await manager.ask(`/api/v1/releases/${release}/${undo}`, { body: {} });
      }
    }
    found[deed].sort((a, b) => ALL.indexOf(a) - ALL.indexOf(b));
  }
  expect(found).toEqual(MAY);

  await web.settledOn('1.0.0');
  const chain = await manager.must('/api/v1/audit/verify');
  expect(chain).toMatchObject({ ok: true });
  // Whoever has no token may do nothing but read the public status.
  for (const deed of ORDER) {
    const [path, ask] = deeds[deed]();
    const answer = await manager.ask(path, { ...ask, token: null });
    expect(answer.status, deed).toBe(401);
  }
  const open = await manager.ask('/api/v2/summary.json', { token: null });
  expect(open.status).toBe(200);
  expect(world.main.url).toBeTruthy();
});
