// What all playable figures share: stored numbers, colours, pictures, controls, words for those who do not see.
// A classic script, so that it runs from disk too; it loads nothing.
(() => {
  if (window.mmelPlay) return;
  const kinds = {};
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  /** The numbers that mmel.widgets.pack stored; `row(i)` is the i-th of those with ranges of their own. */
  const unpack = ({ shape, bits, low, high, data }) => {
    const read = bytes(data), codes = bits === 16 ? new Uint16Array(read.buffer) : read, length = codes.length / low.length;
    const values = Float64Array.from(codes, (code, i) => {
      const at = Math.floor(i / length);
      return low[at] + (code / (2 ** bits - 1)) * (high[at] - low[at]);
    });
    return { shape, length, values, row: (i) => values.subarray(i * length, (i + 1) * length) };
  };

  /** An element with properties and children; names with a dash or "role" and "for" are attributes. */
  const el = (tag, properties = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.includes("-") || ["role", "for", "list"].includes(name)) made.setAttribute(name, value);
      else made[name] = value;
    }
    made.append(...children);
    return made;
  };

  let count = 0;
  const labelled = (text, control, ...more) => {
    control.id = `mp-control-${(count += 1)}`;
    return el("div", { className: "mp-field" }, el("label", { for: control.id, textContent: text }), control, ...more);
  };

  /** A native slider with its label and its value. */
  const range = (text, { min, max, step, value, say = String, tall = false, plain = false }, changed) => {
    const input = el("input", { type: "range", min, max, step, value });
    const shown = el("span", { className: "mp-value", "aria-hidden": "true" });
    const tell = () => {
      shown.textContent = say(Number(input.value));
      input.setAttribute("aria-valuetext", say(Number(input.value)));
    };
    input.addEventListener("input", () => { tell(); changed(Number(input.value)); });
    const box = labelled(text, input, ...(plain ? [] : [shown]));
    box.classList.add(tall ? "mp-tall" : "mp-range");
    tell();
    return Object.assign(box, {
      input, set: (to) => { input.value = to; tell(); }, limit: (most) => { input.max = most; tell(); },
    });
  };

  /** A native list to choose from; names are [value, text] or texts. */
  const choice = (text, names, value, changed) => {
    const select = el("select"), box = labelled(text, select);
    const fill = (list) => select.replaceChildren(...list.map((name) => {
      const [key, shown] = Array.isArray(name) ? name : [name, name];
      return el("option", { value: key, textContent: shown });
    }));
    fill(names);
    select.value = value;
    select.addEventListener("change", () => changed(select.value));
    return Object.assign(box, { select, fill, set: (to) => { select.value = to; } });
  };

  const button = (text, pressed, more = {}) => el("button", { type: "button", textContent: text, onclick: pressed, ...more });

  /** A canvas that says what it shows. */
  const canvas = (size, label, height = size) => el("canvas", { width: size, height, role: "img", "aria-label": label });

  /** A place whose text is read aloud once the reader stops moving. */
  const speaker = (seen = false) => {
    const place = el("p", { className: seen ? "mp-said" : "mp-hear", role: "status" });
    let waiting;
    place.say = (text) => { clearTimeout(waiting); waiting = setTimeout(() => { place.textContent = text; }, 250); };
    return place;
  };

  /** All pictures of a sprite. `scaled(i, size)`: its pixels; `grey(i, size)`: as it lies, pale, beneath a map. */
  const pictures = async ({ src, count: all, width, height }) => {
    const sheet = new Image();
    sheet.src = src;
    await sheet.decode();
    const kept = new Map();
    const scaled = (i, size) => {
      const key = `${i} ${size}`;
      if (!kept.has(key)) {
        const drawn = el("canvas", { width: size, height: Math.round((size * height) / width) }), pen = drawn.getContext("2d");
        pen.imageSmoothingQuality = "high";
        pen.drawImage(sheet, 0, i * height, width, height, 0, 0, drawn.width, drawn.height);
        kept.set(key, pen.getImageData(0, 0, drawn.width, drawn.height));
      }
      return kept.get(key);
    };
    return { count: all, width, height, scaled };
  };

  const ends = (values) => [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];

  /** Bilinear, corners not aligned, as mmel.maps.upsample: for each pixel of a side its two neighbours and the share. */
  const places = (from, to) => Array.from({ length: to }, (_, i) => {
    const at = Math.max(0, ((i + 0.5) * from) / to - 0.5), first = Math.min(from - 1, Math.floor(at));
    return [first, Math.min(from - 1, first + 1), at - first];
  });

  const BLEND = 0.7, PALE = 0.25; // as mmel.figures draws a map over its picture
  /** A map in the book's colours, over its picture where one is given, in the columns from `left` to `right` (0 to 1). */
  const drawMap = (place, colours, map, { picture = null, rows, columns, limits = null, smooth = true, left = 0, right = 1 }) => {
    const pen = place.getContext("2d"), { width, height } = place, [low, high] = limits ?? ends(map), signed = !limits && low < 0;
    const table = signed ? colours.RdBu_r : colours.viridis, most = Math.max(Math.abs(low), Math.abs(high)) || 1;
    const from = signed ? -most : low, span = signed ? 2 * most : high - low;
    const start = Math.round(left * width), stop = Math.round(right * width);
    if (stop <= start) return;
    const out = pen.createImageData(stop - start, height), down = places(rows, height), across = places(columns, width);
    for (let y = 0, o = 0; y < height; y += 1) {
      const [a, b, t] = down[y], upper = (smooth ? a : Math.floor((y * rows) / height)) * columns, lower = b * columns;
      for (let x = start; x < stop; x += 1, o += 4) {
        const [c, d, u] = across[x];
        const value = smooth
          ? (map[upper + c] * (1 - u) + map[upper + d] * u) * (1 - t) + (map[lower + c] * (1 - u) + map[lower + d] * u) * t
          : map[upper + Math.floor((x * columns) / width)];
        const colour = 3 * Math.round(255 * Math.min(1, Math.max(0, span > 0 ? (value - from) / span : 0.5)));
        let grey = 0, share = 1;
        if (picture) {
          const p = 4 * (y * width + x), { data } = picture;
          grey = 255 * PALE + (1 - PALE) * (0.299 * data[p] + 0.587 * data[p + 1] + 0.114 * data[p + 2]);
          share = BLEND;
        }
        for (let i = 0; i < 3; i += 1) out.data[o + i] = share * table[colour + i] + (1 - share) * grey;
        out.data[o + 3] = 255;
      }
    }
    pen.putImageData(out, start, 0);
  };

  /** Where a map is highest, in words. */
  const peak = (map, rows, columns) => {
    const [low, high] = ends(map);
    if (low === high) return "the same everywhere";
    const at = map.indexOf(high), thirds = (i, all, names) => names[Math.min(2, Math.floor((3 * i) / all))];
    return `highest at the ${thirds(Math.floor(at / columns), rows, ["top", "middle", "bottom"])} ${
      thirds(at % columns, columns, ["left", "centre", "right"])}`;
  };

  /** The colours that the page's theme gives to lines and letters. */
  const ink = (box) => {
    const style = getComputedStyle(box), of = (name) => style.getPropertyValue(name).trim();
    return { text: of("--mp-ink"), soft: of("--mp-soft"), line: of("--mp-line"), accent: of("--mp-accent"), back: of("--mp-back") };
  };

  /** Curves as lines with a point on one of them; `x` and `y` run over the limits. */
  const drawCurves = (place, box, lines, { at, limits, xname = "", yname = "" }) => {
    const pen = place.getContext("2d"), { width, height } = place, tint = ink(box), [low, high] = limits;
    const [l, r, t, b] = xname ? [58, 14, 14, 42] : [6, 6, 6, 6];
    const x = (value) => l + value * (width - l - r), y = (value) => height - b - ((value - low) / (high - low || 1)) * (height - t - b);
    pen.clearRect(0, 0, width, height);
    pen.lineJoin = "round";
    pen.font = "20px system-ui, sans-serif";
    pen.fillStyle = tint.soft;
    pen.strokeStyle = tint.line;
    pen.lineWidth = 2;
    if (xname) {
      for (const value of [0, 0.5, 1]) {
        pen.textAlign = ["left", "center", "right"][2 * value];
        pen.fillText(`${100 * value} %`, x(value), height - b + 26);
      }
      pen.textAlign = "center";
      pen.fillText(xname, x(0.25), height - b + 26);
      pen.textAlign = "right";
      for (const value of [low, (low + high) / 2, high]) {
        pen.fillText(value.toFixed(2), l - 8, y(value) + 7);
        pen.beginPath();
        pen.moveTo(l, y(value));
        pen.lineTo(width - r, y(value));
        pen.stroke();
      }
      pen.textAlign = "left";
      pen.fillText(yname, l + 6, t + 16);
    }
    for (const { xs, ys, colour, wide, filled } of lines) {
      const points = xs.map((value, i) => [value, ys[i]]).filter(([, value]) => value !== null);
      if (filled) {
        pen.beginPath();
        for (const [i, [a, v]] of points.entries()) if (i <= at) pen.lineTo(x(a), y(v));
        const zero = y(Math.min(high, Math.max(low, 0))); // an area below 0 counts as negative
        pen.lineTo(x(points[Math.min(at, points.length - 1)][0]), zero);
        pen.lineTo(x(points[0][0]), zero);
        pen.globalAlpha = 0.16;
        pen.fillStyle = colour;
        pen.fill();
        pen.globalAlpha = 1;
      }
      pen.beginPath();
      for (const [a, v] of points) pen.lineTo(x(a), y(v));
      pen.strokeStyle = colour;
      pen.lineWidth = wide ? 5 : 2;
      pen.stroke();
      if (wide && ys[at] !== null) {
        pen.beginPath();
        pen.arc(x(xs[at]), y(ys[at]), 9, 0, 2 * Math.PI);
        pen.fillStyle = colour;
        pen.fill();
        pen.strokeStyle = tint.back;
        pen.lineWidth = 3;
        pen.stroke();
      }
    }
  };

  /** Begin every figure of the page whose script is there; draw it again when the theme changes. */
  const start = () => {
    for (const box of document.querySelectorAll(".mmel-play:not([data-ready])")) {
      const kind = kinds[box.dataset.kind];
      if (!kind) continue;
      box.dataset.ready = "";
      const data = JSON.parse(box.querySelector(".mp-data").textContent), live = box.querySelector(".mp-live");
      for (const name of ["viridis", "RdBu_r"]) data.colours[name] = bytes(data.colours[name]);
      pictures(data.sprite).then((found) => {
        const draw = kind(live, data, found);
        live.hidden = false;
        box.classList.add("mp-plays");
        draw();
        new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
        box.dataset.ready = "yes";
      }).catch(reportError); // the first state stays

    }
  };

  window.mmelPlay = {
    kinds, start, bytes, unpack, el, range, choice, button, canvas, speaker, ends, drawMap, drawCurves, peak, ink,
  };
})();
