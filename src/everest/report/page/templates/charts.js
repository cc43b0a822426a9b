// Curves over the run: drawn anew for each width, with their values under the pointer.
const HEIGHT = { large: 250, small: 150 };
const PAD = { top: 10, right: 12, bottom: 38 };
const FEW = 40; // points up to which each gets a mark
const NEAR = 24; // pixels within which a curve's value is told
const AXES = ["step", "epoch", "hours of training"];
const single = data.clocks.length === 1;

function colourOf(curve) {
  if (!single) return `var(--r${curve.run % 8})`;
  return { main: "var(--c0)", pale: "var(--pale)", second: "var(--c1)", third: "var(--c2)" }[curve.role];
}

// A step as the axis asks: 0 steps, 1 epochs, 2 hours; between two epochs in proportion.
function placed(step, clock, axis) {
  if (axis === 0 || clock.length < 2) return step;
  let after = clock.findIndex((mark) => mark[0] >= step);
  if (after < 1) after = after === 0 ? 1 : clock.length - 1;
  const [from, to] = [clock[after - 1], clock[after]];
  const share = to[0] === from[0] ? 1 : (step - from[0]) / (to[0] - from[0]);
  return from[axis] + share * (to[axis] - from[axis]);
}

function lineChart(host, chart) {
  const plot = host.querySelector(".plot");
  const legend = host.querySelector(".legend");
  const hidden = new Set();
  const note = tip(plot);
  let axis = 1;
  let width = 0;

  chart.curves.forEach((curve, number) => {
    if (chart.curves.length < 2 && single) return;
    const item = element("button", { type: "button", "aria-pressed": "true" }, legend);
    const key = drawn("svg", { viewBox: "0 0 20 8" }, item);
    const line = drawn("line", { x1: 1, x2: 19, y1: 4, y2: 4, class: `curve ${curve.role}` }, key);
    line.style.stroke = colourOf(curve);
    item.append(curve.name);
    item.addEventListener("click", () => {
      if (hidden.has(number)) hidden.delete(number); else hidden.add(number);
      item.setAttribute("aria-pressed", String(!hidden.has(number)));
      draw(width);
    });
  });

  function draw(wide) {
    width = wide;
    const height = chart.small ? HEIGHT.small : HEIGHT.large;
    const shown = chart.curves
      .filter((_, number) => !hidden.has(number))
      .map((curve) => ({
        curve,
        points: curve.points.map(([step, value]) => [placed(step, data.clocks[curve.run], axis), value]),
      }));
    const xs = shown.flatMap(({ points }) => points.map((point) => point[0]));
    const ys = shown.flatMap(({ points }) => points.map((point) => point[1])).filter((y) => y !== null);
    plot.querySelector("svg")?.remove();
    const svg = drawn("svg", {
      viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img",
      "aria-label": `${chart.title}; arrow keys step through the values`,
    });
    plot.prepend(svg);
    if (!ys.length) { drawn("text", { x: width / 2, y: height / 2, "text-anchor": "middle", class: "tick" }, svg, "nothing to show"); return; }
    let low = chart.zero ? Math.min(0, ...ys) : Math.min(...ys);
    let high = Math.max(...ys);
    if (chart.unit === "percent") high = Math.min(Math.max(high * 1.08, 0.02), high <= 1 ? 1 : high);
    if (low === high) { low -= Math.abs(low) * 0.1 || 0.5; high += Math.abs(high) * 0.1 || 0.5; }
    if (!chart.zero) low -= (high - low) * 0.05;
    if (chart.unit !== "percent") high += (high - low) * 0.05;
    const rows = ticks(low, high, chart.small ? 3 : 5);
    const words = tickWords(rows, chart.unit);
    const left = Math.max(...words.map((word) => word.length)) * 6.8 + 12;
    const first = Math.min(...xs);
    const last = Math.max(...xs);
    const begin = Math.min(first, axis === 0 || first > 0 ? 0 : first);
    const across = (x) => left + ((x - begin) / (last - begin || 1)) * (width - left - PAD.right);
    const down = (y) => PAD.top + ((high - y) / (high - low)) * (height - PAD.top - PAD.bottom);
    rows.forEach((value, number) => {
      drawn("line", { x1: left, x2: width - PAD.right, y1: down(value), y2: down(value), class: "gridline" }, svg);
      drawn("text", { x: left - 8, y: down(value) + 4, "text-anchor": "end", class: "tick" }, svg, words[number]);
    });
    drawn("line", { x1: left, x2: width - PAD.right, y1: height - PAD.bottom, y2: height - PAD.bottom, class: "baseline" }, svg);
    const columns = ticks(begin, last, Math.max(2, Math.min(7, Math.floor(width / 80)))).filter((value) => axis === 2 || value % 1 === 0);
    tickWords(columns, "number").forEach((word, number) => {
      drawn("text", { x: across(columns[number]), y: height - PAD.bottom + 16, "text-anchor": "middle", class: "tick" }, svg, word);
    });
    drawn("text", { x: width - PAD.right, y: height - 4, "text-anchor": "end", class: "axis-name" }, svg, AXES[axis]);
    for (const { curve, points } of shown) {
      let path = "";
      let open = false;
      for (const [x, y] of points) {
        if (y === null) { open = false; continue; }
        path += `${open ? "L" : "M"}${across(x).toFixed(1)} ${down(y).toFixed(1)}`;
        open = true;
      }
      drawn("path", { d: path, class: `curve ${curve.role}` }, svg).style.stroke = colourOf(curve);
      if (points.length <= FEW) {
        for (const [x, y] of points) {
          if (y !== null) drawn("circle", { cx: across(x), cy: down(y), r: 2.6 }, svg).style.fill = colourOf(curve);
        }
      }
    }
    const hover = drawn("g", {}, svg);
    const marks = [...new Set(xs)].sort((a, b) => a - b);
    let at = -1;

    function show(place) {
      at = Math.max(0, Math.min(place, marks.length - 1));
      hover.replaceChildren();
      const x = marks[at];
      drawn("line", { x1: across(x), x2: across(x), y1: PAD.top, y2: height - PAD.bottom, class: "crosshair" }, hover);
      const told = [{ name: AXES[axis], value: figure(x) }];
      let top = height;
      for (const { curve, points } of shown) {
        let best = null;
        for (const point of points) {
          if (point[1] !== null && (best === null || Math.abs(point[0] - x) < Math.abs(best[0] - x))) best = point;
        }
        if (best === null || Math.abs(across(best[0]) - across(x)) > NEAR) continue;
        drawn("circle", { cx: across(best[0]), cy: down(best[1]), r: 4 }, hover).style.fill = colourOf(curve);
        told.push({ name: curve.name, value: figure(best[1], chart.unit), colour: colourOf(curve) });
        top = Math.min(top, down(best[1]));
      }
      const scale = plot.clientWidth / width;
      note.show(across(x) * scale, top * scale, told);
    }
    function hide() { at = -1; hover.replaceChildren(); note.hide(); }
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * width;
      let best = 0;
      marks.forEach((mark, place) => { if (Math.abs(across(mark) - x) < Math.abs(across(marks[best]) - x)) best = place; });
      show(best);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      event.preventDefault();
      show(at < 0 ? (move > 0 ? 0 : marks.length - 1) : at + move);
    });
  }

  whenSized(plot, draw);
  document.querySelectorAll("#axis input").forEach((input) => {
    input.addEventListener("change", () => { axis = Number(input.value); note.hide(); draw(width); });
  });
}

data.charts.forEach((chart) => {
  for (const host of document.querySelectorAll("[data-chart]")) {
    if (host.dataset.chart === chart.name) lineChart(host, chart);
  }
});
