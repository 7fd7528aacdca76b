// Arithmetic on typed arrays. A matrix is a Float32Array, row by row; sums are kept in double precision.

/** out[r, c] = sum_i x[r, i] w[i, c] (+ bias[c]). Two rows by four columns at a time, so that sums stay in registers. */
export function matmul(x, rows, inner, w, cols, bias = null, out = new Float32Array(rows * cols)) {
  const wide = cols - (cols % 4), even = rows - (rows % 2);
  for (let c = 0; c < wide; c += 4) {
    const b0 = bias ? bias[c] : 0, b1 = bias ? bias[c + 1] : 0, b2 = bias ? bias[c + 2] : 0, b3 = bias ? bias[c + 3] : 0;
    for (let r = 0; r < rows; r += 2) {
      const first = r * inner, second = r < even ? first + inner : first; // an odd last row is done twice
      let s0 = b0, s1 = b1, s2 = b2, s3 = b3, t0 = b0, t1 = b1, t2 = b2, t3 = b3;
      for (let i = 0, at = c; i < inner; i++, at += cols) {
        const p = x[first + i], q = x[second + i], w0 = w[at], w1 = w[at + 1], w2 = w[at + 2], w3 = w[at + 3];
        s0 += p * w0; s1 += p * w1; s2 += p * w2; s3 += p * w3;
        t0 += q * w0; t1 += q * w1; t2 += q * w2; t3 += q * w3;
      }
      const o = r * cols + c;
      out[o] = s0; out[o + 1] = s1; out[o + 2] = s2; out[o + 3] = s3;
      if (r < even) { out[o + cols] = t0; out[o + cols + 1] = t1; out[o + cols + 2] = t2; out[o + cols + 3] = t3; }
    }
  }
  for (let c = wide; c < cols; c++) {
    for (let r = 0; r < rows; r++) {
      let s = bias ? bias[c] : 0;
      for (let i = 0; i < inner; i++) s += x[r * inner + i] * w[i * cols + c];
      out[r * cols + c] = s;
    }
  }
  return out;
}

/** The transposed copy of a matrix [rows, cols]. */
export function transpose(w, rows, cols) {
  const out = new Float32Array(w.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = w[r * cols + c];
  return out;
}

/** A layer of torch, weight [outputs, inputs], kept both ways round: one for the forward, one for the backward pass. */
export function linearLayer(weight, bias, outputs, inputs) {
  return { weight, forward: transpose(weight, outputs, inputs), bias, outputs, inputs };
}

export const linear = (layer, x, rows) => matmul(x, rows, layer.inputs, layer.forward, layer.outputs, layer.bias);

/** The gradient at a linear layer's input, from that at its output. */
export const linearBack = (layer, grad, rows) => matmul(grad, rows, layer.outputs, layer.weight, layer.inputs);

/** Layer norm of each row; `unit` (the rows before weight and bias) and `inverse` (1 / deviation) go to the backward pass. */
export function layerNorm({ weight, bias }, x, rows, eps = 1e-5) {
  const width = weight.length, out = new Float32Array(rows * width), unit = new Float32Array(rows * width);
  const inverse = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    const at = r * width;
    let mean = 0, square = 0;
    for (let i = 0; i < width; i++) mean += x[at + i];
    mean /= width;
    for (let i = 0; i < width; i++) square += (x[at + i] - mean) ** 2;
    inverse[r] = 1 / Math.sqrt(square / width + eps);
    for (let i = 0; i < width; i++) {
      unit[at + i] = (x[at + i] - mean) * inverse[r];
      out[at + i] = unit[at + i] * weight[i] + bias[i];
    }
  }
  return { out, unit, inverse };
}

/** The gradient at a layer norm's input: J g = (w g - mean(w g) - unit mean(w g unit)) / deviation. */
export function layerNormBack({ weight }, { unit, inverse }, grad, rows) {
  const width = weight.length, out = new Float32Array(rows * width);
  for (let r = 0; r < rows; r++) {
    const at = r * width;
    let mean = 0, along = 0;
    for (let i = 0; i < width; i++) {
      const g = grad[at + i] * weight[i];
      mean += g;
      along += g * unit[at + i];
    }
    mean /= width; along /= width;
    for (let i = 0; i < width; i++) out[at + i] = (grad[at + i] * weight[i] - mean - unit[at + i] * along) * inverse[r];
  }
  return out;
}

/** Softmax of each row, in place. */
export function softmax(x, rows, cols) {
  for (let r = 0; r < rows; r++) {
    const at = r * cols;
    let top = -Infinity, sum = 0;
    for (let i = 0; i < cols; i++) top = Math.max(top, x[at + i]);
    for (let i = 0; i < cols; i++) sum += x[at + i] = Math.exp(x[at + i] - top);
    for (let i = 0; i < cols; i++) x[at + i] /= sum;
  }
  return x;
}

export const sigmoid = (x) => 1 / (1 + Math.exp(-x));
export const softplus = (x) => (x > 20 ? x : Math.log1p(Math.exp(x)));

/** x sigmoid(1.702 x): the activation of OpenAI's CLIP. */
export const quickGelu = (x) => x.map((value) => value * sigmoid(1.702 * value));

/** The gradient at quick GELU's input `x`. */
export function quickGeluBack(x, grad) {
  return grad.map((g, i) => {
    const s = sigmoid(1.702 * x[i]);
    return g * (s + 1.702 * x[i] * s * (1 - s));
  });
}

export const add = (a, b) => a.map((value, i) => value + b[i]);

export function dot(a, b, from = 0, to = 0, count = a.length) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += a[from + i] * b[to + i];
  return sum;
}

/** Each row divided by its length. */
export function unitRows(x, rows) {
  const width = x.length / rows, out = new Float32Array(x.length);
  for (let r = 0; r < rows; r++) {
    const length = Math.max(Math.sqrt(dot(x, x, r * width, r * width, width)), 1e-12);
    for (let i = 0; i < width; i++) out[r * width + i] = x[r * width + i] / length;
  }
  return out;
}

/** Values from 0 to 1 over the counted places (null: all); 0 where all are equal, or not counted. */
export function minMax(values, counted = null) {
  let low = Infinity, high = -Infinity;
  values.forEach((value, i) => {
    if (counted && !counted[i]) return;
    low = Math.min(low, value);
    high = Math.max(high, value);
  });
  const span = high > low ? high - low : 1;
  return values.map((value, i) => (counted && !counted[i] ? 0 : (value - low) / span));
}

/** Indices by falling value; of equal values the first one first. */
export const ranking = (values) => Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);

/** Spearman's rank correlation, ties with their mean rank; null where a side is constant. */
export function spearman(a, b) {
  const [p, q] = [ranks(a), ranks(b)], middle = (a.length - 1) / 2;
  let both = 0, left = 0, right = 0;
  p.forEach((value, i) => {
    both += (value - middle) * (q[i] - middle);
    left += (value - middle) ** 2;
    right += (q[i] - middle) ** 2;
  });
  return left && right ? both / Math.sqrt(left * right) : null;
}

function ranks(values) {
  const order = ranking(values), out = new Float64Array(values.length);
  for (let i = 0; i < order.length; ) {
    let j = i;
    while (j + 1 < order.length && values[order[j + 1]] === values[order[i]]) j++;
    for (let k = i; k <= j; k++) out[order[k]] = (i + j) / 2;
    i = j + 1;
  }
  return out;
}
