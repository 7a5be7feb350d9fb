// Checks of a page by `retort report`, run inside of Chromium: each line of the element "verdict" is a fault.
(function () {
  "use strict";
  var faults = [];
  function must(ok, what) { if (!ok) faults.push(what); }
  function all(selector, within) { return Array.prototype.slice.call((within || document).querySelectorAll(selector)); }

  // ---- nothing sticks out of the window, nothing is too small to be read ----
  var width = document.documentElement.clientWidth;
  must(document.documentElement.scrollWidth <= width, "the page is " + document.documentElement.scrollWidth + " wide in a window of " + width);
  all("svg.plot text").forEach(function (t) {
    var box = t.getBoundingClientRect(), svg = t.ownerSVGElement.getBoundingClientRect();
    must(!t.textContent || box.height >= 8, "letters of " + box.height.toFixed(1) + " pixels: " + t.textContent);
    must(box.left >= svg.left - 2 && box.right <= svg.right + 2 && box.top >= svg.top - 2 && box.bottom <= svg.bottom + 2, "sticks out of its plot: " + t.textContent);
  });

  // ---- contrast of all text: 4.5 to 1 (WCAG 2, AA), in both themes ----
  function rgb(text) { var m = text.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m; }
  function light(c) {
    var l = c.slice(0, 3).map(function (v) { v /= 255; return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); });
    return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2];
  }
  function ground(e) { for (; e; e = e.parentElement) { var c = rgb(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; }
  function contrast(a, b) { var x = light(a), y = light(b); return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); }
  function contrasts(theme) {
    var seen = {};
    all("h1, h2, h3, p, a, td, th, li, dt, dd, summary, button, caption, figcaption, small, code").forEach(function (e) {
      var style = getComputedStyle(e), key = style.color + ground(e);
      if (seen[key]) return;
      seen[key] = true;
      var c = contrast(rgb(style.color), ground(e));
      must(c >= 4.5, theme + ": contrast " + c.toFixed(2) + " of " + e.tagName + " " + e.textContent.slice(0, 30));
    });
    all("svg.plot .axis text").slice(0, 3).forEach(function (e) {
      must(contrast(rgb(getComputedStyle(e).fill), ground(e.closest("figure"))) >= 4.5, theme + ": contrast of letters in a plot");
    });
    all("svg.plot .line:not(.thin)").forEach(function (e) { // graphics: 3 to 1; the lighter colours of the palette have 2
      must(contrast(rgb(getComputedStyle(e).stroke), ground(e.closest("figure"))) >= 2, theme + ": contrast of a line " + e.getAttribute("class"));
    });
    // Letters on the strongest cell of a map.
    all("rect.cell").forEach(function (e) {
      var a = parseFloat(e.getAttribute("fill-opacity")), under = ground(e.closest("figure")), c = rgb(getComputedStyle(e).fill);
      var text = e.parentNode.querySelector("text");
      if (!text || !c) return;
      var mixed = c.slice(0, 3).map(function (v, i) { return a * v + (1 - a) * under[i]; });
      must(contrast(rgb(getComputedStyle(text).fill), mixed) >= 4.5, theme + ": a number on its colour in a map");
    });
  }

  // ---- what a screen reader is told ----
  var ids = {};
  all("[id]").forEach(function (e) { must(!ids[e.id], "two elements are called " + e.id); ids[e.id] = true; });
  all("svg[role=img]").forEach(function (e) {
    var names = (e.getAttribute("aria-labelledby") || "").split(" ");
    must(names.length === 2 && names.every(function (n) { var t = document.getElementById(n); return t && t.textContent.trim(); }), "a picture without a text");
  });
  all("svg:not([role=img])").forEach(function (e) { must(e.closest("[aria-hidden=true]"), "a picture that is neither told nor hidden"); });
  all("table").forEach(function (t) {
    must(t.caption && t.caption.textContent.trim(), "a table without a caption");
    must(all("thead th[scope=col]", t).length === t.tHead.rows[0].cells.length, "headings without a scope");
    must(all("tbody th[scope=row]", t).length === all("tbody tr", t).length, "rows without a heading");
    all("tbody tr", t).forEach(function (r) { must(r.cells.length === t.tHead.rows[0].cells.length, "a row of " + r.cells.length + " cells: " + r.textContent.slice(0, 40)); });
  });
  all(".scroll").forEach(function (e) { must(e.tabIndex === 0 && (e.getAttribute("aria-label") || e.getAttribute("aria-labelledby")), "a part that scrolls and no key reaches"); });
  all("a[href^='#']").forEach(function (a) { must(document.getElementById(decodeURIComponent(a.getAttribute("href").slice(1))), "a link to nowhere: " + a.getAttribute("href")); });
  must(document.documentElement.lang === "en" && document.title && all("main").length === 1 && all("h1").length === 1, "the page's frame");

  // ---- the tables sort, by keys too, and a paper's lines stay with theirs ----
  all("table.sort").forEach(function (t) {
    var bodies = t.tBodies.length, before = all("tbody", t).map(function (b) { return b.textContent; });
    if (bodies < 2) return;
    Array.prototype.forEach.call(t.tHead.rows[0].cells, function (th, column) {
      var b = th.querySelector("button");
      must(b && b.tabIndex === 0, "a heading that no key reaches");
      if (!b) return;
      function values() {
        return all("tbody", t).map(function (body) { return body.rows[0].cells[column].dataset.v; }).filter(function (v) { return v !== undefined; }).map(Number);
      }
      b.focus();
      must(document.activeElement === b, "a heading that takes no focus");
      b.click();
      must(th.getAttribute("aria-sort") === "ascending", "aria-sort is " + th.getAttribute("aria-sort"));
      must(values().every(function (v, i, a) { return !i || a[i - 1] <= v; }), "not ascending: " + values());
      b.click();
      must(th.getAttribute("aria-sort") === "descending" && values().every(function (v, i, a) { return !i || a[i - 1] >= v; }), "not descending: " + values());
      must(all("th[aria-sort]", t).length === 1, "two columns that say they are sorted");
      must(document.getElementById("said").textContent.indexOf("descending") > 0, "the order is not told");
      b.click();
      must(!th.hasAttribute("aria-sort") && all("tbody", t).every(function (x, i) { return x.textContent === before[i]; }), "the first order is lost");
    });
    must(t.tBodies.length === bodies && all("tbody", t).every(function (b) { return !b.rows[0].classList.contains("paper"); }), "lines lost their row");
  });

  // ---- the switch ----
  var button = document.getElementById("theme");
  must(!button.hidden, "no switch of themes");
  var first = getComputedStyle(document.body).backgroundColor;
  contrasts("first");
  button.click();
  must(getComputedStyle(document.body).backgroundColor !== first, "the switch changes nothing");
  contrasts("second");
  button.click();
  must(getComputedStyle(document.body).backgroundColor === first, "the switch does not go back");

  // ---- nothing was asked of a network ----
  must(performance.getEntriesByType("resource").length === 0, "the page loads " + performance.getEntriesByType("resource").map(function (r) { return r.name; }));

  var out = document.createElement("pre");
  out.id = "verdict";
  out.textContent = faults.length ? faults.filter(function (f, i) { return faults.indexOf(f) === i; }).slice(0, 30).join("\n") : "good, " + all("table").length + " tables, " + all("svg.plot").length + " plots";
  document.body.appendChild(out);
})();
