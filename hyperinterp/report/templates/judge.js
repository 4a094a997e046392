"use strict";
const sheet = document.body.dataset.sheet;
const radios = [...document.querySelectorAll("input[type=radio]")];
const pairs = [...new Set(radios.map((radio) => radio.name))];
const count = document.getElementById("count");
const chosen = () => Object.fromEntries(radios.filter((r) => r.checked).map((r) => [r.name, r.value]));

function kept() {
  try {
    return JSON.parse(localStorage.getItem(sheet) || "{}");
  } catch {
    return {};
  }
}

function told() {
  const answers = chosen();
  count.textContent = `${Object.keys(answers).length} of ${pairs.length} answered`;
  try {
    localStorage.setItem(sheet, JSON.stringify(answers));
  } catch {
    /* A browser that keeps nothing: the answers stay on the page. */
  }
}

const before = kept();
for (const radio of radios) {
  radio.checked = before[radio.name] === radio.value;
  radio.addEventListener("change", told);
}
document.getElementById("save").addEventListener("click", () => {
  const answers = chosen();
  const lines = pairs.map((pair) => `${sheet},${pair},${answers[pair] || ""}`);
  const file = new Blob([`sheet,pair,preferred\n${lines.join("\n")}\n`], { type: "text/csv" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = `answers-${sheet}.csv`;
  link.click();
});
told();
