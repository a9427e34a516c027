/** The demo's checkout, and how a manager writes a plan for it in the browser. */
import { expect, type Page } from '@playwright/test';
import type { Obj } from './kube.ts';
import { planYaml } from './plan.ts';

const image = (tag: string) => `registry.example.com/shop/checkout:${tag}`;

const STEPS = [
  { weight: 20, bake: '10s', analysis: true },
  { weight: 60, bake: '30s', analysis: true },
  { weight: 100 },
];

export const CHECKOUT = {
  image,
  /** Fills the editor: the document at first, then the form, each of which the other follows. */
  async write(page: Page, tag: string): Promise<void> {
    const name = `checkout-${tag.replaceAll('.', '-')}`;
    const document = page.getByLabel(/same plan as YAML/);
    await document.fill(planYaml({ name, service: 'checkout', image: image('0.0.0'), steps: STEPS }));
    await expect(page.getByLabel('Weight, %').nth(1)).toHaveValue('60');
    await expect(page.getByLabel('Name', { exact: true })).toHaveValue(name);
    await page.getByLabel('New image').fill(image(tag));
    await page.getByLabel('Bake').nth(1).fill('8s');
    await expect(document).toHaveValue(new RegExp(`checkout:${tag.replaceAll('.', '\\.')}`));
    await expect(document).toHaveValue(/bake: 8s/);
    await expect(page.getByText(/no rule is broken/)).toBeVisible();
  },
};

export function stepsOf(rollout: Obj): Obj {
  return rollout.spec.strategy.canary.steps;
}
