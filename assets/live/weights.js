// The model's file: half-precision tensors one after the other; `world.json` says which, and where.
import { linearLayer } from "./tensors.js";

export class WeightsError extends Error {}

/** All bytes of the weights, with `progress(share)` on the way; wrong length or SHA-256 is a WeightsError. */
export async function fetchWeights(url, { bytes, sha256 }, progress = () => {}) {
  let response;
  try {
    response = await fetch(url, { cache: "force-cache" });
  } catch {
    throw new WeightsError("The model's weights did not arrive: is the connection there? Then try again.");
  }
  if (!response.ok) throw new WeightsError(`The model's weights did not arrive (status ${response.status}). Try again.`);
  const data = await collected(response, bytes, progress);
  const subtle = globalThis.crypto?.subtle; // only there on https and on this machine; elsewhere the length must do
  const found = subtle && (await subtle.digest("SHA-256", data));
  const hash = found && Array.from(new Uint8Array(found), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (data.length !== bytes || (hash && hash !== sha256)) {
    throw new WeightsError("The model's weights are not the ones that this page was made with (their hash differs). " +
      "Reload the page without the cache, or build the book again.");
  }
  return data.buffer;
}

async function collected(response, bytes, progress) {
  const parts = [], reader = response.body.getReader();
  let length = 0;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      progress(Math.min(1, (length += part.value.length) / bytes));
    }
  } catch {
    throw new WeightsError("The model's weights stopped on their way. Try again.");
  }
  const data = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

/** float16 as float32: sign, five bits of exponent, ten of fraction. */
export function fromHalf(halves) {
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const bits = halves[i], power = (bits >> 10) & 31, fraction = bits & 1023, sign = bits & 0x8000 ? -1 : 1;
    if (power === 31) out[i] = fraction ? NaN : sign * Infinity;
    else out[i] = sign * (power ? 2 ** (power - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  }
  return out;
}

/** Every tensor by its name in the package's safetensors, as float32 (or int32). */
export function readTensors(buffer, tensors) {
  const read = { float16: (at, n) => fromHalf(new Uint16Array(buffer, at, n)), float32: (at, n) => new Float32Array(buffer, at, n),
    int32: (at, n) => new Int32Array(buffer, at, n) };
  return Object.fromEntries(Object.entries(tensors).map(([name, { dtype, shape, offset }]) =>
    [name, read[dtype](offset, shape.reduce((a, b) => a * b, 1))]));
}

/** Both towers, the transform T of each width, the class prompts' embeddings and the logit scale. */
export function buildModel(buffer, world) {
  const w = readTensors(buffer, world.tensors), { vision_cfg: vision, text_cfg: text, embed_dim: embed } = world.config;
  const patch = vision.patch_size, side = vision.image_size / patch;
  return {
    world, embed, scale: Math.exp(w.logit_scale[0]), classes: w["class_embeddings"],
    image: {
      ...tower(w, "visual.transformer", vision.width, vision.width / vision.head_width, vision.layers),
      patch, side, size: vision.image_size, tokens: side * side + 1, readout: norm(w, "visual.ln_post"),
      conv: linearLayer(w["visual.conv1.weight"], null, vision.width, 3 * patch * patch), pre: norm(w, "visual.ln_pre"),
      start: w["visual.class_embedding"], positions: w["visual.positional_embedding"],
      projection: linearLayerFromColumns(w["visual.proj"], vision.width, embed), ...transforms(w, vision.width, vision.head_width),
    },
    text: {
      ...tower(w, "transformer", text.width, text.heads, text.layers),
      tokens: text.context_length, readout: norm(w, "ln_final"), positions: w.positional_embedding,
      rows: new Map(Array.from(w["token_rows.ids"], (id, row) => [id, row])), table: w["token_rows.values"],
      projection: linearLayerFromColumns(w.text_projection, text.width, embed), ...transforms(w, text.width, text.width / text.heads),
    },
  };
}

const norm = (w, name) => ({ weight: w[`${name}.weight`], bias: w[`${name}.bias`] });

/** A matrix [inputs, outputs] that torch multiplies from the right. */
function linearLayerFromColumns(matrix, inputs, outputs) {
  const turned = linearLayer(matrix, null, inputs, outputs); // its transpose is the torch layout
  return { weight: turned.forward, forward: matrix, bias: null, inputs, outputs };
}

function tower(w, name, width, heads, depth) {
  const blocks = Array.from({ length: depth }, (_, i) => {
    const at = `${name}.resblocks.${i}`, layer = (part, outputs, inputs) =>
      linearLayer(w[`${at}.${part}.weight`], w[`${at}.${part}.bias`], outputs, inputs);
    return {
      before: norm(w, `${at}.ln_1`), after: norm(w, `${at}.ln_2`), out: layer("attn.out_proj", width, width),
      inProj: linearLayer(w[`${at}.attn.in_proj_weight`], w[`${at}.attn.in_proj_bias`], 3 * width, width),
      wide: layer("mlp.c_fc", 4 * width, width), narrow: layer("mlp.c_proj", width, 4 * width),
    };
  });
  return { blocks, width, heads };
}

/** T of the whole width, and the one that Eq. 5 needs where it reads each head's part of the queries. */
const transforms = (w, width, head) => ({ transform: transform(w, width), headTransform: transform(w, head) });

/** Eq. 3 and 4's T, drawn by torch from its seed when the book was built. */
function transform(w, width) {
  const name = `transform.${width}`;
  return {
    linear1: linearLayer(w[`${name}.linear_1.weight`], w[`${name}.linear_1.bias`], 2 * width, width),
    linear2: linearLayer(w[`${name}.linear_2.weight`], w[`${name}.linear_2.bias`], width, 2 * width),
    norm: norm(w, `${name}.norm`),
  };
}
