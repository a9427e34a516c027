/**
 * A world to test in: a sandbox cluster with the demo, a Postgres of its own (so that it can be frozen and killed without
 * the cluster), and `tidegate serve`. Made once in a run by `setup.ts`; a worker finds it by the file that
 * TIDEGATE_WORLD names, and can start more of each.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { KeeperClient, tail } from './keeper.ts';
import { Kube } from './kube.ts';
import { until } from './until.ts';

/** The content of `world.json`. */
export interface WorldFile {
  dir: string;
  keeper: string;
  /** Built by `cargo xtask build`. */
  binaries: { tidegate: string; sandbox: string; site: string };
  /** `sandbox.json` */
  sandbox: {
    admin_kubeconfig: string;
    tidegate_kubeconfig: string;
    apiserver_url: string;
    prometheus_url: string;
    traffic_url: string;
    audit_log: string;
    bin_dir: string;
    pids: Record<string, number>;
  };
  tidegate?: ReplicaFile;
}

/** A running `tidegate serve`, as told to other processes. */
export interface ReplicaFile {
  name: string;
  url: string;
  port: number;
  pid: number;
  log: string;
  data: string;
  database: string;
}

export interface ReplicaOptions {
  name: string;
  database: string;
  /** Directory for what must outlive the process; default: one of its own. */
  data?: string;
  demo?: boolean;
  env?: Record<string, string>;
}

/** A port of the loopback that was free a moment ago, outside the range people use by hand. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class World {
  readonly file: WorldFile;
  readonly keeper: KeeperClient;
  readonly kube: Kube;

  constructor(file: WorldFile) {
    this.file = file;
    this.keeper = new KeeperClient(file.keeper);
    this.kube = new Kube(file.sandbox.admin_kubeconfig);
  }

  /** The world of this run. */
  static find(): World {
    const file = process.env.TIDEGATE_WORLD;
    if (!file) throw new Error('TIDEGATE_WORLD is not set: run the tests with `npx playwright test`');
    return new World(JSON.parse(readFileSync(file, 'utf8')));
  }

  get auditLog(): string {
    return this.file.sandbox.audit_log;
  }

  /** The replica that tests share. */
  get main(): Replica {
    if (!this.file.tidegate) throw new Error('this world has no tidegate');
    return new Replica(this, this.file.tidegate, true);
  }

  /** A Postgres of the caller's own. */
  async postgres(name: string): Promise<Postgres> {
    const postgres = new Postgres(this, name);
    await postgres.start();
    return postgres;
  }

  /** A Postgres and a `tidegate serve` of the caller's own: to count in, to break, or to find empty. */
  async own(prefix: string, options: Partial<ReplicaOptions> = {}): Promise<{ postgres: Postgres; replica: Replica; end: () => Promise<void> }> {
    const name = `${prefix}-${randomBytes(2).toString('hex')}`;
    const postgres = await this.postgres(`postgres-${name}`);
    const replica = await this.replica({ name, database: postgres.url, ...options });
    const end = async () => {
      await replica.stop();
      await postgres.stop();
    };
    return { postgres, replica, end };
  }

  /** Starts `tidegate serve` and waits until it is ready. */
  async replica(options: ReplicaOptions): Promise<Replica> {
    const data = options.data ?? `${this.file.dir}/data-${options.name}`;
    mkdirSync(data, { recursive: true });
    const port = await freePort();
    const file = { name: options.name, url: `http://127.0.0.1:${port}`, port, pid: 0, log: '', data, database: options.database };
    const replica = new Replica(this, file, options.demo ?? true, options.env);
    await replica.start();
    return replica;
  }
}

/** A Postgres server that a test may freeze, kill and start again. */
export class Postgres {
  url = '';
  pid = 0;
  readonly #world: World;
  readonly #name: string;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#name = name;
  }

  async start(): Promise<void> {
    const { line } = await this.#world.keeper.start({
      name: this.#name,
      command: this.#world.file.binaries.sandbox,
      args: ['postgres', '--data', `${this.#world.file.dir}/${this.#name}`],
      firstLine: 60,
    });
    const ready = JSON.parse(line ?? '{}');
    this.url = ready.url;
    this.pid = ready.pid;
  }

  /** The server and its backends, by the kernel's word. */
  #processes(): number[] {
    const file = `/proc/${this.pid}/task/${this.pid}/children`;
    const children = readFileSync(file, 'utf8').split(/\s+/).filter(Boolean).map(Number);
    return [this.pid, ...children];
  }

  /** SIGSTOP: connections stay open, new ones are accepted by the kernel, and nothing ever answers. */
  freeze(): void {
    // The server first, so that it starts no backend that would be missed.
    process.kill(this.pid, 'SIGSTOP');
    for (const pid of this.#processes()) process.kill(pid, 'SIGSTOP');
  }

  thaw(): void {
    for (const pid of this.#processes()) process.kill(pid, 'SIGCONT');
  }

  /** Stopped as by a crash of the machine. */
  async kill(): Promise<void> {
    await this.#world.keeper.stop(this.#name, 'SIGKILL');
    await until('Postgres is gone', () => readdirSync('/proc').every((p) => p !== String(this.pid)), 10);
  }

  async stop(): Promise<void> {
    await this.#world.keeper.stop(this.#name);
  }
}

/** One `tidegate serve`. */
export class Replica {
  readonly file: ReplicaFile;
  readonly #world: World;
  readonly #demo: boolean;
  readonly #env: Record<string, string>;

  constructor(world: World, file: ReplicaFile, demo: boolean, env: Record<string, string> = {}) {
    this.#world = world;
    this.file = file;
    this.#demo = demo;
    this.#env = env;
  }

  get url(): string {
    return this.file.url;
  }

  /** The environment that `serve` and the other commands run with. */
  get env(): Record<string, string> {
    const { sandbox, binaries } = this.#world.file;
    return {
      TIDEGATE_LISTEN: `127.0.0.1:${this.file.port}`,
      TIDEGATE_REPLICA: this.file.name,
      TIDEGATE_DATA: this.file.data,
      TIDEGATE_SITE: binaries.site,
      TIDEGATE_CLUSTER: 'sandbox',
      TIDEGATE_PROMETHEUS: sandbox.prometheus_url,
      // Receivers of notifications are on this machine, and their secrets worth nothing.
      TIDEGATE_NOTIFY_LOOPBACK: '1',
      TIDEGATE_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
      TIDEGATE_DEMO: this.#demo ? '1' : '0',
      KUBECONFIG: sandbox.tidegate_kubeconfig,
      DATABASE_URL: this.file.database,
      TIDEGATE_OWNER_DATABASE_URL: this.file.database,
      ...(process.env.RUST_LOG ? { RUST_LOG: process.env.RUST_LOG } : {}),
      ...this.#env,
    };
  }

  /**
   * Starts it (again) and waits until it says that it is ready. With a failpoint it may die before that: `fell` tells.
   * A failpoint is a place in the program and what happens there: `announced:deploy=kill`.
   */
  async start(failpoint?: string): Promise<void> {
    const { tidegate } = this.#world.file.binaries;
    const started = await this.#world.keeper.start({
      name: this.file.name,
      command: tidegate,
      args: ['serve'],
      env: { ...this.env, TIDEGATE_FAILPOINT: failpoint ?? '' },
    });
    this.file.pid = started.pid;
    this.file.log = started.log;
    if (!failpoint) return this.ready();
    const either = async () => this.gone || (await this.#health('/readyz')).ok;
    await until(`${this.file.name} is ready, or came to ${failpoint}`, either, 60);
  }

  /** The process is no more. */
  get gone(): boolean {
    return !existsSync(`/proc/${this.file.pid}`);
  }

  /** Waits until it has died at this place, by its own hand. */
  async fell(place: string, seconds = 60): Promise<void> {
    await until(`${this.file.name} dies at ${place}`, () => this.gone, seconds);
    // So that it may be started again.
    await this.#world.keeper.stop(this.file.name, 'SIGKILL');
    await until(`${this.file.name} says that it died at ${place}`, () => tail(this.file.log, 5).includes(`failpoint ${place}:`), 5);
  }

  /** The state of the process by the kernel's word: `T` while it is stopped. */
  get state(): string {
    return /\) (\S)/.exec(readFileSync(`/proc/${this.file.pid}/stat`, 'utf8'))?.[1] ?? '';
  }

  /** As if its disk had gone with it. */
  loseJournal(): void {
    for (const name of readdirSync(this.file.data)) if (name.startsWith('journal-')) rmSync(`${this.file.data}/${name}`);
  }

  /** SIGCONT. */
  async wake(): Promise<void> {
    await this.#world.keeper.signal(this.file.name, 'SIGCONT');
  }

  async ready(seconds = 60): Promise<void> {
    try {
      await until(`${this.file.name} is ready`, async () => (await this.#health('/readyz')).ok, seconds);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${tail(this.file.log)}`);
    }
  }

  #health(path: string): Promise<Response> {
    return fetch(this.url + path, { signal: AbortSignal.timeout(5_000) });
  }

  /** SIGKILL: no chance to tidy up. */
  async kill(): Promise<void> {
    await this.#world.keeper.stop(this.file.name, 'SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#world.keeper.stop(this.file.name);
  }

  /** Runs another command of the binary with the same settings, and gives what it printed. */
  command(...args: string[]): string {
    return execFileSync(this.#world.file.binaries.tidegate, args, {
      env: { ...process.env, ...this.env },
      encoding: 'utf8',
      timeout: 30_000,
    });
  }

  /** Rollbacks that are on disk and not yet in the chain: those accepted less those merged. */
  get unmerged(): number {
    const open = new Set<string>();
    for (const name of readdirSync(this.file.data)) {
      if (!/^journal-.*\.ndjson$/.test(name)) continue;
      for (const line of readFileSync(`${this.file.data}/${name}`, 'utf8').split('\n').filter(Boolean)) {
        const record = JSON.parse(line);
        if (record.intent) open.add(record.intent.attempt);
        if (record.merged) open.delete(record.merged);
      }
    }
    return open.size;
  }

  /** One token for each role, as the demo wrote them. */
  get tokens(): Record<string, string> {
    return JSON.parse(readFileSync(`${this.file.data}/demo-tokens.json`, 'utf8'));
  }
}
