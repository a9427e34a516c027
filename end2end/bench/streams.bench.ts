/**
 * Feature flags to many who listen: clients hold streams open over loopback, a flag is changed past Tidegate and by its kill
 * switch, and each client's delay is taken from the moment that the change was sent, the API server's part included. And what a
 * client costs the server in memory. BENCH_N is the number of clients; they run in this process, on the same two cores.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { Api } from '../lib/api.ts';
import { Flags } from '../lib/flags.ts';
import { figures, HEAD, row } from '../lib/stats.ts';
import { test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

const CLIENTS = Number(process.env.BENCH_N ?? 10_000);
const CHANGES = Number(process.env.BENCH_CHANGES ?? 5);
/** Connections opened beside each other. */
const OPENING = 250;

const file = (share: number) => `checkout-new-tax: {enabled: true, percentage: ${share}}\n`;

/** MiB that a process holds. */
function resident(pid: number): number {
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1024;
}

test(`a change of a flag reaches ${CLIENTS} who listen`, async ({ world }) => {
  test.setTimeout(600_000);
  const flags = await Flags.make(world, 'streams', file(1));
  const sockets: Socket[] = [];
  try {
    const secret = await flags.key();
    const { url, file: { port, pid } } = world.main;
    const answer = await fetch(`${url}/ofrep/v1/evaluate/flags`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ context: { targetingKey: 'user-1' } }),
    });
    const { eventStreams } = (await answer.json()) as { eventStreams: { endpoint: { requestUri: string } }[] };
    const path = eventStreams[0].endpoint.requestUri;

    let times: number[] = [];
    const open = () =>
      new Promise<void>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n`));
        socket.once('data', (data) => (data.includes('200 OK') ? resolve() : reject(new Error(data.toString().split('\r\n')[0]))));
        socket.on('data', (data) => {
          if (data.includes('refetchEvaluation')) times.push(performance.now());
        });
        socket.on('error', reject);
        sockets.push(socket);
      });
    const before = resident(pid);
    for (let n = 0; n < CLIENTS; n += OPENING) {
      await Promise.all(Array.from({ length: Math.min(OPENING, CLIENTS - n) }, open));
    }
    const held = ((resident(pid) - before) * 1024) / CLIENTS;

    const measured = async (what: string, change: () => Promise<unknown>) => {
      times = [];
      const sent = performance.now();
      await change();
      await until(`${what} has reached all`, () => times.length >= CLIENTS, 60);
      return times.map((t) => t - sent);
    };
    const past: number[] = [];
    for (let n = 0; n < CHANGES; n++) past.push(...(await measured('a change', () => flags.write(file(n + 2)))));
    const kill: number[] = [];
    for (let n = 0; n < CHANGES; n++) {
      kill.push(...(await measured('a kill', () => flags.kill('checkout-new-tax'))));
      const revive = `/api/v1/flags/sandbox/${flags.namespace}/checkout-new-tax/revive`;
      await measured('a revival', () => Api.as(world.main, 'on-call').must(revive, { body: { reason: 'the next round' } }));
      await measured('on again', () => flags.write(file(50 + n)));
    }
    console.log([HEAD, row(`a change past Tidegate, until each of ${CLIENTS} is told`, figures(past)), row('the kill switch, likewise', figures(kill))].join('\n'));
    console.log(`memory a client: ${held.toFixed(1)} KiB`);
  } finally {
    for (const socket of sockets) socket.destroy();
    await flags.remove();
  }
});
