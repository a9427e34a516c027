/** Every page a person can open. */
export interface Place {
  name: string;
  path: string;
  /** Seen without an account. */
  open?: boolean;
  /** Status when it is not 200. */
  status?: number;
}

export interface Ids {
  plan: number;
  running: number;
  ended: number;
  workload: string;
  incident: number;
}

export function places(ids: Ids): Place[] {
  return [
    { name: 'now', path: '/' },
    { name: 'services', path: '/services' },
    { name: 'services-none', path: '/services?q=no-such-service' },
    { name: 'service', path: `/services/${ids.workload}` },
    { name: 'service-compare', path: `/services/${ids.workload}/compare` },
    { name: 'service-rollback', path: `/services/${ids.workload}/rollback` },
    { name: 'plans', path: '/plans' },
    { name: 'plan-new', path: '/plans/new' },
    { name: 'plan', path: `/plans/${ids.plan}` },
    { name: 'plan-edit', path: `/plans/${ids.plan}/edit` },
    { name: 'releases', path: '/releases' },
    { name: 'release', path: `/releases/${ids.running}` },
    { name: 'release-ended', path: `/releases/${ids.ended}` },
    { name: 'release-rollback', path: `/releases/${ids.running}/rollback` },
    { name: 'incidents', path: '/incidents' },
    { name: 'incident-new', path: '/incidents/new' },
    { name: 'incident', path: `/incidents/${ids.incident}` },
    { name: 'notifications', path: '/notifications' },
    { name: 'flags', path: '/flags' },
    { name: 'flags-none', path: '/flags?q=no-such-flag' },
    { name: 'flag', path: '/flags/sandbox/shop/checkout-new-tax' },
    {
      name: 'flag-asked',
      path: '/flags/sandbox/shop/checkout-new-tax?environment=production&context=%7B%22targetingKey%22%3A%22user-1%22%2C%22country%22%3A%22DE%22%7D',
    },
    { name: 'flag-key-new', path: '/flags/keys/new' },
    { name: 'policies', path: '/policies' },
    { name: 'policies-edit', path: `/policies/edit?cluster=${ids.workload.split('/')[0]}&namespace=agent-platform` },
    { name: 'audit', path: '/audit' },
    { name: 'status', path: '/status', open: true },
    { name: 'login', path: '/login', open: true },
    { name: 'setup-done', path: '/setup', open: true, status: 410 },
    { name: 'not-found', path: '/no-such-page', status: 404 },
  ];
}
