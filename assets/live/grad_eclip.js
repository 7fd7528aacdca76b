// Grad-ECLIP (Eq. 8) and raw attention. Names as in mmel.methods.grad_eclip.
import { gradients } from "./gradients.js";
import { dot, linear, minMax, unitRows } from "./tensors.js";

/** Cosine of one query with every key, min-max over the tokens. */
export function querySimilarity(query, keys, count) {
  const unit = unitRows(query, 1), others = unitRows(keys, count), width = query.length;
  return minMax(Float32Array.from({ length: count }, (_, i) => dot(unit, others, 0, i * width, width)));
}

/** Eq. 8, sim_qk: how much the class token's query looks like each patch's key, from 0 to 1. */
export function simQk(q, k, tokens, width) {
  return querySimilarity(q.subarray(0, width), k.subarray(width), tokens - 1);
}

/** Eq. 8 before its ReLU: sum over channels of gradient times value, times sim, for each token. */
export function weighValues(grad, v, sim) {
  return sim.map((value, i) => dot(grad, v, 0, i * grad.length) * value);
}

const relu = (values) => values.map((value) => Math.max(0, value));

/** Eq. 8 for one layer: ReLU(gradient . v . sim_qk). */
export const gradEclipMap = (grad, v, sim) => relu(weighValues(grad, v, sim));

/** Eq. 8: the sum over the layers, all of the same weight. */
export function sumLayers(maps) {
  return maps[0].map((_, i) => maps.reduce((sum, map) => sum + map[i], 0));
}

const projected = (block, x, rows, wanted) => (wanted ? linear(block.out, x, rows) : x);

/** Eq. 8's summands, one for each of the last `layers` image blocks (null: all). */
export function imageMaps(model, image, text, { layers = 1, projectedKeys = true, keySimilarity = true } = {}) {
  const { image: tower } = model, { width, tokens, blocks } = tower, count = layers ?? blocks.length;
  return gradients(tower, image, text, count).map((grad, i) => {
    const at = blocks.length - count + i, { q, k, v } = image.layers[at];
    const [Q, K] = [q, k].map((x) => projected(blocks[at], x, tokens, projectedKeys));
    const sim = keySimilarity ? simQk(Q, K, tokens, width) : new Float32Array(tokens - 1).fill(1);
    return gradEclipMap(grad, v.subarray(width), sim);
  });
}

/** Eq. 8 for texts: layers first, the ReLU last, as in the official code; 0 behind the end of the text. */
export function textMap(model, image, text, { layers = 1, projectedKeys = true, keySimilarity = true } = {}) {
  const { text: tower } = model, { width, tokens, blocks } = tower, count = layers ?? blocks.length, end = text.position;
  const maps = gradients(tower, text, image, count).map((grad, i) => {
    const at = blocks.length - count + i, { q, k, v } = text.layers[at];
    const [Q, K] = [q, k].map((x) => projected(blocks[at], x, tokens, projectedKeys));
    const query = Q.subarray(end * width, (end + 1) * width);
    const sim = keySimilarity ? querySimilarity(query, K, tokens) : new Float32Array(tokens).fill(1);
    return weighValues(grad, v, sim);
  });
  return relu(sumLayers(maps)).map((value, i) => (i > end ? 0 : value));
}

/** The last block's attention from the token that is read, heads averaged: patches, or positions up to the end. */
export function rawAttentionMap(tower, trace) {
  const { tokens, heads } = tower, { pattern } = trace.layers.at(-1), at = trace.position;
  const row = Float32Array.from({ length: tokens }, (_, j) => {
    let sum = 0;
    for (let head = 0; head < heads; head++) sum += pattern[(head * tokens + at) * tokens + j];
    return sum / heads;
  });
  return trace.causal ? row.map((value, j) => (j > at ? 0 : value)) : row.slice(1);
}
