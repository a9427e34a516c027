/**
 * The keeper owns every process of a test run. It lives in Playwright's main process, so that a process started for one
 * test survives the worker that asked for it, and none survives the run: each is started through `setpriv --pdeathsig`.
 * Workers ask it over HTTP on the loopback.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { within } from './until.ts';

export interface Start {
  /** Unique among what runs; also names the log file. */
  name: string;
  command: string;
  args: string[];
  env?: Record<string, string>;
  /** Answer only when the program has printed its first line, and give that line. At most this many seconds. */
  firstLine?: number;
}

export interface Started {
  pid: number;
  log: string;
  line?: string;
}

interface Kept {
  child: ChildProcess;
  ended: Promise<void>;
}

export class Keeper {
  readonly #kept = new Map<string, Kept>();
  readonly #dir: string;
  #server?: Server;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async start({ name, command, args, env, firstLine }: Start): Promise<Started> {
    const old = this.#kept.get(name);
    if (old && old.child.exitCode === null && old.child.signalCode === null) {
      throw new Error(`${name} runs already`);
    }
    const log = `${this.#dir}/${name}.log`;
    const file = createWriteStream(log, { flags: 'a' });
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // a Ctrl-C in the terminal is ours to pass on
    });
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    this.#kept.set(name, { child, ended });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.stdout?.pipe(file, { end: false });
    child.stderr?.pipe(file, { end: false });
    void ended.then(() => file.end());
    const started: Started = { pid: child.pid ?? 0, log };
    if (firstLine !== undefined && child.stdout) {
      const lines = createInterface({ input: child.stdout });
      const first = new Promise<string>((resolve) => lines.once('line', resolve));
      const gone = ended.then(() => Promise.reject(new Error(`${name} ended:\n${tail(log)}`)));
      started.line = await within(`${name} is ready (its log: ${log})`, firstLine, Promise.race([first, gone]));
    }
    return started;
  }

  /** Sends a signal to a process that was started here, and with `tree` to its children too. */
  signal(name: string, signal: NodeJS.Signals): void {
    this.#kept.get(name)?.child.kill(signal);
  }

  /** Ends a process: politely at first. */
  async stop(name: string, signal: NodeJS.Signals = 'SIGTERM', seconds = 15): Promise<void> {
    const kept = this.#kept.get(name);
    if (!kept) return;
    kept.child.kill('SIGCONT');
    kept.child.kill(signal);
    try {
      await within(`${name} ends`, seconds, kept.ended);
    } catch {
      kept.child.kill('SIGKILL');
      await within(`${name} is killed`, 10, kept.ended);
    }
    this.#kept.delete(name);
  }

  /** Answers workers until `close`. */
  async serve(): Promise<string> {
    const server = createServer((request, response) => {
      this.#answer(request).then(
        (value) => response.end(JSON.stringify(value ?? {})),
        (error: Error) => {
          response.statusCode = 500;
          response.end(JSON.stringify({ error: error.message }));
        },
      );
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage): Promise<unknown> {
    let text = '';
    for await (const chunk of request) text += chunk;
    const body = JSON.parse(text || '{}');
    switch (request.url) {
      case '/start':
        return this.start(body);
      case '/signal':
        return this.signal(body.name, body.signal);
      case '/stop':
        return this.stop(body.name, body.signal, body.seconds);
      default:
        throw new Error(`the keeper knows no ${request.url}`);
    }
  }

  /** Ends everything, last started first. */
  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    this.#server?.close();
    for (const name of [...this.#kept.keys()].reverse()) await this.stop(name);
  }
}

/** The last lines of a log. */
export function tail(file: string, lines = 30): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '(no log)';
  }
}

/** What a worker asks of the keeper. */
export class KeeperClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async #ask(path: string, body: unknown): Promise<unknown> {
    const response = await fetch(this.#url + path, { method: 'POST', body: JSON.stringify(body) });
    const answer = (await response.json()) as { error?: string };
    if (!response.ok) throw new Error(answer.error);
    return answer;
  }

  async start(start: Start): Promise<Started> {
    return (await this.#ask('/start', start)) as Started;
  }
  async signal(name: string, signal: NodeJS.Signals): Promise<void> {
    await this.#ask('/signal', { name, signal });
  }
  async stop(name: string, signal: NodeJS.Signals = 'SIGTERM', seconds = 15): Promise<void> {
    await this.#ask('/stop', { name, signal, seconds });
  }
}
