/** The Kubernetes API with a cluster-admin's client certificate: for arranging a test's workload, and for looking. */
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { until } from './until.ts';

/** Any Kubernetes object; tests know what they read. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Obj = any;

const ROLLOUTS = (ns: string) => `/apis/argoproj.io/v1alpha1/namespaces/${ns}/rollouts`;

const PATCHES = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
};

export class Kube {
  readonly #base: string;
  readonly #agent: https.Agent;

  constructor(kubeconfig: string) {
    const config = JSON.parse(readFileSync(kubeconfig, 'utf8'));
    const cluster = config.clusters[0].cluster;
    const user = config.users[0].user;
    const bytes = (base64: string) => Buffer.from(base64, 'base64');
    this.#base = cluster.server;
    this.#agent = new https.Agent({
      ca: bytes(cluster['certificate-authority-data']),
      cert: bytes(user['client-certificate-data']),
      key: bytes(user['client-key-data']),
      keepAlive: true,
    });
  }

  #open(method: string, path: string, type?: string): { request: import('node:http').ClientRequest } {
    const headers = type ? { 'content-type': type } : {};
    return { request: https.request(this.#base + path, { method, agent: this.#agent, headers }) };
  }

  /** One call. Fails on an answer that is no success, with the API server's words. */
  async call(method: string, path: string, body?: unknown, type = 'application/json'): Promise<Obj> {
    const { request } = this.#open(method, path, body === undefined ? undefined : type);
    request.setTimeout(20_000, () => request.destroy(new Error(`${method} ${path}: no answer within 20 s`)));
    const answer = new Promise<Obj>((resolve, reject) => {
      request.once('error', reject);
      request.once('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          const object = JSON.parse(Buffer.concat(chunks).toString('utf8'));
          if ((response.statusCode ?? 500) < 300) resolve(object);
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${object.message}`));
        });
      });
    });
    request.end(body === undefined ? undefined : JSON.stringify(body));
    return answer;
  }

  get(path: string): Promise<Obj> {
    return this.call('GET', path);
  }
  create(path: string, object: Obj): Promise<Obj> {
    return this.call('POST', path, object);
  }
  patch(path: string, body: unknown, kind: keyof typeof PATCHES = 'merge'): Promise<Obj> {
    return this.call('PATCH', path, body, PATCHES[kind]);
  }
  delete(path: string): Promise<Obj> {
    return this.call('DELETE', path);
  }

  rollout(ns: string, name: string): Promise<Obj> {
    return this.get(`${ROLLOUTS(ns)}/${name}`);
  }
  patchRollout(ns: string, name: string, body: unknown, kind: keyof typeof PATCHES = 'merge'): Promise<Obj> {
    return this.patch(`${ROLLOUTS(ns)}/${name}`, body, kind);
  }

  /** Waits until a Rollout is Healthy on its newest spec, and gives it. */
  healthy(ns: string, name: string, seconds = 60): Promise<Obj> {
    return until(
      `Rollout ${ns}/${name} is Healthy`,
      async () => {
        const rollout = await this.rollout(ns, name);
        return isHealthy(rollout) && rollout;
      },
      seconds,
    );
  }

  /** Watches one Rollout; `seen` gets every state that the API server tells. Returns how to end it. */
  watchRollout(ns: string, name: string, seen: (rollout: Obj) => void): Promise<() => void> {
    return this.watch(`${ROLLOUTS(ns)}?watch=1&fieldSelector=metadata.name=${name}`, seen);
  }

  /** Calls `seen` with each object as it is now; `gone` with those that are deleted. */
  async watch(path: string, seen: (object: Obj) => void, gone = (_: Obj) => {}): Promise<() => void> {
    const { request } = this.#open('GET', path);
    await new Promise<void>((resolve, reject) => {
      request.once('error', reject);
      request.once('response', (response) => {
        response.on('error', () => {}); // ended by us
        const lines = createInterface({ input: response }).on('error', () => {});
        lines.on('line', (line) => {
          const { type, object } = JSON.parse(line);
          (type === 'DELETED' ? gone : seen)(object);
        });
        resolve();
      });
      request.end();
    });
    request.on('error', () => {});
    return () => request.destroy();
  }
}

export function isHealthy(rollout: Obj): boolean {
  const s = rollout.status ?? {};
  return (
    s.phase === 'Healthy' &&
    Number(s.observedGeneration) >= rollout.metadata.generation &&
    s.stableRS === s.currentPodHash
  );
}

/** Image of the container `app`, else of the first. */
export function imageOf(rollout: Obj): string {
  const containers: Obj[] = rollout.spec.template.spec.containers;
  return (containers.find((c) => c.name === 'app') ?? containers[0]).image;
}

/** Share of traffic that the router gives to the canary, in percent. */
export function canaryWeight(rollout: Obj): number {
  return rollout.status?.canary?.weights?.canary?.weight ?? 0;
}
