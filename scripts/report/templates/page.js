"use strict";
(() => {
  const $ = (q, el = document) => el.querySelector(q), $$ = (q, el = document) => [...el.querySelectorAll(q)];
  const forms = [$("#ask"), $("#select")].filter(Boolean);
  const selects = forms.flatMap(form => $$("select", form));
  const asked = new Set($$("#ask select").map(s => s.name));
  const open = el => { for (; el; el = el.parentElement) if (el.localName === "details") el.open = true; };
  const glance = $("table.glance"), unsorted = $$("tbody tr", glance);
  const make = (name, text) => Object.assign(document.createElement(name), {textContent: text ?? ""});

  // The address: #C07, or #key=level,level&key=level, or both joined by &.
  const read = () => {
    const found = {};
    for (const part of location.hash.slice(1).split("&")) {
      const [key, value] = part.split("=").map(text => { try { return decodeURIComponent(text); } catch { return text; } });
      if (value) found[key] = value; else if (key) found[""] = key;
    }
    return found;
  };
  const write = chosen => {
    const anchor = chosen[""] || "";
    const parts = Object.keys(chosen).filter(key => key && chosen[key])
      .map(key => key + "=" + encodeURIComponent(chosen[key]).replaceAll("%2C", ","));
    const hash = "#" + [anchor, ...parts].filter(Boolean).join("&");
    if (hash !== (location.hash || "#")) history.replaceState(null, "", hash);
    apply();
  };

  // What the page knows of a selection; a level that it does not know hides nothing.
  const known = chosen => {
    const levels = {claim: $$("tr[data-claim]").map(row => row.dataset.claim), sort: [chosen.sort]};
    for (const select of selects) levels[select.name] = [...select.options].flatMap(o => o.value.split(","));
    for (const key of Object.keys(chosen).filter(Boolean))
      chosen[key] = chosen[key].split(",").filter(level => level && levels[key]?.includes(level)).join(",");
    return chosen;
  };

  const numbers = row => Object.fromEntries(["for", "against", "unclear", "skipped"].map(o => [o, row[o] || 0]));
  const apply = () => {
    const chosen = known(read());
    for (const select of selects) {
      select.value = chosen[select.name] || "";
      if (select.selectedIndex < 0) select.value = "";
    }
    const cellKeys = Object.keys(chosen).filter(key => key && chosen[key] && !asked.has(key) && !["verdict", "claim", "sort"].includes(key));
    const wanted = cellKeys.map(key => chosen[key].split(",").map(level => key + ":" + level));
    const machine = selects.find(s => s.name === "machine");
    const column = chosen.machine && machine ? machine.selectedIndex : 0;
    const verdicts = chosen.verdict && chosen.verdict.split(",");
    const claims = chosen.claim && chosen.claim.split(",");
    let shown = 0;
    for (const row of $$("tr[data-claim]")) {
      const id = row.dataset.claim, card = $(`details[data-claim="${id}"]`), counts = {};
      let any = !wanted.length;
      for (const cell of $$("tr[data-f]", card)) {
        const levels = cell.dataset.f.split("|");
        cell.hidden = !wanted.every(options => options.some(level => levels.includes(level)));
        any ||= !cell.hidden;
        if (!cell.hidden && cell.dataset.o) counts[cell.dataset.o] = (counts[cell.dataset.o] || 0) + 1;
      }
      // Of an environment beside the reference the page has verdicts, and no cells.
      const under = (row.dataset.env || "").split("|").map(one => one.split("="));
      const has = (key, name) => (chosen[key] || "").split(",").includes(name);
      const there = [...new Set(under.filter(([env, name]) => has("env", env) && (!chosen.machine || has("machine", name))).map(one => one[2]))].join(", ");
      if (cellKeys.every(key => ["env", "machine"].includes(key))) any ||= Boolean(there);
      const verdict = there || (row.dataset.v.split("|")[column] ?? row.dataset.v.split("|")[0]);
      const hidden = !any || Boolean(verdicts && !verdict.split(", ").some(one => verdicts.includes(one))) || Boolean(claims && !claims.includes(id));
      row.hidden = card.hidden = hidden;
      shown += !hidden;
      const told = numbers(counts), words = Object.keys(told).filter(o => told[o]).map(o => `${told[o]} ${o}`);
      $(".chosen", card).textContent = wanted.length && !hidden
        ? `In this selection: ${words.join(", ") || "nothing counted"}${column || there ? `; verdict there: ${verdict}` : ""}.` : "";
    }
    const total = $$("tr[data-claim]").length;
    $("#shown").textContent = shown < total || wanted.length ? `${shown} of ${total} claims have evidence in this selection${claims ? ` (of ${claims.join(", ")})` : ""}.` : "";
    for (const row of $$(".decisions tbody tr"))
      row.hidden = [...asked].some(key => chosen[key] && row.dataset[key] && !row.dataset[key].split(" ").includes(chosen[key]));
    for (const part of $$(".trainer")) part.hidden = chosen.trainer !== "waits";
    if (chosen.sort) order(glance, Math.abs(chosen.sort), chosen.sort < 0);
    else if ($("[aria-sort]", glance)) {
      $$("[aria-sort]", glance).forEach(head => head.removeAttribute("aria-sort"));
      glance.tBodies[0].append(...unsorted);
    }
    const target = chosen[""] && document.getElementById(chosen[""]);
    if (target) { open(target); target.scrollIntoView(); }
  };
  for (const form of forms) {
    form.hidden = false;
    form.addEventListener("change", event => write({...read(), [event.target.name]: event.target.value, claim: "", "": ""}));
    form.addEventListener("submit", event => event.preventDefault());
    form.addEventListener("reset", event => { event.preventDefault(); write({}); });
  }
  addEventListener("hashchange", apply);
  if (location.protocol !== "file:") for (const place of $$(".here")) place.textContent = `${location.href.split("#")[0]}#${place.dataset.id}`;
  // A click on the anchor that the address names already changes nothing: open it all the same.
  document.addEventListener("click", event => {
    const link = event.target.closest("a[href^='#']");
    const target = link && document.getElementById(link.hash.slice(1));
    if (target) open(target);
  });

  // Tables sort by a column, first its smallest; a second click turns the order.
  const value = cell => {
    const text = cell ? cell.dataset.e || cell.textContent.trim() : "";
    const number = parseFloat(text.replaceAll(",", "").replace(/^[^\d.-]+(?=\d)/, ""));
    return /^[<> ]*-?[\d.]/.test(text) && !isNaN(number) ? number : text.toLowerCase();
  };
  const compare = (a, b) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
  const order = (table, column, down) => {
    const heads = $$("thead th", table);
    if (!heads[column - 1]) return;
    heads.forEach((head, i) => head.setAttribute("aria-sort", i === column - 1 ? (down ? "descending" : "ascending") : "none"));
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter(row => !row.classList.contains("test"));
      rows.map(row => [value(row.cells[column - 1]), row])
        .sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0])).forEach(pair => body.append(pair[1]));
    }
  };
  for (const table of $$("table[data-sort]")) $$("thead th", table).forEach((head, i) => {
    const button = make("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      if (table.classList.contains("glance")) write({...read(), sort: String(down ? -i - 1 : i + 1), "": ""});
      else order(table, i + 1, down);
    });
  });

  // Yours beside ours: read here, compared here, sent nowhere.
  const of = effect => JSON.stringify([effect.arms, Object.entries(effect.factors || {}).sort()]);
  const beside = (text, name) => {
    let record;
    let theirs;
    try { record = JSON.parse(text); theirs = new Map(record.claims.map(claim => [claim.id, claim])); } catch { theirs = null; }
    if (!theirs) return tell(`${name} is no claims.json of this study; give the file that lies beside a report's index.html.`);
    const rows = [];
    for (const row of $$("tr[data-claim]")) {
      const own = theirs.get(row.dataset.claim), effect = $(".effect", row);
      const verdict = row.dataset.v.split("|")[0], yours = own ? String(own.verdict) : "absent";
      // Effects compare if they are of the same arms in the same setting.
      const alike = own?.effect && own.effect.quantity === effect.dataset.q && of(own.effect) === of(JSON.parse(effect.dataset.of || "{}"));
      const estimate = alike ? own.effect.estimate : null;
      const ratio = estimate > 0 && effect.dataset.e > 0 ? estimate / effect.dataset.e : null;
      rows.push({id: row.dataset.claim, title: $(".title a", row).textContent, verdict, yours, differs: verdict !== yours,
        ours: effect.textContent.trim(), effect: own ? String(own.headline ?? "") : "", ratio});
    }
    rows.sort((a, b) => b.differs - a.differs || Math.abs(Math.log(b.ratio || 1)) - Math.abs(Math.log(a.ratio || 1)));
    const body = $("#beside tbody");
    body.replaceChildren(...rows.map(row => {
      const line = make("tr");
      const link = Object.assign(make("a", row.id), {href: "#" + row.id});
      const first = make("th");
      first.scope = "row";
      first.append(link);
      line.className = row.differs ? "differs" : "";
      line.append(first, ...[row.title, row.verdict, row.yours, row.ours, row.effect, row.ratio ? row.ratio.toFixed(2) + "\u00d7" : "\u2013"].map(text => make("td", text)));
      line.lastChild.className = "num";
      return line;
    }));
    $("#beside").hidden = false;
    const count = rows.filter(row => row.differs).length;
    const machines = (Array.isArray(record.machines) ? record.machines : []).map(machine => machine?.name).filter(Boolean).join(", ");
    tell(`${count} of ${rows.length} verdicts differ${machines ? `; yours: ${machines}` : ""}.`);
  };
  const tell = words => { $("#told").textContent = words; $("#yours").scrollIntoView(); };
  const load = file => file.text().then(text => beside(text, file.name), () => tell(`${file.name} cannot be read.`));
  $("#drop").hidden = false;
  $("#drop input").addEventListener("change", event => event.target.files[0] && load(event.target.files[0]));
  addEventListener("dragover", event => event.preventDefault());
  // Chromium reads no entry of a folder for a page that is a file, but its handle.
  const inside = async (folder, ...names) => {
    for (const name of names) folder = await folder[name.endsWith(".json") ? "getFileHandle" : "getDirectoryHandle"](name);
    return folder.getFile();
  };
  const entry = (folder, path) => new Promise((found, no) => folder.getFile(path, {}, one => one.file(found, no), no));
  const held = item => item.getAsFileSystemHandle ? item.getAsFileSystemHandle().catch(() => null) : Promise.resolve(null);
  addEventListener("drop", async event => {
    event.preventDefault();
    const [item] = event.dataTransfer.items, [file] = event.dataTransfer.files;
    const folder = item && item.webkitGetAsEntry && item.webkitGetAsEntry();
    if (!folder || !folder.isDirectory) return file && load(file);
    const handle = await held(item), name = "claims.json";
    const ways = handle ? [[handle, name], [handle, "report", name]] : [];
    const all = [...ways.map(way => () => inside(...way)), ...[name, `report/${name}`].map(path => () => entry(folder, path))];
    for (const way of all) try { return load(await way()); } catch { /* it lies elsewhere, or is read another way */ }
    tell(`${folder.name} holds no claims.json.`);
  });

  // In print everything is open; afterwards it is as it was.
  let closed = [];
  addEventListener("beforeprint", () => { closed = $$("details:not([open])"); closed.forEach(d => { d.open = true; }); });
  addEventListener("afterprint", () => { closed.forEach(d => { d.open = false; }); });
  apply();
})();
