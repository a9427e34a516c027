/** Python programs of the tests, with the packages that `python/requirements.txt` names: installed once, beside the other caches. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const DIR = fileURLToPath(new URL('../python/', import.meta.url));
const PYTHON = process.env.PYTHON ?? 'python3';

/** Where the packages are, for PYTHONPATH. */
function packages(): string {
  const wanted = `${DIR}requirements.txt`;
  const cache = process.env.TIDEGATE_CACHE ?? `${homedir()}/.cache/tidegate`;
  const version = execFileSync(PYTHON, ['--version'], { encoding: 'utf8', timeout: 30_000 });
  const digest = createHash('sha256').update(readFileSync(wanted)).update(version).digest('hex').slice(0, 12);
  const target = `${cache}/python/${digest}`;
  if (existsSync(target)) return target;
  const made = `${target}.${process.pid}`;
  mkdirSync(made, { recursive: true });
  execFileSync(
    PYTHON,
    ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--target', made, '--requirement', wanted],
    { stdio: ['ignore', 'ignore', 'inherit'], timeout: 240_000 },
  );
  // Whoever was quicker did the same.
  if (existsSync(target)) rmSync(made, { recursive: true });
  else renameSync(made, target);
  return target;
}

/** Runs a program of `python/`; what it prints is JSON. */
export async function python(program: string, ...args: string[]): Promise<unknown> {
  const env = { ...process.env, PYTHONPATH: packages(), PYTHONDONTWRITEBYTECODE: '1' };
  const { stdout } = await promisify(execFile)(PYTHON, [`${DIR}${program}`, ...args], { env, timeout: 60_000 });
  return JSON.parse(stdout);
}
