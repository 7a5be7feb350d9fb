// Sorting of tables and the switch of themes of `retort report`. The page is whole without it.
(function () {
  "use strict";
  var said = document.getElementById("said");

  // ---- the theme: the reader's system decides until the switch is used ----
  var root = document.documentElement, button = document.getElementById("theme");
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  function now() { return root.dataset.theme || (dark.matches ? "dark" : "light"); }
  function name() { button.textContent = now() === "dark" ? "Light colours" : "Dark colours"; }
  try { var kept = localStorage.getItem("retort-theme"); if (kept === "dark" || kept === "light") root.dataset.theme = kept; } catch (e) { /* a page without storage */ }
  button.hidden = false;
  button.addEventListener("click", function () {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    try { localStorage.setItem("retort-theme", root.dataset.theme); } catch (e) { /* not kept */ }
    name();
  });
  dark.addEventListener("change", name);
  name();

  // ---- tables: a row is a tbody, so that a paper's lines stay with theirs ----
  function cell(body, column) { return body.rows[0].cells[column]; }
  function value(body, column) {
    var c = cell(body, column);
    if (!c) return null;
    if (c.dataset.v !== undefined) return parseFloat(c.dataset.v);
    var text = c.textContent.trim();
    return text === "" || text === "missing" || text === "undefined" ? null : text;
  }
  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, undefined, { numeric: true });
  }
  function sort(table, column, sign) {
    var list = Array.prototype.map.call(table.tBodies, function (b) { return { body: b, v: value(b, column), at: +b.dataset.at }; });
    list.sort(function (a, b) {
      if (a.v === null || b.v === null) return a.v === b.v ? a.at - b.at : a.v === null ? 1 : -1;
      return sign * compare(a.v, b.v) || a.at - b.at;
    });
    list.forEach(function (r) { table.appendChild(r.body); });
  }
  function unsorted(table) {
    Array.prototype.slice.call(table.tBodies).sort(function (a, b) { return a.dataset.at - b.dataset.at; })
      .forEach(function (b) { table.appendChild(b); });
  }
  document.querySelectorAll("table.sort").forEach(function (table) {
    Array.prototype.forEach.call(table.tBodies, function (b, i) { b.dataset.at = i; });
    if (table.tBodies.length < 2) return;
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (th, column) {
      var label = th.textContent.trim() || "name", b = document.createElement("button");
      b.type = "button";
      while (th.firstChild) b.appendChild(th.firstChild);
      if (!b.textContent.trim()) b.textContent = label;
      th.appendChild(b);
      b.addEventListener("click", function () {
        var was = th.getAttribute("aria-sort");
        var next = was === "ascending" ? "descending" : was === "descending" ? null : "ascending";
        Array.prototype.forEach.call(table.tHead.rows[0].cells, function (o) { o.removeAttribute("aria-sort"); });
        if (next) { th.setAttribute("aria-sort", next); sort(table, column, next === "ascending" ? 1 : -1); }
        else unsorted(table);
        said.textContent = next ? "Sorted by " + label + ", " + next : "In the order as declared";
      });
    });
  });

  // ---- a link to a run opens what it lies in ----
  function open() {
    var at = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (var d = at && at.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
    if (at) at.scrollIntoView();
  }
  window.addEventListener("hashchange", open);
  open();
})();
