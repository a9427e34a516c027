/**
 * A web site of somebody else, at an origin of its own: one page that loads the real OpenFeature SDK and the OFREP provider
 * for browsers, as they are published, without a bundler.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';

const here = createRequire(import.meta.url);
const provider = here.resolve('@openfeature/ofrep-web-provider/package.json');
/** Where each module stands that a browser would otherwise ask a bundler for. */
const MODULES: Record<string, string> = {
  '@openfeature/core': esm(here.resolve('@openfeature/core')),
  '@openfeature/web-sdk': esm(here.resolve('@openfeature/web-sdk')),
  // The provider's own: another provider may need another version of it.
  '@openfeature/ofrep-core': `${dirname(createRequire(provider).resolve('@openfeature/ofrep-core/package.json'))}/index.esm.js`,
  '@openfeature/ofrep-web-provider': `${dirname(provider)}/index.esm.js`,
};

function esm(cjs: string): string {
  return cjs.replace('/dist/cjs/', '/dist/esm/');
}

const PAGE = `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Shop</title>
<script type="importmap">${JSON.stringify({ imports: Object.fromEntries(Object.keys(MODULES).map((name) => [name, `/${name}`])) })}</script>
<script type="module">
  import { OpenFeature } from '@openfeature/web-sdk';
  import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
  window.sdk = { OpenFeature, OFREPWebProvider };
</script><h1>Shop</h1></html>`;

export interface Site {
  url: string;
  close(): void;
}

export async function elsewhere(): Promise<Site> {
  const server = createServer((request, response) => {
    const file = MODULES[(request.url ?? '').slice(1)];
    response.setHeader('content-type', file ? 'text/javascript' : 'text/html; charset=utf-8');
    response.end(file ? readFileSync(file) : PAGE);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://localhost:${(server.address() as AddressInfo).port}`, close };
}
