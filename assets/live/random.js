// numpy's default_rng for a seed: SeedSequence and PCG64, so that a background's seed gives Python's own background.

const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n, MASK64 = (1n << 64n) - 1n, MASK128 = (1n << 128n) - 1n;

/** SeedSequence(seed).generate_state(8): eight words of 32 bits. */
export function seedWords(seed) {
  const entropy = [];
  for (let rest = BigInt(seed); rest || !entropy.length; rest >>= 32n) entropy.push(Number(rest & 0xffffffffn));
  let constant = 0x43b0d7e5;
  const hashmix = (value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x931e8875);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  };
  const mix = (x, y) => {
    const both = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) | 0;
    return both ^ (both >>> 16);
  };
  const pool = [0, 1, 2, 3].map((i) => hashmix(entropy[i] ?? 0));
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hashmix(pool[from]));
  }
  let other = 0x8b51f9dd;
  return Array.from({ length: 8 }, (_, i) => {
    let word = pool[i % 4] ^ other;
    other = Math.imul(other, 0x58f38ded);
    word = Math.imul(word, other);
    return (word ^ (word >>> 16)) >>> 0;
  });
}

/** numpy.random.default_rng(seed), as far as whole numbers go. Seeds below 2**128. */
export class Generator {
  #state = 0n;
  #step;
  #half = null; // the upper 32 bits of the last 64, which numpy gives out next

  constructor(seed) {
    const words = seedWords(seed).map(BigInt), long = (i) => words[2 * i] | (words[2 * i + 1] << 32n);
    this.#step = (((long(2) << 64n) | long(3)) << 1n) | 1n;
    this.#advance();
    this.#state = (this.#state + ((long(0) << 64n) | long(1))) & MASK128;
    this.#advance();
  }

  #advance() { this.#state = (this.#state * MULTIPLIER + this.#step) & MASK128; }

  #next64() {
    this.#advance();
    const turn = this.#state >> 122n, mixed = ((this.#state >> 64n) ^ this.#state) & MASK64;
    return ((mixed >> turn) | (mixed << ((64n - turn) & 63n))) & MASK64;
  }

  #next32() {
    if (this.#half !== null) {
      const kept = this.#half;
      this.#half = null;
      return kept;
    }
    const both = this.#next64();
    this.#half = Number(both >> 32n);
    return Number(both & 0xffffffffn);
  }

  /** integers(low, high): one number, `high` left out; Lemire's way without a bias. */
  integer(low, high) {
    const range = BigInt(high - low);
    let product = BigInt(this.#next32()) * range;
    if ((product & 0xffffffffn) < range) {
      const least = (0x100000000n - range) % range;
      while ((product & 0xffffffffn) < least) product = BigInt(this.#next32()) * range;
    }
    return low + Number(product >> 32n);
  }

  integers(low, high, count) { return Array.from({ length: count }, () => this.integer(low, high)); }

  /** integers(0, 256, count, dtype=uint8): four of each 32 bits. */
  bytes(count) {
    const out = new Uint8Array(count);
    for (let i = 0, word = 0; i < count; i++, word >>>= 8) out[i] = i % 4 ? word : (word = this.#next32());
    return out;
  }
}
