/**
 * SIGSTOP of the replica that drives a release, beyond its lease, while another takes over. It is stopped by its own hand
 * between announcing an effect and sending it, the worst moment there is. Then it wakes, and nothing has happened twice:
 * what it still sends the API server refuses (`crates/cluster/tests/fence.rs` sends each such patch for certain), and where
 * its watch has caught up by then it sends nothing.
 */
import { Crash, kept, together } from '../lib/crash.ts';
import type { Obj } from '../lib/kube.ts';
import type { Service } from '../lib/service.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { blueGreen, deployment, mailerOf, mailerPlan, searchPlan } from '../lib/workloads.ts';
import type { World } from '../lib/world.ts';

test.describe.configure({ timeout: 240_000 });

interface Sleep {
  /** `announced`: before the age of the announcement is looked at. `sending`: after, so that only the mark is in the way. */
  place: string;
  /** Stands at 20 % for as long as nobody moves it. */
  stands?: boolean;
  /** Makes the one who drives come to that place, if its own work does not. */
  before?: (asleep: Crash) => Promise<void>;
  /** At the other replica, while the first sleeps. */
  meanwhile: (other: Crash) => Promise<void>;
  /** At the other replica, when the sleeper has sent its effect. */
  then?: (other: Crash) => Promise<void>;
  /** Where it comes to rest, and by what. */
  tag: string;
  changes: string[];
}

const SUCCEEDS = [{ weight: 20, bake: '1s' }, { weight: 60, bake: '1s' }, { weight: 100 }];
const STANDS = [{ weight: 20, bake: '10m' }, { weight: 60, bake: '10m' }, { weight: 100 }];
const ALL = ['deploy', 'open pause 1', 'open pause 3', 'restore steps'];

/** What it drives, where that is not the canary behind nginx. */
interface Other {
  plan: string;
  /** The object whose changes are counted. */
  name: string;
  state: () => Promise<Obj>;
  settled: () => Promise<Obj>;
}

async function sleeps(world: World, web: Service, sleep: Sleep, on?: Other): Promise<void> {
  const { postgres, replica: one, end } = await world.own(web.name);
  const two = await world.replica({ name: `${web.name}-two`, database: postgres.url });
  let woken = 0;
  const wake = async () => {
    woken = Date.now();
    await one.wake();
  };
  try {
    const before = kept(await (on ? on.state() : web.rollout()));
    const target = on ? { namespace: web.namespace, name: on.name } : web;
    const [asleep, other] = [one, two].map((replica) => new Crash(world, replica, target));
    // Alone when the release begins, so it is the one who drives.
    await two.stop();
    await one.stop();
    await one.start(`${sleep.place}=stop`);
    const begun = asleep.begin(on ? on.plan : { ...web.plan('1.1.0'), steps: sleep.stands ? STANDS : SUCCEEDS });
    if (sleep.before) await begun.then(() => sleep.before?.(asleep));
    await until(`it sleeps at ${sleep.place}`, () => one.state === 'T', 60);
    await two.start();
    other.release = 1;
    await sleep.meanwhile(other);
    const quiet = other.changes();
    await wake();
    await until('the sleeper has ended its turn', async () => (await lag(one.url)) < (Date.now() - woken) / 1000, 40);
    expect(other.changes(), 'what the sleeper had in hand changed something').toEqual(quiet);
    await sleep.then?.(other);
    await begun;
    expect(kept(await (on ? on.settled() : web.settledOn(sleep.tag)))).toEqual(before);
    expect(other.changes()).toEqual(sleep.changes);
    await other.recorded();
    expect(await asleep.api('viewer').release(1)).toMatchObject({ state: (await other.api('viewer').release(1)).state });
  } finally {
    if (woken === 0) await one.wake();
    await two.stop();
    await end();
  }
}

/** Seconds since the conductor of a replica last ended a pass. */
async function lag(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5_000) })).text();
  const found = /^\S*conductor_lag\S* (-?[\d.]+)/m.exec(text);
  if (!found || Number(found[1]) < 0) throw new Error('the conductor has not looked yet');
  return Number(found[1]);
}

/** The other has taken the release over, and done the effect itself. */
const carriesOn = async (other: Crash) => void (await other.ended('succeeded'));

const deed = (what: string, body = { reason: 'while it slept' }) => async (crash: Crash) => {
  await crash.api('on-call').ask(`/api/v1/releases/${crash.release}/${what}`, { body }).catch(() => undefined);
};

const standsAt = (weight: number) => async (crash: Crash) => {
  await until(`it stands at ${weight} %`, async () => (await crash.api('viewer').release(crash.release)).weight === weight, 60);
};

test('a replica that sleeps while another carries the release on', async ({ world, service }) => {
  const web = await Promise.all(['nap-deploy', 'nap-old', 'nap-open', 'nap-steps'].map((name) => service(name)));
  const case_ = (i: number, place: string) => () => sleeps(world, web[i], { place, meanwhile: carriesOn, tag: '1.1.0', changes: ALL });
  await together({
    'before its deploy': case_(0, 'sending:deploy'),
    'before it looks how old its deploy is': case_(1, 'announced:deploy'),
    'before it opens a pause': case_(2, 'sending:open_pause'),
    'before it puts the steps back': case_(3, 'sending:restore_steps'),
  });
});

test('a replica that sleeps before a switch, or beside a Deployment', async ({ world, service }) => {
  const [search, mailer] = await Promise.all(['nap-switch', 'nap-beside'].map((name) => service(name)));
  await together({
    'before it switches users over': async () => {
      await blueGreen(search);
      const state = () => search.kube.healthy(search.namespace, 'search');
      const plan = searchPlan(search, '{blueGreen: {preview: {bake: 1s}, after: {bake: 1s}}}');
      const sleep = { place: 'sending:switch', meanwhile: carriesOn, tag: '2.0.0', changes: ['deploy', 'switch', 'restore steps'] };
      await sleeps(world, search, sleep, { plan, name: 'search', state, settled: state });
    },
    'before it scales the canary Deployment': async () => {
      await deployment(mailer, { replicas: 4, minReadySeconds: 0 });
      const state = () => mailerOf(mailer);
      const plan = mailerPlan(mailer, '{canary: {steps: [{weight: 34, bake: 1s}, {weight: 100}]}}');
      const changes = ['create', 'scale 2', 'scale 0', 'delete'];
      const sleep = { place: 'sending:scale', meanwhile: carriesOn, tag: '2.0.0', changes };
      await sleeps(world, mailer, sleep, { plan, name: 'mailer-tidegate', state, settled: state });
    },
  });
});

test('a replica that sleeps while people decide otherwise', async ({ world, service }) => {
  const web = await Promise.all(['nap-never', 'nap-held', 'nap-again', 'nap-back'].map((name) => service(name)));
  await together({
    'before its deploy: rolled back, and nothing had changed': () =>
      sleeps(world, web[0], {
        place: 'sending:deploy',
        meanwhile: async (other) => {
          await deed('rollback')(other);
          await other.ended('cancelled');
        },
        tag: '1.0.0',
        changes: [],
      }),
    'before it opens a pause: held': () =>
      sleeps(world, web[1], {
        place: 'sending:open_pause',
        meanwhile: async (other) => {
          await deed('pause')(other);
          await until('it is void', () => other.count('void') === 1);
        },
        then: async (other) => {
          await standsAt(20)(other);
          await deed('abort')(other);
          await other.ended('cancelled');
        },
        tag: '1.0.0',
        changes: ['deploy', 'abort', 'revert'],
      }),
    'before it opens a pause: the same version is released anew': () =>
      sleeps(world, web[2], {
        place: 'sending:open_pause',
        meanwhile: async (other) => {
          await deed('rollback')(other);
          await other.ended('rolled_back');
          await web[2].settledOn('1.0.0');
          await other.begin({ ...web[2].plan('1.1.0'), name: 'again', steps: STANDS });
          await standsAt(20)(other);
        },
        then: async (other) => {
          await standsAt(20)(other);
          await deed('abort')(other);
          await other.ended('cancelled');
        },
        tag: '1.0.0',
        changes: ['deploy', 'abort', 'revert', 'deploy', 'abort', 'revert'],
      }),
    'before it puts the old version back: the next version is released': () =>
      sleeps(world, web[3], {
        place: 'sending:revert',
        stands: true,
        before: async (asleep) => {
          await standsAt(20)(asleep);
          await deed('abort')(asleep);
        },
        meanwhile: async (other) => {
          await other.ended('cancelled');
          await web[3].settledOn('1.0.0');
          await other.begin({ ...web[3].plan('1.2.0'), steps: STANDS });
          await standsAt(20)(other);
        },
        then: async (other) => {
          await standsAt(20)(other);
          await deed('abort')(other);
          await other.ended('cancelled');
        },
        tag: '1.0.0',
        changes: ['deploy', 'abort', 'revert', 'deploy', 'abort', 'revert'],
      }),
  });
});
