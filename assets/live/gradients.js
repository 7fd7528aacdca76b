// The gradient of the score at the attention output of a block: the backward pass, written out.
import { add, dot, layerNormBack, linearBack, quickGeluBack } from "./tensors.js";

/** d c / d f of c = cos(f, other): (other - c f / |f|) / |f|. */
export function cosineBack(tower, other) {
  const length = Math.sqrt(dot(tower.feature, tower.feature)), score = dot(tower.embed, other.embed);
  return tower.embed.map((value, i) => (other.embed[i] - score * value) / length);
}

/** From the score to the token that is read, as it leaves the last block: projection and last layer norm. */
export function readoutBack(tower, trace, other) {
  return layerNormBack(tower.readout, trace.read, linearBack(tower.projection, cosineBack(trace, other), 1), 1);
}

const rowsOf = (x, from, end, rows) => x.subarray((from * x.length) / rows, (end * x.length) / rows);
const cut = (norm, from, end, rows) => ({ unit: rowsOf(norm.unit, from, end, rows), inverse: norm.inverse.subarray(from, end) });

/** From a block's output back to its sum with the attention (`middle`), and to the attention output, for some rows. */
export function mlpBack(block, trace, grad, from, end, rows) {
  const count = end - from, hidden = rowsOf(trace.hidden, from, end, rows);
  const inside = quickGeluBack(hidden, linearBack(block.narrow, grad, count));
  const middle = add(grad, layerNormBack(block.after, cut(trace.after, from, end, rows), linearBack(block.wide, inside, count), count));
  return { middle, attnOut: linearBack(block.out, middle, count) };
}

/** From the attention output [rows to `end`] back to q, k and v, side by side as in_proj makes them. */
export function attentionBack({ q, k, v, pattern }, grad, end, tokens, width, heads) {
  const size = width / heads, out = new Float32Array(end * 3 * width), slope = new Float64Array(end);
  for (let head = 0; head < heads; head++) {
    const at = head * size;
    for (let i = 0; i < end; i++) {
      const row = (head * tokens + i) * tokens;
      let mean = 0;
      for (let j = 0; j < end; j++) {
        slope[j] = dot(grad, v, i * width + at, j * width + at, size);
        mean += slope[j] * pattern[row + j];
      }
      for (let j = 0; j < end; j++) {
        const weight = pattern[row + j], logit = (weight * (slope[j] - mean)) / Math.sqrt(size);
        const [qi, kj, vj] = [3 * i * width + at, (3 * j + 1) * width + at, (3 * j + 2) * width + at];
        if (!weight) continue;
        for (let d = 0; d < size; d++) {
          out[qi + d] += logit * k[j * width + at + d];
          out[kj + d] += logit * q[i * width + at + d];
          out[vj + d] += weight * grad[i * width + at + d];
        }
      }
    }
  }
  return out;
}

/**
 * Closed form, last block: g = W_o^T (I + J_mlp)^T J_ln^T P^T (t - c f) / |f|. Only the token that is read has a path
 * to the score, so each factor is one row.
 */
export function lastBlockGradient(tower, trace, other) {
  const at = trace.position, grad = readoutBack(tower, trace, other);
  return mlpBack(tower.blocks.at(-1), trace.layers.at(-1), grad, at, at + 1, tower.tokens).attnOut;
}

/** The gradient at the attention output of the token that is read, for the last `count` blocks, first to last. */
export function gradients(tower, trace, other, count = tower.blocks.length) {
  const { width, tokens, heads, blocks } = tower, at = trace.position, found = [lastBlockGradient(tower, trace, other)];
  if (count === 1) return found;
  const end = trace.causal ? at + 1 : tokens; // later words cannot be seen from the end of the text
  let grad = new Float32Array(end * width);
  grad.set(readoutBack(tower, trace, other), at * width);
  for (let i = blocks.length - 1; ; i--) {
    const { middle, attnOut } = mlpBack(blocks[i], trace.layers[i], grad, 0, end, tokens);
    if (i < blocks.length - 1) found.unshift(attnOut.slice(at * width, (at + 1) * width));
    if (found.length === count) return found;
    const qkv = attentionBack(trace.layers[i], attnOut, end, tokens, width, heads);
    grad = add(middle, layerNormBack(blocks[i].before, cut(trace.layers[i].before, 0, end, tokens), linearBack(blocks[i].inProj, qkv, end), end));
  }
}
