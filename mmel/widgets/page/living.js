// One living figure: the script's own parent is the figure. Nothing is loaded; the data stand beside it.
(() => {
  "use strict";
  const root = document.currentScript.parentElement;
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const maps = bytes(data.maps), colours = bytes(data.colours), SIDE = 224, PAUSE = 3200, TURN = 500;
  const calm = matchMedia("(prefers-reduced-motion: reduce)"), size = data.rows * data.columns;
  const panels = [...root.querySelectorAll(".lv-panel")], said = root.querySelector(".lv-said");
  const target = (stop, method) => maps.subarray((stop * data.methods.length + method) * size, (stop * data.methods.length + method + 1) * size);
  let now = 0, grey = null, outlines = [], frame = 0, timer = 0, playing = false, seen = true;
  const values = data.methods.map((_, method) => Float32Array.from(target(0, method)));

  const loaded = (src) => new Promise((done) => { const image = new Image(); image.onload = () => done(image); image.src = src; });
  const canvases = panels.map((panel) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    canvas.setAttribute("role", "img");
    return canvas;
  });

  // where a pixel lies between two cells, as bilinear enlarging without aligned corners has it
  const between = (count) => Array.from({ length: SIDE }, (_, pixel) => {
    const place = Math.min(Math.max((pixel + 0.5) * count / SIDE - 0.5, 0), count - 1), low = Math.min(Math.floor(place), Math.max(count - 2, 0));
    return [low, Math.min(low + 1, count - 1), place - low];
  });
  const across = between(data.columns), down = between(data.rows);

  const paint = (method, shown) => {
    const context = canvases[method + 1].getContext("2d"), out = context.createImageData(SIDE, SIDE), map = values[method];
    const raised = new Float32Array(SIDE * SIDE);
    let least = Infinity, most = -Infinity;
    for (let y = 0; y < SIDE; y++) {
      const [top, bottom, v] = down[y];
      for (let x = 0; x < SIDE; x++) {
        const [left, right, u] = across[x];
        const value = (1 - v) * ((1 - u) * map[top * data.columns + left] + u * map[top * data.columns + right])
          + v * ((1 - u) * map[bottom * data.columns + left] + u * map[bottom * data.columns + right]);
        raised[y * SIDE + x] = value;
        if (value < least) least = value;
        if (value > most) most = value;
      }
    }
    const span = most - least || 1;
    for (let pixel = 0; pixel < SIDE * SIDE; pixel++) {
      const colour = 3 * Math.round(255 * (raised[pixel] - least) / span), under = grey[pixel] * (1 - data.alpha);
      for (let band = 0; band < 3; band++) out.data[4 * pixel + band] = under + data.alpha * colours[colour + band];
      out.data[4 * pixel + 3] = 255;
    }
    context.putImageData(out, 0, 0);
    lines(context, shown);
  };
  const lines = (context, shown) => {
    for (const [stop, strength] of shown) { context.globalAlpha = strength; context.drawImage(outlines[stop], 0, 0); }
    context.globalAlpha = 1;
  };
  const draw = (shown) => {
    data.methods.forEach((_, method) => paint(method, shown));
    const context = canvases[0].getContext("2d");
    context.drawImage(root.picture, 0, 0);
    lines(context, shown);
  };

  const show = (stop, { moving = true, tell = false } = {}) => {
    const before = now, at = data.stops[stop], start = values.map((each) => each.slice()), begun = performance.now();
    now = stop;
    words.forEach((word) => word.setAttribute("aria-pressed", String(Number(word.dataset.stop) === stop)));
    canvases[0].setAttribute("aria-label", `The picture; a line runs around ${at.thing}.`);
    const heard = data.methods.map((name, method) => {
      const share = `${Math.round(100 * at.shares[method])} % on ${at.thing}`, panel = panels[method + 1];
      panel.querySelector(".lv-share").textContent = share;
      panel.querySelector(".lv-bar span").style.width = `${100 * at.shares[method]}%`;
      panel.querySelector(".lv-bar i").style.left = `${100 * at.even}%`;
      canvases[method + 1].setAttribute("aria-label", `Heat map of ${name} over the greyed picture for \u201c${at.text}\u201d: ${share}.`);
      return `${name}: ${share}`;
    });
    if (tell) said.textContent = `Asked for \u201c${at.text}\u201d. ${heard.join("; ")}.`;
    cancelAnimationFrame(frame);
    const step = (time) => {
      const part = moving && !calm.matches ? Math.min(Math.max((time - begun) / TURN, 0), 1) : 1, smooth = part * part * (3 - 2 * part);
      values.forEach((each, method) => target(stop, method).forEach((value, cell) => { each[cell] = start[method][cell] + smooth * (value - start[method][cell]); }));
      draw(before === stop || smooth === 1 ? [[stop, 1]] : [[before, 1 - smooth], [stop, smooth]]);
      if (part < 1) frame = requestAnimationFrame(step);
    };
    step(begun);
  };

  const pause = document.createElement("button");
  pause.type = "button";
  pause.className = "lv-pause";
  const play = (on) => {
    playing = on;
    pause.textContent = on ? "Pause" : "Play";
    clearInterval(timer);
    if (on) timer = setInterval(() => { if (seen && !document.hidden) show((now + 1) % data.stops.length); }, PAUSE);
  };
  pause.addEventListener("click", () => { if (!playing) show((now + 1) % data.stops.length); play(!playing); });

  const words = [...root.querySelectorAll(".lv-word")].map((span) => {
    const word = document.createElement("button");
    word.type = "button";
    word.className = span.className;
    word.dataset.stop = span.dataset.stop;
    word.textContent = span.textContent;
    word.title = `Ask for \u201c${data.stops[Number(span.dataset.stop)].text}\u201d`;
    span.replaceWith(word);
    return word;
  });
  const ask = (word, tell) => { play(false); if (tell || Number(word.dataset.stop) !== now) show(Number(word.dataset.stop), { tell }); };
  words.forEach((word, place) => {
    word.addEventListener("click", () => ask(word, true));
    word.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") ask(word, false); });
    word.addEventListener("focus", () => { if (word.matches(":focus-visible")) ask(word, true); });
    word.addEventListener("keydown", (event) => {
      const turn = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (turn) { event.preventDefault(); words[(place + turn + words.length) % words.length].focus(); }
    });
  });

  Promise.all([loaded(data.picture), ...data.stops.map((stop) => loaded(stop.outline))]).then(([picture, ...drawn]) => {
    root.picture = picture;
    outlines = drawn;
    const context = canvases[0].getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const pixels = context.getImageData(0, 0, SIDE, SIDE).data;
    grey = Float32Array.from({ length: SIDE * SIDE }, (_, pixel) => {
      const tone = 0.299 * pixels[4 * pixel] + 0.587 * pixels[4 * pixel + 1] + 0.114 * pixels[4 * pixel + 2];
      return tone * (1 - data.pale) + 255 * data.pale;
    });
    panels.forEach((panel, place) => {
      const still = panel.querySelector("img");
      still.setAttribute("aria-hidden", "true");
      still.after(canvases[place]);
    });
    root.querySelector(".lv-ask").append(pause);
    root.classList.add("lv-plays");
    show(0, { moving: false });
    play(!calm.matches);
    calm.addEventListener("change", () => { if (calm.matches) play(false); });
    if ("IntersectionObserver" in window) new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; }, { threshold: 0.3 }).observe(root);
    window.addEventListener("beforeprint", () => { play(false); show(0, { moving: false }); });
  });
})();
