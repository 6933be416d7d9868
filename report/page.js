// The page's behaviour: charts, sorting, light and dark. Everything that it shows is in the page.
const root = document.documentElement;
const button = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  label();
});
dark.addEventListener("change", label);
label();

const charts = JSON.parse(document.getElementById("charts").textContent);
const options = { renderer: "svg", actions: false, tooltip: { theme: "custom" } };
const drawn = Object.entries(charts).map(([name, spec]) =>
  vegaEmbed(document.getElementById(`chart-${name}`), spec, options));
Promise.all(drawn).then(() => { root.dataset.drawn = "yes"; });

// What a cell is sorted by: in a column of figures its number, without separators and units.
const key = (row, header) => {
  const text = row.cells[header.cellIndex].textContent.trim();
  if (!header.classList.contains("n")) return text.toLowerCase();
  const number = Number.parseFloat(text.replaceAll(",", ""));
  return Number.isNaN(number) ? -Infinity : number;
};
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header) => {
    const sort = () => {
      const down = header.ariaSort === "ascending";
      for (const other of headers) other.ariaSort = null;
      header.ariaSort = down ? "descending" : "ascending";
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (down ? -1 : 1) * compare(key(a, header), key(b, header)));
      table.tBodies[0].append(...rows);
    };
    header.tabIndex = 0;
    header.addEventListener("click", sort);
    header.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}
