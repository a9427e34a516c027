/** Feature flags as services get them: through the published OpenFeature SDKs and their OFREP providers. */
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';
import { elsewhere } from '../lib/elsewhere.ts';
import { Flags } from '../lib/flags.ts';
import { python } from '../lib/python.ts';
import { expect, test as base } from '../lib/test.ts';
import { until, within } from '../lib/until.ts';

const FILE = `
new-tax: {enabled: true, percentage: 100, conditions: [{type: country, operator: in, value: 'DE, FR'}]}
half: {enabled: true, percentage: 50}
banner: {enabled: true, percentage: 100, variants: {warm: 'Hello', cold: 'Good day'}, default_variant: cold}
limit: {enabled: true, percentage: 100, variants: {high: 20, low: 5}, default_variant: low}
theme: {enabled: true, percentage: 100, variants: {dark: {back: black}, light: {back: white}}, default_variant: light}
`;
const USER = { targetingKey: 'user-1', country: 'DE' };
const KILLED_WITHIN = 5;

const test = base.extend<{ flags: Flags }>({
  flags: async ({ world }, use) => {
    const flags = await Flags.make(world, 'flags', FILE);
    await use(flags);
    await flags.remove();
  },
});

/** A client of the SDK for servers. */
async function server(url: string, secret: string) {
  const domain = `test-${secret.slice(-8)}`;
  await OpenFeature.setProviderAndWait(domain, new OFREPProvider({ baseUrl: url, headers: [['Authorization', `Bearer ${secret}`]] }));
  return OpenFeature.getClient(domain);
}

test('the SDK for servers reads every kind of flag, and a kill from the next question on', async ({ world, flags }) => {
  const client = await server(world.main.url, await flags.key('production'));
  expect(await client.getBooleanDetails('new-tax', false, USER)).toMatchObject({ value: true, variant: 'on', reason: 'TARGETING_MATCH' });
  expect(await client.getBooleanValue('new-tax', true, { targetingKey: 'user-1', country: 'GB' })).toBe(false);
  expect(await client.getStringValue('banner', '', USER)).toBe('Hello');
  expect(await client.getNumberValue('limit', 0, USER)).toBe(20);
  expect(await client.getObjectValue('theme', {}, USER)).toEqual({ back: 'black' });
  expect(await client.getBooleanDetails('nothing', true, USER)).toMatchObject({ value: true, errorCode: 'FLAG_NOT_FOUND' });
  expect(await client.getBooleanDetails('half', true, { country: 'DE' })).toMatchObject({ value: true, errorCode: 'TARGETING_KEY_MISSING' });
  expect(await client.getNumberDetails('banner', 1, USER)).toMatchObject({ value: 1, errorCode: 'TYPE_MISMATCH' });

  await flags.kill('new-tax');
  expect(await client.getBooleanDetails('new-tax', true, USER)).toMatchObject({ value: false, reason: 'DISABLED' });

  const stranger = await server(world.main.url, 'tgf_no-such-key');
  expect(await stranger.getBooleanDetails('new-tax', true, USER)).toMatchObject({ value: true, reason: 'ERROR' });
});

test('Python and JavaScript put the same users in a share', async ({ world, flags }) => {
  const secret = await flags.key();
  const client = await server(world.main.url, secret);
  const users = Array.from({ length: 60 }, (_, i) => ({ targetingKey: `user-${i}` }));
  const javascript = await Promise.all(users.map((user) => client.getBooleanValue('half', false, user)));
  const questions = [
    ['new-tax', false, USER],
    ['banner', '', USER],
    ['limit', 0, USER],
    ['theme', {}, USER],
    ['nothing', true, USER],
    ['half', true, { country: 'DE' }],
    ...users.map((user) => ['half', false, user]),
  ];
  const answers = (await python('flags.py', world.main.url, secret, JSON.stringify(questions))) as { value: unknown }[];
  expect(answers.slice(0, 6)).toEqual([
    { value: true, variant: 'on', reason: 'TARGETING_MATCH', error: null },
    { value: 'Hello', variant: 'warm', reason: 'STATIC', error: null },
    { value: 20, variant: 'high', reason: 'STATIC', error: null },
    { value: { back: 'black' }, variant: 'dark', reason: 'STATIC', error: null },
    { value: true, variant: null, reason: 'ERROR', error: 'FLAG_NOT_FOUND' },
    { value: true, variant: null, reason: 'ERROR', error: 'TARGETING_KEY_MISSING' },
  ]);
  expect(answers.slice(6).map((a) => a.value)).toEqual(javascript);
  const on = javascript.filter(Boolean).length;
  expect(on).toBeGreaterThan(15);
  expect(on).toBeLessThan(45);
});

/** What runs in the page of the other site. */
declare global {
  interface Window {
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    sdk: any;
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    flags: any;
    changes: string[][];
  }
}

test('a page of another site reads its flags, hears of a change and of a kill', async ({ world, flags, page }) => {
  const secret = await flags.key('production');
  const site = await elsewhere();
  try {
    const asked: { url: string; status: number; ifNoneMatch?: string }[] = [];
    page.on('response', async (response) => {
      const request = response.request();
      if (!request.url().startsWith(`${world.main.url}/ofrep/`) || request.method() !== 'POST') return;
      asked.push({ url: request.url(), status: response.status(), ifNoneMatch: request.headers()['if-none-match'] });
    });
    await page.goto(site.url);
    await page.waitForFunction(() => window.sdk);
    await within(
      'the provider is ready',
      20,
      page.evaluate(
        async ([baseUrl, key, user]) => {
          const { OpenFeature, OFREPWebProvider } = window.sdk;
          const headers = [['Authorization', `Bearer ${key}`]];
          await OpenFeature.setContext(user);
          await OpenFeature.setProviderAndWait(new OFREPWebProvider({ baseUrl, headers, cacheMode: 'disabled' }));
          window.flags = OpenFeature.getClient();
          window.changes = [];
          window.flags.addHandler('PROVIDER_CONFIGURATION_CHANGED', (e: { flagsChanged: string[] }) => window.changes.push(e.flagsChanged));
        },
        [world.main.url, secret, USER] as const,
      ),
    );
    const value = (key: string) => page.evaluate((flag) => window.flags.getBooleanValue(flag, false), key);
    const change = (n: number) => until(`the page hears of change ${n}`, () => page.evaluate((k) => window.changes[k - 1], n), 20);
    expect(await value('new-tax')).toBe(true);
    expect(await page.evaluate(() => window.flags.getStringValue('banner', ''))).toBe('Hello');
    expect(asked).toEqual([{ url: `${world.main.url}/ofrep/v1/evaluate/flags`, status: 200, ifNoneMatch: undefined }]);

    await flags.write(FILE.replace("warm: 'Hello'", "warm: 'Welcome'"));
    expect(await change(1)).toContain('banner');
    expect(await page.evaluate(() => window.flags.getStringValue('banner', ''))).toBe('Welcome');
    // It asked because it was told, and said what it knew.
    expect(asked[1]).toMatchObject({ status: 200, ifNoneMatch: expect.stringMatching(/^"/) });
    expect(asked[1].url).toMatch(/\?flagConfigEtag=[0-9a-f]+&flagConfigLastModified=\d+$/);

    const pressed = Date.now();
    await flags.kill('new-tax');
    expect(await change(2)).toContain('new-tax');
    expect((Date.now() - pressed) / 1000).toBeLessThan(KILLED_WITHIN);
    expect(await value('new-tax')).toBe(false);
  } finally {
    site.close();
  }
});

test('a page with a wrong key is told so once, and uses what its code says', async ({ world, page }) => {
  const site = await elsewhere();
  try {
    await page.goto(site.url);
    await page.waitForFunction(() => window.sdk);
    const told = await page.evaluate(async (baseUrl) => {
      const { OpenFeature, OFREPWebProvider } = window.sdk;
      const provider = new OFREPWebProvider({ baseUrl, headers: [['X-API-Key', 'tgf_no-such-key']], cacheMode: 'disabled' });
      const failed = await OpenFeature.setProviderAndWait(provider).then(
        () => 'ready',
        (error: { code?: string }) => error.code ?? String(error),
      );
      return { failed, value: OpenFeature.getClient().getBooleanValue('new-tax', true) };
    }, world.main.url);
    expect(told).toEqual({ failed: 'PROVIDER_FATAL', value: true });
  } finally {
    site.close();
  }
});
