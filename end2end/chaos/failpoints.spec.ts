/**
 * SIGKILL before and after every effect, in turn. Whatever was under way ends as it would have undisturbed: the same
 * template, the Rollout's own steps, the release's state, a whole audit chain; and no effect was applied twice, counted in
 * the API server's own audit log.
 *
 * Releases that give a second Deployment a share are in `shares.spec.ts`.
 *
 * What may be repeated, since repeating it changes nothing: `abort`, `revert` and `promote full` of a press that died
 * before its outcome was on disk.
 */
import { BEFORE_AND_AFTER, Crash, crashing, kept, places, press, together } from '../lib/crash.ts';
import type { Obj } from '../lib/kube.ts';
import { QUICK } from '../lib/plan.ts';
import type { Service } from '../lib/service.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { blueGreen, deployment, MAILER, mailerOf, mailerPlan, searchPlan } from '../lib/workloads.ts';

const TO_THE_END = QUICK.map((step) => (step.bake ? { ...step, bake: '1s' } : step));
const STANDS = [{ weight: 20, bake: '10m' }, { weight: 60, bake: '10m' }, { weight: 100 }];
const SUCCEEDED = ['deploy', 'open pause 1', 'open pause 3', 'restore steps'];

test.describe.configure({ timeout: 300_000 });

test('a canary release that succeeds', async ({ world, service }) => {
  const succeeds = async (name: string, where: string[]) => {
    const web = await service(name);
    const before = kept(await web.rollout());
    await crashing(world, web, async (crash) => {
      const all = places(['deploy', 'open_pause', 'restore_steps'], where);
      await crash.arm(all[0]);
      await crash.begin({ ...web.plan('1.1.0'), steps: TO_THE_END });
      await crash.through(all);
      await crash.ended('succeeded');
      expect(kept(await web.settledOn('1.1.0'))).toEqual(before);
      expect(crash.changes()).toEqual(SUCCEEDED);
      await crash.recorded();
    });
  };
  await together({
    'killed before and after each effect': () => succeeds('crash-forward', BEFORE_AND_AFTER),
    'killed when each effect was settled': () => succeeds('crash-settled', ['settled']),
  });
});

test('a canary release that goes back', async ({ world, service }) => {
  const goesBack = async (name: string, all: string[], turn: (crash: Crash) => Promise<void>, paused = false, failing = false) => {
    const web = await service(name);
    const before = await web.rollout();
    await crashing(world, web, async (crash) => {
      const tag = failing ? '1.1.0-errors-20pct' : '1.1.0';
      const steps = failing ? [{ weight: 20, bake: '10m', analysis: true }, { weight: 100 }] : STANDS;
      await crash.begin({ ...web.plan(tag), steps });
      await until('the canary has its share', async () => (await crash.api('viewer').release(crash.release)).weight === 20, 60);
      if (paused) await web.kube.patchRollout(web.namespace, web.name, { spec: { paused: true } });
      await crash.arm(all[0]);
      await turn(crash);
      await crash.through(all, 90);
      await crash.ended(failing ? 'rolled_back' : 'cancelled');
      const after = await web.settledOn('1.0.0');
      expect(kept(after)).toEqual(kept(before));
      expect(after.status.stableRS).toBe(before.status.stableRS);
      // Whichever of them is ready goes first: the revert does not wait for an abort whose process died, nor need it.
      const done = crash.changes();
      expect(new Set(done).size, `each once: ${done.join(', ')}`).toBe(done.length);
      expect(done).toEqual(expect.arrayContaining(['deploy', 'revert', ...(paused ? ['unpause'] : [])]));
      expect(['deploy', 'unpause', 'abort', 'revert']).toEqual(expect.arrayContaining(done));
      await crash.recorded();
    });
  };
  const aborts = async (crash: Crash) => {
    await crash.api('on-call').ask(`/api/v1/releases/${crash.release}/abort`, { body: { reason: 'enough' } }).catch(() => undefined);
  };
  await together({
    'by its analysis, killed before and after each effect': () =>
      goesBack('crash-fails', ['announcing:abort', 'sending:abort', ...places(['revert'], BEFORE_AND_AFTER)], async () => {}, false, true),
    'by a person, killed when each effect was answered': () => goesBack('crash-left', places(['abort', 'revert'], ['answered']), aborts),
    'by a person, killed when each effect was settled': () => goesBack('crash-abort', places(['abort', 'revert'], ['settled']), aborts),
    'paused in the cluster': () => goesBack('crash-paused', places(['unpause'], BEFORE_AND_AFTER), aborts, true),
    'paused in the cluster, killed when that was settled': () => goesBack('crash-unpaused', places(['unpause'], ['settled']), aborts, true),
  });
});

test('ROLL BACK in flight', async ({ world, service }) => {
  const pressed = async (name: string, all: string[]) => {
    const web = await service(name);
    const before = await web.rollout();
    await crashing(world, web, async (crash) => {
      for (const [i, place] of all.entries()) {
        const already = crash.effects().length;
        await crash.begin({ ...web.plan(`1.${i + 1}.0`), steps: STANDS });
        await until('the canary has its share', async () => (await crash.api('viewer').release(crash.release)).weight === 20, 60);
        await crash.arm(place);
        await press(crash);
        await crash.replica.fell(place);
        await crash.replica.start();
        // Before it was on disk it was not accepted, and nobody was told so: it is pressed again.
        if (place === 'press:journal') await press(crash);
        await crash.ended('rolled_back');
        const after = await web.settledOn('1.0.0');
        expect(kept(after), place).toEqual(kept(before));
        expect(after.status.stableRS, place).toBe(before.status.stableRS);
        await until('the journal is merged', () => crash.replica.unmerged === 0);
        const done = crash.effects().slice(already).filter((e) => e !== 'void');
        expect(done[0], place).toBe('deploy');
        expect(new Set(done), place).toEqual(new Set(['deploy', 'abort', 'revert']));
        expect(done.length, `${place}: ${done.join(', ')}`).toBeLessThanOrEqual(5);
        await crash.recorded();
        const actions = (await crash.api('viewer').events(crash.release)).map((e) => e.action);
        for (const once of ['rollback.accepted', 'rollback.applied', 'release.rolled_back']) {
          expect(actions.filter((a) => a === once), `${place}: ${actions.join(', ')}`).toHaveLength(1);
        }
      }
    });
  };
  await together({
    'around the journal and the calls': () => pressed('crash-press', ['press:journal', 'press:journaled', 'route:abort', 'route:revert']),
    'around the record': () => pressed('crash-record', ['accept:commit', 'accept:committed', 'press:answered', 'press:outcome']),
    'around the merge': () => pressed('crash-merge', ['merge:accepted', 'merge:recorded', 'merge:merged']),
  });
});

test('ROLL BACK of what was promoted', async ({ world, service }) => {
  const steps = [{ weight: 50, bake: '1s' }, { weight: 100 }];
  const pressed = async (name: string, all: string[], walks = false, then: string[] = []) => {
    const web = await service(name);
    const before = await web.rollout();
    await crashing(world, web, async (crash) => {
      for (const [i, place] of all.entries()) {
        await crash.begin({ ...web.plan(`1.${i + 1}.0`), steps });
        await crash.ended('succeeded');
        const already = crash.effects().length;
        if (walks) await withoutReplicaSet(web, before.status.stableRS);
        await crash.arm(place);
        await press(crash);
        if (then.length === 0) {
          await crash.through([place]);
        } else {
          // The journal stays with the machine that died: the conductor alone carries on.
          await crash.replica.fell(place);
          crash.replica.loseJournal();
          // Calls and record set out together: where the calls were faster, all of them are made, and nothing is left.
          const made = crash.effects().slice(already).includes('promote full');
          if (made) console.log(`      ${place}: its calls were all made before its record`);
          await crash.replica.start(made ? undefined : `${then[0]}=kill`);
          if (!made) await crash.through(then);
        }
        await crash.endsAnew('rolled_back');
        const after = await web.settledOn('1.0.0');
        await until('its own rollbackWindow', async () => (await web.rollout()).spec.rollbackWindow === undefined);
        expect(kept(await web.rollout()), place).toEqual(kept(before));
        expect(after.status.stableRS, place).toBe(before.status.stableRS);
        await until('the journal is merged', () => crash.replica.unmerged === 0);
        const done = crash.effects().slice(already);
        for (const effect of ['revert', 'promote full']) {
          expect(done.filter((e) => e === effect).length, `${place}: ${done.join(', ')}`).toBeLessThanOrEqual(2);
        }
        await crash.recorded();
      }
    });
  };
  await together({
    'around its calls': () => pressed('crash-promoted', ['press:journaled', 'route:revert_through_window']),
    'around its record': () => pressed('crash-told', ['press:answered', 'merge:accepted']),
    'which would walk the steps': () => pressed('crash-full', ['route:promote_full'], true),
    'which would walk the steps, carried on by the conductor': () =>
      pressed('crash-walks', ['accept:committed'], true, places(['promote_full'], BEFORE_AND_AFTER)),
  });
  // By itself: where the record takes longer than the calls, these are all made before the process dies.
  await together({
    'which would walk the steps, killed when that was settled': () =>
      pressed('crash-walked', ['accept:committed'], true, places(['promote_full'], ['settled'])),
  });
});

test('a Deployment that is held, goes on, and goes back', async ({ world, service }) => {
  const rolls = async (name: string, where: string[], back: boolean) => {
    const web = await service(name);
    const before = await deployment(web);
    await crashing(world, web, async (crash) => {
      const mailer = new Crash(world, crash.replica, { namespace: web.namespace, name: 'mailer' });
      const deploys = places(['deploy'], where);
      await mailer.arm(deploys[0]);
      await mailer.begin(mailerPlan(web, '{rolling: {bake: 1s}}'));
      await mailer.through(deploys);
      const deed = async (what: string) =>
        mailer.api('on-call').ask(`/api/v1/releases/1/${what}`, { body: { reason: 'look first' } }).catch(() => undefined);
      for (const [what, effect] of back ? [['abort', 'revert']] : [['pause', 'pause'], ['resume', 'resume']]) {
        await mailer.arm(places([effect], where)[0]);
        await deed(what);
        await mailer.through(places([effect], where));
      }
      await mailer.ended(back ? 'cancelled' : 'succeeded', 120);
      const after = await mailerOf(web);
      expect(after.spec.template.spec.containers[0].image).toBe(web.image(back ? '1.0.0' : '2.0.0'));
      expect(after.spec.paused ?? false).toBe(false);
      expect({ ...kept(after), paused: undefined }).toEqual({ ...kept(before), paused: undefined });
      expect(mailer.changes()).toEqual(back ? ['deploy', 'revert'] : ['deploy', 'pause', 'unpause']);
      await mailer.recorded();
    });
  };
  await together({
    'killed before and after each effect': () => rolls('crash-rolling', BEFORE_AND_AFTER, false),
    'killed when each effect was settled': () => rolls('crash-rolled', ['settled'], false),
    'back, killed before and after': () => rolls('crash-undone', BEFORE_AND_AFTER, true),
    'back, killed when it was settled': () => rolls('crash-undo', ['settled'], true),
  });
});

test('a canary Deployment beside a plain one', async ({ world, service }) => {
  const beside = async (name: string, where: string[], back: boolean) => {
    const web = await service(name);
    const before = await deployment(web, { replicas: 4, minReadySeconds: 0 });
    await crashing(world, web, async (crash) => {
      const mailer = new Crash(world, crash.replica, { namespace: web.namespace, name: 'mailer' });
      const ours = new Crash(world, crash.replica, { namespace: web.namespace, name: 'mailer-tidegate' });
      const steps = back ? '[{weight: 34, bake: 10m}, {weight: 100}]' : '[{weight: 34, bake: 1s}, {weight: 100}]';
      const all = back ? places(['retire'], where) : places(['deploy', 'scale', 'take_over', 'retire'], where);
      if (!back) await mailer.arm(all[0]);
      await mailer.begin(mailerPlan(web, `{canary: {steps: ${steps}}}`));
      if (back) {
        await until('two pods stand beside it', async () => (await mailer.api('viewer').release(1)).weight >= 33, 60);
        await mailer.arm(all[0]);
        await mailer.api('on-call').ask('/api/v1/releases/1/abort', { body: { reason: 'enough' } }).catch(() => undefined);
      }
      await mailer.through(all, 90);
      await mailer.ended(back ? 'cancelled' : 'succeeded', 120);
      const after = await mailerOf(web);
      expect(after.spec.template.spec.containers[0].image).toBe(web.image(back ? '1.0.0' : '2.0.0'));
      expect(kept(after)).toEqual(kept(before));
      expect((await web.kube.get(MAILER(web))).items.map((d: Obj) => d.metadata.name)).toEqual(['mailer']);
      // Taking it over is a deploy of the user's own; the rest there is marks.
      expect(mailer.changes()).toEqual(back ? [] : ['deploy']);
      expect(ours.changes()).toEqual(['create', 'scale 2', 'scale 0', 'delete']);
      await mailer.recorded();
    });
  };
  await together({
    'killed before and after each effect': () => beside('crash-beside', BEFORE_AND_AFTER, false),
    'killed when each effect was settled': () => beside('crash-besides', ['settled'], false),
    'back, killed before and after': () => beside('crash-retire', BEFORE_AND_AFTER, true),
    'back, killed when it was settled': () => beside('crash-retired', ['settled'], true),
  });
});

test('a blue-green Rollout that is switched', async ({ world, service }) => {
  const switched = async (name: string, where: string[]) => {
    const web = await service(name);
    const before = kept(await blueGreen(web));
    await crashing(world, web, async (crash) => {
      const search = new Crash(world, crash.replica, { namespace: web.namespace, name: 'search' });
      const all = places(['switch'], where);
      await search.arm(all[0]);
      const both = '{blueGreen: {preview: {bake: 1s}, after: {bake: 1s}}}';
      await search.begin(searchPlan(web, both));
      await search.through(all, 90);
      await search.ended('succeeded', 120);
      const after = await web.kube.healthy(web.namespace, 'search');
      expect(after.status.blueGreen.activeSelector).toBe(after.status.currentPodHash);
      expect(after.spec.template.spec.containers[0].image).toBe(web.image('2.0.0'));
      expect(kept(after)).toEqual(before);
      expect(search.changes()).toEqual(['deploy', 'switch', 'restore steps']);
      await search.recorded();
    });
  };
  await together({
    'killed before and after it': () => switched('crash-switch', BEFORE_AND_AFTER),
    'killed when it was settled': () => switched('crash-switched', ['settled']),
  });
});

test('the recorder of known-good versions writes each down once', async ({ world }) => {
  const { replica, end } = await world.own('crash-recorder');
  try {
    const crash = new Crash(world, replica, { namespace: 'none', name: 'none' });
    await crash.arm('recorder:commit');
    await crash.through(['recorder:commit', 'recorder:committed']);
    const page = await crash.api('viewer').must('/api/v1/audit?after=0');
    const events: Obj[] = (page.events ?? page.rows ?? page.items ?? page).filter((e: Obj) => e.action === 'workload.known-good');
    const names = events.flatMap((e) => e.detail.workloads.map((w: Obj) => JSON.stringify(w.workload)));
    expect(names.length).toBeGreaterThan(0);
    expect(new Set(names).size).toBe(names.length);
    await crash.recorded();
  } finally {
    await end();
  }
});

/** Its history has forgotten a version: what brings it back is a new ReplicaSet, and walks the steps. */
async function withoutReplicaSet(web: Service, hash: string): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${web.namespace}/replicasets`;
  const { items } = await web.kube.get(`${path}?labelSelector=rollouts-pod-template-hash%3D${hash}`);
  for (const set of items) await web.kube.delete(`${path}/${set.metadata.name}`);
  await until('the ReplicaSet is gone', async () => {
    const left = await web.kube.get(`${path}?labelSelector=rollouts-pod-template-hash%3D${hash}`);
    return left.items.length === 0;
  });
}
