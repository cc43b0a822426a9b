// What can be switched: colours, layers, the clips of a confusion, and commands to be copied.
const themes = document.querySelectorAll("#theme input");

function kept() { try { return localStorage.getItem("everest-theme"); } catch { return null; } }

function theme(name) {
  if (name === "light" || name === "dark") document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  themes.forEach((input) => { input.checked = input.value === (name || "auto"); });
}

theme(kept() || "auto");
themes.forEach((input) => input.addEventListener("change", () => {
  theme(input.value);
  try { localStorage.setItem("everest-theme", input.value); } catch { /* a page may have no memory */ }
}));

function showLayers() {
  document.querySelectorAll("#layers input").forEach((input) => {
    if (input.checked) layers.add(input.value); else layers.delete(input.value);
  });
  document.querySelectorAll(".panel").forEach((panel) => { panel.hidden = !layers.has(panel.dataset.layer); });
  samples.forEach((sample) => sample.go(sample.time));
}
document.querySelectorAll("#layers input").forEach((input) => input.addEventListener("change", showLayers));

document.querySelectorAll(".evaluated").forEach((host) => {
  const column = data.columns[Number(host.dataset.column)];
  const card = host.querySelector(".clips");
  if (!card) return;
  const list = card.querySelector(".clip-list");
  const title = card.querySelector(".clips-title");
  const back = card.querySelector(".plain-button");
  const [before, told] = [[...list.children], title.textContent];
  const cells = host.querySelectorAll(".confusion button");

  function pressed(cell) { cells.forEach((one) => one.setAttribute("aria-pressed", String(one === cell))); }

  cells.forEach((cell) => cell.addEventListener("click", () => {
    const { label, predicted } = cell.dataset;
    const clips = column.clips.filter((clip) => clip[2] === label && clip[3] === predicted);
    list.replaceChildren();
    for (const [path, address, , , sure] of clips) {
      const line = element("li", {}, list);
      const name = path.split("/").pop();
      if (address) element("a", { href: address, title: path }, line, name);
      else element("span", { title: path }, line, name);
      element("span", { class: "quiet" }, line, ` (${figure(sure, "percent")} sure)`);
    }
    const rest = Number(cell.textContent) - clips.length;
    if (rest > 0) element("li", { class: "quiet" }, list, `${rest} more in predictions.csv`);
    title.textContent = label === predicted ? `${label}, rightly named` : `${label}, taken for ${predicted}`;
    back.hidden = false;
    pressed(cell);
    card.scrollIntoView({ block: "nearest" });
  }));
  back.addEventListener("click", () => {
    list.replaceChildren(...before);
    title.textContent = told;
    back.hidden = true;
    pressed(null);
  });
});

document.querySelectorAll(".copy").forEach((button) => button.addEventListener("click", async () => {
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch { // where a page may not write there, the text is marked to be copied by hand
    getSelection().selectAllChildren(code);
    button.textContent = "Marked";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}));

// What is folded away is printed too.
addEventListener("beforeprint", () => {
  document.querySelectorAll("details:not([open])").forEach((fold) => { fold.dataset.folded = ""; fold.open = true; });
  samples.forEach((sample) => sample.go(sample.time));
});
addEventListener("afterprint", () => {
  document.querySelectorAll("details[data-folded]").forEach((fold) => { delete fold.dataset.folded; fold.open = false; });
});
