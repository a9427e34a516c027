/** Figures of a measurement. */

export interface Figures {
  n: number;
  p50: number;
  p90: number;
  p99: number;
  max: number;
}

/** Percentiles by the nearest rank: each is a value that was measured. */
export function figures(values: number[]): Figures {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (p: number) => sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
  return { n: sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99), max: sorted[sorted.length - 1] };
}

const ms = (n: number) => `${n.toFixed(1)} ms`;

/** A row of a Markdown table. */
export function row(what: string, f: Figures): string {
  return `| ${what} | ${f.n} | ${ms(f.p50)} | ${ms(f.p90)} | ${ms(f.p99)} | ${ms(f.max)} |`;
}

export const HEAD = '| | n | p50 | p90 | p99 | max |\n|---|---:|---:|---:|---:|---:|';
