// CLIP's tokenizer for the words of the bundled world: the same ids, from a table that Python wrote.

/** The words and commas of a text, lower case, each with its place: {text, start, end, ids}; ids is null if unknown. */
export function wordsOf(world, text) {
  return Array.from(text.matchAll(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu), (hit) => {
    const word = hit[0].toLowerCase();
    return { text: hit[0], start: hit.index, end: hit.index + hit[0].length, ids: world.tokens[word] ?? null };
  });
}

/**
 * Token ids over the whole context, where the text ends, and what the reader has to be told.
 * `unknown`: words that the model has never seen, left out. `cut`: words behind the end of the context.
 */
export function tokenize(world, text) {
  const all = wordsOf(world, text), context = world.config.text_cfg.context_length, room = context - 2;
  const known = all.filter((word) => word.ids), unknown = all.filter((word) => !word.ids).map((word) => word.text);
  const tokens = new Int32Array(context), words = [], cut = [];
  tokens[0] = world.start;
  let at = 1;
  for (const word of known) {
    if (cut.length || at + word.ids.length > room + 1) {
      cut.push(word.text);
      continue;
    }
    words.push({ ...word, from: at, to: at + word.ids.length });
    tokens.set(word.ids, at);
    at += word.ids.length;
  }
  tokens[at] = world.end;
  return { text, tokens, eos: at, words, unknown: [...new Set(unknown)], cut };
}

/** Words that the one before the caret may be completed to, those the world knows. */
export function completions(world, text, caret, most = 6) {
  const begun = /[\p{L}\p{N}]+$/u.exec(text.slice(0, caret))?.[0].toLowerCase();
  if (!begun) return [];
  return world.vocabulary.filter((word) => word.startsWith(begun) && word !== begun).slice(0, most);
}
