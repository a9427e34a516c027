/** Waiting on conditions. Nothing here sleeps for a fixed time: each wait ends when its condition holds, or fails. */

export type Condition<T> = () => Promise<T | undefined | false | null> | T | undefined | false | null;

/** Thrown by a condition that can no longer come true: the wait ends at once. */
export class Never extends Error {}

/**
 * Asks `condition` until it gives something, at most `seconds` long.
 * A condition that throws counts as "not yet"; its last error is told when time is up.
 */
export async function until<T>(what: string, condition: Condition<T>, seconds = 30): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      last = undefined;
    } catch (error) {
      if (error instanceof Never) throw new Error(`${what}: ${error.message}`);
      last = error;
    }
    if (Date.now() > deadline) {
      const why = last instanceof Error ? `: ${last.message}` : '';
      throw new Error(`not within ${seconds} s: ${what}${why}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Fails when `promise` takes longer than `seconds`. */
export async function within<T>(what: string, seconds: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${seconds} s: ${what}`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
