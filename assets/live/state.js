// The whole state of the page: what it may hold, how it goes into the address and comes back, and undo.

export const FILLS = ["black", "noise", "background"], MOST = 16, UNDO = 100;
const SHOWN = { left: "grad-eclip-all", right: "working", wipe: 0.5, opacity: 0.65 };

export class StateError extends Error {}

/** A state that shows one of the paper's scenes. */
export function startState(world, figure = 0, dials = {}) {
  const { plan, caption } = world.figures[figure];
  return { version: 1, scene: structuredClone(plan), erased: { runs: [], fill: "black" }, captions: [caption], ...SHOWN, dials: { ...dials } };
}

/** A scene of one to four objects at random places. */
export function randomScene(world, random = Math.random) {
  const pick = (list) => list[Math.floor(random() * list.length)], count = 1 + Math.floor(random() * 4);
  const [low, high] = [[34, 60], [26, 46], [24, 40], [22, 36]][count - 1];
  const objects = Array.from({ length: count }, () => {
    const size = Math.round(low + random() * (high - low)), place = () => Math.round(size / 2 + random() * (world.size - size));
    return { name: pick(world.objects).name, x: place(), y: place(), size, mirror: random() < 0.5, angle: Math.round(random() * 28 - 14) };
  });
  return { background: pick(Object.keys(world.backgrounds)), background_seed: Math.floor(random() * 2 ** 31), objects };
}

/** "a dog and a car": a caption of what is in a scene. */
export function describe(world, scene) {
  const names = [...new Set(scene.objects.map((each) => each.name))].slice(0, 4).map((name) => {
    const thing = world.objects.find((each) => each.name === name), count = scene.objects.filter((each) => each.name === name).length;
    if (count > 1) return `${["", "", "two", "three"][count] ?? "four"} ${thing.pair ? "pairs of " : ""}${thing.plural}`;
    return thing.pair ? name : `${"aeiou".includes(name[0]) ? "an" : "a"} ${name}`;
  });
  if (!names.length) return `a picture ${world.backgrounds[scene.background]}`;
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
}

const number = (value, low, high) => typeof value === "number" && Number.isFinite(value) && value >= low && value <= high;
const need = (good, what) => {
  if (!good) throw new StateError(what);
};

function readObject(world, each) {
  need(world.objects.some((thing) => thing.name === each?.name), `there is no object ${JSON.stringify(each?.name ?? null)}`);
  const { name, x, y, size, mirror = false, angle = 0, gains } = each, reach = 4 * world.size;
  need(number(x, -reach, reach) && number(y, -reach, reach), `${name} is nowhere`);
  need(number(size, 4, world.size) && number(angle, -3600, 3600), `${name} has no size or angle that can be drawn`);
  need(gains === undefined || (Array.isArray(gains) && gains.length === 3 && gains.every((g) => number(g, 0, 10))), `${name} has a colour that cannot be`);
  return { name, x, y, size, mirror: Boolean(mirror), angle, ...(gains && { gains }) };
}

/** A state read from JSON, checked piece by piece; what is missing gets its default. Raises StateError. */
export function readState(world, given, choices, dials) {
  need(given && typeof given === "object" && given.version === 1, "it is of another version of this page");
  const { scene, erased = { runs: [], fill: "black" }, captions = [] } = given;
  need(scene && Object.hasOwn(world.backgrounds, scene.background), "its background does not exist");
  need(Number.isInteger(scene.background_seed) && number(scene.background_seed, 0, 2 ** 53), "its background has no seed");
  need(Array.isArray(scene.objects) && scene.objects.length <= MOST, `it has no list of at most ${MOST} objects`);
  const area = world.size ** 2, { runs, fill } = erased;
  need(Array.isArray(runs) && runs.length % 2 === 0 && runs.every((value) => Number.isInteger(value) && value >= 0 && value <= area), "what was erased cannot be read");
  need(runs.every((value, i) => i % 2 === 0 || runs[i - 1] + value <= area) && FILLS.includes(fill), "what was erased cannot be read");
  need(Array.isArray(captions) && captions.length <= 12 && captions.every((text) => typeof text === "string" && text.length < 2000), "its captions cannot be read");
  const shown = { ...SHOWN };
  for (const side of ["left", "right"]) if (Object.hasOwn(choices, given[side] ?? "")) shown[side] = given[side];
  for (const part of ["wipe", "opacity"]) if (number(given[part], 0, 1)) shown[part] = given[part];
  return {
    version: 1, captions: captions.length ? [...captions] : [""], erased: { runs: [...runs], fill }, ...shown,
    scene: { background: scene.background, background_seed: scene.background_seed, objects: scene.objects.map((each) => readObject(world, each)) },
    dials: readDials(given.dials ?? {}, dials),
  };
}

/** Dials that exist, with values of the kind and length of their defaults. */
function readDials(given, dials) {
  const alike = (value, like) => (Array.isArray(like) ? Array.isArray(value) && value.length === like.length && value.every((v) => number(v, -100, 1000))
    : like === null ? value === null || number(value, 0, 0.49) : typeof like === "number" ? number(value, -100, 1000) : typeof value === typeof like && String(value).length < 20);
  return Object.fromEntries(Object.entries(dials).map(([name, like]) => [name, alike(given[name], like) ? given[name] : like]));
}

/** Text that can stand in an address. */
export function encode(state) {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function decode(text) {
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new StateError("it is cut off or was changed on its way");
  }
}

/** The state, those who listen to it, and undo. */
export class Store {
  #listeners = [];
  #past = [];

  constructor(state) { this.state = state; }

  listen(hear) { this.#listeners.push(hear); }

  /** Remember the state as it is, to come back to. */
  mark() {
    const now = JSON.stringify(this.state);
    if (this.#past.at(-1) !== now) this.#past.push(now);
    if (this.#past.length > UNDO) this.#past.shift();
  }

  /** Change the state; `mark` first where the change is one to undo. */
  change(changes, { mark = true } = {}) {
    if (mark) this.mark();
    Object.assign(this.state, changes);
    this.tell();
  }

  tell() { for (const hear of this.#listeners) hear(this.state); }

  get undoable() { return this.#past.length > 0; }

  undo() {
    const now = JSON.stringify(this.state);
    while (this.#past.length && this.#past.at(-1) === now) this.#past.pop();
    if (!this.#past.length) return;
    this.state = JSON.parse(this.#past.pop());
    this.tell();
  }
}
