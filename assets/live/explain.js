// One call for every method, as mmel.explain: settings have Python's names, so that a state can go from one to the other.
import { imageMaps, rawAttentionMap, sumLayers, textMap } from "./grad_eclip.js";
import { recordImage, recordText, similarity } from "./clip.js";
import { enhanceContrast, imagePart, LITERAL, textPart, WORKING } from "./mmel.js";
import { ranking, spearman } from "./tensors.js";

const FIRST = 5; // patches whose places are compared with Grad-ECLIP's
const CLEAR = 0.01; // of a map's largest value: a difference that no rounding makes
const CAMEL = /_([a-z])/g;
const camel = (settings) => Object.fromEntries(Object.entries(settings).map(([name, value]) =>
  [name.replace(CAMEL, (_, letter) => letter.toUpperCase()), value]));
const snake = (settings) => Object.fromEntries(Object.entries(settings).map(([name, value]) =>
  [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]));

/** What the page offers: a name, a method of mmel.METHODS, and its settings where they are not the method's own. */
export const CHOICES = Object.freeze({
  "grad-eclip": { name: "Grad-ECLIP, last block", method: "grad_eclip", settings: {} },
  "grad-eclip-all": { name: "Grad-ECLIP, all blocks", method: "grad_eclip", settings: { layers: null, projected_keys: false } },
  attention: { name: "Raw attention, last block", method: "raw_attention", settings: {} },
  literal: { name: "MMEL as printed (LITERAL)", method: "mmel", settings: snake(LITERAL) },
  working: { name: "MMEL, our reading (WORKING)", method: "mmel", settings: snake(WORKING) },
  mine: { name: "MMEL by your dials", method: "mmel", settings: snake(WORKING) },
});

/** A picture and a text, both recorded, with the base maps that several methods share. */
export class Pair {
  #bases = new Map();

  constructor(model, image, text) {
    Object.assign(this, { model, image, text, score: similarity(image, text) });
  }

  static of(model, pixels, tokenized) {
    return new Pair(model, recordImage(model, pixels), recordText(model, tokenized));
  }

  #kept(make, which, { layers, projectedKeys, keySimilarity }) {
    const key = [which, layers, projectedKeys, keySimilarity].join();
    if (!this.#bases.has(key)) this.#bases.set(key, make(this.model, this.image, this.text, { layers, projectedKeys, keySimilarity }));
    return this.#bases.get(key);
  }

  imageMaps(settings) { return this.#kept(imageMaps, "image", settings); }
  textMap(settings) { return this.#kept(textMap, "text", settings); }
}

function gradEclip(pair, given) {
  const settings = { layers: 1, projectedKeys: true, keySimilarity: true, ...given };
  return { image: sumLayers(pair.imageMaps(settings)), text: pair.textMap(settings) };
}

function rawAttention({ model, image, text }) {
  return { image: rawAttentionMap(model.image, image), text: rawAttentionMap(model.text, text) };
}

/** How a map's first patches differ from its base's: `moved` of them in another place, and one that `rose` past one that fell out. */
export function changes(image, base) {
  const [own, others] = [image, base].map((map) => ranking(map).slice(0, FIRST));
  const clear = (map, p, q) => map[p] - map[q] > CLEAR * Math.max(...map);
  const came = own.filter((patch) => !others.includes(patch)), went = others.filter((patch) => !own.includes(patch));
  const pairs = came.flatMap((rose) => went.map((fell) => ({ rose, fell })));
  const sure = pairs.find(({ rose, fell }) => clear(image, rose, fell) && clear(base, fell, rose));
  return { moved: own.filter((patch, i) => patch !== others[i]).length, risen: sure ?? null };
}

/** What a gate did to the map under it: its range, the rank correlation, and how the first patches differ. */
export function gateOf(image, base) {
  const most = Math.max(...base), gates = Array.from(image, (value, i) => [value / base[i], base[i]]).filter(([, under]) => under > 1e-6 * most).map(([gate]) => gate);
  const gate = gates.length ? [Math.min(...gates), Math.max(...gates)] : null;
  return { gate, correlation: spearman(image, base), ...changes(image, base) };
}

function mmel(pair, given) {
  const settings = { ...LITERAL, text: "words", ...given }, bases = pair.imageMaps(settings), base = sumLayers(bases);
  const image = imagePart(pair.model, pair.image, pair.text, settings, bases);
  const text = settings.text === "none" ? null : textPart(pair.model, pair.image, pair.text, settings, pair.textMap(settings));
  const shown = settings.contrastShare === null ? image : enhanceContrast(image, settings.contrastShare); // changes no order
  return { image: shown, text, ...gateOf(image, base) };
}

const METHODS = { grad_eclip: gradEclip, raw_attention: rawAttention, mmel };

/** The maps of one method for one pair: image [patch], text [context] or null, the score; for MMEL its gate too. */
export function explain(pair, method, settings = {}) {
  return { score: pair.score, method, settings, ...METHODS[method](pair, camel(settings)) };
}
