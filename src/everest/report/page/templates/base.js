"use strict";
// What the other parts share: the data of the page, elements, and how figures are written.
const data = JSON.parse(document.getElementById("report-data").textContent);
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes, parent, text) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}

function drawn(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}

function figure(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "percent") return (100 * value).toFixed(1) + " %";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 0.001) return value.toExponential(2);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}

// Round numbers, at most `most` of them, that cover a range.
function ticks(low, high, most) {
  const span = high - low || Math.abs(high) || 1;
  const raw = span / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const found = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high + step * 1e-9; number += 1) {
    found.push(Number((number * step).toPrecision(12)));
  }
  return found;
}

// Numbers of one axis, all with as many decimals.
function tickWords(values, unit) {
  const step = values.length > 1 ? Math.abs(values[1] - values[0]) * (unit === "percent" ? 100 : 1) : 1;
  const decimals = Math.max(0, Math.min(8, -Math.floor(Math.log10(step) + 1e-9) + (/^2[.]?5/.test(step.toExponential(1).replace("e", "")) ? 1 : 0)));
  return values.map((value) => {
    const shown = unit === "percent" ? 100 * value : value;
    const text = decimals ? shown.toFixed(decimals) : Math.round(shown).toLocaleString("en");
    return unit === "percent" ? `${text} %` : text;
  });
}

// A note beside the pointer, kept inside its plot.
function tip(plot) {
  const box = element("div", { class: "tip", hidden: "" }, plot);
  return {
    show(x, y, rows) {
      box.replaceChildren();
      for (const row of rows) {
        const line = element("div", {}, box);
        if (row.colour) element("i", {}, line).style.background = row.colour;
        element("span", { class: "tip-name" }, line, row.name);
        if (row.value !== undefined) element("b", {}, line, row.value);
      }
      box.hidden = false;
      const width = box.offsetWidth;
      const left = x + 14 + width > plot.clientWidth ? x - 14 - width : x + 14;
      box.style.left = Math.max(0, Math.min(left, plot.clientWidth - width)) + "px";
      box.style.top = Math.max(0, y - box.offsetHeight - 8) + "px";
    },
    hide() { box.hidden = true; },
  };
}

// Calls back with an element's width, now and whenever it changes.
function whenSized(node, draw) {
  let width = 0;
  const measure = () => {
    const now = Math.round(node.clientWidth);
    if (now > 0 && now !== width) { width = now; draw(now); }
  };
  new ResizeObserver(measure).observe(node);
  measure();
}
