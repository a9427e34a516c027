/** Workloads of other kinds, in the namespace of a test's own service. */
import type { Obj } from './kube.ts';
import type { Service } from './service.ts';
import { until } from './until.ts';

/** Deployments of its namespace. */
export const MAILER = (web: Service) => `/apis/apps/v1/namespaces/${web.namespace}/deployments`;

export function mailerOf(web: Service): Promise<Obj> {
  return web.kube.get(`${MAILER(web)}/mailer`);
}

/** A Deployment `mailer` on 1.0.0; unless told otherwise slow enough to be held in the middle, whatever dies meanwhile. */
export async function deployment(web: Service, { replicas, minReadySeconds } = { replicas: 5, minReadySeconds: 4 }): Promise<Obj> {
  const labels = { app: 'mailer' };
  await web.kube.create(MAILER(web), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'mailer', labels },
    spec: {
      replicas,
      minReadySeconds,
      strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: web.image('1.0.0') }] } },
    },
  });
  return until('the Deployment is available', async () => {
    const seen = await mailerOf(web);
    return seen.status?.availableReplicas === replicas && seen;
  });
}

const ROUTES = (web: Service) => `/apis/gateway.networking.k8s.io/v1/namespaces/${web.namespace}/httproutes`;

/** What the owner of the HTTPRoute `mailer` has written. */
export async function routeOf(web: Service): Promise<Obj> {
  const route = await web.kube.get(`${ROUTES(web)}/mailer`);
  return { annotations: route.metadata.annotations, spec: route.spec };
}

/** Users of the Deployment `mailer` come by a Service and one rule of an HTTPRoute. */
export async function behindRoute(web: Service): Promise<Obj> {
  await web.kube.create(`/api/v1/namespaces/${web.namespace}/services`, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'mailer' },
    spec: { selector: { app: 'mailer' }, ports: [{ port: 80 }] },
  });
  await web.kube.create(ROUTES(web), {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'mailer' },
    spec: { rules: [{ backendRefs: [{ name: 'mailer', port: 80 }] }] },
  });
  return routeOf(web);
}

/** A blue-green Rollout `search` with its two Services, Healthy on 1.0.0. */
export async function blueGreen(web: Service, settings: Obj = { autoPromotionEnabled: false }): Promise<Obj> {
  const labels = { app: 'search' };
  for (const name of ['search', 'search-preview']) {
    await web.kube.create(`/api/v1/namespaces/${web.namespace}/services`, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name },
      spec: { selector: labels, ports: [{ port: 80 }] },
    });
  }
  await web.kube.create(`/apis/argoproj.io/v1alpha1/namespaces/${web.namespace}/rollouts`, {
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Rollout',
    metadata: { name: 'search', labels },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      strategy: { blueGreen: { activeService: 'search', previewService: 'search-preview', ...settings } },
      template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: web.image('1.0.0') }] } },
    },
  });
  return web.kube.healthy(web.namespace, 'search');
}

/** A plan to bring 2.0.0 to it. */
export function mailerPlan(web: Service, strategy: string): string {
  return [
    'apiVersion: tidegate.dev/v1',
    'kind: Plan',
    `metadata: {name: mailer-2, service: mailer, environment: production}`,
    'spec:',
    `  change: {images: {app: "${web.image('2.0.0')}"}}`,
    `  strategy: ${strategy}`,
    `  workload: {namespace: ${web.namespace}, kind: Deployment, name: mailer}`,
    '  approvals: {required: 1, from: [approver], expire: 24h}',
    '',
  ].join('\n');
}

/** The same for `search`. */
export function searchPlan(web: Service, strategy: string): string {
  return mailerPlan(web, strategy).replaceAll('mailer', 'search').replace('kind: Deployment', 'kind: Rollout');
}
