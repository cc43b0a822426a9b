// Points: the map of held-out clips, and how far a classifier's certainty can be believed.
function mapOf(host, map) {
  const plot = host.querySelector(".plot");
  const legend = host.querySelector(".legend");
  const note = tip(plot);
  const colour = (group) => `var(--r${group % 12})`;
  if (map.by) host.querySelector(".map-by").textContent = `, coloured by ${map.by}`;
  map.legend.forEach((name, group) => {
    const item = element("span", { class: "item" }, legend);
    element("i", {}, item).style.background = colour(group);
    item.append(name);
  });
  whenSized(plot, (width) => {
    plot.querySelector("svg")?.remove();
    const height = Math.round(Math.min(width * 0.72, 360));
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "map of held-out clips" });
    plot.prepend(svg);
    const xs = map.points.map((point) => point[0]);
    const ys = map.points.map((point) => point[1]);
    const scale = (values, from, to) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
    };
    const across = scale(xs, 10, width - 10);
    const down = scale(ys, height - 10, 10);
    drawn("rect", { x: 0.5, y: 0.5, width: width - 1, height: height - 1, rx: 6, fill: "none", class: "baseline" }, svg);
    map.points.forEach(([x, y], number) => {
      const dot = drawn("circle", { cx: across(x).toFixed(1), cy: down(y).toFixed(1), r: 4.2, "fill-opacity": 0.8 }, svg);
      dot.style.fill = colour(map.groups[number]);
    });
    const ring = drawn("circle", { r: 7, fill: "none", class: "crosshair", visibility: "hidden" }, svg);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * width;
      const y = ((event.clientY - box.top) / box.height) * height;
      let best = -1;
      let near = 20;
      map.points.forEach((point, number) => {
        const far = Math.hypot(across(point[0]) - x, down(point[1]) - y);
        if (far < near) { near = far; best = number; }
      });
      ring.setAttribute("visibility", best < 0 ? "hidden" : "visible");
      if (best < 0) { note.hide(); return; }
      const [px, py] = [across(map.points[best][0]), down(map.points[best][1])];
      ring.setAttribute("cx", px);
      ring.setAttribute("cy", py);
      const rows = [{ name: map.names[best] }];
      if (map.legend.length) rows.push({ name: map.legend[map.groups[best]], colour: colour(map.groups[best]) });
      note.show(px, py, rows);
    });
    svg.addEventListener("pointerleave", () => { ring.setAttribute("visibility", "hidden"); note.hide(); });
  });
}

function calibrationOf(host, calibration) {
  const plot = host.querySelector(".plot");
  const note = tip(plot);
  whenSized(plot, (width) => {
    plot.querySelector("svg")?.remove();
    const height = Math.round(Math.min(width * 0.72, 300));
    const [left, bottom, top, right] = [44, 38, 10, 12];
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "certainty and accuracy" });
    plot.prepend(svg);
    const across = (x) => left + x * (width - left - right);
    const down = (y) => top + (1 - y) * (height - top - bottom);
    for (const value of [0, 0.25, 0.5, 0.75, 1]) {
      drawn("line", { x1: left, x2: width - right, y1: down(value), y2: down(value), class: value ? "gridline" : "baseline" }, svg);
      drawn("text", { x: left - 8, y: down(value) + 4, "text-anchor": "end", class: "tick" }, svg, `${100 * value} %`);
      drawn("text", { x: across(value), y: height - bottom + 16, "text-anchor": value === 1 ? "end" : "middle", class: "tick" }, svg, `${100 * value} %`);
    }
    drawn("text", { x: width - right, y: height - 4, "text-anchor": "end", class: "axis-name" }, svg, "how sure it is; upwards: how often it is right");
    drawn("line", { x1: across(0), y1: down(0), x2: across(1), y2: down(1), class: "diagonal" }, svg);
    const most = Math.max(...calibration.bins.map((bin) => bin[2]));
    const path = calibration.bins.map((bin, place) => `${place ? "L" : "M"}${across(bin[0])} ${down(bin[1])}`).join("");
    drawn("path", { d: path, class: "curve" }, svg).style.stroke = "var(--c0)";
    for (const [sure, share, count] of calibration.bins) {
      const dot = drawn("circle", { cx: across(sure), cy: down(share), r: 3 + 6 * Math.sqrt(count / most) }, svg);
      dot.style.fill = "var(--c0)";
      dot.addEventListener("pointerenter", () => note.show(across(sure), down(share), [
        { name: "how sure", value: figure(sure, "percent") },
        { name: "right", value: figure(share, "percent") },
        { name: "clips", value: String(count) },
      ]));
      dot.addEventListener("pointerleave", () => note.hide());
    }
  });
}

const mapHost = document.getElementById("map");
if (mapHost && data.map) mapOf(mapHost, data.map);
document.querySelectorAll("[data-calibration]").forEach((host) => {
  calibrationOf(host, data.columns[Number(host.dataset.calibration)].calibration);
});
