/** The API server's own audit log: what was really written to the cluster, by whom, in which order. */
import { readFileSync } from 'node:fs';
import type { Obj } from './kube.ts';

export interface Write {
  /** When the API server took the request. */
  at: Date;
  /** When it had stored it and answered: milliseconds since 1970, with their fractions. */
  stored: number;
  user: string;
  verb: string;
  resource: string;
  subresource?: string;
  namespace: string;
  name: string;
  code: number;
  body: Obj;
}

export interface Wanted {
  namespace?: string;
  name?: string;
  resource?: string;
  /** Only writes by Tidegate's own service account. */
  tidegate?: boolean;
}

const TIDEGATE = 'system:serviceaccount:tidegate:tidegate';

/** RFC 3339 with microseconds, which `Date` would cut off. */
function milliseconds(time: string): number {
  return Date.parse(time) + Number(`0.${/\.\d{3}(\d+)/.exec(time)?.[1] ?? 0}`);
}

/** Every write that was taken and matches, oldest first. */
export function writes(auditLog: string, wanted: Wanted): Write[] {
  const found: Write[] = [];
  for (const line of readFileSync(auditLog, 'utf8').split('\n')) {
    if (!line || (wanted.name && !line.includes(wanted.name))) continue;
    let event: Obj;
    try {
      event = JSON.parse(line);
    } catch {
      continue; // the last line may still be on its way
    }
    const ref = event.objectRef ?? {};
    const write: Write = {
      at: new Date(event.requestReceivedTimestamp),
      stored: milliseconds(event.stageTimestamp),
      user: event.user?.username ?? '',
      verb: event.verb,
      resource: ref.resource,
      subresource: ref.subresource,
      namespace: ref.namespace,
      name: ref.name,
      code: event.responseStatus?.code ?? 0,
      body: event.requestObject,
    };
    if (write.code >= 300 || event.stage !== 'ResponseComplete') continue;
    // A trial is stored nowhere.
    if (/[?&]dryRun=/.test(event.requestURI ?? '')) continue;
    if (wanted.namespace && write.namespace !== wanted.namespace) continue;
    if (wanted.name && write.name !== wanted.name) continue;
    if (wanted.resource && write.resource !== wanted.resource) continue;
    if (wanted.tidegate && write.user !== TIDEGATE) continue;
    found.push(write);
  }
  return found.sort((a, b) => a.at.getTime() - b.at.getTime());
}

/**
 * What a write by Tidegate did to a workload, with what makes it one of a kind: `deploy`, `open pause 1`, `abort`,
 * `revert`, `restore steps`; to a canary Deployment `create`, `scale 2`, `delete`; to what sends users there `weight 5`, or `join`
 * and `part` where that is a user's HTTPRoute, or `copy 40` and `part`; to a Service `select mailer`. `void` changes nothing but the mark. Applying the same one
 * twice for one release is the fault that tests look for.
 */
export function effectOf(write: Write): string {
  if (write.verb === 'create' || write.verb === 'delete') return write.verb;
  const ops: Obj[] = Array.isArray(write.body) ? write.body : [];
  const at = (path: string, op?: string) => ops.find((o) => o.path === path && (!op || o.op === op));
  const scaled = at('/spec/replicas', 'replace') ?? at('/spec/replicas', 'add');
  if (scaled) return `scale ${scaled.value}`;
  if (at('/status/blueGreen/activeSelector', 'test') && at('/status/pauseConditions', 'remove')) return 'switch';
  if (at('/status/pauseConditions', 'remove')) return `open pause ${at('/status/currentStepIndex', 'test')?.value}`;
  if (at('/status/abort')) return 'abort';
  if (at('/status/promoteFull')) return 'promote full';
  if (ops.some((o) => o.op !== 'test' && /^\/spec\/template\/spec\/.*\/image$/.test(o.path))) return 'deploy';
  if (at('/spec/template', 'replace')) return 'revert';
  if (ops.some((o) => o.op !== 'test' && /^\/spec\/strategy\/(canary\/steps|blueGreen\/)/.test(o.path))) return 'restore steps';
  if (at('/spec/paused')) return at('/spec/paused')?.value ? 'pause' : 'unpause';
  const shared = share(ops.filter((o) => o.op !== 'test'));
  if (shared) return shared;
  // Only a mark: an attempt that nobody saw can no longer happen.
  if (ops.every((o) => o.op === 'test' || o.path.startsWith('/metadata/annotations'))) return 'void';
  return `unknown: ${JSON.stringify(write.body)}`;
}

/** What happens to the share of the second Deployment: in a canary Ingress, in an HTTPRoute, or in a Service. */
function share(ops: Obj[]): string | undefined {
  const weight = ops.find((o) => o.path === '/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight');
  if (weight) return `weight ${weight.value}`;
  const selector = ops.find((o) => o.path.startsWith('/spec/selector/'));
  if (selector) return `select ${selector.value}`;
  const filter = ops.find((o) => /^\/spec\/rules\/\d+\/filters/.test(o.path));
  if (filter) return filter.op === 'remove' ? 'part' : `copy ${[filter.value].flat()[0].requestMirror.percent}`;
  const backends = ops.filter((o) => /^\/spec\/rules\/\d+\/backendRefs/.test(o.path));
  if (backends.some((o) => o.op === 'remove' && /\d$/.test(o.path))) return 'part';
  if (backends.some((o) => o.path.endsWith('/-'))) return 'join';
  // The user's own first, then ours.
  return backends.length > 0 ? `weight ${backends.at(-1)?.value}` : undefined;
}

/** The weights that the controller gave the router for a Rollout's canary, with the time, oldest first. */
export function routerWeights(auditLog: string, namespace: string, ingress: string): { at: Date; weight: number }[] {
  return writes(auditLog, { namespace, name: ingress, resource: 'ingresses' }).flatMap((write) => {
    const found = /canary-weight":"(\d+)"/.exec(JSON.stringify(write.body ?? ''));
    return found ? [{ at: write.at, weight: Number(found[1]) }] : [];
  });
}
