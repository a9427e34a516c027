/** The people of the demo, and how they sign in. */
import { expect, type Page } from '@playwright/test';
import type { Role } from './api.ts';

export const PASSWORD = 'tidegate-demo';

export const PEOPLE: Record<Role, { email: string; name: string }> = {
  viewer: { email: 'viewer@demo.tidegate.dev', name: 'Vera Holm' },
  'release-manager': { email: 'manager@demo.tidegate.dev', name: 'Mara Lind' },
  approver: { email: 'approver@demo.tidegate.dev', name: 'Ayo Okafor' },
  'on-call': { email: 'oncall@demo.tidegate.dev', name: 'Jun Sato' },
  administrator: { email: 'admin@demo.tidegate.dev', name: 'Ada Brandt' },
};

/** Signs in by the form, as a person does. Works with and without JavaScript. */
export async function signIn(page: Page, role: Role, base = ''): Promise<void> {
  await page.goto(`${base}/login`);
  await page.getByLabel('E-mail').fill(PEOPLE[role].email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page).not.toHaveURL(/\/login/);
}
