// MMEL (Eq. 1 to 7 and 9). Names as in mmel.methods.mmel; settings in camel case.
import { imageMaps, sumLayers, textMap } from "./grad_eclip.js";
import { layerNorm, linear, matmul, minMax, sigmoid, softmax, softplus, transpose, unitRows } from "./tensors.js";

export const LITERAL = Object.freeze({
  alpha: 2, scales: [1, 0.75, 0.5], theta: 1, temperature: 0.1, temperaturePlace: "none", beta: 2, betaPlace: "none",
  reduction: "mean", gate: "mean", headWise: false, contrastShare: null, layers: null, projectedKeys: false, keySimilarity: true, text: "none",
});
export const WORKING = Object.freeze({ ...LITERAL, temperaturePlace: "softmax", reduction: "relevance", alpha: 8, text: "words" });

/** Eq. 3 and 4: T(x) = LayerNorm(Linear_2(ReLU(Linear_1(s x)))); `first` is Linear_1 x without its bias, for any s. */
export function featureTransform({ linear1, linear2, norm }, first, s, rows) {
  const hidden = first.map((value, i) => Math.max(0, s * value + linear1.bias[i % linear1.outputs])); // Eq. 1b inside
  return layerNorm(norm, linear(linear2, hidden, rows), rows).out;
}

/** Eq. 5: A = F_norm F_norm^T / sqrt(d). */
export function semanticAttention(x, rows) {
  const unit = unitRows(x, rows), width = x.length / rows;
  return matmul(unit, rows, width, transpose(unit, rows, width), rows).map((value) => value / Math.sqrt(width));
}

/** Eq. 6: w = Softplus(theta). */
export const layerWeight = softplus;

/** Eq. 7: A times w. */
export const weightAttention = (attention, weight) => attention.map((value) => value * weight);

/** Sec. 3.4's temperature, in no equation: A / t, or softmax(cos / t) in place of cos / sqrt(d). */
export function temper(attention, rows, { temperature, temperaturePlace: place }, width) {
  if (place === "softmax") return softmax(attention.map((value) => (value * Math.sqrt(width)) / temperature), rows, rows);
  return place === "attention" ? attention.map((value) => value / temperature) : attention;
}

/** Eq. 9, SemanticLevel_s: one number a token; "relevance" weighs each row with the min-max base map. */
export function semanticLevel(attention, rows, reduction, base) {
  const by = reduction === "relevance" ? minMax(base) : base.map(() => (reduction === "sum" ? 1 : 1 / rows));
  return matmul(attention, rows, rows, by, 1);
}

/** Eq. 9: E_MMEL = E [1 + alpha sigma(sum_s SemanticLevel_s)]; `preserve` is the 1. */
export function enhance(base, level, alpha, preserve) {
  return base.map((value, i) => value * (preserve + alpha * sigmoid(level[i])));
}

const KEPT = 8; // scales whose matrices are kept for each layer

/** The same channels of every row of [rows, width]: a head's part of the queries. */
function columns(x, rows, width, from, count) {
  const out = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) out.set(x.subarray(row * width + from, row * width + from + count), row * count);
  return out;
}

/** Eq. 5's matrices, one a scale, of one layer's tokens: of part `part` of `parts` of the width. No dial but the scales moves them: they are kept. */
function attentions(tower, trace, layer, from, end, scales, part, parts) {
  const rows = end - from, width = tower.width / parts, transform = parts > 1 ? tower.headTransform : tower.transform;
  const kept = ((trace.kept ??= {})[[layer, part, parts]] ??= new Map());
  const tokens = () => columns(trace.layers[layer].q.subarray(from * tower.width, end * tower.width), rows, tower.width, part * width, width); // Eq. 1a: no class token
  const first = () => (kept.first ??= linear({ ...transform.linear1, bias: null }, tokens(), rows));
  return scales.map((s) => {
    if (!kept.has(s)) kept.set(s, semanticAttention(featureTransform(transform, first(), s, rows), rows));
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return kept.get(s);
  });
}

/** Eq. 9 over layers: base maps summed and gated once, or each gated by its own layer (gate "each"). */
function gated(tower, trace, bases, from, end, settings) {
  const { alpha, beta, betaPlace, gate, reduction, scales, theta } = settings, rows = end - from, depth = tower.blocks.length;
  const parts = settings.headWise ? tower.heads : 1; // Eq. 5 on the whole width, or on each head's part, averaged
  const whole = sumLayers(bases), preserve = betaPlace === "base" ? beta : 1, thetas = Array.isArray(theta) ? theta : Array(depth).fill(theta);
  const levels = bases.map((base, i) => {
    const layer = depth - bases.length + i, shown = gate === "each" ? base : whole;
    const levelsOf = (part) => attentions(tower, trace, layer, from, end, scales, part, parts).map((attention) => {
      const weighted = weightAttention(temper(attention, rows, settings, tower.width / parts), layerWeight(thetas[layer]));
      return semanticLevel(weighted, rows, reduction, shown);
    });
    return sumLayers(Array.from({ length: parts }, (_, part) => levelsOf(part)).flat()).map((value) => value / parts);
  });
  if (gate === "each") return sumLayers(bases.map((base, i) => enhance(base, levels[i], alpha, preserve)));
  const level = sumLayers(levels).map((value) => (gate === "sum" ? value : value / levels.length));
  return enhance(whole, level, alpha, preserve);
}

/** The image map: patches are the tokens, and all of them count. `bases` may be given, so that a dial costs little. */
export function imagePart(model, image, text, settings, bases = imageMaps(model, image, text, settings)) {
  return gated(model.image, image, bases, 1, model.image.tokens, settings);
}

/** The text map: words are the tokens; start and end of text keep a level of 0. */
export function textPart(model, image, text, settings, base = textMap(model, image, text, settings)) {
  const end = text.position, count = settings.layers ?? model.text.blocks.length, { alpha, beta, betaPlace } = settings;
  const outside = (betaPlace === "base" ? beta : 1) + alpha * 0.5; // the gate of a level of 0
  const words = base.slice(1, end), out = base.map((value) => value * outside);
  if (words.length) out.set(gated(model.text, text, Array(count).fill(words.map((value) => value / count)), 1, end, settings), 1);
  return out;
}

/** Sec. 3.4, contrast enhancement: stretched to 0..1 between the quantiles `share` and 1 - `share`, cut off outside. */
export function enhanceContrast(map, share) {
  const sorted = Float32Array.from(map).sort(), quantile = (at) => {
    const place = at * (sorted.length - 1), low = Math.floor(place), high = Math.ceil(place);
    return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
  };
  const [low, high] = [quantile(share), quantile(1 - share)];
  return minMax(map.map((value) => Math.max(low, Math.min(high, value))));
}
