// Both towers of CLIP, forward, with everything remembered that an explanation needs. Names as in mmel.clip, mmel.trace.
import { add, dot, layerNorm, linear, matmul, quickGelu, softmax, unitRows } from "./tensors.js";

const MEAN = [0.48145466, 0.4578275, 0.40821073], STD = [0.26862954, 0.26130258, 0.27577711]; // of OpenAI's pictures

/** Sec. 3.1: (I - mu) / sigma of RGB bytes, cut into patches, each a row [channel, row, column]. */
export function normalizePixels(pixels, { size, side, patch }) {
  const area = patch * patch, out = new Float32Array(side * side * 3 * area);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const row = Math.floor(y / patch) * side + Math.floor(x / patch), place = (y % patch) * patch + (x % patch);
      for (let c = 0; c < 3; c++) {
        out[row * 3 * area + c * area + place] = (pixels[3 * (y * size + x) + c] / 255 - MEAN[c]) / STD[c];
      }
    }
  }
  return out;
}

/** Sec. 3.2: softmax(q k^T / sqrt(d)) v in each head; `causal` hides later tokens. */
export function attend(q, k, v, tokens, width, heads, causal) {
  const size = width / heads, pattern = new Float32Array(heads * tokens * tokens), out = new Float32Array(tokens * width);
  for (let head = 0; head < heads; head++) {
    const at = head * size;
    for (let i = 0; i < tokens; i++) {
      const row = (head * tokens + i) * tokens, last = causal ? i + 1 : tokens;
      for (let j = 0; j < tokens; j++) {
        pattern[row + j] = j < last ? dot(q, k, i * width + at, j * width + at, size) / Math.sqrt(size) : -Infinity;
      }
      softmax(pattern.subarray(row, row + tokens), 1, tokens);
      for (let j = 0; j < last; j++) {
        const weight = pattern[row + j];
        for (let d = 0; d < size; d++) out[i * width + at + d] += weight * v[j * width + at + d];
      }
    }
  }
  return { pattern, out };
}

/** The columns `from` to `to` of a matrix. */
function columns(x, rows, width, from, to) {
  const out = new Float32Array(rows * (to - from));
  for (let r = 0; r < rows; r++) out.set(x.subarray(r * width + from, r * width + to), r * (to - from));
  return out;
}

/** One residual block and its trace (LayerTrace of mmel.types, and what the backward pass needs). */
export function runBlock(block, x, tokens, { width, heads }, causal) {
  const before = layerNorm(block.before, x, tokens), qkv = linear(block.inProj, before.out, tokens);
  const [q, k, v] = [0, 1, 2].map((part) => columns(qkv, tokens, 3 * width, part * width, (part + 1) * width));
  const { pattern, out: attnOut } = attend(q, k, v, tokens, width, heads, causal);
  const middle = add(x, linear(block.out, attnOut, tokens)), after = layerNorm(block.after, middle, tokens);
  const hidden = linear(block.wide, after.out, tokens);
  const out = add(middle, linear(block.narrow, quickGelu(hidden), tokens));
  return { out, trace: { q, k, v, pattern, attnOut, before, after, hidden } };
}

function runTower(tower, x, causal, position) {
  const layers = [];
  for (const block of tower.blocks) {
    const { out, trace } = runBlock(block, x, tower.tokens, tower, causal);
    layers.push(trace);
    x = out;
  }
  const read = layerNorm(tower.readout, x.slice(position * tower.width, (position + 1) * tower.width), 1);
  const feature = linear(tower.projection, read.out, 1);
  return { layers, read, feature, embed: unitRows(feature, 1), position, causal };
}

/** The image tower: RGB bytes of one picture to its trace and unit embedding, read at the class token. */
export function recordImage({ image }, pixels) {
  const patches = linear(image.conv, normalizePixels(pixels, image), image.tokens - 1);
  const x = new Float32Array(image.tokens * image.width);
  x.set(image.start);
  x.set(patches, image.width);
  return runTower(image, layerNorm(image.pre, add(x, image.positions), image.tokens).out, false, 0);
}

/** The text tower over its whole context, read at the end of the text. */
export function recordText({ text }, { tokens, eos }) {
  const x = new Float32Array(text.tokens * text.width);
  tokens.forEach((id, i) => {
    const row = text.rows.get(id);
    x.set(text.table.subarray(row * text.width, (row + 1) * text.width), i * text.width);
  });
  return runTower(text, add(x, text.positions), true, eos);
}

/** Sec. 3.2: the score c, a cosine. */
export const similarity = (image, text) => dot(image.embed, text.embed);

/** Probabilities of texts given an image: softmax of the scaled cosines. `embeds`: one row a text. */
export function zeroShot(model, image, embeds) {
  const rows = embeds.length / model.embed, logits = matmul(embeds, rows, model.embed, image.embed, 1);
  return softmax(logits.map((value) => value * model.scale), 1, rows);
}
