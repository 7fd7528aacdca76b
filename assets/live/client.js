// The page's side of the worker: questions with answers, the model loaded at the first of them.

export class Client {
  #worker = null;
  #waiting = new Map();
  #count = 0;
  #loaded = null;

  constructor(folder, world, said = () => {}) {
    Object.assign(this, { folder, world, said });
  }

  /** Ask the worker; `said` hears of progress. Rejects with an Error whose message can be shown. */
  #ask(kind, asked, said = () => {}) {
    this.#worker ??= this.#start();
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#count, { resolve, reject, said });
      this.#worker.postMessage({ id: this.#count, kind, ...asked });
    });
  }

  #start() {
    const worker = new Worker(new URL("worker.js", this.folder), { type: "module" });
    worker.onmessage = ({ data: { id, answer, error, progress, milliseconds } }) => {
      const waiting = this.#waiting.get(id);
      if (progress !== undefined) return waiting.said(progress);
      this.#waiting.delete(id);
      if (error) waiting.reject(new Error(error));
      else waiting.resolve(answer && typeof answer === "object" ? { ...answer, milliseconds } : answer);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const lost = [...this.#waiting.values()];
      this.#waiting.clear();
      this.#worker = this.#loaded = null;
      worker.terminate();
      for (const { reject } of lost) reject(new Error("The model stopped: this browser could not run its worker. Reload the page."));
    };
    return worker;
  }

  /** Load the model, once; after a failure the next call tries again. */
  load() {
    this.#loaded ??= (async () => {
      const sheet = await spriteSheet(new URL(this.world.sprites.file, this.folder));
      const url = new URL(this.world.weights.file, this.folder).href;
      return this.#ask("load", { url, world: this.world, sheet }, this.said);
    })().catch((error) => {
      this.#loaded = null;
      throw error;
    });
    return this.#loaded;
  }

  async ask(kind, asked, said) {
    await this.load();
    return this.#ask(kind, asked, said);
  }
}

/** All sprites as RGBA bytes. */
async function spriteSheet(url) {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok) throw new Error("The emoji did not arrive: is the connection there? Then try again.");
  const picture = await createImageBitmap(await response.blob(), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(picture.width, picture.height), context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const { width, height, data } = context.getImageData(0, 0, picture.width, picture.height);
  return { width, height, data };
}
