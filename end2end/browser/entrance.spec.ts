/** First run on an empty database, and what stands between a stranger and an account. */
import type { Page } from '@playwright/test';
import { expect, test } from '../lib/test.ts';
import type { World } from '../lib/world.ts';

const PASSWORD = 'correct horse battery';
const EMAIL = 'first@example.com';

test.describe.serial('on an empty database', () => {
  let own: Awaited<ReturnType<World['own']>>;
  test.beforeAll(async ({ world }) => {
    own = await world.own('empty', { demo: false });
  });
  test.afterAll(() => own?.end());

  async function tryToSignIn(page: Page, password: string): Promise<void> {
    await page.goto(`${own.replica.url}/login`);
    await page.getByLabel('E-mail').fill(EMAIL);
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  }

  test('whoever comes first makes the first administrator, once', async ({ page }) => {
    await page.goto(`${own.replica.url}/`);
    await expect(page).toHaveURL(/\/(login|setup)/);
    await page.goto(`${own.replica.url}/setup`);
    await page.getByLabel(/^Your name/).fill('Ada First');
    await page.getByLabel('E-mail').fill(EMAIL);
    await page.getByLabel(/^Password/).fill('short');
    await page.getByRole('button', { name: 'Make the account' }).click();
    await expect(page.getByText(/at least 10 characters/).first()).toBeVisible();
    await page.getByLabel(/^Your name/).fill('Ada First');
    await page.getByLabel('E-mail').fill(EMAIL);
    await page.getByLabel(/^Password/).fill(PASSWORD);
    await page.getByRole('button', { name: 'Make the account' }).click();
    await expect(page).toHaveURL(`${own.replica.url}/`);
    await expect(page.getByText('administrator').first()).toBeVisible();

    const again = await page.goto(`${own.replica.url}/setup`);
    expect(again?.status()).toBe(410);
    await expect(page.getByRole('button', { name: 'Make the account' })).toHaveCount(0);
  });

  test('the session cookie is out of reach of scripts and of other sites', async ({ page, context }) => {
    await tryToSignIn(page, PASSWORD);
    await expect(page).not.toHaveURL(/login/);
    const cookies = await context.cookies();
    expect(cookies).toHaveLength(1);
    expect(cookies[0]).toMatchObject({ httpOnly: true, sameSite: 'Lax' });
    // A form on somebody else's page, sent with this cookie.
    const forged = await page.request.post(`${own.replica.url}/do/sign-out`, {
      headers: { origin: 'https://evil.example.com', 'sec-fetch-site': 'cross-site', accept: 'application/json' },
      form: {},
    });
    expect(forged.status()).toBe(403);
    await page.goto(`${own.replica.url}/services`);
    await expect(page).toHaveURL(/services/);
  });

  test('failed sign-ins are limited, and then even the right password waits', async ({ page }) => {
    await tryToSignIn(page, 'not the password');
    await expect(page.getByText(/do not go together/)).toBeVisible();
    for (let i = 0; i < 9; i++) await tryToSignIn(page, `guess number ${i}`);
    await tryToSignIn(page, 'one too many');
    await expect(page.getByText(/Too many failed sign-ins. Wait ten minutes/)).toBeVisible();
    await tryToSignIn(page, PASSWORD);
    await expect(page.getByText(/Too many failed sign-ins/)).toBeVisible();
    await expect(page).toHaveURL(/login/);
  });
});

test('a stranger is sent to the sign-in page and back to where they were going', async ({ page, world }) => {
  await page.goto(`${world.main.url}/releases?state=failed`);
  await expect(page).toHaveURL(/\/login\?next=/);
  await page.getByRole('button', { name: 'Sign in as viewer' }).click();
  await expect(page).toHaveURL(`${world.main.url}/releases?state=failed`);
});
