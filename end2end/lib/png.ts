/** Makes a screenshot small: at most 256 colours, which flat pages hardly miss. */
// @ts-expect-error it has no types
import UPNG from 'upng-js';

export function small(png: Buffer): Buffer {
  const image = UPNG.decode(png.buffer.slice(png.byteOffset, png.byteOffset + png.byteLength));
  const rgba = UPNG.toRGBA8(image)[0];
  return Buffer.from(UPNG.encode([rgba], image.width, image.height, 256));
}
