/** Server-sent events, read the way a program does: over fetch, by the standard's rules. */
import { within } from './until.ts';

export interface StreamEvent {
  id?: string;
  event: string;
  data: string;
}

export interface Stream {
  /** The next `count` events, or fewer when `last` says that one is the last. Waits at most `seconds` in all. */
  take(count: number, seconds: number, last?: (event: StreamEvent) => boolean): Promise<StreamEvent[]>;
  close(): void;
}

export async function openStream(
  url: string,
  { token, cookie, lastEventId }: { token?: string; cookie?: string; lastEventId?: string },
): Promise<Stream> {
  const abort = new AbortController();
  const headers: Record<string, string> = { accept: 'text/event-stream' };
  if (token) headers.authorization = `Bearer ${token}`;
  if (cookie) headers.cookie = cookie;
  if (lastEventId) headers['last-event-id'] = lastEventId;
  const response = await within('the stream opens', 10, fetch(url, { headers, signal: abort.signal }));
  if (!response.ok || !response.body) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  const events = parse(response.body);
  return {
    async take(count, seconds, last = () => false) {
      const taken: StreamEvent[] = [];
      const read = async () => {
        while (taken.length < count) {
          const { value, done } = await events.next();
          if (done) return;
          taken.push(value);
          if (last(value)) return;
        }
      };
      await within(`${count} events of ${url}`, seconds, read());
      return taken;
    },
    close: () => abort.abort(),
  };
}

async function* parse(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const decoder = new TextDecoder();
  let text = '';
  let event: Partial<StreamEvent> = {};
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    for (;;) {
      const end = text.indexOf('\n');
      if (end < 0) break;
      const line = text.slice(0, end).replace(/\r$/, '');
      text = text.slice(end + 1);
      if (line === '') {
        if (event.data !== undefined) yield { event: 'message', data: '', ...event };
        event = {};
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue; // a comment: the server says that it lives
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'data') event.data = event.data === undefined ? value : `${event.data}\n${value}`;
      else if (field === 'id' || field === 'event') event[field] = value;
    }
  }
}
