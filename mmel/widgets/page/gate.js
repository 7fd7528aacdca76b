// MMEL's gate (Eq. 1 to 7 and 9) and Grad-ECLIP's map (Eq. 8) from stored queries and keys. Names as in mmel.methods.mmel.
(() => {
  const play = window.mmelPlay;
  if (play.gate) return;
  const KEPT = 6; // scales whose matrices are kept for each block

  const dot = (a, b, i, j, length) => {
    let sum = 0;
    for (let c = 0; c < length; c += 1) sum += a[i + c] * b[j + c];
    return sum;
  };

  /** Rows times the transposed matrix [outputs, inputs], plus a bias. */
  const linear = (x, rows, weight, bias, inputs, outputs) => {
    const out = new Float64Array(rows * outputs);
    for (let r = 0; r < rows; r += 1) {
      for (let o = 0; o < outputs; o += 1) out[r * outputs + o] = dot(x, weight, r * inputs, o * inputs, inputs) + (bias ? bias[o] : 0);
    }
    return out;
  };

  /** The same `count` channels, from `first` on, of every row: a head's part of the queries. */
  const columns = (x, rows, width, first, count) => {
    if (count === width) return x;
    const out = new Float64Array(rows * count);
    for (let r = 0; r < rows; r += 1) out.set(x.subarray(r * width + first, r * width + first + count), r * count);
    return out;
  };

  const layerNorm = (x, rows, width, weight, bias) => {
    for (let r = 0; r < rows; r += 1) {
      const row = x.subarray(r * width, (r + 1) * width), mean = row.reduce((a, b) => a + b, 0) / width;
      const scale = 1 / Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / width + 1e-5);
      for (let c = 0; c < width; c += 1) row[c] = (row[c] - mean) * scale * weight[c] + bias[c];
    }
    return x;
  };

  const unitRows = (x, rows, width) => {
    for (let r = 0; r < rows; r += 1) {
      const row = x.subarray(r * width, (r + 1) * width), norm = Math.max(1e-12, Math.sqrt(dot(row, row, 0, 0, width)));
      for (let c = 0; c < width; c += 1) row[c] /= norm;
    }
    return x;
  };

  const minMax = (values) => {
    const [low, high] = play.ends(values);
    return values.map((value) => (high > low ? (value - low) / (high - low) : 0));
  };

  /** Sec. 3.4: stretched to 0..1 between the quantiles `share` and 1 - `share`, cut off outside. */
  const enhanceContrast = (map, share) => {
    const sorted = map.slice().sort(), quantile = (where) => {
      const at = where * (sorted.length - 1), first = Math.floor(at);
      return sorted[first] + (at - first) * (sorted[Math.ceil(at)] - sorted[first]);
    };
    const [low, high] = [quantile(share), quantile(1 - share)];
    return minMax(map.map((value) => Math.min(high, Math.max(low, value))));
  };

  const softplus = (theta) => (theta > 20 ? theta : Math.log1p(Math.exp(theta))); // Eq. 6
  const sigmoid = (value) => 1 / (1 + Math.exp(-value));

  /** Eq. 8's sim_qk: cosines of the class token's query with every patch's key, min-max over the patches. */
  const simQk = (q, k, tokens, width) => {
    const query = unitRows(q.slice(0, width), 1, width), keys = unitRows(k.slice(width), tokens - 1, width);
    return minMax(Float64Array.from({ length: tokens - 1 }, (_, i) => dot(query, keys, 0, i * width, width)));
  };

  /** Ranks from 1 on, equal values with their mean rank; Spearman's correlation is Pearson's of these. */
  const ranks = (values) => {
    const order = Array.from(values.keys()).sort((a, b) => values[a] - values[b]), out = new Float64Array(values.length);
    for (let i = 0, j = 0; i < order.length; i = j) {
      for (j = i + 1; j < order.length && values[order[j]] === values[order[i]];) j += 1; // NaN too has an end
      for (let m = i; m < j; m += 1) out[order[m]] = (i + j + 1) / 2;
    }
    return out;
  };

  const spearman = (a, b) => {
    const [x, y] = [a, b].map((values) => {
      const found = ranks(values), mean = (values.length + 1) / 2;
      return found.map((value) => value - mean);
    });
    const spread = Math.sqrt(dot(x, x, 0, 0, x.length) * dot(y, y, 0, 0, y.length));
    return spread ? dot(x, y, 0, 0, x.length) / spread : NaN;
  };

  /** One scene after the other, with what does not depend on a dial kept. */
  class Gate {
    constructor(data) {
      const [queries, keys, values] = [data.queries, data.keys, data.values].map(play.unpack);
      const [, depth, tokens, width] = queries.shape;
      Object.assign(this, { queries, keys, values, depth, tokens, width, patches: tokens - 1, texts: values.shape[1], heads: data.heads, kept: new Map() });
      const weights = (stored) => Object.fromEntries(Object.entries(stored).map(([name, packed]) => [name, Float64Array.from(play.unpack(packed).values)]));
      this.T = Object.fromEntries(Object.entries(data.transforms).map(([parts, stored]) => [parts, weights(stored)])); // one T for each width
    }

    once(key, make) {
      if (!this.kept.has(key)) this.kept.set(key, make());
      return this.kept.get(key);
    }

    /** All tokens of one block of one scene. */
    block(stored, at) {
      const length = this.tokens * this.width;
      return stored.values.subarray(at * length, (at + 1) * length);
    }

    /** Eq. 8's summands, one a block. */
    bases(scene, text) {
      const { depth, tokens, width } = this;
      return this.once(`bases ${scene} ${text}`, () => Array.from({ length: depth }, (_, layer) => {
        const at = scene * depth + layer, sim = this.once(`sim ${at}`, () => simQk(this.block(this.queries, at), this.block(this.keys, at), tokens, width));
        const value = this.values.row((scene * this.texts + text) * depth + layer);
        return sim.map((one, i) => Math.max(0, one * value[i]));
      }));
    }

    /** Eq. 1b to 5 without the root of the width: the cosines of transformed patches, for one block, scale and part of the width. */
    cosines(scene, layer, s, part, parts) {
      const { patches } = this, at = scene * this.depth + layer, own = `${at} ${part} ${parts}`, width = this.width / parts, T = this.T[parts];
      const scales = this.once(`scales ${own}`, () => new Map());
      if (!scales.has(s)) {
        const read = () => columns(this.block(this.queries, at).slice(this.width), patches, this.width, part * width, width); // Eq. 1a: no class token
        const first = this.once(`first ${own}`, () => linear(read(), patches, T["linear_1.weight"], null, width, 2 * width));
        const hidden = first.map((value, i) => Math.max(0, s * value + T["linear_1.bias"][i % (2 * width)]));
        const out = linear(hidden, patches, T["linear_2.weight"], T["linear_2.bias"], 2 * width, width);
        const unit = unitRows(layerNorm(out, patches, width, T["norm.weight"], T["norm.bias"]), patches, width);
        const cosines = new Float64Array(patches * patches);
        for (let i = 0; i < patches; i += 1) {
          for (let j = 0; j <= i; j += 1) cosines[i * patches + j] = cosines[j * patches + i] = dot(unit, unit, i * width, j * width, width);
        }
        scales.set(s, cosines);
        if (scales.size > KEPT) scales.delete(scales.keys().next().value);
      }
      return scales.get(s);
    }

    /** Eq. 9's SemanticLevel: one number a patch from Eq. 5 and 7, by the reading that is chosen. */
    level(cosines, theta, settings, shown, width) {
      const { patches } = this, weight = softplus(theta), out = new Float64Array(patches), { temperature, reduction } = settings;
      const by = reduction === "relevance" ? minMax(shown) : new Float64Array(patches).fill(reduction === "sum" ? 1 : 1 / patches);
      for (let i = 0; i < patches; i += 1) {
        let row = cosines.subarray(i * patches, (i + 1) * patches);
        if (settings.temperature_place === "softmax") {
          const most = play.ends(row)[1];
          row = row.map((value) => Math.exp((value - most) / temperature));
          const sum = row.reduce((a, b) => a + b, 0);
          out[i] = (weight * dot(row, by, 0, 0, patches)) / sum;
        } else {
          const under = Math.sqrt(width) * (settings.temperature_place === "attention" ? temperature : 1);
          out[i] = (weight * dot(row, by, 0, 0, patches)) / under;
        }
      }
      return out;
    }

    /** Base map, MMEL's map and the gate between them. Contrast comes after the gate. */
    explain(scene, text, settings) {
      const bases = this.bases(scene, text), { patches, depth } = this, { alpha, theta, scales, gate } = settings;
      const base = bases.reduce((sum, one) => sum.map((value, i) => value + one[i])), keep = settings.beta_place === "base" ? settings.beta : 1;
      const parts = settings.head_wise ? this.heads : 1; // Eq. 5 on the whole width, or on each head's part, averaged
      const levels = bases.map((one, layer) => {
        const sum = new Float64Array(patches), shown = gate === "each" ? one : base;
        for (const s of scales) {
          for (let part = 0; part < parts; part += 1) {
            const level = this.level(this.cosines(scene, layer, s, part, parts), theta[layer], settings, shown, this.width / parts);
            level.forEach((value, i) => { sum[i] += value / parts; });
          }
        }
        return sum;
      });
      const enhanced = (one, level) => one.map((value, i) => value * (keep + alpha * sigmoid(level[i])));
      let map;
      if (gate === "each") map = bases.map((one, i) => enhanced(one, levels[i])).reduce((sum, one) => sum.map((value, i) => value + one[i]));
      else map = enhanced(base, levels.reduce((sum, one) => sum.map((value, i) => value + one[i])).map((value) => (gate === "sum" ? value : value / depth)));
      const seen = base.map((value) => value > 1e-3 * play.ends(base)[1]), factors = map.map((value, i) => (base[i] > 0 ? value / base[i] : NaN));
      const inside = Array.from(factors.filter((value, i) => seen[i] && Number.isFinite(value)));
      const [low, high] = inside.length ? play.ends(inside) : [NaN, NaN];
      if (settings.contrast_share !== null) map = enhanceContrast(map, settings.contrast_share);
      return { base, map, gate: factors, low, high, keep, order: spearman(base, map), ranks: [ranks(base), ranks(map)] };
    }
  }

  play.gate = { Gate, spearman };
})();
