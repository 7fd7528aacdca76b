// Which method is it? One map, four answers, a score.
(() => {
  const { kinds, start, unpack, el, button, canvas, drawMap, peak } = window.mmelPlay;
  const SIZE = 448, SMALL = 168;

  kinds.quiz ??= (live, data, pictures) => {
    const maps = Object.fromEntries(data.methods.map((name) => [name, unpack(data.maps[name])])), all = data.questions.length;
    const state = { asked: 0, right: 0, answer: null }, tall = (size) => Math.round((size * pictures.height) / pictures.width);
    const place = canvas(SIZE, "", tall(SIZE)), said = el("p", { className: "mp-verdict", role: "status" }), score = el("p", { className: "mp-read" });
    const options = el("div", { className: "mp-options", role: "group", "aria-label": "The method" }), reveal = el("div", { className: "mp-tiles mp-reveal" });
    const question = el("p", { className: "mp-question" });
    const next = button("Next map", () => {
      const over = state.asked === all - 1;
      Object.assign(state, over ? { asked: 0, right: 0, answer: null } : { asked: state.asked + 1, answer: null });
      draw();
      options.querySelector("button").focus({ preventScroll: true });
    }, { className: "mp-button" });

    const paint = (where, name, scene, size) => {
      const { shape, row } = maps[name];
      drawMap(where, data.colours, row(scene), { picture: pictures.scaled(scene, size), rows: shape[1], columns: shape[2] });
      return peak(row(scene), shape[1], shape[2]);
    };

    const choose = (name) => {
      const { method } = data.questions[state.asked];
      if (state.answer !== null) return;
      state.answer = name;
      state.right += name === method;
      draw();
      next.focus({ preventScroll: true });
    };

    const draw = () => {
      const { method, scene, options: names } = data.questions[state.asked], open = state.answer === null, over = !open && state.asked === all - 1;
      const where = paint(place, method, scene, SIZE);
      place.setAttribute("aria-label", `A map for \u201c${data.texts[scene]}\u201d, ${where}, by a method to be guessed.`);
      question.textContent = `Map ${state.asked + 1} of ${all}, for the text \u201c${data.texts[scene]}\u201d. Which method made it?`;
      options.replaceChildren(...names.map((name) => {
        const made = button(name, () => choose(name), { className: "mp-option" });
        if (!open) {
          made.setAttribute("aria-disabled", "true");
          if (name === method) made.classList.add("mp-right-one");
          else if (name === state.answer) made.classList.add("mp-wrong-one");
        }
        return made;
      }));
      const done = state.asked + (open ? 0 : 1);
      score.textContent = done ? `${state.right} of ${done} right; guessing would reach ${Number((done / names.length).toFixed(2))}.` : `Guessing reaches one in ${names.length}.`;
      said.className = `mp-verdict ${open ? "" : state.answer === method ? "mp-yes" : "mp-no"}`;
      said.textContent = open ? "" : `${state.answer === method ? "Right" : "No"}: ${method}${data.families[method] ? `, ${data.families[method]}` : ""}.${
        over ? ` That was the last: ${state.right} of ${all}, where guessing reaches ${Number((all / names.length).toFixed(2))}.` : ""}`;
      next.hidden = open;
      next.textContent = over ? "Play again" : "Next map";
      reveal.hidden = open;
      reveal.replaceChildren(...(open ? [] : names.map((name) => {
        const small = canvas(SMALL, "", tall(SMALL)), box = el("figure", { className: name === method ? "mp-tile mp-on" : "mp-tile" }, small, el("figcaption", { textContent: name }));
        small.setAttribute("aria-label", `The map of ${name}, ${paint(small, name, scene, SMALL)}.`);
        return box;
      })));
    };

    live.append(el("div", { className: "mp-two" }, el("div", { className: "mp-stage" }, place),
      el("div", { className: "mp-side" }, question, options, said, el("div", { className: "mp-wide" }, next), score)), reveal);
    return draw;
  };
  start();
})();
