// The scene under the reader's hands: drawn large, dragged, scaled, turned, erased, by mouse, finger and keyboard.
import { el, pictureCanvas } from "./dom.js";
import { drawBackground, erase, maskOf, runsOf } from "./scene.js";

const GRIP = 9; // reach of a handle, in percent of the stage's side

export class Stage {
  selected = -1;
  mode = "move"; // move, erase or predict
  brush = 8;
  picked = () => {}; // hears of the patch that was clicked in mode "predict"
  guess = null;
  #drag = null;
  #fingers = new Map();
  #held = -1; // what was chosen before the first finger came
  #drawn = null;
  #place = { key: null };

  constructor(store, world, sheet) {
    Object.assign(this, { store, world, sheet, size: world.size });
    this.canvas = el("canvas", {
      width: 672, height: 672, tabIndex: 0, className: "live-stage", role: "application",
      "aria-label": "Scene. Arrow keys move the chosen object, plus and minus scale it, comma and full stop turn it, M mirrors it, Page Up and Page Down bring it forward and back, Delete removes it.",
    });
    this.canvas.addEventListener("pointerdown", (event) => this.#down(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, (event) => {
      this.#fingers.delete(event.pointerId);
      this.#drag = null;
    });
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  get objects() { return this.store.state.scene.objects; }
  get chosen() { return this.objects[this.selected] ?? null; }

  select(index) {
    this.selected = index;
    this.store.tell();
  }

  /** Change the chosen object. */
  alter(changes, mark = true) {
    if (!this.chosen) return;
    if (mark) this.store.mark();
    Object.assign(this.chosen, changes);
    this.store.tell();
  }

  remove() {
    if (!this.chosen) return;
    this.store.mark();
    this.objects.splice(this.selected, 1);
    this.selected = -1;
    this.store.tell();
  }

  /** Forward (1) or back (-1) in the order of drawing. */
  reorder(by) {
    const to = this.selected + by;
    if (!this.chosen || to < 0 || to >= this.objects.length) return;
    this.store.mark();
    this.objects.splice(to, 0, ...this.objects.splice(this.selected, 1));
    this.selected = to;
    this.store.tell();
  }

  #box({ name, size }) {
    const [left, top, right, bottom] = this.world.objects.find((thing) => thing.name === name).box, scale = size / Math.max(right - left, bottom - top);
    return { left, top, from: [right - left, bottom - top], width: (right - left) * scale, height: (bottom - top) * scale };
  }

  /** A point in the frame of an object, which may be turned. */
  #inside(each, x, y) {
    const turn = (each.angle * Math.PI) / 180, [dx, dy] = [x - each.x, y - each.y];
    return [dx * Math.cos(turn) - dy * Math.sin(turn), dx * Math.sin(turn) + dy * Math.cos(turn)];
  }

  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * this.size) / box.width, ((event.clientY - box.top) * this.size) / box.height];
  }

  #hit(x, y) {
    return this.objects.findLastIndex((each) => {
      const [dx, dy] = this.#inside(each, x, y), { width, height } = this.#box(each);
      return Math.abs(dx) <= width / 2 + 1 && Math.abs(dy) <= height / 2 + 1;
    });
  }

  #handle(x, y) {
    if (!this.chosen) return null;
    const [dx, dy] = this.#inside(this.chosen, x, y), { width, height } = this.#box(this.chosen), reach = (GRIP * this.size) / 200;
    if (Math.hypot(dx - width / 2, dy - height / 2) < reach) return "scale";
    return Math.hypot(dx, dy + height / 2 + 7) < reach ? "turn" : null;
  }

  #down(event) {
    const [x, y] = this.#point(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.#fingers.set(event.pointerId, [x, y]);
    if (this.#fingers.size > 1) return this.mode === "move" && this.#fingers.size === 2 ? this.#pinch() : undefined;
    this.#held = this.selected;
    if (this.mode === "predict") {
      const side = this.size / this.world.config.vision_cfg.patch_size, cell = (v) => Math.max(0, Math.min(side - 1, Math.floor((v * side) / this.size)));
      return this.picked(cell(y) * side + cell(x));
    }
    this.store.mark();
    if (this.mode === "erase") {
      this.#drag = { what: "erase" };
      return this.#erase(x, y);
    }
    const what = this.#handle(x, y);
    if (!what) this.selected = this.#hit(x, y);
    const each = this.chosen;
    this.#drag = each && { what: what ?? "place", x, y, from: { ...each }, inside: this.#inside(each, x, y) };
    this.store.tell();
  }

  /** Two fingers scale what the first one touched; else what was chosen before, or what lies between them. */
  #pinch() {
    const [[a, b], [c, d]] = this.#fingers.values();
    if (!this.chosen) this.selected = this.objects[this.#held] ? this.#held : this.#hit((a + c) / 2, (b + d) / 2);
    this.#drag = this.chosen && { what: "pinch", from: { ...this.chosen }, apart: this.#apart() };
    this.store.tell();
  }

  #apart() {
    const [[a, b], [c, d]] = this.#fingers.values();
    return Math.max(1, Math.hypot(a - c, b - d));
  }

  #move(event) {
    const [x, y] = this.#point(event);
    if (this.#fingers.has(event.pointerId)) this.#fingers.set(event.pointerId, [x, y]);
    if (!this.#drag) return;
    const { what, from, x: x0, y: y0 } = this.#drag, each = this.chosen;
    if (what === "erase") return this.#erase(x, y);
    if (!each) return;
    const far = (px, py) => Math.hypot(px - from.x, py - from.y), angle = (px, py) => Math.atan2(py - from.y, px - from.x);
    if (what === "place") this.alter({ x: this.#within(from.x + x - x0), y: this.#within(from.y + y - y0) }, false);
    if (what === "scale") this.alter({ size: this.#sized((from.size * far(x, y)) / Math.max(1, far(x0, y0))) }, false);
    if (what === "pinch") this.alter({ size: this.#sized((from.size * this.#apart()) / this.#drag.apart) }, false);
    if (what === "turn") this.alter({ angle: Math.round(from.angle - ((angle(x, y) - angle(x0, y0)) * 180) / Math.PI) % 360 }, false);
  }

  #sized(value) { return Math.round(Math.max(8, Math.min(this.size, value))); }
  #within(value) { return Math.round(Math.max(0, Math.min(this.size, value)) * 10) / 10; }

  #erase(x, y) {
    const { erased } = this.store.state, mask = maskOf(erased.runs, this.size);
    for (let row = 0; row < this.size; row++) for (let column = 0; column < this.size; column++) {
      if (Math.hypot(column + 0.5 - x, row + 0.5 - y) <= this.brush) mask[row * this.size + column] = 1;
    }
    this.store.change({ erased: { ...erased, runs: runsOf(mask) } }, { mark: false });
  }

  #key(event) {
    const step = event.shiftKey ? 8 : 2, each = this.chosen, turn = { ",": 5, ".": -5 }[event.key];
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    const act = () => {
      if (move) return this.alter({ x: this.#within(each.x + move[0]), y: this.#within(each.y + move[1]) });
      if (turn) return this.alter({ angle: (each.angle + turn) % 360 });
      if (event.key === "+" || event.key === "=") return this.alter({ size: Math.min(this.size, each.size + 2) });
      if (event.key === "-") return this.alter({ size: Math.max(8, each.size - 2) });
      if (event.key.toLowerCase() === "m") return this.alter({ mirror: !each.mirror });
      if (event.key === "PageUp") return this.reorder(1);
      if (event.key === "PageDown") return this.reorder(-1);
      if (event.key === "Delete" || event.key === "Backspace") return this.remove();
      return false;
    };
    if (each && !event.ctrlKey && !event.metaKey && act() !== false) event.preventDefault();
  }

  #background({ background, background_seed: seed }) {
    const key = `${background} ${seed}`;
    if (this.#place.key !== key) {
      const pixels = drawBackground(background, seed);
      this.#place = { key, pixels, canvas: pictureCanvas(pixels) };
    }
    return this.#place;
  }

  draw() {
    const { scene, erased } = this.store.state, now = JSON.stringify([scene, erased, this.guess, this.selected, this.mode]);
    if (this.#drawn === now) return; // a dial or a caption has moved: painting sixteen objects again would hold up the map
    this.#drawn = now;
    const context = this.canvas.getContext("2d"), scale = this.canvas.width / this.size;
    const place = this.#background(scene);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(place.canvas, 0, 0, this.size, this.size);
    for (const each of scene.objects) {
      const { left, top, from, width, height } = this.#box(each), gains = each.gains ?? [1, 1, 1];
      context.save();
      context.translate(each.x, each.y);
      context.rotate((-each.angle * Math.PI) / 180);
      context.scale(each.mirror ? -1 : 1, 1);
      context.filter = `brightness(${(gains[0] + gains[1] + gains[2]) / 3})`;
      context.drawImage(this.sheet, left, top, ...from, -width / 2, -height / 2, width, height);
      context.restore();
    }
    if (erased.runs.length) this.#drawErased(context, place.pixels, erased);
    if (this.guess !== null) this.#drawGuess(context);
    if (this.chosen && this.mode === "move") this.#drawFrame(context, this.chosen);
  }

  #drawErased(context, background, { runs, fill }) {
    const black = new Uint8ClampedArray(background.length), layer = pictureCanvas(erase(black, runs, fill, background));
    const data = layer.getContext("2d").getImageData(0, 0, this.size, this.size);
    maskOf(runs, this.size).forEach((on, i) => (data.data[4 * i + 3] = on ? 255 : 0));
    layer.getContext("2d").putImageData(data, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(layer, 0, 0, this.size, this.size);
  }

  #drawGuess(context) {
    const patch = this.world.config.vision_cfg.patch_size, side = this.size / patch;
    context.lineWidth = 1;
    for (const [style, inset] of [["#000", 0], ["#fff", 1]]) {
      context.strokeStyle = style;
      context.strokeRect((this.guess % side) * patch + inset, Math.floor(this.guess / side) * patch + inset, patch - 2 * inset, patch - 2 * inset);
    }
  }

  #drawFrame(context, each) {
    const { width, height } = this.#box(each);
    context.save();
    context.translate(each.x, each.y);
    context.rotate((-each.angle * Math.PI) / 180);
    for (const [style, wide] of [["#fff", 1.2], ["#0b57c0", 0.6]]) {
      context.strokeStyle = style;
      context.lineWidth = wide;
      context.strokeRect(-width / 2, -height / 2, width, height);
    }
    for (const [x, y] of [[width / 2, height / 2], [0, -height / 2 - 7]]) {
      context.beginPath();
      context.arc(x, y, 2.2, 0, 2 * Math.PI);
      context.fillStyle = "#0b57c0";
      context.fill();
      context.strokeStyle = "#fff";
      context.lineWidth = 0.8;
      context.stroke();
    }
    context.restore();
  }
}
