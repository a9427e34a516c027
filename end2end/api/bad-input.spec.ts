/** Whatever is wrong with what is sent is said at its field, with what to do; and nothing of it is stored. */
import { Api, type Ask } from '../lib/api.ts';
import { LONG, planYaml } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import type { World } from '../lib/world.ts';

type Own = Awaited<ReturnType<World['own']>>;

const GOOD = {
  name: 'bad-input',
  service: 'checkout',
  image: 'registry.example.com/shop/checkout:1.50.0',
  steps: LONG,
  workload: { namespace: 'shop', name: 'checkout' },
};
const good = planYaml(GOOD);

interface Case {
  what: string;
  ask: Ask;
  status: number;
  /** The field that must be named. */
  field?: RegExp;
  /** What the words must hold: the remedy. */
  says: RegExp;
}

const PLANS: Case[] = [
  {
    what: 'malformed YAML',
    ask: { body: 'spec: [unclosed\n  strategy: {' },
    status: 400,
    says: /YAML.*line \d+.*Correct it/is,
  },
  {
    what: 'malformed JSON',
    ask: { body: '{"spec":', type: 'application/json' },
    status: 400,
    says: /not JSON.*Correct it/is,
  },
  {
    what: 'an empty document',
    ask: { body: '' },
    status: 422,
    says: /\w/,
  },
  {
    what: 'an unknown field',
    ask: { body: good.replace('  change:', '  chnage: {}\n  change:') },
    status: 422,
    field: /^spec\.chnage$/,
    says: /change/,
  },
  {
    what: 'an unknown field deep inside',
    ask: { body: good.replace('bake: 10m', 'bakes: 10m') },
    status: 422,
    field: /steps\[0\]\.bakes$/,
    says: /bake/,
  },
  {
    what: 'weights that fall',
    ask: { body: planYaml({ ...GOOD, steps: [{ weight: 60, bake: '1m' }, { weight: 20, bake: '1m' }, { weight: 100 }] }) },
    status: 422,
    field: /^spec\.strategy\.canary\.steps\[1\]\.weight$/,
    says: /60/,
  },
  {
    what: 'a weight above 100',
    ask: { body: planYaml({ ...GOOD, steps: [{ weight: 20 }, { weight: 130 }] }) },
    status: 422,
    field: /steps\[1\]\.weight$/,
    says: /100/,
  },
  {
    what: 'steps that end before 100',
    ask: { body: planYaml({ ...GOOD, steps: [{ weight: 20, bake: '1m' }, { weight: 60 }] }) },
    status: 422,
    field: /steps\[1\]\.weight$/,
    says: /100/,
  },
  {
    what: 'no steps',
    ask: { body: planYaml({ ...GOOD, steps: [] }).replace('      steps:', '      steps: []') },
    status: 422,
    field: /steps$/,
    says: /step/,
  },
  {
    what: 'a bake that is no duration',
    ask: { body: good.replace('bake: 10m', 'bake: soon') },
    status: 422,
    field: /steps\[0\]\.bake$/,
    says: /30s, 2m/,
  },
  {
    what: 'no approval in production',
    ask: { body: planYaml({ ...GOOD, required: 0 }) },
    status: 422,
    field: /^spec\.approvals\.required$/,
    says: /at least 1|1 or more/i,
  },
  {
    what: 'an unknown workload',
    ask: { body: planYaml({ ...GOOD, service: 'nosuch', workload: undefined }) },
    status: 422,
    field: /^metadata\.service$/,
    says: /no workload.*nosuch.*Services/is,
  },
  {
    what: 'an unknown workload by name',
    ask: { body: planYaml({ ...GOOD, workload: { namespace: 'shop', name: 'nosuch' } }) },
    status: 422,
    field: /^spec\.workload$/,
    says: /GET \/api\/v1\/workloads/,
  },
  {
    what: 'a container that the workload has not',
    ask: { body: planYaml({ ...GOOD, container: 'sidecar' }) },
    status: 422,
    field: /^spec\.change\.images/,
    says: /app/,
  },
  {
    what: 'two steps that are the same number of pods',
    ask: {
      body: planYaml({
        ...GOOD,
        service: 'cart',
        image: 'registry.example.com/shop/cart:2.18.0',
        steps: [{ weight: 5, bake: '1m' }, { weight: 15, bake: '1m' }, { weight: 100 }],
        workload: undefined,
      }),
    },
    status: 422,
    field: /steps\[1\]\.weight$/,
    says: /both 1 pod.*Use 17, 33/is,
  },
  {
    what: 'several errors at once',
    ask: { body: planYaml({ ...GOOD, required: 0, steps: [{ weight: 60 }, { weight: 20 }, { weight: 100 }] }) },
    status: 422,
    field: /^spec\.approvals\.required$/,
    says: /steps\[1\]\.weight/,
  },
  {
    what: 'a body of 10 MB',
    ask: { body: `${good}# ${'x'.repeat(10 * 1024 * 1024)}` },
    status: 413,
    says: /larger than.*Send less/is,
  },
  {
    what: 'a content type that is no plan',
    ask: { body: good, type: 'image/png' },
    status: 415,
    says: /application\/yaml/,
  },
  {
    what: 'bytes that are no text',
    ask: { body: new Uint8Array([0xff, 0xfe, 0x00, 0xc3]), type: 'application/yaml' },
    status: 400,
    says: /UTF-8/,
  },
  { what: 'no token', ask: { body: good, token: null }, status: 401, says: /Authorization: Bearer/ },
  { what: 'an unknown token', ask: { body: good, token: 'tg_0000' }, status: 401, says: /not known/ },
];

test.describe('bad input', () => {
  test.describe.configure({ timeout: 180_000 });
  let own: Own;
  let before: unknown;
  let manager: Api;

  test.beforeAll(async ({ world }) => {
    own = await world.own('bad-input');
    manager = Api.as(own.replica, 'release-manager');
    // Read once by whoever starts: what the demo's ConfigMap says is recorded.
    await until('the policies are on record', async () => (await manager.must('/api/v1/policies')).files.length > 0);
    before = await stored();
  });
  test.afterAll(() => own?.end());

  /** Everything that could have been stored, as far as the API tells. */
  async function stored(): Promise<unknown> {
    const chain = await manager.must('/api/v1/audit/verify');
    const { plans } = await manager.must('/api/v1/plans');
    const { releases } = await manager.must('/api/v1/releases');
    return { chain, plans, releases: releases.map((r: { id: number; state: string }) => [r.id, r.state]) };
  }

  for (const { what, ask, status, field, says } of PLANS) {
    test(`a plan with ${what} is refused: ${status}`, async () => {
      const answer = await manager.ask('/api/v1/plans', { method: 'POST', ...ask });
      expect(answer.status, JSON.stringify(answer.body)).toBe(status);
      expect(answer.type).toContain('application/problem+json');
      expect(answer.body).toMatchObject({ status, title: expect.any(String), type: expect.any(String) });
      expect(answer.body.detail).toMatch(says);
      if (field) {
        expect(answer.body.errors.map((e: { field: string }) => e.field)).toContainEqual(expect.stringMatching(field));
      }
      expect(await stored()).toEqual(before);
    });
  }

  test('an expired token is refused: 401', async () => {
    const issued = own.replica.command('token', 'issue', '--name', 'short', '--role', 'release-manager', '--expires', '2s');
    const token = /tg_[0-9a-f]+/.exec(issued)?.[0] ?? '';
    expect(token, issued).not.toBe('');
    const words = await until('the token expires', async () => {
      const answer = await manager.ask('/api/v1/plans', { token });
      return answer.status === 401 && answer.body.detail;
    });
    expect(words).toMatch(/expired.*Ask an administrator/is);
    before = await stored(); // the token itself is in the chain
    const refused = await manager.ask('/api/v1/plans', { body: good, token });
    expect(refused.status).toBe(401);
    expect(await stored()).toEqual(before);
  });

  test('a wrong digest is refused: 409', async () => {
    const { id, digest } = await manager.must('/api/v1/plans', { body: good });
    before = await stored();
    const approver = Api.as(own.replica, 'approver');
    const wrong = `sha256:${'0'.repeat(64)}`;
    const asked = await approver.ask(`/api/v1/plans/${id}/approvals`, { body: { digest: wrong, decision: 'approve' } });
    expect(asked.status, JSON.stringify(asked.body)).toBe(409);
    expect(asked.body.detail).toMatch(/digest|version/i);
    const none = await approver.ask(`/api/v1/plans/${id}/approvals`, { body: { decision: 'approve' } });
    expect(none.status).toBe(422);
    expect(none.body.errors[0].field).toBe('digest');
    const unapproved = await manager.ask(`/api/v1/plans/${id}/releases`, { body: { digest } });
    expect(unapproved.status).toBe(409);
    expect(unapproved.body.detail).toMatch(/1 more approval/);
    const stale = await manager.ask(`/api/v1/plans/${id}/releases`, { body: { digest: wrong } });
    expect(stale.status).toBe(409);
    expect(stale.body.detail).toMatch(/Read it again/);
    const unmatched = await manager.ask(`/api/v1/plans/${id}`, { method: 'PUT', body: good, headers: { 'if-match': '"7"' } });
    expect(unmatched.status, JSON.stringify(unmatched.body)).toBe(409);
    expect(await stored()).toEqual(before);
  });

  test('an author cannot approve, whatever roles they hold: 403', async () => {
    const { plans } = await manager.must('/api/v1/plans');
    const { id, digest } = plans[0];
    const refused = await manager.ask(`/api/v1/plans/${id}/approvals`, { body: { digest, decision: 'approve' } });
    expect(refused.status).toBe(403);
    expect(refused.body.detail).toMatch(/approver/);
    expect(await stored()).toEqual(before);
  });

  test('what is not there is 404, in words', async () => {
    const at: [string, Ask][] = [
      ['/api/v1/plans/999999', {}],
      ['/api/v1/releases/999999', {}],
      ['/api/v1/releases/abc', {}],
      ['/api/v1/nonsense', {}],
      ['/api/v1/releases/999999/rollback', { body: {} }],
      ['/api/v1/workloads/sandbox/shop/Rollout/nosuch/rollback', { body: {} }],
      ['/api/v1/workloads/sandbox/shop/DaemonSet/checkout/rollback', { body: {} }],
    ];
    for (const [path, ask] of at) {
      const answer = await manager.ask(path, ask);
      expect(answer.status, path).toBe(404);
      expect(answer.body.detail, path).toMatch(/\w+ \w+/);
      expect(answer.type).toContain('application/problem+json');
    }
    expect(await stored()).toEqual(before);
  });

  test('a deed with an unknown field, or a reason that is no text, is 422 at the field', async () => {
    for (const body of [{ raison: 'typo' }, { reason: 7 }]) {
      const answer = await manager.ask('/api/v1/releases/1/pause', { body });
      expect(answer.status).toBe(422);
      expect(answer.body.errors[0].field).toBe(Object.keys(body)[0]);
    }
    const query = await manager.ask('/api/v1/releases?state=exploded');
    expect(query.status).toBe(422);
    expect(query.body.detail).toMatch(/rolled_back/);
    expect(await stored()).toEqual(before);
  });
});
