/** A real HTTP server that takes notifications, and keeps them. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Got {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Receiver {
  /** Where it listens, without a path. */
  origin: string;
  got: Got[];
  /** Answers to be given first; 200 after them. */
  say: number[];
  close: () => void;
}

export async function receiver(): Promise<Receiver> {
  const got: Got[] = [];
  const say: number[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => (body += part));
    request.on('end', () => {
      got.push({ path: request.url ?? '', headers: request.headers, body });
      response.writeHead(say.shift() ?? 200).end('as told');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, got, say, close: () => server.close() };
}
