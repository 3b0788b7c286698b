"use strict";
// All functions of the page. What it shows comes from the elements #data-NAME and is set as text only.
(() => {
  // The parts of the data, each read when something needs it; a long one is packed.
  const data = {};
  const unpacking = {};
  const unpack = async element => {
    const packed = atob(element.textContent);
    const bytes = new Uint8Array(packed.length);
    for (let at = 0; at < packed.length; at++) bytes[at] = packed.charCodeAt(at);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };
  const need = (name, then) => {
    if (name in data) return then();
    const element = document.getElementById("data-" + name);
    if (element.type === "application/json") {
      data[name] = JSON.parse(element.textContent);
      return then();
    }
    unpacking[name] ??= unpack(element);
    unpacking[name].then(value => { data[name] = value; then(); });
  };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, text, style) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (style) element.className = style;
    return element;
  };

  // The card of a cell.
  const dialog = document.getElementById("card");
  const body = document.getElementById("card-body");
  const provenance = (number, test) => {
    const details = make("details");
    const list = make("dl", "", "provenance");
    for (const [name, value] of [["test", test], ...data.cards.provenances[number]]) list.append(make("dt", name), make("dd", value));
    details.append(make("summary", "How it is known"), list);
    return details;
  };
  const verdict = tests => ([outcome, gate, compared, cause, remedy, evidence, number, test]) => {
    const block = make("div", "", "verdict");
    const head = make("div", "", "verdict-head");
    head.append(
      make("span", outcome, "outcome outcome-" + outcome), make("strong", gate),
      make("span", compared), make("span", evidence, "small"));
    block.append(head);
    if (cause) block.append(make("div", cause));
    if (remedy) block.append(make("div", "Remedy: " + remedy, "remedy"));
    block.append(provenance(number, tests[test]));
    return block;
  };
  const open = number => {
    const cell = data.cards.cards[number];
    const title = make("h2", cell.title);
    title.id = "card-title";
    const kind = make("p", "", "legend");
    const words = make("span");
    const chip = make("span", cell.letter, "chip kind-" + cell.kind);
    chip.setAttribute("aria-hidden", "true");
    words.append(chip, document.createTextNode(
      [cell.outcome + ": " + cell.words, cell.at, cell.evidence].filter(Boolean).join(" · ")));
    kind.append(words);
    const command = make("pre", cell.command, "scroll");
    command.tabIndex = 0;
    body.replaceChildren(title, kind, ...(cell.before ? [make("p", "Before: " + cell.before, "at")] : []),
      make("p", "Again:", "again"), command);
    for (const test of cell.unrecorded) body.append(make("p", "Did not run: " + test));
    const rank = { FAIL: 0, INCONCLUSIVE: 1, PASS: 2 };
    body.append(...[...cell.verdicts].sort((a, b) => rank[a[0]] - rank[b[0]]).map(verdict(cell.tests)));
    dialog.showModal();
    dialog.scrollTop = 0;
  };
  const buttons = all("button.cell");
  buttons.forEach(button => button.addEventListener("click", () => need("cards", () => open(Number(button.dataset.cell)))));
  dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });

  // The filter.
  const form = document.querySelector(".filter");
  const shown = document.getElementById("shown");
  need("cells", () => {});
  const blocks = all(".block").map(block => [block,
    all("tbody tr", block).map(row => [row, all("button.cell", row)])]);
  const matches = (cell, want) => {
    const [outcome, evidence] = want.gate ? cell.gates[want.gate] || ["", ""] : [cell.outcome, cell.evidence];
    return (!want.outcome || outcome === want.outcome) && (!want.turn || cell.turn === want.turn) && (!want.evidence || evidence === want.evidence) && (!want.gate || outcome !== "");
  };
  // What is not of the phone is hidden by a rule, as quick for thousands of cells as for one.
  const columns = new CSSStyleSheet();
  document.adoptedStyleSheets = [columns];
  const hideOthers = target => {
    const name = `"${CSS.escape(target)}"`;
    columns.replaceSync(target === "" ? "" :
      `[data-target]:not([data-target=${name}]), [data-targets]:not([data-targets~=${name}]) { display: none !important; }`);
  };
  let target = "";
  const filter = () => {
    const want = Object.fromEntries(new FormData(form));
    let count = 0;
    for (const [block, rows] of blocks) {
      const before = count;
      for (const [row, cells] of rows) {
        let here = 0;
        for (const button of cells) {
          const cell = data.cells[button.dataset.cell];
          const fits = matches(cell, want);
          if (button.classList.contains("out") === fits) button.classList.toggle("out", !fits);
          here += fits && (!want.target || cell.target === want.target);
        }
        row.hidden = !here;
        count += here;
      }
      block.hidden = count === before;
    }
    if (want.target !== target) {
      target = want.target;
      hideOthers(target);
    }
    shown.textContent = count + " of " + data.cells.length + (data.cells.length === 1 ? " cell" : " cells");
  };
  form.addEventListener("change", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", event => event.preventDefault());

  // Charts and strips are drawn when they come near the screen, all of them before printing.
  const themed = ["--back", "--text", "--muted", "--line", "--ok", "--fail",
    ...Array.from({ length: 7 }, (_, number) => "--series" + number)];
  const colours = value => {
    if (typeof value === "string")
      return themed.includes(value) ? getComputedStyle(document.documentElement).getPropertyValue(value).trim() : value;
    if (Array.isArray(value)) return value.map(colours);
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, colours(inner)]));
    return value;
  };
  const drawn = new Map();
  const drawOption = (place, option) => {
    const chart = echarts.init(place, null, { renderer: "svg" });
    drawn.set(place, chart);
    chart.setOption(colours(option));
    new ResizeObserver(() => chart.resize()).observe(place);
  };
  const drawChart = place => drawOption(place, data.charts[place.dataset.chart].option);

  // The history: a sparkline and a table for each number, made when they are asked for.
  const drawTrend = place => {
    const { option, runs, series } = data.trends;
    const one = series[place.dataset.trend];
    const dates = one.runs.map(number => runs[number][0]);
    const pins = one.turnings.map(([at], number) => ({
      coord: [at, one.values[at]], label: { formatter: String(number + 1) } }));
    const line = option.series[0];
    drawOption(place, { ...option, xAxis: { ...option.xAxis, data: dates }, series: [{
      ...line, name: one.title, data: one.values, markPoint: { ...line.markPoint, data: pins } }] });
  };
  const row = (tag, cells) => {
    const made = make("tr");
    for (const text of cells) {
      const cell = make(tag, text);
      if (tag === "th") cell.scope = "col";
      made.append(cell);
    }
    return made;
  };
  const table = (title, head, rows) => {
    const box = make("div", "", "scroll");
    Object.assign(box, { tabIndex: 0, ariaLabel: "Table: " + title });
    box.setAttribute("role", "region");
    const [made, top, body] = [make("table"), make("thead"), make("tbody")];
    top.append(row("th", head));
    body.append(...rows.map(cells => row("td", cells)));
    made.append(top, body);
    box.append(made);
    return box;
  };
  // The tables of charts and strips, made when they are opened.
  const fillRows = details => {
    if (details.querySelector("table")) return;
    const [part, ...numbers] = details.dataset.rows.split(" ");
    for (const number of numbers) {
      for (const one of data[part][number].tables) {
        const box = make("div");
        if (one.target) box.dataset.target = one.target;
        if (numbers.length > 1) box.append(make("h4", one.heading));
        box.append(table(one.title, one.head, one.rows));
        details.append(box);
      }
    }
  };
  const fillPoints = details => {
    if (details.querySelector("table")) return;
    const one = data.trends.series[details.dataset.points];
    const rows = one.runs.map((number, at) => {
      const [time, , commit] = data.trends.runs[number];
      const ends = one.ends && one.ends[at];
      const turning = one.turnings.findIndex(turn => turn[0] === at) + 1;
      return [time, String(one.values[at]), ends ? ends.join(" to ") : "", one.outcomes[at],
        turning ? String(turning) : "", commit.slice(0, 12)];
    });
    details.append(table(one.title, ["run", "value", "interval", "verdict", "change", "commit"], rows));
  };
  const fillOthers = details => {
    const place = details.querySelector(".charts");
    if (place.childElementCount) return;
    for (const number of details.dataset.others.split(" ")) {
      const one = data.trends.series[number];
      const figure = make("figure", "", "card");
      figure.dataset.target = one.target;
      const spark = make("div", "", "spark");
      spark.dataset.trend = number;
      const points = make("details");
      points.dataset.points = number;
      points.append(make("summary", "The same as a table"));
      const marks = make("ol", "", "marks");
      marks.append(...one.turnings.map(([, says, worse]) => make("li", says, worse ? "worse" : "")));
      figure.append(make("figcaption", one.title), spark, ...(one.turnings.length ? [marks] : []), points);
      place.append(figure);
      watcher.observe(spark);
    }
  };
  document.addEventListener("toggle", event => {
    const details = event.target;
    if (details.dataset.rows) need(details.dataset.rows.split(" ")[0], () => fillRows(details));
    if (details.dataset.points) need("trends", () => fillPoints(details));
    if (details.dataset.others) need("trends", () => fillOthers(details));
  }, true);
  const svg = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const drawStrip = place => {
    drawn.set(place, null);
    const strip = data.strips[place.dataset.strip];
    const says = place.closest(".strip").querySelector(".says");
    const root = svg("svg", { width: strip.width, height: strip.height, viewBox: `0 0 ${strip.width} ${strip.height}`, role: "group", "aria-label": strip.says });
    for (const x of strip.crossings)
      root.append(svg("line", { class: "crossing", x1: x, x2: x, y1: 0, y2: strip.height }));
    for (const [x, width, letter, style, fallback, text] of strip.blocks) {
      const block = svg("g", { class: style, role: "img", "aria-label": text });
      if (fallback) block.setAttribute("tabindex", "0");
      const title = svg("title", {});
      title.textContent = text;
      const mark = svg("text", { x: x + width / 2, y: strip.height / 2 });
      mark.textContent = letter;
      block.append(title, svg("rect", { x, y: 1, width, height: strip.height - 2, rx: 2 }), mark);
      const say = () => { says.textContent = text; };
      block.addEventListener("focus", say);
      block.addEventListener("mouseenter", say);
      root.append(block);
    }
    place.append(root);
  };
  // The viewer of a frame: two images over each other, and what lies between them in numbers.
  const pick = (label, options, chosen) => {
    const box = make("label", label);
    const select = make("select");
    select.append(...options.map(([text, value]) => new Option(text, value, false, value === chosen)));
    box.append(select);
    return [box, select];
  };
  const figures = (title, pairs) => {
    if (!pairs.length) return [];
    const list = make("dl", "", "figures");
    for (const [name, value] of pairs) list.append(make("dt", name), make("dd", value));
    return [make("h4", title), list];
  };
  const drawFrame = place => {
    drawn.set(place, null);
    const frame = data.frames[place.dataset.frame];
    const kinds = [["degraded", "given"], [frame.reference, "fp32"], ...(frame.sharp === null ? [] : [["sharp", "sharp"]]),
      ["variant", "image"], ["error map", "error"]];
    const [lookBox, look] = pick("Variant", frame.looks.map((one, number) => [one.name, String(number)]), "0");
    const [leftBox, left] = pick("Left", kinds, "fp32");
    const [rightBox, right] = pick("Right", kinds, "image");
    const [zoomBox, zoom] = pick("Loupe", [1, 2, 4, 8].map(times => [times + ":1", String(times)]), "1");
    const wipe = make("input");
    Object.assign(wipe, { type: "range", min: 0, max: 100, value: 50 });
    wipe.setAttribute("aria-label", "Wipe between left and right");
    const flicker = make("button", "Flicker");
    const mark = make("button", "Worst tile");
    for (const button of [flicker, mark]) Object.assign(button, { type: "button", ariaPressed: "false" });
    const controls = make("div", "", "controls");
    controls.append(lookBox, leftBox, rightBox, zoomBox, flicker, mark);
    const stage = make("div", "", "stage");
    const images = [make("img"), make("img")];
    const tile = make("div", "", "tile");
    tile.hidden = true;
    stage.append(...images, tile);
    const pane = make("div", "", "window");
    pane.append(stage);
    Object.assign(pane, { tabIndex: 0, ariaLabel: "Images of " + frame.title });
    pane.setAttribute("role", "region");
    const numbers = make("div");
    const sides = make("div", "", "sides");
    const shownSide = make("div");
    shownSide.append(wipe, pane);
    sides.append(shownSide, numbers);
    place.querySelector(".viewed").append(controls, sides);
    const cut = share => { images[1].style.clipPath = "inset(0 0 0 " + share + "%)"; };
    const scale = () => {
      const width = images[0].naturalWidth * Number(zoom.value);
      for (const one of images) one.style.width = width + "px";
      wipe.style.maxWidth = width + "px";
    };
    const show = () => {
      const one = frame.looks[look.value];
      [left, right].forEach((select, side) => {
        const number = { ...frame, ...{ image: one.image, error: one.error } }[select.value];
        images[side].src = data.images[number];
        images[side].alt = select.selectedOptions[0].text + ", " + frame.title;
      });
      const [x, y, width, height] = one.tile.map(share => share * 100 + "%");
      Object.assign(tile.style, { left: x, top: y, width, height });
      numbers.replaceChildren(...figures("From " + frame.reference, one.figures), ...figures("From the sharp target", one.sharp));
    };
    images[0].addEventListener("load", scale);
    wipe.addEventListener("input", () => cut(wipe.value));
    for (const select of [look, left, right]) select.addEventListener("change", show);
    zoom.addEventListener("change", scale);
    let turn = 0;
    let timer = 0;
    flicker.addEventListener("click", () => {
      clearInterval(timer);
      const on = flicker.ariaPressed !== "true";
      flicker.ariaPressed = String(on);
      if (on) timer = setInterval(() => { turn = 1 - turn; cut(turn * 100); }, 500);
      else cut(wipe.value);
    });
    mark.addEventListener("click", () => {
      const on = mark.ariaPressed !== "true";
      mark.ariaPressed = String(on);
      tile.hidden = !on;
      if (on) pane.scrollTo(tile.offsetLeft - pane.clientWidth / 2, tile.offsetTop - pane.clientHeight / 2);
    });
    cut(50);
    show();
  };
  const kinds = [["frame", drawFrame], ["chart", drawChart], ["trend", drawTrend], ["strip", drawStrip]];
  const draw = place => {
    if (drawn.has(place)) return;
    const [kind, made] = kinds.find(([name]) => name in place.dataset);
    const ready = () => drawn.has(place) || made(place);
    need(kind + "s", kind === "frame" ? () => need("images", ready) : ready);
  };
  const places = all("[data-chart], [data-strip], [data-frame], [data-trend]");
  const watcher = new IntersectionObserver(
    seen => seen.forEach(one => { if (one.isIntersecting) draw(one.target); }), { rootMargin: "600px" });
  places.forEach(place => watcher.observe(place));
  addEventListener("beforeprint", () => places.forEach(draw));
  // Charts have the colours of the theme, and paper is light.
  const redraw = () => {
    for (const [place, chart] of [...drawn]) {  // a copy: drawing adds to it
      if (!chart) continue;
      chart.dispose();
      drawn.delete(place);
      draw(place);
    }
  };
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", redraw);
  // What is packed is unpacked before anybody prints.
  addEventListener("load", () => setTimeout(() => ["charts", "strips", "frames"].forEach(name => need(name, () => {})), 1000));
  document.documentElement.dataset.ready = "yes";
})();
