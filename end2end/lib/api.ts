/** Tidegate's REST API, as a program outside uses it. */
import type { Obj } from './kube.ts';
import type { Replica } from './world.ts';
import { Never, until } from './until.ts';

export const ROLES = ['viewer', 'release-manager', 'approver', 'on-call', 'administrator'] as const;
export type Role = (typeof ROLES)[number];

export interface Answer {
  status: number;
  type: string;
  /** Parsed where it is JSON, else the text. */
  body: Obj;
  headers: Headers;
}

export interface Ask {
  method?: string;
  body?: string | Uint8Array | Obj;
  type?: string;
  token?: string | null;
  headers?: Record<string, string>;
  seconds?: number;
}

/** The states in which a release is over. */
export const ENDED = ['rolled_back', 'succeeded', 'failed', 'cancelled'];

export class Api {
  readonly url: string;
  readonly #token: string | null;

  constructor(url: string, token: string | null) {
    this.url = url;
    this.#token = token;
  }

  static as(replica: Replica, role: Role): Api {
    return new Api(replica.url, replica.tokens[role]);
  }

  async ask(path: string, { method, body, type, token = this.#token, headers = {}, seconds = 20 }: Ask = {}): Promise<Answer> {
    const sent: Record<string, string> = { ...headers };
    if (token) sent.authorization = `Bearer ${token}`;
    let bytes: string | Uint8Array | undefined;
    if (typeof body === 'string' || body instanceof Uint8Array) {
      bytes = body;
      sent['content-type'] = type ?? 'application/yaml';
    } else if (body !== undefined) {
      bytes = JSON.stringify(body);
      sent['content-type'] = type ?? 'application/json';
    }
    const response = await fetch(this.url + path, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: sent,
      body: bytes as BodyInit | undefined,
      redirect: 'manual',
      signal: AbortSignal.timeout(seconds * 1000),
    });
    const text = await response.text();
    const kind = response.headers.get('content-type') ?? '';
    let parsed: Obj = text;
    if (kind.includes('json') && !kind.includes('ndjson')) parsed = JSON.parse(text);
    return { status: response.status, type: kind, body: parsed, headers: response.headers };
  }

  /** Like `ask`, and fails unless the answer is a success. */
  async must(path: string, ask: Ask = {}): Promise<Obj> {
    const answer = await this.ask(path, ask);
    if (answer.status >= 300) {
      throw new Error(`${ask.method ?? (ask.body === undefined ? 'GET' : 'POST')} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }

  release(id: number): Promise<Obj> {
    return this.must(`/api/v1/releases/${id}`);
  }

  /** Waits until a release is in one of these states. Fails at once when it has ended in another. */
  until(id: number, states: string[], seconds = 60): Promise<Obj> {
    let last: Obj;
    return until(
      `release ${id} is ${states.join(' or ')}`,
      async () => {
        last = await this.release(id);
        if (states.includes(last.state)) return last;
        if (ENDED.includes(last.state)) throw new Never('it has ended otherwise.');
        return undefined;
      },
      seconds,
    ).catch((error: Error) => {
      const seen = last ? ` It is ${last.state} (${last.reason ?? last.note ?? 'no words'}).` : '';
      throw new Error(error.message + seen);
    });
  }

  async events(id: number): Promise<Obj[]> {
    const all: Obj[] = [];
    for (let after = 0; ; ) {
      const page: Obj[] = rows(await this.must(`/api/v1/audit?after=${after}&release=${id}`));
      if (page.length === 0) return all;
      all.push(...page);
      after = page[page.length - 1].seq;
    }
  }
}

/** A list's rows, whether it is bare or wrapped. */
export function rows(body: Obj): Obj[] {
  if (Array.isArray(body)) return body;
  return body.items ?? body.rows ?? body.events ?? body.releases ?? body.workloads ?? [];
}
