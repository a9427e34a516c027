/** What `./run` starts: it serves within the promised time, keeps its data, and leaves nothing behind, however it ends. */
import { mkdirSync, chmodSync, existsSync, readFileSync, statSync } from 'node:fs';
import { Api, ROLES } from '../lib/api.ts';
import { planYaml } from '../lib/plan.ts';
import { expect, test } from '../lib/test.ts';
import { until } from '../lib/until.ts';
import { freePort } from '../lib/world.ts';

/** Seconds to a working control plane with everything built, on two idle cores. Tests share the machine: hence twice. */
const WARM = 40 * 2;

const gone = (pid: number) => !existsSync(`/proc/${pid}`);

test('the demo world is up in time, finds its data again, and dies with its parent', async ({ world }) => {
  test.setTimeout(300_000);
  const { binaries } = world.file;
  const data = `${world.file.dir}/run`;
  mkdirSync(data);
  chmodSync(data, 0o711);
  const port = await freePort();
  const name = 'run';
  const args = ['run', '--tidegate', binaries.tidegate, '--site', binaries.site, '--data', data, '--port', String(port)];
  const url = `http://127.0.0.1:${port}`;
  const up = async () => {
    const began = Date.now();
    // A DATABASE_URL of the machine's own would win over the world's.
    await world.keeper.start({ name, command: binaries.sandbox, args, env: { DATABASE_URL: '', KUBECONFIG: '' } });
    await until('Tidegate serves', async () => (await fetch(`${url}/readyz`)).ok, WARM);
    return (Date.now() - began) / 1000;
  };
  const tokens = () => JSON.parse(readFileSync(`${data}/demo-tokens.json`, 'utf8'));
  const manager = () => new Api(url, tokens()['release-manager']);

  const first = await up();
  expect(Object.keys(tokens()).sort()).toEqual([...ROLES].sort());
  expect(statSync(`${data}/demo-tokens.json`).mode & 0o777).toBe(0o600);
  const body = planYaml({ name: 'kept', service: 'checkout', image: 'registry.example.com/shop/checkout:1.44.0' });
  const { digest } = await manager().must('/api/v1/plans', { body });

  // SIGKILL of the parent: no process of its world may live on.
  const { pids } = JSON.parse(readFileSync(`${data}/sandbox/sandbox.json`, 'utf8')) as { pids: Record<string, number> };
  await world.keeper.stop(name, 'SIGKILL');
  await until('every process is gone', () => Object.values(pids).every(gone), 20);
  await until('nobody serves', async () => fetch(`${url}/healthz`).then(() => false, () => true), 10);

  const second = await up();
  const { plans } = await manager().must('/api/v1/plans');
  expect(plans).toHaveLength(1);
  expect(plans[0]).toMatchObject({ name: 'kept', digest });
  test.info().annotations.push({ type: 'ready', description: `${first.toFixed(1)} s the first time, ${second.toFixed(1)} s the second` });

  // SIGTERM: in order, and all of it.
  const again = JSON.parse(readFileSync(`${data}/sandbox/sandbox.json`, 'utf8')).pids as Record<string, number>;
  await world.keeper.stop(name, 'SIGTERM', 40);
  expect(Object.entries(again).filter(([, pid]) => !gone(pid))).toEqual([]);
});
