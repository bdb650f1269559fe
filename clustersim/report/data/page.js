"use strict";
(() => {
  const collator = new Intl.Collator("en", { numeric: true });

  // In either direction, finite numbers come first, then text, infinities and missing values.
  function keyOf(cell) {
    const value = Number(cell.dataset.value);
    if (cell.dataset.value === undefined) return { rank: 1, text: cell.textContent };
    if (Number.isNaN(value)) return { rank: 3, value: 0 };
    return Number.isFinite(value) ? { rank: 0, value } : { rank: 2, value: Math.sign(value) };
  }

  function compare(a, b, sign) {
    if (a.rank !== b.rank) return a.rank - b.rank;
    return sign * (a.rank === 1 ? collator.compare(a.text, b.text) : a.value - b.value);
  }

  function sortBy(heading) {
    const body = heading.closest("table").tBodies[0];
    const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    const sign = order === "ascending" ? 1 : -1;
    const rows = Array.from(body.rows, (row) => ({ row, key: keyOf(row.cells[heading.cellIndex]) }));
    rows.sort((a, b) => compare(a.key, b.key, sign));
    body.append(...rows.map(({ row }) => row));
    for (const cell of body.querySelectorAll(".same")) cell.classList.remove("same");
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
  }

  function filter(box) {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = Array.from(box.closest("figure").querySelector("tbody").rows);
    for (const row of rows) {
      const cells = Array.from(row.cells, (cell) => cell.textContent.toLowerCase());
      row.hidden = !words.every((word) => cells.some((text) => text.includes(word)));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    box.closest(".filter").querySelector("output").textContent =
      words.length ? `${shown} of ${rows.length} rows` : "";
  }

  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => sortBy(button.parentElement));
  }
  for (const box of document.querySelectorAll(".filter input")) {
    box.closest(".filter").hidden = false;
    box.addEventListener("input", () => filter(box));
  }

  // A box that is wider than the page says so, because some systems hide scroll bars.
  function hint(box) {
    const scrolls = box.scrollWidth > box.clientWidth + 2;
    let line = box.previousElementSibling;
    if (!line || !line.classList.contains("hint")) {
      if (!scrolls) return;
      line = document.createElement("p");
      line.className = "hint";
      line.textContent = "Scroll sideways to see all of it →";
      box.before(line);
    }
    line.hidden = !scrolls;
  }

  const boxes = Array.from(document.querySelectorAll(".picture, .rows"));
  const hints = () => boxes.forEach(hint);
  addEventListener("load", hints);
  addEventListener("resize", hints);
})();
