// What a scene is made of: emoji to add, the list of those that are there, tools for the chosen one, place and brush.
import { button, choice, el, field, range } from "./dom.js";
import { describe, FILLS, MOST, randomScene } from "./state.js";

const SHEET = 960; // pixels across the sprite sheet, twelve cells

/** A button's emoji, cut from the sprite sheet. */
function sprite(world, thing, address) {
  const [left, top, right, bottom] = thing.box, cell = 80, made = el("span", { className: "live-sprite", "aria-hidden": "true" });
  made.style.backgroundImage = `url("${address}")`;
  made.style.backgroundSize = `${SHEET / 2.5}px auto`;
  made.style.backgroundPosition = `-${(Math.floor(left / cell) * cell) / 2.5}px -${(Math.floor(top / cell) * cell) / 2.5}px`;
  return made;
}

export class Palette {
  constructor(store, world, stage, address) {
    Object.assign(this, { store, world, stage });
    this.notice = el("p", { className: "live-notice", role: "status" });
    this.start = this.#start();
    this.tools = this.#tools();
    this.layers = el("div", { className: "live-layers", role: "group", "aria-label": "Objects, from back to front" });
    this.brush = this.#brush();
    this.add = this.#add(address);
  }

  #begin(scene, caption) {
    this.stage.selected = -1;
    this.store.change({ scene, captions: [caption], erased: { ...this.store.state.erased, runs: [] } });
  }

  #start() {
    const { world, store } = this, names = world.figures.map(({ key, caption }, i) => [String(i), `${key.split("/")[1].replaceAll("-", " ")}`]);
    const figures = choice("Start from", [["", "one of the paper's scenes …"], ...names], (value) => {
      if (value) this.#begin(structuredClone(world.figures[value].plan), world.figures[value].caption);
      figures.set("");
    });
    const random = button("A random scene", () => {
      const scene = randomScene(world);
      this.#begin(scene, describe(world, scene));
    }, { className: "live-button" });
    const empty = button("Empty", () => this.#begin({ ...store.state.scene, objects: [] }, store.state.captions[0]), { className: "live-button" });
    const places = choice("Place", Object.keys(world.backgrounds).map((name) => [name, name]), (background) => this.#scene({ background }));
    const again = button("Another such place", () => this.#scene({ background_seed: Math.floor(Math.random() * 2 ** 31) }), { className: "live-button" });
    this.undo = button("Undo", () => store.undo(), { className: "live-button" });
    this.places = places;
    return el("div", { className: "live-start" }, figures, places, random, again, empty, this.undo);
  }

  #scene(change) { this.store.change({ scene: { ...this.store.state.scene, ...change } }); }

  #tools() {
    const { stage } = this, act = (text, what) => button(text, what, { className: "live-small" }), begun = () => this.store.mark();
    this.size = range("Size", { min: 8, max: 112, step: 1, value: 40, begun, changed: (size) => stage.alter({ size }, false) });
    this.angle = range("Turn", { min: -180, max: 180, step: 1, value: 0, begun, changed: (angle) => stage.alter({ angle }, false) });
    return el("div", { className: "live-tools", role: "group", "aria-label": "The chosen object" }, this.size, this.angle,
      act("Mirror", () => stage.alter({ mirror: !stage.chosen.mirror })), act("Forward", () => stage.reorder(1)),
      act("Back", () => stage.reorder(-1)), act("Delete", () => stage.remove()));
  }

  #brush() {
    const { stage, store } = this;
    this.erasing = button("Brush that erases", () => this.mode("erase"), { className: "live-button", "aria-pressed": "false" });
    const fill = choice("Leaves", FILLS.map((name) => [name, name]), (value) => store.change({ erased: { ...store.state.erased, fill: value } }));
    const size = range("Width", { min: 3, max: 24, step: 1, value: stage.brush, changed: (value) => (stage.brush = value) });
    const whole = button("Bring all back", () => store.change({ erased: { ...store.state.erased, runs: [] } }), { className: "live-button" });
    this.fill = fill;
    return el("div", { className: "live-brush" }, this.erasing, fill, size, whole);
  }

  /** Switch between moving and another mode of the stage; the same mode again switches back. */
  mode(mode) {
    this.stage.mode = this.stage.mode === mode ? "move" : mode;
    this.stage.canvas.dataset.mode = this.stage.mode;
    this.store.tell();
  }

  #add(address) {
    const { world } = this, search = el("input", { type: "search", autocomplete: "off", placeholder: "dog, car, tree …" });
    const grid = el("div", { className: "live-grid", role: "group", "aria-label": "Objects to add" });
    const all = world.objects.map((thing) => {
      const made = el("button", { type: "button", title: thing.name, "aria-label": `Add ${thing.name}`, onclick: () => this.#put(thing) }, sprite(world, thing, address));
      return { thing, made };
    });
    grid.append(...all.map(({ made }) => made));
    search.addEventListener("input", () => {
      const wanted = search.value.trim().toLowerCase();
      for (const { thing, made } of all) made.hidden = ![thing.name, thing.plural, ...thing.synonyms].some((word) => word.includes(wanted));
    });
    return el("div", { className: "live-add" }, field("Add an object", search), grid);
  }

  #put({ name }) {
    const { scene } = this.store.state;
    if (scene.objects.length >= MOST) {
      this.notice.textContent = `A scene holds at most ${MOST} objects: delete one first.`;
      return;
    }
    const free = [[36, 36], [76, 76], [76, 36], [36, 76], [56, 56]][scene.objects.length % 5];
    this.store.mark();
    scene.objects.push({ name, x: free[0], y: free[1], size: 36, mirror: false, angle: 0 });
    this.stage.mode = "move";
    this.stage.select(scene.objects.length - 1);
  }

  draw({ scene, erased }) {
    const { stage } = this, chosen = stage.chosen;
    this.places.set(scene.background);
    this.fill.set(erased.fill);
    this.undo.disabled = !this.store.undoable;
    this.erasing.setAttribute("aria-pressed", String(stage.mode === "erase"));
    for (const control of this.tools.querySelectorAll("button, input")) control.disabled = !chosen;
    if (chosen) {
      this.size.set(Math.round(chosen.size));
      this.angle.set(((chosen.angle + 540) % 360) - 180);
    }
    if (scene.objects.length < MOST) this.notice.textContent = scene.objects.length ? "" : "The scene is empty: the model sees the place alone.";
    const names = scene.objects.map(({ name }) => name).join();
    if (this.layers.dataset.names !== names) {
      this.layers.dataset.names = names;
      this.layers.replaceChildren(...scene.objects.map(({ name }, i) => button(name, () => stage.select(i), { className: "live-small" })));
    }
    [...this.layers.children].forEach((each, i) => each.setAttribute("aria-pressed", String(i === stage.selected)));
  }
}
