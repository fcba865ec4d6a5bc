"use strict";

// Tables: a click on a head sorts, words choose rows.
for (const table of document.querySelectorAll("table.data")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const rows = [...body.rows];

  const sort = (column) => {
    const head = heads[column];
    const isNumber = head.classList.contains("number");
    const usual = isNumber ? "descending" : "ascending";
    const other = isNumber ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === usual ? other : usual;
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const key = (row) => {
      const text = row.cells[column].textContent;
      return isNumber ? parseFloat(text.replaceAll(",", "")) : text;
    };
    const compare = (a, b) => {
      if (!isNumber) return sign * a.localeCompare(b, "en", { numeric: true });
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // unknown ones last
      return sign * (a - b);
    };
    const keyed = [...body.rows].map((row) => [key(row), row]);
    keyed.sort(([a], [b]) => compare(a, b));
    body.append(...keyed.map(([, row]) => row));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });

  if (rows.length < 8) continue;
  const filter = document.createElement("div");
  filter.className = "filter";
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "find";
  search.setAttribute("aria-label", "Rows that contain");
  filter.append(search);
  const choices = [];
  heads.forEach((head, column) => {
    if (!("filtered" in head.dataset)) return;
    const values = [...new Set(rows.map((row) => row.cells[column].textContent))];
    if (values.length < 2 || values.length > 60) return;
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", head.textContent);
    choice.append(new Option(`every ${head.textContent}`, ""), ...values.map((value) => new Option(value)));
    choices.push([column, choice]);
    filter.append(choice);
  });
  const count = document.createElement("span");
  filter.append(count);
  const choose = () => {
    const wanted = search.value.toLowerCase();
    let kept = 0;
    for (const row of rows) {
      const matches =
        choices.every(([column, { value }]) => !value || row.cells[column].textContent === value) &&
        row.textContent.toLowerCase().includes(wanted);
      row.hidden = !matches;
      kept += matches;
    }
    count.textContent = `${kept} of ${rows.length} rows`;
  };
  filter.addEventListener("input", choose);
  choose();
  table.parentElement.before(filter);
}

// The table of contents follows what is read: the last section that begins above a third of the window.
const links = new Map(
  [...document.querySelectorAll("nav li a")].map((link) => [document.querySelector(link.hash), link]),
);
const follow = () => {
  let current = null;
  for (const [section, link] of links) {
    link.removeAttribute("aria-current");
    if (section.getBoundingClientRect().top < innerHeight / 3) current = link;
  }
  current?.setAttribute("aria-current", "true");
  if (current && getComputedStyle(current.closest("nav")).position === "sticky") {
    current.scrollIntoView({ block: "nearest", behavior: "instant" });
  }
};
addEventListener("scroll", () => requestAnimationFrame(follow), { passive: true });
follow();
