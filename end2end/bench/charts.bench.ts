/**
 * Live charts: what a delta costs the browser where each chart has 1,000 points. A release's page has three charts and a strip of
 * verdicts; four such pages in frames of one tab, on one main thread, are twelve charts. Points come four times a second, as fast
 * as the server sends them. The time is that from a delta's arrival until the next task: parsing, drawing, and putting it in place.
 */
import { execFileSync } from 'node:child_process';
import { figures, HEAD, row } from '../lib/stats.ts';
import { signIn } from '../lib/people.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

const POINTS = 1_000;
const FRAMES = 4;
const DELTAS = Number(process.env.BENCH_N ?? 60);
/** Milliseconds between two points. */
const EVERY = 300;
/** Time for one frame at 60 a second, in milliseconds. */
const GOAL = 16;

/** Samples as the sampler would have stored them, `n` of them ending now. */
function samples(release: number, n: number): string {
  const side = (share: number, errors: string, p95: string) => `600 * ${share}, 600 * ${share} * (${errors}), ${p95}`;
  const wave = '(0.004 + 0.003 * sin(i / 17.0) + 0.002 * random())';
  const slow = '(180 + 12 * sin(i / 23.0) + 6 * random())';
  return `insert into samples (release, at, step, weight,
      stable_requests, stable_errors, stable_p95_ms, canary_requests, canary_errors, canary_p95_ms,
      stable_recent_requests, stable_recent_errors, stable_recent_p95_ms,
      canary_recent_requests, canary_recent_errors, canary_recent_p95_ms)
    select ${release}, clock_timestamp() - make_interval(secs => (${n} - i) * 3), 0, 20,
      5000, 20, 180, 1000, 4, 181, ${side(0.8, wave, slow)}, ${side(0.2, wave, `${slow} + 4`)}
    from generate_series(1, ${n}) i;
    select pg_notify('tidegate', '{"topic":"release:${release}"}');`;
}

// A trace takes a picture of the whole document again and again, on the thread that is measured.
test.use({ trace: 'off' });

test(`a delta on ${FRAMES} pages of three charts with ${POINTS} points`, async ({ world, service, release, browser }) => {
  const { replica, postgres, end } = await world.own('charts');
  const sql = (text: string) => execFileSync('psql', ['-qAt', '-v', 'ON_ERROR_STOP=1', '-c', text, postgres.url], { stdio: 'pipe' });
  const web = await service('charts');
  const { release: id } = await release(
    { ...web.plan('1.1.0'), steps: [{ weight: 20, bake: '30m', analysis: true }, { weight: 100 }] },
    replica,
  );
  const context = await browser.newContext({ bypassCSP: true, viewport: { width: 1280, height: 900 } });
  try {
    await until('it is measured', () => Number(sql(`select count(*) from samples where release = ${id}`).toString()) > 0);
    sql(samples(id, POINTS));
    const page = await context.newPage();
    await signIn(page, 'viewer', replica.url);
    // Pages may not be framed; here they must be.
    await context.route(/\/releases\/\d+$/, async (route) => {
      const response = await route.fetch();
      const headers = { ...response.headers() };
      for (const name of ['x-frame-options', 'content-security-policy', 'cross-origin-opener-policy']) delete headers[name];
      await route.fulfill({ response, headers });
    });
    await context.addInitScript(() => {
      const times: { at: number; took: number }[] = [];
      Object.assign(window, { times });
      const add = EventSource.prototype.addEventListener;
      EventSource.prototype.addEventListener = function (this: EventSource, kind: string, heard: unknown, ...rest: unknown[]) {
        const timed = (event: Event) => {
          const began = performance.now();
          const channel = new MessageChannel();
          channel.port1.onmessage = () => {
            if (kind === 'release') times.push({ at: performance.timeOrigin + began, took: performance.now() - began });
          };
          (heard as (event: Event) => void).call(this, event);
          channel.port2.postMessage(0);
        };
        return (add as (...all: unknown[]) => void).call(this, kind, timed, ...rest);
      } as typeof add;
    });
    await page.goto(`${replica.url}/services`);
    await page.evaluate(
      ([src, n]) => {
        document.body.replaceChildren(
          ...Array.from({ length: Number(n) }, () => Object.assign(document.createElement('iframe'), { src, width: 1100, height: 800 })),
        );
      },
      [`/releases/${id}`, FRAMES] as const,
    );
    const frames = await until('each frame is there', async () => {
      const all = page.frames().filter((f) => f.url().endsWith(`/releases/${id}`));
      return all.length === FRAMES && all;
    });
    for (const frame of frames) {
      // Script has taken over: the charts can be reached by keyboard.
      await expect(frame.locator('.plots[tabindex="0"]')).toBeVisible({ timeout: 60_000 });
      const lines = await frame.locator('polyline.canary').evaluateAll((all) => all.map((l) => l.getAttribute('points')!.trim().split(' ').length));
      expect(Math.max(...lines)).toBeGreaterThan(POINTS * 0.7);
    }
    const read = () => Promise.all(frames.map((f) => f.evaluate(() => (window as unknown as { times: { at: number; took: number }[] }).times)));
    const before = (await read()).map((t) => t.length);
    for (let i = 0; i < DELTAS; i++) {
      sql(samples(id, 1));
      await page.waitForTimeout(EVERY);
    }
    const all = await until('every frame has heard most of them', async () => {
      const times = (await read()).map((t, i) => t.slice(before[i]));
      return times.every((t) => t.length >= DELTAS * 0.6) && times;
    });
    const one = all.flat().map((t) => t.took);
    // What all frames did within the same quarter of a second: one delta on every page.
    const rounds = new Map<number, number>();
    for (const t of all.flat()) rounds.set(Math.floor(t.at / 250), (rounds.get(Math.floor(t.at / 250)) ?? 0) + t.took);
    const together = figures([...rounds.values()]);
    console.log([HEAD, row('one page, three charts', figures(one)), row('four pages, twelve charts', together)].join('\n'));
    if (process.env.TIDEGATE_RELEASE) expect(together.p90, `milliseconds of ${GOAL}`).toBeLessThan(GOAL);
  } finally {
    await context.close();
    await end();
  }
});
