/**
 * One release that is killed at one place after another. Each process is armed with the next place; when it has died
 * there the next one is started, and the last one runs to the end.
 */
import { expect } from '@playwright/test';
import { Api } from './api.ts';
import type { Obj } from './kube.ts';
import { planYaml, type PlanOptions } from './plan.ts';
import type { Service } from './service.ts';
import { until } from './until.ts';
import type { Replica, World } from './world.ts';
import { effectOf, writes } from './writes.ts';

/** Before the announcement is committed; before the patch leaves; when it was answered. Then it is settled by what is seen. */
export const BEFORE_AND_AFTER = ['announcing', 'sending', 'answered'];

/** `places(['deploy'], ['sending'])` is `sending:deploy`. */
export function places(effects: string[], where: string[]): string[] {
  return effects.flatMap((effect) => where.map((place) => `${place}:${effect}`));
}

/** What effects are counted on; `resource` where several kinds of objects have that name: `ingresses`. */
export interface Target {
  namespace: string;
  name: string;
  resource?: string;
}

export class Crash {
  readonly world: World;
  readonly replica: Replica;
  readonly target: Target;
  release = 0;

  constructor(world: World, replica: Replica, target: Target) {
    this.world = world;
    this.replica = replica;
    this.target = target;
  }

  api(role: 'viewer' | 'on-call' | 'release-manager' | 'approver'): Api {
    return Api.as(this.replica, role);
  }

  /** Writes a plan, has it approved and starts it, on a process that may die of that. */
  async begin(plan: PlanOptions | string): Promise<number> {
    const body = typeof plan === 'string' ? plan : planYaml(plan);
    const manager = this.api('release-manager');
    const { id, digest } = await manager.must('/api/v1/plans', { body });
    await this.api('approver').must(`/api/v1/plans/${id}/approvals`, { body: { digest, decision: 'approve' } });
    // The database is this replica's own.
    this.release += 1;
    await manager.ask(`/api/v1/plans/${id}/releases`, { body: { digest } }).catch(() => undefined);
    return this.release;
  }

  /** Ends whatever runs, and starts a process that dies at `place`. */
  async arm(place: string): Promise<void> {
    await this.replica.stop();
    await this.replica.start(`${place}=kill`);
  }

  /** The process that runs is armed with the first of the places: dies there, then at the next, and so on. */
  async through(all: string[], seconds = 60): Promise<void> {
    for (const [i, place] of all.entries()) {
      await this.replica.fell(place, seconds);
      const next = all[i + 1];
      await this.replica.start(next && `${next}=kill`);
    }
  }

  /** What Tidegate has really done to the workload, in order. */
  effects(): string[] {
    const { namespace, name, resource } = this.target;
    return writes(this.world.auditLog, { namespace, name, resource, tidegate: true }).map(effectOf);
  }

  /** Effects without those that change nothing but a mark. */
  changes(): string[] {
    return this.effects().filter((e) => e !== 'void');
  }

  count(effect: string): number {
    return this.effects().filter((e) => e === effect).length;
  }

  /** It was over before, and is to end anew. */
  async endsAnew(state: string, seconds = 90): Promise<void> {
    await until(`release ${this.release} is ${state}`, async () => (await this.api('viewer').release(this.release)).state === state, seconds);
  }

  async ended(state: string, seconds = 90): Promise<Obj> {
    return this.api('viewer').until(this.release, [state], seconds);
  }

  /** The chain is whole, and every announced effect has exactly one end. */
  async recorded(): Promise<void> {
    const viewer = this.api('viewer');
    expect(await viewer.must('/api/v1/audit/verify')).toMatchObject({ ok: true });
    const actions = (await viewer.events(this.release)).map((e) => e.action);
    for (const once of ['release.started', 'release.deployed', 'release.succeeded', 'release.rolled_back', 'release.cancelled']) {
      expect(actions.filter((a) => a === once).length, `${once} in ${actions.join(', ')}`).toBeLessThanOrEqual(1);
    }
  }
}

/** ROLL BACK, on a process that may die of it. */
export async function press(crash: Crash): Promise<void> {
  const path = `/api/v1/releases/${crash.release}/rollback`;
  await crash.api('on-call').ask(path, { body: { reason: 'the lights went out' } }).catch(() => undefined);
}

/** The spec of a Rollout without what a release brings. */
export function kept(rollout: Obj): Obj {
  const spec = structuredClone(rollout.spec);
  // Not paused, in either spelling.
  if (!spec.paused) delete spec.paused;
  for (const container of spec.template.spec.containers) delete container.image;
  return spec;
}

/** Runs them side by side; all of them come to their end before the first failure is told. */
export async function together(cases: Record<string, () => Promise<void>>): Promise<void> {
  const began = Date.now();
  const results = await Promise.allSettled(
    Object.entries(cases).map(async ([name, run]) => {
      await run().catch((error: Error) => {
        throw new Error(`${name}: ${error.message}\n${error.stack}`);
      });
      console.log(`      ${((Date.now() - began) / 1000).toFixed(1)} s  ${name}`);
    }),
  );
  const failed = results.filter((r) => r.status === 'rejected').map((r) => (r.reason as Error).message);
  if (failed.length > 0) throw new Error(failed.join('\n\n'));
}

/** A crash with a replica, a database and a Rollout of its own. */
export async function crashing(world: World, web: Service, run: (crash: Crash) => Promise<void>): Promise<void> {
  const { replica, end } = await world.own(web.name);
  try {
    await run(new Crash(world, replica, web));
  } finally {
    await end();
  }
}
