/** Writing a plan: every error at once, at its field; the same with JavaScript off. */
import { planYaml } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';

test('errors stand at their fields while one types, and nothing wrong can be saved', async ({ api, as }) => {
  const page = await as('release-manager');
  await page.goto('/plans/new?service=checkout');
  await expect(page.getByLabel('Service')).toHaveValue('checkout');
  const document = page.getByLabel(/same plan as YAML/);
  const steps = [{ weight: 60, bake: '1m' }, { weight: 20, bake: '1m' }, { weight: 100 }];
  await document.fill(planYaml({ name: 'falls', service: 'checkout', image: 'registry.example.com/shop/checkout:1.60.0', required: 0, steps }));
  const second = page.getByLabel('Weight, %').nth(1);
  await expect(second).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByLabel('Approvals needed')).toHaveAttribute('aria-invalid', 'true');
  // Each error in the summary leads to its field.
  await page.getByRole('alert').getByRole('link', { name: /steps\[1\]\.weight/ }).click();
  await expect(page).toHaveURL(/#spec-strategy-canary-steps-1-weight/);
  await page.getByRole('button', { name: 'Save the plan' }).click();
  await expect(page).toHaveURL(/\/plans\/new/);
  await expect(second).toHaveAttribute('aria-invalid', 'true');
  const { plans } = await api('viewer').must('/api/v1/plans');
  expect(plans.map((p: { name: string }) => p.name)).not.toContain('falls');

  await second.fill('80');
  await page.getByLabel('Approvals needed').fill('2');
  await expect(page.getByText(/no rule is broken/)).toBeVisible();
  await expect(second).not.toHaveAttribute('aria-invalid', 'true');
});

test('a weight that pods cannot make is told with what can be reached', async ({ as }) => {
  const page = await as('release-manager');
  await page.goto('/plans/new?service=cart');
  const steps = [{ weight: 1, bake: '1m' }, { weight: 100 }];
  const text = planYaml({ name: 'cart-fine', service: 'cart', image: 'registry.example.com/shop/cart:2.18.0', steps });
  const first = page.getByLabel('Weight, %').first();
  // What was typed before the script came is typed again.
  await expect(async () => {
    await page.getByLabel(/same plan as YAML/).fill('');
    await page.getByLabel(/same plan as YAML/).fill(text);
    await expect(first).toHaveValue('1', { timeout: 3_000 });
  }).toPass({ timeout: 60_000 });
  await expect(page.getByText(/6 replicas is 1 pod: 17\s%/).first()).toBeVisible();
  await expect(first).toHaveAttribute('aria-invalid', 'true');
  await first.fill('17');
  await expect(page.getByText(/no rule is broken/)).toBeVisible();
  await expect(first).not.toHaveAttribute('aria-invalid', 'true');
});

test('with JavaScript off a plan is checked, corrected and saved', async ({ as }) => {
  const page = await as('release-manager', { javaScriptEnabled: false });
  await page.goto('/plans/new?service=mailer');
  await page.goto('/plans/new?service=checkout');
  const steps = [{ weight: 60, bake: '1m' }, { weight: 20, bake: '1m' }, { weight: 100 }];
  const yaml = planYaml({ name: 'no-script', service: 'checkout', image: 'registry.example.com/shop/checkout:1.61.0', steps });
  await page.getByLabel(/same plan as YAML/).fill(yaml);
  await page.getByRole('button', { name: 'Save the plan' }).click();
  // Its own words come back, with what is wrong beside them.
  await expect(page.getByLabel('Weight, %').nth(1)).toHaveAttribute('aria-invalid', 'true');
  await page.getByLabel('Weight, %').nth(1).fill('80');
  await page.getByRole('button', { name: 'Check' }).click();
  await expect(page.getByText(/no rule is broken/)).toBeVisible();
  await page.getByRole('button', { name: 'Save the plan' }).click();
  await expect(page).toHaveURL(/\/plans\/\d+$/);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('no-script');
});

for (const javaScriptEnabled of [true, false]) {
  test(`a Deployment's plan is turned to another strategy by a press, JavaScript ${javaScriptEnabled ? 'on' : 'off'}`, async ({ as }) => {
    const page = await as('release-manager', { javaScriptEnabled });
    await page.goto('/plans/new?service=mailer');
    const document = page.getByLabel(/same plan as YAML/);
    const strategy = (name: string) => page.getByRole('group', { name: 'Strategy' }).getByRole('button', { name });
    await expect(strategy('Rolling')).toHaveAttribute('aria-pressed', 'true');
    await strategy('Blue-green').click();
    await expect(document).toHaveValue(/blueGreen:/);
    await expect(strategy('Blue-green')).toHaveAttribute('aria-pressed', 'true');
    await strategy('Canary').click();
    await expect(page.getByLabel('Weight, %').first()).toHaveValue('25');
    await expect(document).toHaveValue(/app: registry\.example\.com\/shop\/mailer/);
  });
}
