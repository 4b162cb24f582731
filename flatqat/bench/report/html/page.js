"use strict";
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const FEW = 60; // rows that are drawn before the reader asks for all
  const NAMES = 4; // columns of every shift that are words: method, bits, shift and family
  document.documentElement.classList.add("js");

  const make = (name, text, attributes = {}) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };

  // Order: numbers by what the text begins with, before texts, and what is not known last whichever way.
  const key = (text) => (text === "-" || text === "collapsed" ? undefined : Number.isNaN(parseFloat(text)) ? text : parseFloat(text));
  const compare = (a, b, sign) => {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    if (typeof a !== typeof b) return typeof a === "number" ? -sign : sign;
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  };
  const sorted = (rows, textOf, column, sign) =>
    rows.map((row) => [key(textOf(row, column)), row]).sort((a, b) => compare(a[0], b[0], sign)).map((pair) => pair[1]);

  // Mark the column of a pressed button; numbers begin with the largest. Returns the sign of the order.
  const turn = (th, isNumber) => {
    const before = th.getAttribute("aria-sort");
    const descending = before === "none" ? isNumber : before === "ascending";
    for (const other of th.parentNode.children) other.setAttribute("aria-sort", "none");
    th.setAttribute("aria-sort", descending ? "descending" : "ascending");
    return descending ? -1 : 1;
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const textOf = (row, column) => row.cells[column].textContent;
    table.tHead.addEventListener("click", (event) => {
      const th = event.target.closest("th");
      if (!th) return;
      const rows = [...body.rows];
      const isNumber = rows.some((row) => typeof key(textOf(row, th.cellIndex)) === "number");
      body.append(...sorted(rows, textOf, th.cellIndex, turn(th, isNumber)));
    });
  }

  const explorer = (box, section, member, fits) => {
    const [table, form, status, more] = ["table", "form", "[role=status]", ".more"].map((name) => box.querySelector(name));
    const header = ["method", "bits", "shift", "family", "severity", member.metric, "95%", "tax", "95%"];
    const scores = new Map(member.shift.columns.map((name, at) => [name, at]));
    const taxes = new Map(member.tax.columns.map((name, at) => [name, at]));
    const taxOf = new Map(member.tax.rows.map((row) => [row[0] === "ID" ? "id" : row[0], row]));
    const short = (value, sign = "") => {
      if (value == null) return "-";
      const decimals = [1, 2, 3].find((each) => Number(value.toFixed(each)));
      return decimals ? (value > 0 ? sign : "") + value.toFixed(decimals) : "0.0";
    };
    const interval = (low, high, sign) => (low == null ? "-" : `${short(low, sign)} to ${short(high, sign)}`);
    const rows = member.shift.rows.flatMap((row) =>
      section.rows.filter(([label]) => row[scores.get(label)] != null).map(([label, method, bits]) => {
        const [family, severity] = member.shifts[row[0]] || ["", null];
        const tax = taxOf.get(row[0]) || [];
        const [value, low, high] = ["", " low", " high"].map((end) => row[scores.get(label + end)]);
        const [lost, from, to] = ["", " low", " high"].map((end) => tax[taxes.get(label + end)]);
        return [method, bits, row[0], family, severity == null ? "-" : `${severity}`,
          short(value), interval(low, high), short(lost, "+"), interval(from, to, "+")];
      }));
    // The places of the columns that are shown: a suite may have no severities.
    const severities = header.indexOf("severity"), severe = rows.some((row) => row[severities] !== "-");
    const places = [...header.keys()].filter((at) => severe || at !== severities);
    let order = rows, all = false;
    const head = make("thead"), body = make("tbody"), line = make("tr");
    for (const name of places.map((at) => header[at])) {
      const th = make("th", undefined, { scope: "col", "aria-sort": "none" });
      th.classList.toggle("t", line.cells.length < NAMES);
      th.append(make("button", name, { type: "button" }));
      line.append(th);
    }
    head.append(line);
    table.append(head, body);
    const draw = () => {
      const chosen = order.filter(([method, bits, shift, family, severity]) =>
        fits(method, bits) && shift.includes(form.elements.shift.value)
        && ["", family].includes(form.elements.family.value)
        && ["", severity].includes(form.elements.severity ? form.elements.severity.value : ""));
      const shown = all ? chosen : chosen.slice(0, FEW);
      body.replaceChildren(...shown.map((cells) => {
        const tr = make("tr");
        tr.append(...places.map((at) => (at < NAMES ? make("th", cells[at], { scope: "row" }) : make("td", cells[at]))));
        return tr;
      }));
      status.textContent = `${shown.length.toLocaleString("en")} of ${chosen.length.toLocaleString("en")} rows.`;
      more.hidden = shown.length === chosen.length;
    };
    head.addEventListener("click", (event) => {
      const th = event.target.closest("th");
      if (!th) return;
      const at = places[th.cellIndex], isNumber = rows.some((row) => typeof key(row[at]) === "number");
      order = sorted(rows, (row, column) => row[column], at, turn(th, isNumber));
      draw();
    });
    more.addEventListener("click", () => { all = true; draw(); });
    form.addEventListener("input", draw);
    form.addEventListener("submit", (event) => event.preventDefault());
    draw();
    return draw;
  };

  // The numbers of a cell, when its drawer is opened first.
  const fill = (drawer, cell) => {
    const list = make("dl");
    for (const [name, text] of cell.lines.map((place) => data.pool[place])) list.append(make("dt", name), make("dd", text));
    const names = Object.keys(cell.scores), table = make("table"), line = make("tr");
    line.append(...["set", ...names, "images"].map((name) => make("th", name, { scope: "col" })));
    table.append(line);
    data.pool[cell.sets].forEach(([set, images], at) => {
      const tr = make("tr");
      const values = names.map((name) => cell.scores[name][at]).map((value) => (value == null ? "-" : (value / 100).toFixed(2)));
      tr.append(make("th", set, { scope: "row" }), ...[...values, images].map((text) => make("td", text)));
      table.append(tr);
    });
    const scroll = make("div", undefined, { class: "scroll", role: "region", tabindex: 0, "aria-label": "Scores" });
    scroll.append(table);
    const parts = Object.entries(cell.parts).map(([name, place]) => make("pre", `${name} ${JSON.stringify(data.pool[place], null, 1)}`, { tabindex: 0 }));
    drawer.append(list, scroll, ...parts);
  };

  for (const box of document.querySelectorAll(".gallery")) {
    const form = box.querySelector("form"), fits = (name, value) => !form.elements[name] || ["", value].includes(form.elements[name].value);
    const choose = () => {
      for (const shot of box.querySelectorAll(".shot")) {
        shot.hidden = !(fits("shift", shot.dataset.shift) && fits("number", shot.dataset.number));
      }
    };
    form.addEventListener("input", choose);
    form.addEventListener("submit", (event) => event.preventDefault());
    choose();
  }

  document.querySelectorAll("section.block").forEach((block) => {
    const section = data.sections[block.dataset.section], form = block.querySelector("form.filter");
    if (!form) return;
    const fits = (method, bits) => method.toLowerCase().includes(form.elements.method.value.toLowerCase())
      && ["", bits].includes(form.elements.bits.value);
    const redraws = [...block.querySelectorAll(".explorer")].map((box) =>
      explorer(box, section, section.members[box.closest(".member").dataset.member], fits));
    const filter = () => {
      for (const row of block.querySelectorAll("table.sortable tbody tr")) {
        const [method, bits, name] = [...row.cells].map((cell) => cell.textContent);
        const ofClass = !row.closest(".classes") || name.toLowerCase().includes(form.elements.class.value.toLowerCase());
        row.hidden = !fits(method, bits) || !ofClass;
      }
      for (const mark of block.querySelectorAll("g[data-row]")) {
        const [, method, bits] = section.rows[mark.dataset.row];
        mark.classList.toggle("faint", !fits(method, bits));
      }
      for (const part of block.querySelectorAll(".cells details, .pictures figure[data-method]")) {
        part.hidden = !fits(part.dataset.method, part.dataset.bits);
      }
      for (const redraw of redraws) redraw();
      const count = section.rows.filter(([, method, bits]) => fits(method, bits)).length;
      form.querySelector(".count").textContent = `${count} of ${section.rows.length} rows`;
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
    block.querySelector(".legend").addEventListener("change", (event) => {
      for (const mark of block.querySelectorAll(`.panels g[data-row="${event.target.dataset.row}"]`)) {
        mark.classList.toggle("off", !event.target.checked);
      }
    });
    block.querySelector(".cells").addEventListener("toggle", (event) => {
      const drawer = event.target;
      if (drawer.open && !drawer.querySelector("table")) fill(drawer, section.cells[drawer.dataset.cell]);
    }, true);
  });

  // A mark's title, at once and also on touch; the browser's own would come a second later on top of it.
  const tip = document.getElementById("tip");
  let quiet = null;
  document.addEventListener("pointerover", (event) => {
    if (quiet) quiet[0].textContent = quiet[1];
    const mark = event.target.closest("g[data-row]");
    const title = mark && mark.querySelector("title");
    quiet = title ? [title, title.textContent] : null;
    tip.hidden = !title;
    if (!title) return;
    tip.textContent = title.textContent;
    title.textContent = "";
    const left = Math.min(event.pageX + 12, document.documentElement.clientWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(left, 4)}px`;
    tip.style.top = `${event.pageY + 16}px`;
  });
}
