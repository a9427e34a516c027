/** Two replicas on one database: either may be killed, and the release goes on within ten seconds. */
import { signIn } from '../lib/people.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { effectOf, writes } from '../lib/writes.ts';

/** How soon the other replica must have carried on, in seconds, after the bake that was under way. */
const GOES_ON = 10;
const BAKE = 5;

test('either of two replicas may be killed: the release goes on within 10 s, no effect twice', async ({ world, api, service, release }) => {
  test.setTimeout(240_000);
  const { postgres, replica: one, end } = await world.own('one');
  const two = await world.replica({ name: `${one.file.name}-two`, database: postgres.url });
  try {
    const web = await service('replicas');
    const steps = [20, 40, 60, 80].map((weight) => ({ weight, bake: `${BAKE}s` }));
    const { release: id } = await release({ ...web.plan('1.1.0'), steps: [...steps, { weight: 100 }] }, one);
    const ours = () => writes(world.auditLog, { namespace: web.namespace, name: web.name, resource: 'rollouts', tidegate: true });

    for (const [victim, survivor, weight] of [
      [one, two, 20],
      [two, one, 40],
    ] as const) {
      const viewer = api('viewer', survivor);
      await until(`${weight} % is reached`, async () => (await viewer.release(id)).weight === weight, 30);
      const before = ours().length;
      await victim.kill();
      const killed = Date.now();
      await until('the next step is taken by the other replica', () => ours().length > before, BAKE + GOES_ON);
      const waited = (Date.now() - killed) / 1000;
      test.info().annotations.push({ type: 'went on', description: `${waited.toFixed(1)} s after ${victim.file.name} was killed` });
      await victim.start();
    }
    await api('viewer', one).until(id, ['succeeded'], 60);
    expect(ours().map(effectOf).filter((e) => e !== 'void')).toEqual(['deploy', 'open pause 1', 'open pause 3', 'open pause 5', 'open pause 7', 'restore steps']);
    // Both tell the same story.
    const [a, b] = await Promise.all([one, two].map((r) => api('viewer', r).events(id)));
    expect(a).toEqual(b);
    expect(await api('viewer', two).must('/api/v1/audit/verify')).toMatchObject({ ok: true });
  } finally {
    await two.stop();
    await end();
  }
});

test('a sign-in at one replica is known at the other, and a sign-out too', async ({ world, browser }) => {
  const { postgres, replica: one, end } = await world.own('session-one');
  const two = await world.replica({ name: `${one.file.name}-two`, database: postgres.url });
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await signIn(page, 'viewer', one.url);
    const cookie = (await context.cookies()).map((c) => `${c.name}=${c.value}`).join('; ');
    await page.goto(`${two.url}/services`);
    await expect(page).toHaveURL(/\/services/);
    await expect(page.getByRole('heading', { level: 1 })).toContainText('Services');

    const out = await page.request.post(`${one.url}/do/sign-out`, { form: {}, headers: { origin: one.url, accept: 'application/json' } });
    expect(out.ok()).toBe(true);
    // The browser has forgotten its cookie; somebody who kept a copy of it gets no further at the other replica either.
    await until(
      'the session is over at the other replica',
      async () => {
        const answer = await fetch(`${two.url}/services`, { headers: { cookie, accept: 'text/html' }, redirect: 'manual' });
        return answer.status >= 300 && answer.status < 400;
      },
      30,
    );
  } finally {
    await context.close();
    await two.stop();
    await end();
  }
});
