// Deletion and insertion curves, and where a map lies. Names as in mmel.metrics and mmel.maps; protocol "full".
import { ranking } from "./tensors.js";

/** Bilinear interpolation of a square map to `size` pixels a side, corners not aligned. */
export function upsample(map, size) {
  const side = Math.sqrt(map.length), out = new Float32Array(size * size);
  const places = Array.from({ length: size }, (_, i) => {
    const at = Math.max(0, ((i + 0.5) * side) / size - 0.5), low = Math.floor(at);
    return { low, high: Math.min(low + 1, side - 1), share: at - low };
  });
  places.forEach((row, y) => places.forEach((column, x) => {
    const value = (r) => map[r * side + column.low] * (1 - column.share) + map[r * side + column.high] * column.share;
    out[y * size + x] = value(row.low) * (1 - row.share) + value(row.high) * row.share;
  }));
  return out;
}

/** The mean colour of RGB bytes. */
export function meanColour(pixels) {
  const sums = [0, 0, 0];
  pixels.forEach((value, i) => (sums[i % 3] += value));
  return sums.map((sum) => Math.round((3 * sum) / pixels.length));
}

/** A copy of `start` in which the first `count` pixels of `order` are those of `finish`. */
export function edited(start, finish, order, count) {
  const out = start.slice();
  for (let i = 0; i < count; i++) for (let c = 0; c < 3; c++) out[3 * order[i] + c] = finish[3 * order[i] + c];
  return out;
}

/**
 * Sec. 4.2 (3) and (4): the score while the pixels that `map` ranks first are taken away, or put back. `score` takes
 * RGB bytes; `said` hears of each point. Mean colour, 20 equal steps over all of the picture, both end points.
 */
export async function curve(kind, score, pixels, map, { steps = 20, said = () => {} } = {}) {
  const total = pixels.length / 3, order = ranking(upsample(map, Math.sqrt(total))), colour = meanColour(pixels);
  const empty = pixels.map((_, i) => colour[i % 3]), each = Math.max(1, Math.floor(total / steps + 1e-9));
  const [start, finish] = kind === "insertion" ? [empty, pixels] : [pixels, empty], fractions = [], values = [];
  for (let step = 0; step <= steps; step++) {
    const count = step === steps ? total : each * step;
    fractions.push(count / total);
    values.push(await score(edited(start, finish, order, count)));
    said(step / steps);
  }
  return { fractions, values, auc: auc(fractions, values) };
}

/** Trapezoids over the true fractions. */
export function auc(fractions, values) {
  let area = 0;
  for (let i = 1; i < values.length; i++) area += ((fractions[i] - fractions[i - 1]) * (values[i] + values[i - 1])) / 2;
  return area;
}

/** The share of a map that lies on each mask. */
export function energy(map, masks) {
  const values = upsample(map, Math.sqrt(masks[0]?.length ?? 0)), sum = values.reduce((a, b) => a + b, 0);
  return masks.map((mask) => (sum > 0 ? mask.reduce((a, on, i) => a + (on ? values[i] : 0), 0) / sum : 0));
}
