// What the page shows before the model is there: its first state, as Python explained it when the book was built.
import { gateOf } from "./explain.js";
import { spearman } from "./tensors.js";
import { tokenize } from "./tokenizer.js";

/** The bytes of a picture as the model reads them, three a pixel. */
async function pixelsOf(src, side) {
  const picture = new Image();
  picture.src = src;
  await picture.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side }), pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0);
  return new Uint8ClampedArray(pen.getImageData(0, 0, side, side).data.filter((_, i) => i % 4 < 3));
}

/** What the worker would answer to the first state, `answer` and `bars`; null where the state is another. */
export async function firstAnswer(folder, world, state) {
  const { picture, caption, score, maps, bars } = world.first, shown = [state.left, state.right];
  if (state.captions.join() !== caption || shown.some((name) => !maps[name])) return null;
  const base = maps["grad-eclip-all"].image;
  const results = shown.map((name) => ({ ...maps[name], ...(maps[name].mmel && gateOf(maps[name].image, base)) }));
  const pixels = await pixelsOf(new URL(picture.file, folder).href, world.size), agreement = spearman(...results.map(({ image }) => image));
  return { answer: { pixels, words: tokenize(world, caption), score, intact: score, results, agreement }, bars };
}
