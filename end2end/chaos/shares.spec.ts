/**
 * SIGKILL before and after every effect of a release that gives a second Deployment its share of users, or of copies of their
 * requests: by a canary Ingress of ours, in the user's own HTTPRoute, or all at once by a Service's selector. Whatever dies, the user's objects are in the end what
 * they were, nothing of ours is left, and no effect was applied twice, by the API server's own audit log.
 */
import { BEFORE_AND_AFTER, Crash, crashing, kept, places, press, together } from '../lib/crash.ts';
import type { Obj } from '../lib/kube.ts';
import type { Service } from '../lib/service.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import type { World } from '../lib/world.ts';
import { behindIngress, behindRoute, behindService, deployment, leftOf, mailerOf, mailerPlan } from '../lib/workloads.ts';

// Each has a workload, a database and a process of its own.
test.describe.configure({ timeout: 300_000, mode: 'parallel' });

/** One way for a second Deployment to its share. */
interface Share {
  /** The strategy of a plan, whose first step takes as long as told. */
  strategy: (bake: string) => string;
  /** Makes what its users come through, and gives how to read that. */
  behind: (web: Service) => Promise<() => Promise<Obj>>;
  /** The object that the share stands in. */
  holder: { name: string; resource: string };
  /** Effects of a whole release, in order. */
  effects: string[];
  /** What is done to that object from its first share to its last. */
  changes: string[];
}

const canary = (bake: string) => `{canary: {steps: [{weight: 5, bake: ${bake}}, {weight: 100}]}}`;
const BY_ROUTE: Share = {
  strategy: canary,
  behind: behindRoute,
  holder: { name: 'mailer', resource: 'httproutes' },
  effects: ['deploy', 'scale', 'weigh', 'take_over', 'hand_back', 'retire'],
  changes: ['join', 'weight 5', 'part'],
};
const BY_INGRESS: Share = {
  ...BY_ROUTE,
  behind: behindIngress,
  holder: { name: 'mailer-tidegate', resource: 'ingresses' },
  changes: ['create', 'weight 5', 'weight 0'],
};
const BY_COPIES: Share = {
  ...BY_ROUTE,
  strategy: (bake) => `{shadow: {percent: 40, bake: ${bake}, gates: [analysis]}}`,
  effects: ['deploy', 'scale', 'weigh', 'hand_back', 'take_over', 'retire'],
  changes: ['copy 40', 'part'],
};

const BY_SELECTOR: Share = {
  ...BY_ROUTE,
  strategy: (bake) => `{blueGreen: {after: {bake: ${bake}}}}`,
  behind: behindService,
  holder: { name: 'mailer', resource: 'services' },
  effects: ['deploy', 'scale', 'switch', 'take_over', 'hand_back', 'retire'],
  changes: ['select mailer-tidegate', 'select mailer'],
};

/** A Deployment that four pods carry, what is in front of it, and how both are looked at when all is over. */
async function arranged(world: World, web: Service, by: Share) {
  const before = await deployment(web, { replicas: 4, minReadySeconds: 0 });
  const front = await by.behind(web);
  const owners = await front();
  const crashes = (crash: Crash) => ({
    mailer: new Crash(world, crash.replica, { namespace: web.namespace, name: 'mailer', resource: 'deployments' }),
    twin: new Crash(world, crash.replica, { namespace: web.namespace, name: 'mailer-tidegate', resource: 'deployments' }),
    holder: new Crash(world, crash.replica, { namespace: web.namespace, ...by.holder }),
  });
  const asBefore = async (tag: string) => {
    const after = await mailerOf(web);
    expect(after.spec.template.spec.containers[0].image).toBe(web.image(tag));
    expect(kept(after)).toEqual(kept(before));
    // What goes with the second Deployment is garbage, and collected a moment later.
    await until('nothing of ours is left', async () => (await leftOf(web)).length === 0);
    expect(await front(), 'as its owner wrote it').toEqual(owners);
  };
  return { asBefore, crashes };
}

const plan = (web: Service, strategy: string, tag = '2.0.0') =>
  mailerPlan(web, strategy, tag).replace('  approvals:', '  analysis: {minRequests: 20}\n  approvals:');

for (const [what, by] of Object.entries({
  'a weight by a canary Ingress': BY_INGRESS,
  'a weight in an HTTPRoute': BY_ROUTE,
  'copies by an HTTPRoute': BY_COPIES,
  "a switch by a Service's selector": BY_SELECTOR,
})) {
  const name = (way: string) => `crash-${way}-${by.changes[0].slice(0, 2)}`;

  test(`${what}, there and back`, async ({ world, service }) => {
    const forward = async (way: string, where: string[]) => {
      const web = await service(name(way));
      const { asBefore, crashes } = await arranged(world, web, by);
      await crashing(world, web, async (crash) => {
        const { mailer, twin, holder } = crashes(crash);
        const all = places(by.effects, where);
        await mailer.arm(all[0]);
        await mailer.begin(plan(web, by.strategy('1s')));
        await mailer.through(all, 90);
        await mailer.ended('succeeded', 120);
        await asBefore('2.0.0');
        expect(mailer.changes()).toEqual(['deploy']);
        expect(twin.changes()).toEqual(['create', expect.stringMatching(/^scale [124]$/), 'scale 0', 'delete']);
        expect(holder.changes()).toEqual(by.changes);
        await mailer.recorded();
      });
    };
    const back = async (way: string, where: string[]) => {
      const web = await service(name(way));
      const { asBefore, crashes } = await arranged(world, web, by);
      await crashing(world, web, async (crash) => {
        const { mailer, twin, holder } = crashes(crash);
        await mailer.begin(plan(web, by.strategy('10m')));
        await until('it has its share', () => holder.changes().length === by.changes.length - 1, 60);
        const all = places(['hand_back', 'retire'], where);
        await mailer.arm(all[0]);
        await mailer.api('on-call').ask('/api/v1/releases/1/abort', { body: { reason: 'enough' } }).catch(() => undefined);
        await mailer.through(all, 90);
        await mailer.ended('cancelled', 120);
        await asBefore('1.0.0');
        expect(mailer.changes()).toEqual([]);
        expect(twin.changes()).toEqual(['create', expect.stringMatching(/^scale [124]$/), 'scale 0', 'delete']);
        expect(holder.changes()).toEqual(by.changes);
        await mailer.recorded();
      });
    };
    /** The same Deployment again and again; each press is killed at another place. */
    const pressed = async (way: string, all: string[]) => {
      const web = await service(name(way));
      const { asBefore, crashes } = await arranged(world, web, by);
      await crashing(world, web, async (crash) => {
        const { mailer, holder } = crashes(crash);
        for (const [i, place] of all.entries()) {
          const already = holder.changes().length;
          await mailer.begin(plan(web, by.strategy('10m'), `2.${i}.0`));
          await until('it has its share', () => holder.changes().length === already + by.changes.length - 1, 60);
          await mailer.arm(place);
          await press(mailer);
          await mailer.through([place]);
          await mailer.ended('rolled_back', 120);
          await asBefore('1.0.0');
          expect(mailer.changes(), place).toEqual([]);
          // To send nobody there twice is as good as once; to send somebody is not.
          expect([...new Set(holder.changes().slice(already))], place).toEqual(by.changes);
          await until('the journal is merged', () => mailer.replica.unmerged === 0);
          await mailer.recorded();
        }
      });
    };
    await together({
      'killed before and after each effect': () => forward('there', BEFORE_AND_AFTER),
      'killed when each effect was settled': () => forward('kept', ['settled']),
      'back, killed before and after': () => back('back', BEFORE_AND_AFTER),
      'back, killed when it was settled': () => back('left', ['settled']),
      'ROLL BACK, killed around its calls': () => pressed('press', ['press:journaled', 'route:hand_back', 'press:outcome']),
    });
  });
}
