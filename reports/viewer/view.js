"use strict";
// The page to look into runs. All texts of models and files are set as text, never as markup.

const PAGE = 50;
const STATES = {
  "": "all", wrong: "wrong", right: "right", failed: "failed: no output", unparsed: "no readable answer",
  truncated: "cut at the limit", unfinished: "ended inside a thought", long: "prompt too long", disputed: "scored otherwise elsewhere",
};
const SORTS = {
  id: "as in the benchmark", score: "lowest score", "-score": "highest score", length: "shortest output", "-length": "longest output",
};
const embedded = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
let runs = [], shown = [], matching = 0, latest = 0;

/** Make an element with attributes and children; a string is a text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** What the address says: run, other, state, label, text, sort, flips, id. Runs are named there, and numbered here. */
function read() {
  const query = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  for (const key of ["run", "other"]) {
    if (query[key] === undefined) continue;
    const run = runs.find((candidate) => candidate.name === query[key]);
    if (!run) throw new Error(`no run here is named ${query[key]}`);
    query[key] = String(run.number);
  }
  return query;
}

function titled(run) {
  return `${run.model}${run.blind ? " (blind)" : ""}`;
}

function address(changes) {
  const query = { ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))), ...changes };
  const kept = Object.entries(query).filter(([, value]) => value !== "" && value !== null);
  return "#" + new URLSearchParams(Object.fromEntries(kept));
}

// Data: from the server, or from the page itself.

async function ask(path, query) {
  if (embedded) return path === "runs" ? embedded.runs : path === "sample" ? wholeSample(query) : chosen(query);
  const answer = await fetch(`/api/${path}?${new URLSearchParams(query)}`);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

function wholeSample(query) {
  const row = embedded.samples[query.run].rows.find((candidate) => candidate.id === query.id);
  if (!row) throw new Error(`this file does not hold sample ${query.id}`);
  const other = query.other ? pairing(query)(row) : undefined;
  return { ...row.whole, beside: other && other.whole ? other.whole : null };
}

/** Return what finds the other run's sample of a row, with the score that is compared; the file has the pairs that ids do not tell. */
function pairing(query) {
  const rows = embedded.samples[query.other].rows, pairs = embedded.pairs[query.run][query.other];
  if (!pairs) {
    const byId = new Map(rows.map((row) => [row.id, row]));
    return (row) => byId.get(row.id);
  }
  const byPosition = new Map(rows.map((row) => [row.position, row]));
  return (row) => {
    const pair = pairs[row.position];
    return pair && { ...(byPosition.get(pair[0]) ?? {}), score: pair[1] };
  };
}

function searched(row) {
  const { question, output, answer, target, thought } = row.whole;
  return [question, output, answer, target, thought].join("\n").toLowerCase();
}

function chosen(query) {
  const { rows, total } = embedded.samples[query.run];
  const beside = query.other ? pairing(query) : () => undefined;
  const flipped = (row, other) => other && row.score !== null && (other.score ?? null) !== null && other.score !== row.score;
  const [name, ...label] = (query.label || "").split("=");
  const kept = rows.filter((row) =>
    (!query.state || row.states.includes(` ${query.state} `)) &&
    (!query.label || row.labels[name] === label.join("=")) &&
    (!query.text || searched(row).includes(query.text.toLowerCase())) &&
    (!query.flips || flipped(row, beside(row))));
  const keys = { score: (row) => row.score ?? -1, length: (row) => (row.whole.output || "").length, id: (row) => row.position };
  const sort = query.sort || "id", key = keys[sort.replace("-", "")], sign = sort.startsWith("-") ? -1 : 1;
  kept.sort((a, b) => sign * (key(a) - key(b)) || a.position - b.position);
  const offset = Number(query.offset || 0);
  const page = kept.slice(offset, offset + PAGE).map((row) => {
    const other = beside(row);
    return { ...row, other_id: other?.id ?? null, other_answer: other?.answer ?? null, other_score: other?.score ?? null };
  });
  const paired = query.other ? rows.filter((row) => beside(row)).length : null;
  return { matching: kept.length, total, paired, rows: page };
}

// All runs.

function overview() {
  const head = ["run", "model", "task", "headline", "value", "95 % interval", "samples", "failed"];
  const rows = runs.map((run) => make("tr", {},
    make("th", { scope: "row" }, make("a", { href: "#" + new URLSearchParams({ run: run.name }) }, run.name)),
    make("td", {}, titled(run)), make("td", {}, `${run.task} ${run.split}`), make("td", {}, run.headline.name),
    ...[run.headline.value, run.headline.interval, run.n.toLocaleString("en"), run.counts.failed.toLocaleString("en")]
      .map((value) => make("td", { class: "number" }, value))));
  const cells = head.map((text, place) => make("th", { scope: "col", class: place > 3 ? "number" : null }, text));
  at("overview").replaceChildren(make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of runs" },
    make("table", {}, make("thead", {}, make("tr", {}, ...cells)), make("tbody", {}, ...rows))));
}

// One run.

function metrics(run) {
  const tables = run.sections.map((section) => make("table", {},
    make("caption", {}, section.title),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "metric"),
      ...["value", "95 % interval", "n"].map((text) => make("th", { scope: "col", class: "number" }, text)))),
    make("tbody", {}, ...section.rows.map((row) => make("tr", {}, make("th", { scope: "row" }, row.label),
      ...[row.value, row.interval, row.n.toLocaleString("en")].map((value) => make("td", { class: "number" }, value)))))));
  at("metrics").replaceChildren(make("h2", {}, `${titled(run)} on ${run.task}`),
    make("p", {}, make("strong", {}, run.name), ` ${run.about}`),
    ...run.notes.map((note) => make("p", {}, note)),
    make("div", { class: "scroll tables", tabindex: "0", role: "region", "aria-label": "Metrics" }, ...tables));
}

function options(select, entries, value) {
  select.replaceChildren(...entries.map(([key, text]) => make("option", { value: key }, text)));
  select.value = value || entries[0][0];
}

function filters(run, query) {
  const counts = run.notes.length ? Object.entries(STATES) : Object.entries(STATES).filter(([key]) => key !== "disputed");
  options(at("state"), counts, query.state);
  const labels = Object.entries(run.labels).flatMap(([name, texts]) => texts.map((text) => [`${name}=${text}`, `${name}: ${text}`]));
  options(at("label"), [["", "all"], ...labels], query.label);
  options(at("sort"), Object.entries(SORTS), query.sort);
  const others = runs.filter((other) => other.number in run.others);
  const other = query.other && runs[query.other].name;
  options(at("other"), [["", "no other run"], ...others.map((each) => [each.name, `${titled(each)}: ${each.name}`])], other);
  at("flips").checked = query.flips === "1";
  at("flips").disabled = !query.other;
  if (document.activeElement !== at("text")) at("text").value = query.text || "";
}

function verdict(score) {
  if (score === null) return "no score";
  const word = score >= 1 ? "right" : score > 0 ? "partly right" : "wrong";
  return make("span", { class: score >= 1 ? "right" : "wrong" }, `${score >= 1 ? "✓" : "✗"} ${word}${score > 0 && score < 1 ? ` (${score.toFixed(2)})` : ""}`);
}

function entry(row, query) {
  const missing = embedded ? "not in this file" : "not in that run";
  const other = row.other_id === null && row.other_score === null ? missing : verdict(row.other_score);
  const beside = query.other ? [" · beside: ", other, ` ${row.other_answer ?? ""}`] : [];
  return make("li", {}, make("a", { href: address({ id: row.id }), "aria-current": row.id === query.id ? "true" : null },
    make("span", { class: "id" }, `${row.id} `), verdict(row.score),
    make("span", { class: "question" }, row.question),
    make("span", { class: "id" }, `read as ${row.answer || "nothing"}, expected ${row.expected}`, ...beside)));
}

async function list(query, offset) {
  const turn = ++latest;
  const asked = { ...query, offset: String(offset) };
  delete asked.id;
  const page = await ask("samples", asked);
  if (turn !== latest) return;
  shown = offset ? [...shown, ...page.rows] : page.rows;
  matching = page.matching;
  const held = embedded ? embedded.samples[query.run].rows.length : page.total;
  const part = held < page.total ? `; this file holds the first ${held.toLocaleString("en")}` : "";
  const protocol = query.other && runs[query.run].others[query.other];
  const paired = query.other ? `; the other run has ${page.paired.toLocaleString("en")} of the ${page.total.toLocaleString("en")}` : "";
  const differ = protocol ? `. The two have ${protocol}: compare refuses them` : "";
  at("count").textContent = `${matching.toLocaleString("en")} of ${page.total.toLocaleString("en")} samples${part}${paired}${differ}`;
  const entries = page.rows.map((row) => entry(row, query));
  if (offset) at("list").append(...entries); else at("list").replaceChildren(...entries);
  at("more").hidden = shown.length >= matching;
}

// One sample.

function block(title, text) {
  return text === null || text === undefined || text === "" ? null : make("div", {}, make("h3", {}, title), make("pre", {}, text));
}

function pairs(title, values) {
  const entries = Array.isArray(values) ? values : Object.entries(values);
  const rows = entries.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "number" }, String(value))));
  return rows.length ? make("div", {}, make("h3", {}, title), make("table", {}, make("tbody", {}, ...rows))) : null;
}

function likelihoods(sample) {
  if (!sample.scores.length) return null;
  const several = sample.scores.length > 1;
  const named = sample.scores.flatMap((scores, request) => scores.map((score, place) =>
    [(!several && sample.continuations[place]) || `${request + 1}.${place + 1}`, score.toFixed(4)]));
  return pairs("log-likelihoods", named);
}

function outcome(sample, title) {
  const notes = [sample.failure && `failed: ${sample.failure}`, sample.truncated && "cut at the token limit", sample.unfinished && "ended inside a thought"];
  return make("div", {}, make("h3", {}, title), make("p", {}, verdict(sample.score)),
    ...notes.filter(Boolean).map((note) => make("p", { class: "wrong" }, note)),
    block("output", sample.output), block("read as", sample.answer), block("thought", sample.thought), likelihoods(sample),
    pairs("values", sample.values), pairs("values of the harness", sample.reported), pairs("cost", sample.cost));
}

async function sample(query) {
  if (!query.id) { at("sample").hidden = true; return; }
  const one = await ask("sample", { run: query.run, id: query.id, other: query.other ?? "" });
  const beside = one.beside;
  if (read().id !== query.id) return;
  const [title, other] = [query.run, query.other].map((run) => run && `${titled(runs[run])}: ${runs[run].name}`);
  const outcomes = beside ? make("div", { class: "pair" }, outcome(one, title), outcome(beside, other)) : outcome(one, title);
  const full = one.read.length ? make("details", {}, make("summary", {}, "all that the model read"), ...one.read.map((text) => make("pre", {}, text))) : null;
  const image = one.image ? make("img", { src: one.image, alt: `the image of sample ${one.id}` }) : null;
  const media = Object.entries(one.media).map(([kind, count]) => `${count} ${kind}`).join(", ");
  const missing = image || !media ? null : make("p", {}, `The model was shown: ${media}. A run keeps the images of its worst samples only.`);
  const parts = [make("h2", {}, `Sample ${one.id}`), image, missing, block("question", one.question), block("expected", one.target),
    outcomes, pairs("labels", one.labels), full];
  at("sample").replaceChildren(...parts.filter(Boolean));
  at("sample").hidden = false;
  for (const link of at("list").querySelectorAll("a")) {
    const current = link.getAttribute("href") === address({ id: query.id });
    link.toggleAttribute("aria-current", current);
    if (current) {
      link.setAttribute("aria-current", "true");
      if (moved) link.scrollIntoView({ block: "nearest" });
    }
  }
  // In one column the sample stands below the list: go there, unless the keys move through the list.
  if (clicked && matchMedia("(max-width: 61.99rem)").matches) {
    at("sample").focus({ preventScroll: true });
    at("sample").scrollIntoView({ block: "start" });
  }
  moved = clicked = false;
}

// What happens.

let before = "", moved = false, clicked = true; // an address that names a sample leads to it

async function update() {
  try {
    const query = read();
    const run = query.run === undefined ? undefined : runs[query.run];
    at("problem").hidden = true;
    at("overview").hidden = Boolean(run);
    at("run").hidden = !run;
    if (!run) { document.title = "Runs"; before = ""; return; }
    document.title = `${titled(run)} on ${run.task}`;
    const same = JSON.stringify({ ...query, id: "" });
    if (same !== before) {
      before = same;
      metrics(run);
      filters(run, query);
      await list(query, 0);
    }
    await sample(query);
  } catch (error) {
    at("problem").textContent = error.message;
    at("problem").hidden = false;
  }
}

function move(step) {
  if (!shown.length) return;
  moved = true;
  const place = shown.findIndex((row) => row.id === read().id);
  const next = place < 0 ? (step > 0 ? 0 : -1) : place + step;
  if (next >= 0 && next < shown.length) location.hash = address({ id: shown[next].id });
  else if (next >= shown.length && shown.length < matching) list(read(), shown.length).then(() => move(step));
}

for (const name of ["state", "label", "sort", "other"]) {
  at(name).addEventListener("change", () => {
    location.hash = address({ [name]: at(name).value, id: "", ...(name === "other" && !at(name).value ? { flips: "" } : {}) });
  });
}
at("flips").addEventListener("change", () => { location.hash = address({ flips: at("flips").checked ? "1" : "", id: "" }); });
at("list").addEventListener("click", () => { clicked = true; });
at("filter").addEventListener("submit", (event) => event.preventDefault());
let waiting;
at("text").addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { location.hash = address({ text: at("text").value, id: "" }); }, 250);
});
at("more").addEventListener("click", () => list(read(), shown.length).catch((error) => { at("problem").textContent = error.message; at("problem").hidden = false; }));
document.addEventListener("keydown", (event) => {
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.tagName);
  if (event.key === "Escape" && typing) document.activeElement.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = { j: () => move(1), k: () => move(-1), "/": () => at("text").focus(), u: () => { location.hash = ""; } };
  if (actions[event.key] && (event.key === "u" || !at("run").hidden)) { event.preventDefault(); actions[event.key](); }
});
window.addEventListener("hashchange", update);
ask("runs", {}).then((content) => {
  runs = content;
  at("about").textContent = `${runs.length} finished run${runs.length === 1 ? "" : "s"}`;
  overview();
  return update();
}).catch((error) => { at("problem").textContent = error.message; at("problem").hidden = false; });
