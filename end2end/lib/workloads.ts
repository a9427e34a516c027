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
const INGRESSES = (web: Service) => `/apis/networking.k8s.io/v1/namespaces/${web.namespace}/ingresses`;
const SERVICES = (web: Service) => `/api/v1/namespaces/${web.namespace}/services`;

/** What the owner of an object has written. */
async function written(web: Service, path: string): Promise<Obj> {
  const { metadata, spec } = await web.kube.get(path);
  return { annotations: metadata.annotations, spec };
}

async function serviceOf(web: Service): Promise<void> {
  await web.kube.create(SERVICES(web), {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'mailer' },
    spec: { selector: { app: 'mailer' }, ports: [{ port: 80 }] },
  });
}

/** Users of the Deployment `mailer` come by a Service. Gives how to read what its owner has written; a mark of ours stays there. */
export async function behindService(web: Service): Promise<() => Promise<Obj>> {
  await serviceOf(web);
  return async () => (await written(web, `${SERVICES(web)}/mailer`)).spec;
}

/** Users of the Deployment `mailer` come by a Service and one rule of an HTTPRoute. Gives how to read that. */
export async function behindRoute(web: Service): Promise<() => Promise<Obj>> {
  await serviceOf(web);
  await web.kube.create(ROUTES(web), {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'mailer' },
    spec: { rules: [{ backendRefs: [{ name: 'mailer', port: 80 }] }] },
  });
  return () => written(web, `${ROUTES(web)}/mailer`);
}

/** Users of the Deployment `mailer` come by a Service and one path of an nginx Ingress. Gives how to read that. */
export async function behindIngress(web: Service): Promise<() => Promise<Obj>> {
  await serviceOf(web);
  const backend = { service: { name: 'mailer', port: { number: 80 } } };
  await web.kube.create(INGRESSES(web), {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name: 'mailer' },
    spec: {
      ingressClassName: 'nginx',
      rules: [{ host: `mailer.${web.namespace}.example.com`, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }],
    },
  });
  return () => written(web, `${INGRESSES(web)}/mailer`);
}

/** What Tidegate has made in the namespace and not taken away: `deployments mailer-tidegate`. */
export async function leftOf(web: Service): Promise<string[]> {
  const lists = [MAILER(web), SERVICES(web), INGRESSES(web)];
  const all = await Promise.all(lists.map(async (list) => {
    const { items } = await web.kube.get(list);
    const ours = items.filter((o: Obj) => o.metadata.name === 'mailer-tidegate');
    return ours.map((o: Obj) => `${list.split('/').at(-1)} ${o.metadata.name}`);
  }));
  return all.flat();
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

/** A plan to bring a version to it. */
export function mailerPlan(web: Service, strategy: string, tag = '2.0.0'): string {
  return [
    'apiVersion: tidegate.dev/v1',
    'kind: Plan',
    `metadata: {name: mailer-${tag.replaceAll('.', '-')}, service: mailer, environment: production}`,
    'spec:',
    `  change: {images: {app: "${web.image(tag)}"}}`,
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
