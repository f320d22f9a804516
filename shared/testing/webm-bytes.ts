// Builds webm by hand, element by element, for tests that need bytes no recorder makes, or very many of them.

export type Bytes = Uint8Array | number[];

export function concat(...parts: Bytes[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.length;
  }
  return whole;
}

/** An element's id as bytes: ids carry their length marker, so leading zeros fall away. */
export function idBytes(id: number): number[] {
  const bytes: number[] = [];
  for (let rest = id; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return bytes;
}

/** A variable-size integer in `length` bytes, or in as few as it takes (RFC 8794, section 4). */
export function vint(value: number, length: number = shortestLength(value)): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (let i = 0; i < length; i++) {
    bytes.unshift(rest % 256);
    rest = Math.floor(rest / 256);
  }
  bytes[0] = (bytes[0] ?? 0) | (0x80 >> (length - 1));
  return bytes;
}

/** "Unknown" in `length` bytes: all data bits are ones. */
export function unknownSize(length = 8): number[] {
  return [0xff >> (length - 1), ...Array.from({ length: length - 1 }, () => 0xff)];
}

/** An element whose size is known. */
export function element(id: number, ...data: Bytes[]): Uint8Array {
  const content = concat(...data);
  return concat(idBytes(id), vint(content.length), content);
}

/** An element whose size is not known: its header, then whatever follows. */
export function openElement(id: number, ...data: Bytes[]): Uint8Array {
  return concat(idBytes(id), unknownSize(), ...data);
}

export function unsigned(id: number, value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return element(id, bytes.length === 0 ? [0] : bytes);
}

export function float64(id: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return element(id, bytes);
}

export function ascii(id: number, value: string): Uint8Array {
  return element(
    id,
    Array.from(value, (character) => character.charCodeAt(0)),
  );
}

/** What a SimpleBlock and a Block hold. Flags: 0x80 keyframe, 0x08 invisible, 0x06 lacing, 0x01 discardable. */
export function blockData(
  track: number,
  relativeTimestamp: number,
  flags = 0,
  payload: Bytes = [1, 2, 3],
): Uint8Array {
  return concat(vint(track), [(relativeTimestamp >> 8) & 0xff, relativeTimestamp & 0xff, flags], payload);
}

export function simpleBlock(
  track: number,
  relativeTimestamp: number,
  flags = 0,
  payload?: Bytes,
): Uint8Array {
  return element(0xa3, blockData(track, relativeTimestamp, flags, payload));
}

export function ebmlHeader(docType = 'webm'): Uint8Array {
  return element(
    0x1a45dfa3,
    unsigned(0x4286, 1),
    unsigned(0x42f7, 1),
    ascii(0x4282, docType),
    unsigned(0x4285, 2),
  );
}

export function info(timestampScaleNs = 1_000_000): Uint8Array {
  return element(0x1549a966, unsigned(0x2ad7b1, timestampScaleNs));
}

/** VP9, 640×360, as track 1 unless told otherwise. */
export function videoTrack(number = 1, ...more: Bytes[]): Uint8Array {
  const size = element(0xe0, unsigned(0xb0, 640), unsigned(0xba, 360));
  return element(0xae, unsigned(0xd7, number), unsigned(0x83, 1), ascii(0x86, 'V_VP9'), size, ...more);
}

/** Opus, 48 kHz, two channels, as track 2 unless told otherwise. */
export function audioTrack(number = 2, ...more: Bytes[]): Uint8Array {
  const form = element(0xe1, float64(0xb5, 48_000), unsigned(0x9f, 2));
  return element(0xae, unsigned(0xd7, number), unsigned(0x83, 2), ascii(0x86, 'A_OPUS'), form, ...more);
}

export function tracks(...entries: Bytes[]): Uint8Array {
  return element(0x1654ae6b, ...entries);
}

export function timestamp(ticks: number): Uint8Array {
  return unsigned(0xe7, ticks);
}

/** A Cluster as the recorder writes it: its size unknown. */
export function openCluster(ticks: number, ...children: Bytes[]): Uint8Array {
  return openElement(0x1f43b675, timestamp(ticks), ...children);
}

/** A Cluster as a muxer writes it: its size known. */
export function cluster(ticks: number, ...children: Bytes[]): Uint8Array {
  return element(0x1f43b675, timestamp(ticks), ...children);
}

/** What a recorder writes before the first Cluster: one video and one audio track in a Segment of unknown size. */
export function initSegment(): Uint8Array {
  return concat(ebmlHeader(), openElement(0x18538067, info(), tracks(videoTrack(), audioTrack())));
}

function shortestLength(value: number): number {
  let length = 1;
  while (value > 2 ** (7 * length) - 2) length++;
  return length;
}
