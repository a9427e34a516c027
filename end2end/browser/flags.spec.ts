/** Feature flags: listed, asked, killed on a phone, kept off whoever writes the file, revived with a reason. */
import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { randomBytes } from 'node:crypto';
import { rows } from '../lib/api.ts';
import { expect, test as base } from '../lib/test.ts';
import { until } from '../lib/until.ts';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
/** As long as one may well be, and without a place to break it. */
const LONG = `recommender${'x'.repeat(69)}`;

const FILE = `# Ours, with a word to whoever reads it.
checkout-new-tax:
  enabled: true
  percentage: 31.0 # rising
  environment: production
  owner: shop
  description: New tax engine
  expires_at: 2027-11-30
  conditions:
    - {type: country, operator: in, value: "DE, FR"}
checkout-express:
  enabled: false
  percentage: 0
search-typo-fix:
  enabled: true
  percentage: 100
  owner: search
${LONG}:
  enabled: true
  percentage: 5
`;

/** A ConfigMap of flags in a namespace of the test's own. */
class Flags {
  constructor(
    readonly namespace: string,
    readonly read: () => Promise<string>,
    /** Writes it past Tidegate, as kubectl would. */
    readonly write: (text: string) => Promise<void>,
  ) {}
  path(key: string): string {
    return `/flags/sandbox/${this.namespace}/${key}`;
  }
}

const test = base.extend<{ flags: (text?: string) => Promise<Flags> }>({
  flags: async ({ world }, use) => {
    const made: string[] = [];
    await use(async (text = FILE) => {
      const namespace = `flags-${randomBytes(3).toString('hex')}`;
      made.push(namespace);
      await world.kube.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      const maps = `/api/v1/namespaces/${namespace}/configmaps`;
      const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'feature-flags' }, data: { 'flags.yaml': text } };
      await world.kube.create(maps, map);
      return new Flags(
        namespace,
        async () => (await world.kube.get(`${maps}/feature-flags`)).data['flags.yaml'],
        async (text) => {
          await world.kube.patch(`${maps}/feature-flags`, { data: { 'flags.yaml': text } });
        },
      );
    });
    for (const namespace of made) await world.kube.delete(`/api/v1/namespaces/${namespace}`).catch(() => {});
  },
});

/** Opens a page again until it shows what was brought to the cluster a moment ago. */
async function shows(page: Page, path: string, words: string | RegExp): Promise<void> {
  await expect(async () => {
    await page.goto(path);
    await expect(page.getByRole('main')).toContainText(words, { timeout: 1_000 });
  }).toPass({ timeout: 30_000 });
}

async function clean(page: Page): Promise<void> {
  const before = page.viewportSize();
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
      const found = violations.map((v) => `${v.id}: ${v.help} ${v.nodes.map((n) => n.html.slice(0, 160)).join('\n')}`);
      expect(found, `${page.url()} ${colorScheme} ${width}`).toEqual([]);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wide, `${page.url()} scrolls sideways at ${width}`).toBeLessThanOrEqual(0);
    }
  }
  if (before) await page.setViewportSize(before);
}

const killSwitch = (page: Page) => page.getByRole('button', { name: /^Kill switch/ }).filter({ visible: true });

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with' : 'without';
  test(`flags are listed, searched and asked who gets them, ${how} JavaScript`, async ({ as, flags }) => {
    const { namespace, path } = await flags().then((f) => ({ namespace: f.namespace, path: (key: string) => f.path(key) }));
    const page = await as('viewer', { javaScriptEnabled });
    await shows(page, `/flags?q=${namespace}`, 'checkout-new-tax');
    const row = (key: string) => page.getByRole('row').filter({ hasText: key });
    await expect(row('checkout-new-tax')).toContainText('On, in part');
    await expect(row('checkout-new-tax')).toContainText('31 %');
    await expect(row('checkout-new-tax')).toContainText('production');
    await expect(row('checkout-new-tax')).toContainText('outside Tidegate');
    await expect(row('checkout-express')).toContainText('Off');
    if (javaScriptEnabled) await clean(page);
    await page.getByRole('button', { name: 'Off 1', exact: true }).click();
    await expect(page).toHaveURL(/show=off/);
    await expect(row('checkout-express')).toBeVisible();
    await expect(row('checkout-new-tax')).toHaveCount(0);
    // Enter keeps what was chosen.
    await page.getByLabel('Find').fill(`${namespace} tax`);
    await page.getByLabel('Find').press('Enter');
    await expect(page).toHaveURL(/show=off/);
    await expect(page.getByText('No flag matches')).toBeVisible();
    await page.getByRole('button', { name: 'All 1', exact: true }).click();
    await row('checkout-new-tax').getByRole('link').click();

    await expect(page.getByRole('heading', { level: 1 })).toContainText('checkout-new-tax');
    const who = page.getByRole('region', { name: 'Who gets it?' });
    const ask = async (context: string, environment = 'production') => {
      await who.getByLabel('Who asks, as JSON').fill(context);
      await who.getByLabel('Environment').fill(environment);
      await who.getByRole('button', { name: 'Who gets it?' }).click();
    };
    // Bucket 30.56 of 100 is that of flagd, too: within 31.
    await ask('{"targetingKey": "user-48132", "country": "US"}');
    await expect(who.getByRole('status')).toContainText('off');
    await expect(who.getByText('Not passed: ').first()).toBeAttached();
    const asked = new URL(page.url());
    expect(asked.searchParams.get('environment')).toBe('production');
    // The address is the question: it can be sent to somebody.
    await page.goto(asked.pathname + asked.search);
    await expect(who.getByRole('status')).toContainText('off');
    await expect(who.getByLabel('Who asks, as JSON')).toHaveValue('{"targetingKey": "user-48132", "country": "US"}');
    await ask('{"targetingKey": "user-48132", "country": "DE"}', 'staging');
    await expect(who.getByRole('status')).toContainText(/off/);
    await ask('no JSON');
    await expect(who.getByRole('alert')).toContainText('JSON');
    await expect(who.getByLabel('Who asks, as JSON')).toHaveAttribute('aria-invalid', 'true');
    if (javaScriptEnabled) await clean(page);
    await page.goto(path(LONG));
    await expect(page.getByRole('heading', { level: 1 })).toContainText(LONG);
    if (javaScriptEnabled) await clean(page);
  });
}

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with' : 'without';
  test(`on-call kills a flag on a phone, nobody turns it on but a person with a reason, ${how} JavaScript`, async ({ api, as, flags }) => {
    const map = await flags();
    const page = await as('on-call', { ...PHONE, javaScriptEnabled });
    const path = map.path('checkout-new-tax');
    await shows(page, path, 'On for 31 %');
    await killSwitch(page).click();
    const panel = page.getByRole('dialog').filter({ visible: true });
    await expect(panel).toContainText('Turn checkout-new-tax off for everybody?');
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    await panel.getByLabel('Reason (optional)').fill('wrong rounding in FR');
    await panel.getByRole('button', { name: 'Turn it off now' }).click();
    const banner = page.getByText(/^Killed .* by Jun Sato: off for everybody\.$/);
    await expect(banner).toBeVisible();
    await expect(page.getByText('“wrong rounding in FR”')).toBeVisible();
    await expect(killSwitch(page)).toHaveCount(0);
    const killed = await until('the ConfigMap says so', async () => {
      const text = await map.read();
      return /enabled: false\b[\s\S]*killed:/.test(text.split('checkout-express')[0]!) && text;
    });
    expect(killed, 'comments stay').toContain('# rising');
    expect(killed).toContain('# Ours, with a word to whoever reads it.');

    // Somebody turns it on past Tidegate: it is put back.
    await map.write(FILE);
    await until('it is put back', async () => (await map.read()).includes('killed:'), 30);
    await shows(page, path, /Killed .* by Jun Sato/);

    // Without a reason nothing happens; with one it is freed, and stays off.
    await page.getByText('Revive this flag').click();
    await page.getByRole('button', { name: 'Revive it' }).click();
    await expect(banner).toBeVisible();
    await page.getByLabel('Why it may be used again').fill('the rounding is mended');
    await page.getByRole('button', { name: 'Revive it' }).click();
    await expect(banner).toHaveCount(0);
    await expect(page.getByText('Off: nobody gets it.')).toBeVisible();
    const freed = await until('the mark is gone from the file', async () => {
      const text = await map.read();
      return !text.includes('killed:') && text;
    });
    expect(freed.split('checkout-express')[0]).toContain('enabled: false');
    await map.write(FILE);
    await shows(page, path, 'On for 31 %');
    await expect(page.getByRole('region', { name: 'Who changed it' })).toContainText('changed outside Tidegate');
    const told = rows(await api('viewer').must('/api/v1/audit?action=flag.&limit=1000')).filter((e) => e.detail?.namespace === map.namespace && e.actor === 'Jun Sato');
    expect(told.map((e) => [e.action, e.actor, e.reason])).toEqual([
      ['flag.killed', 'Jun Sato', 'wrong rounding in FR'],
      ['flag.revived', 'Jun Sato', 'the rounding is mended'],
    ]);
    expect(await api('viewer').must('/api/v1/audit/verify')).toMatchObject({ ok: true });
  });
}

test('a page that stands open tells a kill, and who looks only may not press it', async ({ as, flags }) => {
  const map = await flags();
  const viewer = await as('viewer');
  const path = map.path('search-typo-fix');
  await shows(viewer, path, 'On for everybody');
  await expect(killSwitch(viewer)).toHaveAttribute('aria-disabled', 'true');
  await expect(viewer.getByText(/^Kill switch: As viewer you may not/)).toBeVisible();
  const past = await viewer.request.post('/do/kill-flag', {
    form: { cluster: 'sandbox', namespace: map.namespace, key: 'search-typo-fix' },
    headers: { origin: new URL(viewer.url()).origin, accept: 'application/json' },
  });
  expect(past.status()).toBe(403);
  expect(await map.read()).toBe(FILE);

  const manager = await as('release-manager');
  await manager.goto(path);
  await killSwitch(manager).click();
  await clean(manager);
  await manager.getByRole('dialog').filter({ visible: true }).getByRole('button', { name: 'Turn it off now' }).click();
  await expect(viewer.getByText(/^Killed .* by Mara Lind: off for everybody\.$/)).toBeVisible();
  await expect(viewer.getByText(/^Revive it: As viewer you may not/)).toBeVisible();
  await clean(manager);
});

test('a file with faults leaves the last good flags served, and says what is wrong', async ({ as, flags }) => {
  const map = await flags();
  const page = await as('viewer');
  await shows(page, `/flags?q=${map.namespace}`, 'checkout-new-tax');
  await map.write(FILE.replace('percentage: 31.0', 'percentage: 310'));
  // The page stands open.
  const banner = page.getByRole('alert').filter({ hasText: map.namespace });
  await expect(banner).toContainText('has a fault', { timeout: 30_000 });
  await expect(banner).toContainText('checkout-new-tax.percentage');
  await expect(banner).toContainText('The last good flags stay served');
  await expect(page.getByRole('row').filter({ hasText: 'checkout-new-tax' })).toContainText('31 %');
  await clean(page);
  await page.goto(map.path('checkout-new-tax'));
  await expect(page.getByRole('alert')).toContainText('has a fault');
  await map.write(FILE);
  await expect(page.getByRole('alert')).toHaveCount(0, { timeout: 30_000 });
});

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? 'with' : 'without';
  test(`a key for a service is shown once and can be withdrawn, ${how} JavaScript`, async ({ as, flags }) => {
    const map = await flags();
    const name = `checkout of ${map.namespace}`;
    const admin = await as('administrator', { javaScriptEnabled });
    await shows(admin, `/flags?q=${map.namespace}`, 'checkout-new-tax');
    await admin.getByRole('link', { name: 'New key' }).click();
    await admin.getByLabel(/^Name:/).fill(' ');
    await admin.getByLabel(/^Namespace/).selectOption({ label: `${map.namespace} / sandbox` });
    await admin.getByLabel(/^Environment/).fill('production');
    await admin.getByRole('button', { name: 'Make the key' }).click();
    await expect(admin.getByLabel(/^Name:/)).toHaveAttribute('aria-invalid', 'true');
    await expect(admin.getByLabel(/^Namespace/)).toHaveValue(`sandbox/${map.namespace}`);
    if (javaScriptEnabled) await clean(admin);
    await admin.getByLabel(/^Name:/).fill(name);
    const answered = admin.waitForResponse((r) => r.request().method() === 'POST');
    await admin.getByRole('button', { name: 'Make the key' }).click();
    expect((await answered).headers()['cache-control']).toBe('no-store');
    await expect(admin.getByRole('heading', { level: 1 })).toHaveText('A new key, shown this once');
    const secret = await admin.getByLabel('The key').inputValue();
    expect(secret).toMatch(/^tgf_[0-9a-f]{48}$/);
    expect(admin.url()).not.toContain(secret);
    if (javaScriptEnabled) await clean(admin);
    await admin.getByRole('link', { name: 'I have put it away' }).click();
    const keys = admin.getByRole('region', { name: 'Keys of services' });
    const row = keys.getByRole('listitem').filter({ hasText: name });
    await expect(row).toHaveCount(1);
    await expect(row).toContainText('In use');
    expect(await admin.content()).not.toContain(secret);
    await row.getByText('Withdraw…').click();
    await row.getByRole('button', { name: `Withdraw the key ${name}` }).click();
    await expect(row).toContainText('Withdrawn');
    await expect(row.getByText('Withdraw…')).toHaveCount(0);

    const onCall = await as('on-call');
    await onCall.goto('/flags');
    await expect(onCall.getByRole('region', { name: 'Keys of services' })).toHaveCount(0);
    await onCall.goto('/flags/keys/new');
    await expect(onCall.getByRole('button', { name: 'Make the key' })).toHaveCount(0);
  });
}
