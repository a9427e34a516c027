/** The demo's checkout, and how a manager writes a plan for it in the browser. */
import type { Page } from '@playwright/test';
import type { Obj } from './kube.ts';
import { planYaml } from './plan.ts';

const image = (tag: string) => `registry.example.com/shop/checkout:${tag}`;

const STEPS = [
  { weight: 20, bake: '10s', analysis: true },
  { weight: 60, bake: '8s', analysis: true },
  { weight: 100 },
];

export const CHECKOUT = {
  image,
  /** Fills the editor. */
  async write(page: Page, tag: string): Promise<void> {
    const name = `checkout-${tag.replaceAll('.', '-')}`;
    const text = planYaml({ name, service: 'checkout', image: image(tag), steps: STEPS });
    await page.getByLabel('YAML').fill(text);
  },
};

export function stepsOf(rollout: Obj): Obj {
  return rollout.spec.strategy.canary.steps;
}
