/** Makes the world that a run tests in, and ends it. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Keeper } from './keeper.ts';
import { World, type WorldFile } from './world.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Where `cargo xtask build` put things; TIDEGATE_RELEASE=1 takes the optimised ones. TIDEGATE_BINARIES names a directory
 * with `tidegate`, `sandbox` and `site` instead: what was built elsewhere, or a copy that no build disturbs.
 */
function binaries(): WorldFile['binaries'] {
  const dir = process.env.TIDEGATE_BINARIES;
  if (dir) return { tidegate: `${dir}/tidegate`, sandbox: `${dir}/sandbox`, site: `${dir}/site` };
  const args = ['run', '--quiet', '--package', 'xtask', '--', 'where'];
  if (process.env.TIDEGATE_RELEASE) args.push('--release');
  const text = execFileSync('cargo', args, { cwd: ROOT, encoding: 'utf8', timeout: 600_000 });
  const found = Object.fromEntries(text.trim().split('\n').map((line) => line.split('=', 2) as [string, string]));
  return { tidegate: found.tidegate, sandbox: found.sandbox, site: found.site };
}

export default async function setup(): Promise<() => Promise<void>> {
  const began = Date.now();
  const say = (words: string) => console.log(`    ${((Date.now() - began) / 1000).toFixed(1)}s  ${words}`);
  const dir = mkdtempSync(`${process.env.TIDEGATE_TEST_TMP ?? tmpdir()}/tidegate-e2e-`);
  chmodSync(dir, 0o711); // Postgres runs as a user of its own and must reach its data
  const keeper = new Keeper(dir);
  const end = async () => {
    await keeper.close();
    if (process.env.KEEP_LOGS) console.log(`    logs: ${dir}`);
    else rmSync(dir, { recursive: true, force: true });
  };
  try {
    const built = binaries();
    const up = keeper.start({
      name: 'sandbox',
      command: built.sandbox,
      args: ['up', '--data', `${dir}/sandbox`, '--demo'],
      firstLine: 400,
    });
    const url = await keeper.serve();
    const { line } = await up;
    say('sandbox cluster and demo world ready');
    const file: WorldFile = { dir, keeper: url, binaries: built, sandbox: JSON.parse(line ?? '{}') };
    const world = new World(file);
    const postgres = await world.postgres('postgres');
    say('Postgres ready');
    file.tidegate = (await world.replica({ name: 'tidegate', database: postgres.url })).file;
    say(`tidegate serves on ${file.tidegate.url}`);
    process.env.TIDEGATE_WORLD = `${dir}/world.json`;
    writeFileSync(process.env.TIDEGATE_WORLD, JSON.stringify(file, null, 2));
    return end;
  } catch (error) {
    await end();
    throw error;
  }
}
