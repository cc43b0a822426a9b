// Small looping clips: what the model gets, how much each token changed, what it keeps and rebuilds.
const SPEED = 8; // frames a second
const WIDEST = 480; // pixels of a canvas, about
const HEAT = ["000004", "1b0c41", "4a0c6b", "781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4"];
const TOKEN = { dropped: 0, masked: 1, visible: 2 };
const OUTLINE = { 1: "#ff9600", 2: "#00beeb" };
const layers = new Set([...document.querySelectorAll("#layers input:checked")].map((input) => input.value));
const samples = [];

function bytes(text) { return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)); }

function heat(level) {
  const place = (level / 255) * (HEAT.length - 1);
  const low = Math.min(Math.floor(place), HEAT.length - 2);
  const mix = (at) => {
    const [from, to] = [HEAT[low], HEAT[low + 1]].map((colour) => parseInt(colour.slice(at, at + 2), 16));
    return Math.round(from + (place - low) * (to - from));
  };
  return `rgb(${mix(0)},${mix(2)},${mix(4)})`;
}
const HEATS = Array.from({ length: 256 }, (_, level) => heat(level));

class Sample {
  constructor(host, sample) {
    this.host = host;
    this.sample = sample;
    this.time = 0;
    this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.seen = false;
    this.scores = bytes(sample.scores || "");
    this.tokens = bytes(sample.tokens);
    this.slider = host.querySelector("input[type=range]");
    this.button = host.querySelector(".play");
    this.output = host.querySelector("output");
    const factor = Math.max(1, Math.round(WIDEST / sample.input.width));
    this.size = [sample.input.width * factor, sample.input.height * factor];
    this.canvases = new Map();
    for (const panel of host.querySelectorAll(".panel")) {
      const canvas = panel.querySelector("canvas");
      [canvas.width, canvas.height] = this.size;
      this.canvases.set(panel.dataset.layer, canvas);
    }
    this.slider.addEventListener("input", () => { this.play(false); this.go(Number(this.slider.value)); });
    this.button.addEventListener("click", () => this.play(!this.playing));
    this.sheets = {};
    this.ready = Promise.all(["input", "rebuilt"].filter((name) => sample[name]).map(async (name) => {
      const image = new Image();
      image.src = sample[name].picture;
      await image.decode();
      this.sheets[name] = image;
    })).then(() => this.go(this.time));
    this.thumbs = this.strip();
    this.play(this.playing);
  }

  strip() {
    const pairs = this.sample.pairs;
    if (!pairs) return [];
    const row = this.host.querySelector(".strip");
    const found = [];
    for (let number = 0; number < pairs.count; number += 1) {
      const order = pairs.chosen.indexOf(number);
      const thumb = element("span", { class: order < 0 ? "thumb" : "thumb chosen" }, row);
      const picture = element("i", {}, thumb);
      picture.style.width = pairs.width + "px";
      picture.style.height = pairs.height + "px";
      picture.style.backgroundImage = `url(${pairs.picture})`;
      picture.style.backgroundPosition = `${-(number % pairs.columns) * pairs.width}px ${-Math.floor(number / pairs.columns) * pairs.height}px`;
      thumb.append(order < 0 ? "" : String(order + 1));
      if (order >= 0) found[order] = thumb;
    }
    return found;
  }

  play(playing) {
    this.playing = playing;
    this.button.textContent = playing ? "❚❚" : "►";
    this.button.setAttribute("aria-label", playing ? "Pause" : "Play");
  }

  get step() { return Math.floor((this.time * this.sample.step) / this.sample.tubelet); }

  go(time) {
    this.time = time;
    this.slider.value = String(time);
    this.output.textContent = `frame ${time * this.sample.step + 1}, step ${this.step + 1} of ${this.sample.grid[0]}`;
    this.thumbs.forEach((thumb, order) => thumb.classList.toggle("now", order === this.step));
    if (!this.sheets.input) return;
    for (const [layer, canvas] of this.canvases) {
      if (layers.has(layer)) this.draw(layer, canvas.getContext("2d"));
    }
  }

  frame(context, name) {
    const sheet = this.sample[name];
    const [x, y] = [(this.time % sheet.columns) * sheet.width, Math.floor(this.time / sheet.columns) * sheet.height];
    context.imageSmoothingEnabled = false;
    context.drawImage(this.sheets[name], x, y, sheet.width, sheet.height, 0, 0, ...this.size);
  }

  draw(layer, context) {
    const [width, height] = this.size;
    context.globalCompositeOperation = "source-over";
    context.globalAlpha = 1;
    this.frame(context, layer === "rebuilt" ? "rebuilt" : "input");
    if (layer === "input") return;
    if (layer === "importance") {
      context.globalCompositeOperation = "saturation"; // grey, in browsers without canvas filters too
      context.fillStyle = "#808080";
      context.fillRect(0, 0, width, height);
      context.globalCompositeOperation = "source-over";
      this.each((x, y, wide, high, place) => {
        context.globalAlpha = 0.35 + (0.4 * this.scores[place]) / 255;
        context.fillStyle = HEATS[this.scores[place]];
        context.fillRect(x, y, wide, high);
      });
      return;
    }
    context.fillStyle = "#000";
    this.each((x, y, wide, high, place) => {
      const token = this.tokens[place];
      const dark = token === TOKEN.dropped ? 0.82 : token === TOKEN.masked && layer === "kept" ? 0.5 : 0;
      if (!dark) return;
      context.globalAlpha = dark;
      context.fillRect(x, y, wide, high);
    });
    context.globalAlpha = 1;
    if (!layers.has("outlines") || layer === "rebuilt") return;
    const line = Math.max(2, Math.round(height / this.sample.grid[1] / 14));
    context.lineWidth = line;
    for (const token of [TOKEN.masked, TOKEN.visible]) {
      context.strokeStyle = OUTLINE[token];
      this.each((x, y, wide, high, place) => {
        if (this.tokens[place] === token) context.strokeRect(x + line / 2, y + line / 2, wide - line, high - line);
      });
    }
  }

  // Each token of the step on view: its place on the canvas and in the arrays.
  each(act) {
    const [, rows, columns] = this.sample.grid;
    const [width, height] = this.size;
    const edge = (total, part, parts) => Math.round((total * part) / parts);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const [x, y] = [edge(width, column, columns), edge(height, row, rows)];
        act(x, y, edge(width, column + 1, columns) - x, edge(height, row + 1, rows) - y,
          (this.step * rows + row) * columns + column);
      }
    }
  }
}

document.querySelectorAll("[data-sample]").forEach((host) => {
  samples.push(new Sample(host, data.samples[Number(host.dataset.sample)]));
});

if (samples.length) {
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const sample = samples.find((one) => one.host === entry.target);
      sample.seen = entry.isIntersecting;
    }
  });
  samples.forEach((sample) => watcher.observe(sample.host));
  let before = 0;
  const tick = (now) => {
    if (now - before > 1000 / SPEED) {
      before = now;
      for (const sample of samples) {
        if (sample.playing && sample.seen) sample.go((sample.time + 1) % sample.sample.input.count);
      }
    }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}
