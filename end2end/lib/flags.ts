/** Feature flags of the test's own: a ConfigMap `feature-flags` in a namespace of its own, and keys to ask for them with. */
import { randomBytes } from 'node:crypto';
import { Api } from './api.ts';
import { until } from './until.ts';
import type { World } from './world.ts';

export class Flags {
  readonly namespace: string;
  readonly #world: World;

  private constructor(world: World, namespace: string) {
    this.#world = world;
    this.namespace = namespace;
  }

  static async make(world: World, prefix: string, text: string): Promise<Flags> {
    const flags = new Flags(world, `${prefix}-${randomBytes(3).toString('hex')}`);
    const { namespace } = flags;
    await world.kube.create('/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { environment: 'production' } },
    });
    await world.kube.create(`/api/v1/namespaces/${namespace}/configmaps`, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'feature-flags' },
      data: { 'flags.yaml': text },
    });
    await until('the flags are served', async () => {
      const { files } = await Api.as(world.main, 'viewer').must('/api/v1/flags');
      return files.some((f: { namespace: string; changed: unknown }) => f.namespace === namespace && f.changed);
    });
    return flags;
  }

  /** Changes the file with kubectl's rights, past Tidegate. */
  async write(text: string): Promise<void> {
    await this.#world.kube.patch(`/api/v1/namespaces/${this.namespace}/configmaps/feature-flags`, { data: { 'flags.yaml': text } });
  }

  /** A key's secret. */
  async key(environment?: string): Promise<string> {
    const body = { name: 'a test', cluster: 'sandbox', namespace: this.namespace, environment };
    return (await Api.as(this.#world.main, 'administrator').must('/api/v1/flag-keys', { body })).secret;
  }

  async kill(key: string): Promise<void> {
    const path = `/api/v1/flags/sandbox/${this.namespace}/${key}/kill`;
    await Api.as(this.#world.main, 'on-call').must(path, { body: { reason: 'a test' } });
  }

  async remove(): Promise<void> {
    await this.#world.kube.delete(`/api/v1/namespaces/${this.namespace}`);
  }
}
