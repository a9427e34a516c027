/** A workload of the test's own: a Rollout behind an nginx Ingress in a namespace of its own, Healthy on 1.0.0. */
import { randomBytes } from 'node:crypto';
import { canaryWeight, imageOf, type Kube, type Obj } from './kube.ts';
import type { PlanOptions } from './plan.ts';
import { until } from './until.ts';

export interface ServiceOptions {
  replicas?: number;
  /** Requests per second of its simulated users. */
  rps?: number;
  /** Only its namespace has a random name: for pictures. */
  plain?: boolean;
}

export class Service {
  readonly kube: Kube;
  readonly name: string;
  readonly namespace: string;

  private constructor(kube: Kube, name: string, namespace: string) {
    this.kube = kube;
    this.name = name;
    this.namespace = namespace;
  }

  static async make(kube: Kube, prefix: string, { replicas = 3, rps = 60, plain }: ServiceOptions = {}): Promise<Service> {
    const unique = `${prefix}-${randomBytes(3).toString('hex')}`;
    const service = new Service(kube, plain ? prefix : unique, unique);
    await service.#create(replicas, rps);
    await kube.healthy(service.namespace, service.name);
    return service;
  }

  async #create(replicas: number, rps: number): Promise<void> {
    const { kube, name, namespace } = this;
    await kube.create('/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { environment: 'production' } },
    });
    await until('the namespace can run pods', () => kube.get(`/api/v1/namespaces/${namespace}/serviceaccounts/default`), 20);
    for (const service of [name, this.canaryService]) {
      await kube.create(`/api/v1/namespaces/${namespace}/services`, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: service },
        spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
      });
    }
    const backend = { service: { name, port: { number: 80 } } };
    await kube.create(`/apis/networking.k8s.io/v1/namespaces/${namespace}/ingresses`, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: { name },
      spec: {
        ingressClassName: 'nginx',
        rules: [{ host: `${name}.example.com`, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }],
      },
    });
    await kube.create(`/apis/argoproj.io/v1alpha1/namespaces/${namespace}/rollouts`, {
      apiVersion: 'argoproj.io/v1alpha1',
      kind: 'Rollout',
      metadata: { name, labels: { app: name }, annotations: { 'sandbox.tidegate.dev/rps': String(rps) } },
      spec: {
        replicas,
        selector: { matchLabels: { app: name } },
        strategy: {
          canary: {
            stableService: name,
            canaryService: this.canaryService,
            maxSurge: '50%',
            maxUnavailable: 0,
            trafficRouting: { nginx: { stableIngress: name } },
            steps: [{ setWeight: 50 }, { pause: {} }],
          },
        },
        template: {
          metadata: { labels: { app: name } },
          spec: { containers: [{ name: 'app', image: this.image('1.0.0'), ports: [{ name: 'http', containerPort: 8080 }] }] },
        },
      },
    });
  }

  get canaryService(): string {
    return `${this.name}-canary`;
  }
  /** The Ingress that the controller keeps for the canary's share. */
  get canaryIngress(): string {
    return `${this.name}-${this.name}-canary`;
  }
  image(tag: string): string {
    return `registry.example.com/e2e/${this.name}:${tag}`;
  }

  /** A plan to bring `tag`, to be completed by what the test is about. */
  plan(tag: string): PlanOptions {
    return {
      name: `${this.name}-${tag.replaceAll('.', '-')}`,
      service: this.name,
      image: this.image(tag),
      workload: { namespace: this.namespace, name: this.name },
    };
  }

  rollout(): Promise<Obj> {
    return this.kube.rollout(this.namespace, this.name);
  }
  async runs(): Promise<string> {
    return imageOf(await this.rollout());
  }

  /** Brings a version past Tidegate, as somebody with kubectl would, and waits until it carries all traffic. */
  async bring(tag: string): Promise<void> {
    const before = await this.rollout();
    const path = `/apis/argoproj.io/v1alpha1/namespaces/${this.namespace}/rollouts/${this.name}`;
    const image = { op: 'replace', path: '/spec/template/spec/containers/0/image', value: this.image(tag) };
    const patched = await this.kube.patch(path, [image], 'json');
    // A full promotion sent before the controller has seen the new template is lost.
    await until('the new template is observed', async () => {
      const { status } = await this.rollout();
      return Number(status.observedGeneration) >= patched.metadata.generation && status.currentPodHash !== before.status.currentPodHash;
    });
    await this.kube.patch(`${path}/status`, { status: { promoteFull: true } });
    await this.settledOn(tag);
  }

  /** Waits until all traffic is on `tag` and nothing moves. */
  settledOn(tag: string, seconds = 60): Promise<Obj> {
    return until(
      `${this.name} is Healthy on ${tag}`,
      async () => {
        const rollout = await this.rollout();
        const s = rollout.status ?? {};
        const still =
          s.phase === 'Healthy' &&
          s.stableRS === s.currentPodHash &&
          Number(s.observedGeneration) >= rollout.metadata.generation &&
          canaryWeight(rollout) === 0;
        return still && imageOf(rollout) === this.image(tag) && rollout;
      },
      seconds,
    );
  }

  /** Records the canary's weight, as the controller tells it, until `end` is called. */
  async watch(): Promise<{ weights: { at: Date; weight: number; aborted: boolean }[]; end: () => void }> {
    const weights: { at: Date; weight: number; aborted: boolean }[] = [];
    const end = await this.kube.watchRollout(this.namespace, this.name, (rollout) => {
      const seen = { at: new Date(), weight: canaryWeight(rollout), aborted: rollout.status?.abort === true };
      const last = weights.at(-1);
      if (!last || last.weight !== seen.weight || last.aborted !== seen.aborted) weights.push(seen);
    });
    return { weights, end };
  }

  /** Takes the workload and everything around it away. */
  async remove(): Promise<void> {
    const rollouts = `/apis/argoproj.io/v1alpha1/namespaces/${this.namespace}/rollouts/${this.name}`;
    await this.kube.delete(rollouts).catch(() => {});
    await this.kube.delete(`/api/v1/namespaces/${this.namespace}`).catch(() => {});
  }
}
