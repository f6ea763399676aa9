// What a PNG says of its size on paper: browsers write none.

const AFTER_PNG_HEADER = 33; // signature, and the chunk IHDR with its length, name and sum

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let sum = n;
  for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  return sum >>> 0;
});

function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC_TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

/** The PNG with its pixels an inch in the chunk pHYs. */
export async function withDpi(blob, dpi) {
  const chunk = new DataView(new ArrayBuffer(21));
  chunk.setUint32(0, 9);
  [..."pHYs"].forEach((letter, n) => chunk.setUint8(4 + n, letter.charCodeAt(0)));
  const each = Math.round(dpi / 0.0254); // a metre
  chunk.setUint32(8, each);
  chunk.setUint32(12, each);
  chunk.setUint8(16, 1);
  chunk.setUint32(17, crc32(new Uint8Array(chunk.buffer, 4, 13)));
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return new Blob([bytes.slice(0, AFTER_PNG_HEADER), chunk.buffer, bytes.slice(AFTER_PNG_HEADER)], { type: "image/png" });
}
