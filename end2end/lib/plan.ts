/** Plans as tests write them: short bakes, one approval. */

export interface Step {
  weight: number;
  bake?: string;
  analysis?: boolean;
  approval?: 'on-call' | 'approver' | 'release-manager';
}

export interface PlanOptions {
  name: string;
  service: string;
  image: string;
  container?: string;
  steps?: Step[];
  required?: number;
  minRequests?: number;
  maxErrorPercent?: number;
  workload?: { namespace: string; name: string };
}

/** Slow enough that a test sees each step, quick enough that nobody waits for it. */
export const QUICK: Step[] = [{ weight: 20, bake: '4s' }, { weight: 60, bake: '4s' }, { weight: 100 }];

/** Stands at its first step for as long as a test needs. */
export const LONG: Step[] = [{ weight: 20, bake: '10m' }, { weight: 60, bake: '10m' }, { weight: 100 }];

function step({ weight, bake, analysis, approval }: Step): string {
  const gates = [...(analysis ? ['analysis'] : []), ...(approval ? [`{approval: ${approval}}`] : [])];
  const parts = [`weight: ${weight}`];
  if (bake) parts.push(`bake: ${bake}`);
  if (gates.length > 0) parts.push(`gates: [${gates.join(', ')}]`);
  return `        - {${parts.join(', ')}}`;
}

export function planYaml(o: PlanOptions): string {
  const analysis = [
    ...(o.minRequests === undefined ? [] : [`minRequests: ${o.minRequests}`]),
    ...(o.maxErrorPercent === undefined ? [] : [`maxErrorPercent: ${o.maxErrorPercent}`]),
  ];
  return [
    'apiVersion: tidegate.dev/v1',
    'kind: Plan',
    `metadata: {name: ${o.name}, service: ${o.service}, environment: production}`,
    'spec:',
    '  change:',
    `    images: {${o.container ?? 'app'}: "${o.image}"}`,
    '  strategy:',
    '    canary:',
    '      steps:',
    ...(o.steps ?? QUICK).map(step),
    ...(analysis.length > 0 ? [`  analysis: {${analysis.join(', ')}}`] : []),
    `  approvals: {required: ${o.required ?? 1}, from: [approver], expire: 24h}`,
    ...(o.workload ? [`  workload: {namespace: ${o.workload.namespace}, name: ${o.workload.name}}`] : []),
    '',
  ].join('\n');
}
