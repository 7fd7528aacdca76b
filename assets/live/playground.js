// The playground: builds the page's controls, asks the worker when something has changed, and shows what it says.
import { Captions } from "./caption.js";
import { Client } from "./client.js";
import { askOf, Dials } from "./dials.js";
import { button, choice, el, field, range } from "./dom.js";
import { Exercises } from "./exercises.js";
import { CHOICES } from "./explain.js";
import { firstAnswer } from "./first.js";
import { Palette } from "./palette.js";
import { showBars, showCurves } from "./plots.js";
import { fromAddress, openJson, saveJson, savePng, toAddress } from "./share.js";
import { Stage } from "./stage.js";
import { Store } from "./state.js";
import { View } from "./view.js";

class Playground {
  #busy = false;
  #stale = false;
  #seen = { answer: null, bars: null, rival: null, guess: null };

  constructor(root, folder, world, sheet, { state, said }) {
    Object.assign(this, { root, world });
    this.store = new Store(state);
    this.stage = new Stage(this.store, world, sheet);
    this.palette = new Palette(this.store, world, this.stage, sheet.src);
    this.captions = new Captions(this.store, world);
    this.dials = new Dials(this.store);
    this.view = new View((wipe, mark) => this.store.change({ wipe }, { mark }));
    this.exercises = new Exercises(document.getElementById("mmel-exercises") ?? el("div"));
    this.progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "The model's weights" });
    this.error = el("p", { className: "live-error", role: "alert" }, said);
    this.time = el("p", { className: "live-time" });
    this.bars = el("div");
    this.plot = el("div");
    this.client = new Client(folder, world, (share) => {
      this.progress.hidden = share >= 1;
      this.progress.value = share;
    });
    this.stage.picked = (patch) => this.#guess(patch);
    this.#build();
    this.store.listen(() => this.#changed());
    for (const what of ["pointerdown", "keydown", "focusin"]) root.addEventListener(what, () => this.#wake(), { once: true, capture: true });
    this.#draw();
    if (location.hash) this.#wake();
    else this.#first(folder);
  }

  /** The first state is there before the model is: nothing but its picture has to be loaded. */
  async #first(folder) {
    const load = `Touch anything here, and the model is loaded (${(this.world.weights.bytes / 1e6).toFixed(1)} MB).`;
    this.view.score.textContent = load;
    const found = await firstAnswer(folder, this.world, this.store.state).catch(() => null);
    if (!found || this.#awake) return;
    this.view.show(found.answer, this.store.state, this.names);
    showBars(this.bars, found.bars);
    this.time.textContent = `As Python computed it when this book was built. ${load}`;
    this.root.dataset.first = "yes";
  }

  get names() { return [this.store.state.left, this.store.state.right].map((name) => CHOICES[name].name); }
  get asks() { return [this.store.state.left, this.store.state.right].map((name) => askOf(name, this.store.state.dials)); }

  #build() {
    const { store, view, palette } = this, set = (name) => (value) => store.change({ [name]: value }, { mark: false });
    const methods = Object.entries(CHOICES).map(([key, { name }]) => [key, name]), begun = () => store.mark();
    this.left = choice("Left of the line", methods, set("left"));
    this.right = choice("Right of the line", methods, set("right"));
    this.wipe = range("Line", { min: 0, max: 1, step: 0.01, value: 0.5, begun, changed: set("wipe") });
    this.opacity = range("Opacity of the map", { min: 0, max: 1, step: 0.05, value: 0.65, begun, changed: set("opacity") });
    this.predict = button("Predict, then see", () => this.#predict(), { className: "live-button", "aria-pressed": "false" });
    this.curves = button("Deletion and insertion curves", () => this.#curves(), { className: "live-button" });
    this.curving = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "Curves" });
    const file = el("input", { type: "file", accept: ".json,application/json", onchange: () => this.#open(file) });
    const files = el("div", { className: "live-files" },
      button("Copy the address", () => this.#copy(), { className: "live-button" }), button("Save as JSON", () => saveJson(store.state), { className: "live-button" }),
      button("Save as PNG", () => savePng(this.stage, view, store.state, this.#seen.answer?.score ?? null, this.names), { className: "live-button" }), field("Open a JSON", file));
    this.copied = el("span", { role: "status" });
    files.append(this.copied);
    const part = (name, ...inside) => el("section", { className: "live-part", "aria-label": name }, el("h2", {}, name), ...inside);
    this.root.replaceChildren(this.error, el("div", { className: "live-columns" },
      part("Make a scene", palette.start, this.stage.canvas, palette.layers, palette.notice, palette.tools, palette.add, palette.brush),
      part("Ask the model", this.captions.place, this.progress, view.score, view.words, view.canvas, this.wipe, view.bar, this.left, this.right, this.opacity,
        el("p", {}, this.predict), view.facts, this.dials.place, this.time)),
    el("div", { className: "live-columns" }, part("Zero-shot", this.bars), part("Curves", this.curves, this.curving, this.plot)), files);
  }

  #draw() {
    const { state } = this.store;
    for (const part of [this.stage, this.palette, this.captions, this.dials]) part.draw(state);
    for (const name of ["left", "right", "wipe", "opacity"]) this[name].set(state[name]);
    this.predict.setAttribute("aria-pressed", String(this.stage.mode === "predict"));
    this.view.draw(state, this.names);
  }

  #changed() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
    toAddress(this.store.state);
    if (this.#awake) this.#explain();
  }

  #frame = 0;
  #awake = false;

  #wake() {
    if (this.#awake) return;
    this.#awake = true;
    this.progress.hidden = false;
    this.#explain();
  }

  /** Ask for the state's maps; while an answer is on its way, only the latest state waits. */
  async #explain() {
    if (this.#busy) return (this.#stale = true);
    this.#busy = true;
    this.root.setAttribute("aria-busy", "true");
    do {
      this.#stale = false;
      await this.#once();
    } while (this.#stale);
    this.#busy = false;
    this.root.setAttribute("aria-busy", "false");
  }

  async #once() {
    const state = structuredClone(this.store.state), begun = performance.now();
    try {
      const answer = await this.client.ask("explain", { state, asks: this.asks });
      this.error.textContent = "";
      this.view.show(answer, this.store.state, this.names);
      this.time.textContent = `Computed in this page in ${Math.round(answer.milliseconds)} ms.`;
      this.root.dataset.milliseconds = performance.now() - begun; // from the question to the map on the screen
      Object.assign(this.#seen, { answer, bars: null, rival: null });
      this.#judge(state);
      if (!this.#stale) await this.#after(state);
    } catch (error) {
      this.progress.hidden = true;
      this.error.replaceChildren(error.message, " ", button("Try again", () => this.#explain(), { className: "live-small" }));
    }
  }

  /** What can wait for a pause: bars, and the brush against Grad-ECLIP. */
  async #after(state) {
    this.#seen.bars = await this.client.ask("bars", { state });
    showBars(this.bars, this.#seen.bars);
    if (state.erased.runs.length && !this.#stale) this.#seen.rival = await this.client.ask("rival", { state });
    this.#judge(state);
  }

  #judge(state) { this.exercises.see({ ...this.#seen, state, world: this.world }); }

  #predict() {
    this.palette.mode("predict");
    this.view.hidden = this.stage.mode === "predict";
    this.stage.guess = this.#seen.guess = null;
    if (this.#seen.answer) this.view.show(this.#seen.answer, this.store.state, this.names);
    this.store.tell();
  }

  #guess(patch) {
    this.stage.guess = this.#seen.guess = patch;
    this.palette.mode("predict");
    this.view.hidden = false;
    if (this.#seen.answer) this.view.show(this.#seen.answer, this.store.state, this.names);
    this.#judge(structuredClone(this.store.state));
    this.#seen.guess = null;
  }

  async #curves() {
    this.curves.disabled = true;
    this.curving.hidden = false;
    const state = structuredClone(this.store.state), name = this.names[1];
    try {
      const answer = await this.client.ask("curves", { state, ask: this.asks[1] }, (share) => (this.curving.value = share));
      if (answer) showCurves(this.plot, answer, name);
      else this.plot.replaceChildren("Curves need a caption with words that the model knows.");
    } catch (error) {
      this.error.textContent = error.message;
    }
    this.curves.disabled = false;
    this.curving.hidden = true;
  }

  async #copy() {
    toAddress(this.store.state);
    await new Promise((resume) => setTimeout(resume, 300));
    const done = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
    this.copied.textContent = done ? "Copied." : "The address above holds the scene: copy it from there.";
  }

  async #open(file) {
    if (!file.files.length) return;
    try {
      const state = await openJson(this.world, file.files[0]);
      this.error.textContent = "";
      this.stage.selected = -1;
      this.store.change(state);
    } catch (error) {
      this.error.textContent = error.message;
    }
    file.value = "";
  }
}

/** Build the playground into `root`; `folder` is where the engine and its files lie. */
export async function start(root, folder) {
  try {
    const world = await fetch(new URL("world.json", folder)).then((response) => response.json());
    const sheet = new Image();
    sheet.src = new URL(world.sprites.file, folder).href;
    await sheet.decode();
    return new Playground(root, folder, world, sheet, fromAddress(world));
  } catch (error) {
    root.prepend(el("p", { className: "live-error", role: "alert" }, `The playground could not start (${error.message}). Reload the page; if that does not help, build the book again.`));
  }
}
