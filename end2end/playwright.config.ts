import { defineConfig } from '@playwright/test';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

export default defineConfig({
  globalSetup: './lib/setup.ts',
  outputDir: './test-results',
  // Two cores are shared with a whole control plane: more browsers than that only make every wait longer.
  workers: 2,
  fullyParallel: false,
  forbidOnly: !!process.env.CI,
  // On a shared machine a browser can starve. What passes only at the second try is listed as flaky, to be mended.
  retries: process.env.CI ? 1 : 0,
  timeout: 120_000,
  expect: { timeout: 15_000 },
  reporter: [['list']],
  use: {
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
    actionTimeout: 15_000,
    navigationTimeout: 20_000,
    reducedMotion: 'reduce',
    launchOptions: {
      executablePath: CHROMIUM,
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  projects: [
    { name: 'api', testDir: './api' },
    { name: 'browser', testDir: './browser' },
    { name: 'chaos', testDir: './chaos' },
    // A measurement shares the machine with nothing.
    { name: 'bench', testDir: './bench', testMatch: '*.bench.ts', workers: 1, timeout: 900_000 },
  ],
});
