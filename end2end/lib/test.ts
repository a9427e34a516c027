/** Playwright's `test` with this project's fixtures. */
import { test as base, type Page } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { Api, type Role } from './api.ts';
import { signIn } from './people.ts';
import { planYaml, type PlanOptions } from './plan.ts';
import { Service, type ServiceOptions } from './service.ts';
import { World, type Replica } from './world.ts';

export { expect } from '@playwright/test';
export type { Role } from './api.ts';

export interface Released {
  plan: number;
  version: number;
  digest: string;
  release: number;
}

interface TestFixtures {
  /** REST with a role's token, on the shared replica unless another is named. */
  api: (role: Role, replica?: Replica) => Api;
  /** A workload of the test's own; gone when the test ends. */
  service: (prefix: string, options?: ServiceOptions) => Promise<Service>;
  /** A plan written, approved and started over REST. */
  release: (plan: PlanOptions, replica?: Replica) => Promise<Released>;
  /** A page in a browser of its own, signed in. Its console is told when the test fails. */
  as: (role: Role, options?: Parameters<import('@playwright/test').Browser['newContext']>[0]) => Promise<Page>;
  /** Complaints of every page opened by `as`. */
  complaints: string[];
  logs: void;
}

export const test = base.extend<TestFixtures, { world: World }>({
  world: [
    // Playwright reads a fixture's needs from its first parameter's pattern.
    // eslint-disable-next-line no-empty-pattern
    async ({}, use) => use(World.find()),
    { scope: 'worker' },
  ],

  baseURL: async ({ world }, use) => use(world.main.url),

  api: async ({ world }, use) => use((role, replica = world.main) => Api.as(replica, role)),

  service: async ({ world }, use) => {
    const made: Service[] = [];
    await use(async (prefix, options) => {
      const service = await Service.make(world.kube, prefix, options);
      made.push(service);
      return service;
    });
    for (const service of made) await service.remove();
  },

  release: async ({ api }, use) => {
    await use(async (plan, replica) => {
      const body = planYaml(plan);
      const created = await api('release-manager', replica).must('/api/v1/plans', { body });
      const { id, version, digest } = created;
      await api('approver', replica).must(`/api/v1/plans/${id}/approvals`, { body: { digest, decision: 'approve' } });
      const started = await api('release-manager', replica).must(`/api/v1/plans/${id}/releases`, { body: { digest } });
      return { plan: id, version, digest, release: started.id };
    });
  },

  // eslint-disable-next-line no-empty-pattern
  complaints: async ({}, use) => use([]),

  as: async ({ browser, baseURL, complaints }, use, info) => {
    const contexts: import('@playwright/test').BrowserContext[] = [];
    await use(async (role, options) => {
      const context = await browser.newContext({ baseURL, reducedMotion: 'reduce', ...options });
      contexts.push(context);
      const page = await context.newPage();
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(`${page.url()}: ${message.text()}`);
      });
      page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.message}`));
      await signIn(page, role);
      return page;
    });
    if (info.status !== info.expectedStatus) {
      for (const [i, context] of contexts.entries()) {
        for (const page of context.pages()) {
          const picture = await page.screenshot({ timeout: 5_000 }).catch(() => undefined);
          if (picture) await info.attach(`page ${i}: ${page.url()}`, { body: picture, contentType: 'image/png' });
        }
      }
      if (complaints.length > 0) await info.attach('console', { body: complaints.join('\n') });
    }
    for (const context of contexts) await context.close();
  },

  logs: [
    async ({ world }, use, info) => {
      await use();
      if (info.status !== info.expectedStatus && world.file.tidegate) {
        const log = readFileSync(world.file.tidegate.log, 'utf8').split('\n').slice(-200).join('\n');
        await info.attach('tidegate.log', { body: log });
      }
    },
    { auto: true },
  ],
});
