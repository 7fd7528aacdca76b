// What the worker keeps between two questions: the last scene, the last pair, and the texts that were read lately.
import { CHOICES, explain, Pair } from "./explain.js";
import { recordImage, recordText, similarity, zeroShot } from "./clip.js";
import { curve, edited, energy, upsample } from "./metrics.js";
import { drawBackground, drawScene, erase } from "./scene.js";
import { ranking, spearman } from "./tensors.js";
import { tokenize } from "./tokenizer.js";

const TEXTS = 32; // recorded texts that are kept

export class Lab {
  #texts = new Map();
  #places = new Map();
  #scene = { key: null };
  #seen = { key: null };
  #whole = { key: null };
  #pair = { key: null };

  constructor(model, sheet) {
    Object.assign(this, { model, world: model.world, sheet });
  }

  #text(text) {
    if (!this.#texts.has(text)) {
      const tokenized = tokenize(this.world, text);
      if (this.#texts.size >= TEXTS) this.#texts.delete(this.#texts.keys().next().value);
      this.#texts.set(text, { tokenized, trace: tokenized.words.length ? recordText(this.model, tokenized) : null });
    }
    return this.#texts.get(text);
  }

  #background(name, seed) {
    const key = `${name} ${seed}`;
    if (!this.#places.has(key)) {
      if (this.#places.size >= 8) this.#places.delete(this.#places.keys().next().value);
      this.#places.set(key, drawBackground(name, seed));
    }
    return this.#places.get(key);
  }

  /** The scene of a state: drawn, and with what the brush took away. */
  #draw({ scene, erased }) {
    const key = JSON.stringify(scene), places = (name, seed) => this.#background(name, seed);
    if (this.#scene.key !== key) this.#scene = { key, ...drawScene(this.world, this.sheet, scene, places) };
    const background = places(scene.background, scene.background_seed);
    return { ...this.#scene, background, pixels: erase(this.#scene.pixels, erased.runs, erased.fill, background), intact: this.#scene.pixels };
  }

  #image(state) {
    const key = JSON.stringify([state.scene, state.erased]);
    if (this.#seen.key !== key) {
      const drawn = this.#draw(state);
      this.#seen = { key, drawn, trace: recordImage(this.model, drawn.pixels) };
    }
    return this.#seen;
  }

  #wholeTrace(state, drawn) {
    const key = JSON.stringify(state.scene);
    if (this.#whole.key !== key) this.#whole = { key, trace: recordImage(this.model, drawn.intact) };
    return this.#whole.trace;
  }

  #pairOf(state) {
    const { key, trace } = this.#image(state), text = this.#text(state.captions[0] ?? ""), name = `${key} ${state.captions[0]}`;
    if (!text.trace) return { text, pair: null };
    if (this.#pair.key !== name) this.#pair = { key: name, pair: new Pair(this.model, trace, text.trace) };
    return { text, pair: this.#pair.pair };
  }

  /** Maps of the state's pair by each of `asks` ({method, settings}), the picture, and what the text's words came to. */
  explain({ state, asks }) {
    const { drawn } = this.#image(state), { text, pair } = this.#pairOf(state);
    const answer = { pixels: drawn.pixels, words: text.tokenized, score: null, intact: null, results: [], objects: [] };
    if (!pair) return answer;
    answer.score = pair.score;
    answer.intact = state.erased.runs.length ? similarity(this.#wholeTrace(state, drawn), pair.text) : pair.score;
    answer.results = asks.map(({ method, settings }) => explain(pair, method, settings));
    answer.agreement = answer.results.length === 2 ? spearman(answer.results[0].image, answer.results[1].image) : null;
    const last = answer.results.at(-1)?.image;
    if (last) Object.assign(answer, { order: ranking(last), objects: drawn.masks.length ? energy(last, drawn.masks) : [] });
    return answer;
  }

  /** Cosines and zero-shot probabilities of all captions, and of the world's names. */
  bars({ state }) {
    const { trace } = this.#image(state), { embed, classes } = this.model;
    const texts = state.captions.map((text) => ({ text, trace: this.#text(text).trace })).filter((each) => each.trace);
    const embeds = new Float32Array(texts.length * embed);
    texts.forEach((each, i) => embeds.set(each.trace.embed, i * embed));
    const shares = zeroShot(this.model, trace, embeds), names = zeroShot(this.model, trace, classes);
    return {
      captions: texts.map(({ text, trace: read }, i) => ({ text, share: shares[i], cosine: similarity(trace, read) })),
      names: ranking(names).slice(0, 5).map((i) => ({ text: this.world.objects[i].name, share: names[i] })),
    };
  }

  /** Deletion and insertion curves of the state's pair by one method. */
  async curves({ state, ask }, said) {
    const { drawn } = this.#image(state), { pair } = this.#pairOf(state);
    if (!pair) return null;
    const { image } = explain(pair, ask.method, ask.settings), out = {};
    const score = async (pixels) => {
      await new Promise((resume) => setTimeout(resume)); // other questions may come between
      return similarity(recordImage(this.model, pixels), pair.text);
    };
    for (const [i, kind] of ["deletion", "insertion"].entries()) {
      out[kind] = await curve(kind, score, drawn.pixels, image, { said: (share) => said((i + share) / 2) });
    }
    return out;
  }

  /** The brush against Grad-ECLIP: the score when as many pixels go, those that its map of the whole picture ranks first. */
  rival({ state }) {
    const drawn = this.#draw(state), { trace: text } = this.#text(state.captions[0] ?? "");
    const count = state.erased.runs.reduce((sum, value, i) => sum + (i % 2 ? value : 0), 0);
    if (!text || !count) return null;
    const pair = new Pair(this.model, this.#wholeTrace(state, drawn), text), { method, settings } = CHOICES["grad-eclip-all"];
    const order = ranking(upsample(explain(pair, method, settings).image, this.world.size)), fill = state.erased.fill;
    const gone = erase(drawn.intact, [0, this.world.size ** 2], fill, drawn.background);
    const by = (pixels) => similarity(recordImage(this.model, pixels), text);
    return { share: count / order.length, yours: by(drawn.pixels), rival: by(edited(drawn.intact, gone, order, count)), whole: pair.score };
  }
}
