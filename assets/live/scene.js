// The bundled world drawn in the page: backgrounds, objects and their masks, as mmel.scenes draws them.
import { FILTERS, mirror, paste, resize, resizeSprite, rotate, round } from "./pillow.js";
import { Generator } from "./random.js";

const SIZE = 112, SOLID = 128, GRAIN_SEED = 20260101;
let grain = null;

/** Smooth noise in [-strength, strength], one number a pixel. */
function blotches(rng, rows, columns, strength) {
  const { data } = resize({ width: columns, height: rows, data: rng.bytes(rows * columns) }, SIZE, SIZE, FILTERS.bicubic, 1);
  return Float32Array.from(data, (value) => Math.fround(value - 127.5) * Math.fround(strength / 127.5));
}

/** A vertical gradient between two colours that drift a little, with fine grain. */
function ground(rng, top, bottom) {
  grain ??= Int8Array.from(new Generator(GRAIN_SEED).integers(-10, 11, 4 * SIZE * SIZE));
  const drift = rng.integers(-12, 13, 6), [row, column] = rng.integers(0, SIZE, 2), out = new Float64Array(3 * SIZE * SIZE);
  for (let y = 0; y < SIZE; y++) for (let x = 0; x < SIZE; x++) for (let c = 0; c < 3; c++) {
    const share = y / (SIZE - 1), colour = (top[c] + drift[c]) * (1 - share) + (bottom[c] + drift[3 + c]) * share;
    out[3 * (y * SIZE + x) + c] = colour + grain[(row + y) * 2 * SIZE + column + x];
  }
  return out;
}

const plus = (picture, noise, by = [1, 1, 1]) => picture.map((value, i) => value + noise[Math.floor(i / 3)] * by[i % 3]);
const box = (picture, [left, right], [top, bottom], change) => {
  for (let y = Math.max(0, top); y < Math.min(SIZE, bottom); y++) for (let x = left; x < Math.min(SIZE, right); x++) {
    for (let c = 0; c < 3; c++) picture[3 * (y * SIZE + x) + c] = change(picture[3 * (y * SIZE + x) + c], c);
  }
};
const stripes = (picture, start, every, rows, by) => {
  for (let x = start; x < SIZE; x += every) box(picture, [x, x + 1], rows, (value) => value * by);
};

const PLACES = {
  grass: (rng) => plus(plus(ground(rng, [100, 170, 75], [60, 125, 50]), blotches(rng, 14, 56, 26)), blotches(rng, 5, 5, 14)),
  sand: (rng) => plus(ground(rng, [228, 204, 155], [196, 164, 112]), blotches(rng, 18, 6, 14)),
  snow: (rng) => plus(ground(rng, [243, 247, 252], [214, 226, 238]), blotches(rng, 6, 6, 14), [1, 0.7, 0.3]),
  water: (rng) => plus(ground(rng, [70, 140, 195], [30, 85, 150]), blotches(rng, 28, 7, 26)),
  road(rng) {
    const picture = plus(ground(rng, [128, 128, 132], [88, 88, 94]), blotches(rng, 9, 9, 9));
    const left = rng.integer(14, SIZE - 20), start = rng.integer(0, 28);
    for (let top = start - 28; top < SIZE; top += 28) box(picture, [left, left + 5], [top, top + 16], (_, c) => [232, 228, 205][c]);
    return picture;
  },
  sky(rng) {
    const cloud = blotches(rng, 5, 4, 2).map((value) => Math.max(0, Math.min(1, value - 0.25)));
    return ground(rng, [135, 190, 240], [200, 226, 248]).map((value, i) => value + (250 - value) * cloud[Math.floor(i / 3)]);
  },
  room(rng) {
    const picture = ground(rng, [226, 196, 186], [206, 170, 160]), floor = rng.integer(60, 84);
    picture.set(ground(rng, [150, 100, 62], [120, 76, 44]).subarray(3 * floor * SIZE), 3 * floor * SIZE);
    box(picture, [0, SIZE], [floor, floor + 3], (_, c) => [250, 245, 238][c]);
    stripes(picture, rng.integer(0, 18), 18, [floor + 3, SIZE], 0.72);
    stripes(picture, rng.integer(0, 14), 14, [0, floor], 0.95);
    return picture;
  },
  night(rng) {
    const picture = plus(ground(rng, [18, 20, 54], [44, 34, 82]), blotches(rng, 5, 5, 10));
    const at = rng.integers(0, SIZE, 80), light = rng.integers(0, 46, 40);
    light.forEach((value, i) => box(picture, [at[40 + i], at[40 + i] + 1], [at[i], at[i] + 1], () => 210 + value));
    return picture;
  },
};

/** The place of this name and seed: RGB bytes. */
export function drawBackground(name, seed) {
  const rng = new Generator(seed), light = 1 + rng.integer(-14, 15) / 100;
  return Uint8ClampedArray.from(PLACES[name](rng), (value) => round(Math.max(0, Math.min(255, value * light))));
}

/** One object's RGBA picture as it is pasted, and the corner where it goes. `sheet`: ImageData of all sprites. */
export function stamp(world, sheet, placement) {
  const [left, top, right, bottom] = world.objects.find((thing) => thing.name === placement.name).box;
  const width = right - left, height = bottom - top;
  const data = new Uint8ClampedArray(4 * width * height), scale = placement.size / Math.max(width, height);
  for (let y = 0; y < height; y++) {
    const from = 4 * ((top + y) * sheet.width + left);
    data.set(sheet.data.subarray(from, from + 4 * width), 4 * y * width);
  }
  let made = resizeSprite({ width, height, data }, ...[width, height].map((side) => Math.max(2, round(side * scale))));
  if (placement.mirror) made = mirror(made);
  if (placement.angle) made = rotate(made, placement.angle);
  const gains = (placement.gains ?? [1, 1, 1]).map(Math.fround);
  made = { ...made, data: made.data.map((value, i) => (i % 4 === 3 ? value : round(Math.fround(value * gains[i % 4])))) };
  return { ...made, left: round(placement.x - made.width / 2), top: round(placement.y - made.height / 2) };
}

/** The picture of a plan, RGB bytes, and the visible pixels of each object. */
export function drawScene(world, sheet, plan, backgrounds = drawBackground) {
  const pixels = backgrounds(plan.background, plan.background_seed).slice();
  const shapes = plan.objects.map((placement) => {
    const { width, height, data, left, top } = stamp(world, sheet, placement), shape = new Uint8Array(SIZE * SIZE);
    paste(pixels, SIZE, { width, height, data }, left, top);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
      const inside = top + y >= 0 && top + y < SIZE && left + x >= 0 && left + x < SIZE;
      if (inside && data[4 * (y * width + x) + 3] >= SOLID) shape[(top + y) * SIZE + left + x] = 1;
    }
    return shape;
  });
  const later = new Uint8Array(SIZE * SIZE), masks = [];
  for (const shape of shapes.toReversed?.() ?? [...shapes].reverse()) {
    masks.unshift(shape.map((on, i) => on & ~later[i] & 1));
    shape.forEach((on, i) => (later[i] |= on));
  }
  return { pixels, masks };
}

/** A byte of noise for every colour of a pixel, the same in mmel.scenes.states. */
export function noiseByte(index) {
  let x = Math.imul(index + 1, 2654435761);
  x = Math.imul(x ^ (x >>> 15), 2246822519);
  return ((x ^ (x >>> 13)) >>> 24) & 255;
}

/** The pixels of `runs` ([start, length, ...], row by row) replaced: "black", "noise", or the empty "background". */
export function erase(pixels, runs, fill, background) {
  const out = pixels.slice();
  for (let i = 0; i < runs.length; i += 2) {
    for (let at = 3 * runs[i]; at < 3 * (runs[i] + runs[i + 1]); at++) {
      out[at] = fill === "black" ? 0 : fill === "noise" ? noiseByte(at) : background[at];
    }
  }
  return out;
}

/** Runs [start, length, ...] from a mask of bytes, and back. */
export function runsOf(mask) {
  const runs = [];
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    const start = i;
    while (i < mask.length && mask[i]) i++;
    runs.push(start, i - start);
  }
  return runs;
}

export function maskOf(runs, size) {
  const mask = new Uint8Array(size * size);
  for (let i = 0; i < runs.length; i += 2) mask.fill(1, runs[i], runs[i] + runs[i + 1]);
  return mask;
}
