// Pillow's resize, rotate and paste, to the byte, so that a scene drawn here is the scene drawn by mmel.scenes.

const bilinear = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };
const bicubic = {
  support: 2,
  weight: (x) => ((x = Math.abs(x)) < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0),
};
export const FILTERS = { bilinear, bicubic };

/** Python's round: halves to the even number. */
export function round(x) {
  const low = Math.floor(x), rest = x - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

const clip = (x) => Math.max(0, Math.min(255, x));
const over255 = (x) => (((x + 128) >> 8) + x + 128) >> 8;

function coefficients(from, to, { support, weight }) {
  const scale = from / to, wide = Math.max(scale, 1), reach = support * wide;
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale, first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(from, Math.trunc(centre + reach + 0.5));
    const raw = Array.from({ length: last - first }, (_, j) => weight((j + first - centre + 0.5) / wide));
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, by: raw.map((k) => Math.trunc((k / sum) * (1 << 22) + (k < 0 ? -0.5 : 0.5))) };
  });
}

/** One pass over the rows of {width, height, data}, `bands` bytes a pixel, result turned on its side. */
function pass({ width, height, data }, to, filter, bands) {
  const out = new Uint8ClampedArray(to * height * bands), by = coefficients(width, to, filter);
  for (let y = 0; y < height; y++) {
    by.forEach(({ first, by: weights }, x) => {
      for (let band = 0; band < bands; band++) {
        let sum = 1 << 21;
        for (let j = 0; j < weights.length; j++) sum += weights[j] * data[(y * width + first + j) * bands + band];
        out[(x * height + y) * bands + band] = clip(Math.floor(sum / (1 << 22)));
      }
    });
  }
  return { width: height, height: to, data: out };
}

/** Turned on its side without a change. */
function turned({ width, height, data }, bands) {
  const out = new Uint8ClampedArray(data.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let b = 0; b < bands; b++) {
    out[(x * height + y) * bands + b] = data[(y * width + x) * bands + b];
  }
  return { width: height, height: width, data: out };
}

export function resize(picture, width, height, filter, bands) {
  const across = width === picture.width ? turned(picture, bands) : pass(picture, width, filter, bands);
  return height === picture.height ? turned(across, bands) : pass(across, height, filter, bands);
}

/** Colours multiplied with their alpha (RGBA to RGBa), and back. */
function premultiplied(picture) {
  return { ...picture, data: picture.data.map((value, i, all) => (i % 4 === 3 ? value : over255(value * all[i | 3]))) };
}

function straight(picture) {
  const back = (value, alpha) => (alpha === 0 || alpha === 255 ? value : clip(Math.trunc((255 * value) / alpha)));
  return { ...picture, data: picture.data.map((value, i, all) => (i % 4 === 3 ? value : back(value, all[i | 3]))) };
}

export function resizeSprite(sprite, width, height) {
  if (width === sprite.width && height === sprite.height) return sprite;
  return straight(resize(premultiplied(sprite), width, height, bilinear, 4));
}

export function mirror({ width, height, data }) {
  const out = new Uint8ClampedArray(data.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const from = 4 * (y * width + x);
    out.set(data.subarray(from, from + 4), 4 * (y * width + width - 1 - x));
  }
  return { width, height, data: out };
}

/** Quarter turns, counter-clockwise, which Pillow makes without interpolation. */
function quarter(picture) {
  const { width, height, data } = turned(picture, 4), out = new Uint8ClampedArray(data.length);
  for (let y = 0; y < height; y++) out.set(data.subarray(4 * y * width, 4 * (y + 1) * width), 4 * (height - 1 - y) * width);
  return { width, height, data: out };
}

const cubic = (a, b, c, d, t) => b + t * (c - a + t * (2 * (a - b) + c - d + t * (b - a - c + d)));

/** rotate(angle, BICUBIC, expand=True), counter-clockwise in degrees. */
export function rotate(sprite, angle) {
  const degrees = ((angle % 360) + 360) % 360;
  for (let turn = 90, made = sprite; turn <= 360; turn += 90) {
    if (degrees % 360 === turn - 90) return made;
    made = quarter(made);
  }
  const radians = (-degrees * Math.PI) / 180, { width: w, height: h } = sprite, tidy = (x) => round(x * 1e15) / 1e15;
  const [cos, sin] = [tidy(Math.cos(radians)), tidy(Math.sin(radians))], move = (x, y, e, f) => [cos * x + sin * y + e, -sin * x + cos * y + f];
  let [e, f] = move(-w / 2, -h / 2, 0, 0).map((value, i) => value + [w / 2, h / 2][i]);
  const corners = [[0, 0], [w, 0], [w, h], [0, h]].map(([x, y]) => move(x, y, e, f));
  const span = (axis) => Math.ceil(Math.max(...corners.map((c) => c[axis]))) - Math.floor(Math.min(...corners.map((c) => c[axis])));
  const [width, height] = [span(0), span(1)];
  [e, f] = move(-(width - w) / 2, -(height - h) / 2, e, f);
  return straight(sampled(premultiplied(sprite), width, height, (x, y) => move(x + 0.5, y + 0.5, e, f)));
}

function sampled({ width: w, height: h, data }, width, height, source) {
  const out = new Uint8ClampedArray(4 * width * height), inside = (y) => y >= 0 && y < h;
  const at = (x, y, band) => data[4 * (y * w + Math.max(0, Math.min(w - 1, x))) + band];
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    let [sx, sy] = source(x, y);
    if (sx < 0 || sx >= w || sy < 0 || sy >= h) continue;
    sx -= 0.5; sy -= 0.5;
    const left = Math.floor(sx) - 1, top = Math.floor(sy) - 1, dx = sx - left - 1, dy = sy - top - 1;
    for (let band = 0; band < 4; band++) {
      const line = (row) => cubic(at(left, row, band), at(left + 1, row, band), at(left + 2, row, band), at(left + 3, row, band), dx);
      const rows = [line(Math.max(0, Math.min(h - 1, top)))];
      for (let i = 1; i < 4; i++) rows.push(inside(top + i) ? line(top + i) : rows[i - 1]);
      out[4 * (y * width + x) + band] = Math.trunc(clip(cubic(...rows, dy)));
    }
  }
  return { width, height, data: out };
}

/** Paste an RGBA picture on RGB pixels of `size` a side, by its own alpha. */
export function paste(pixels, size, { width, height, data }, left, top) {
  for (let y = Math.max(0, -top); y < Math.min(height, size - top); y++) {
    for (let x = Math.max(0, -left); x < Math.min(width, size - left); x++) {
      const from = 4 * (y * width + x), to = 3 * ((top + y) * size + left + x), alpha = data[from + 3];
      for (let c = 0; c < 3; c++) pixels[to + c] = over255(pixels[to + c] * (255 - alpha) + data[from + c] * alpha);
    }
  }
}
