// The page: requests results and passes them to the player and the cards.

import { ask, upload } from "./api.js";
import { make, percent } from "./elements.js";
import { Flat } from "./flat.js";
import { Player } from "./player.js";
import { card } from "./results.js";
import { Scene } from "./scene.js";

// The colors of the report (Okabe and Ito), distinguishable with any kind of color vision.
const COLORS = { head: "#D55E00", hand: "#0072B2", arm: "#56B4E9", hip: "#CC79A7", leg: "#009E73", foot: "#E69F00" };
const byId = (id) => document.getElementById(id);

// WebGL only with a GPU: without one, a browser may compute WebGL itself, at a few frames per second.
// ?draw=3d and ?draw=flat in the address override the choice.
function drawing() {
  const canvas = byId("canvas");
  const wanted = new URLSearchParams(location.search).get("draw");
  const context = wanted === "flat" ? null : document.createElement("canvas").getContext("webgl2");
  const names = context?.getExtension("WEBGL_debug_renderer_info");
  const renderer = context ? String(context.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : context.RENDERER)) : "";
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  const soft = /swiftshader|llvmpipe|software|basic render/i.test(renderer);
  if (context && (wanted === "3d" || !soft)) return new Scene(canvas, COLORS, soft);
  return new Flat(canvas, COLORS);
}

let models = [];
let limits = null;
let cards = [];
let running = null;
let last = null; // what was looked at last: a request, and the example's item in the list
let shown = null; // the request whose clip is shown
let opened = null; // the file that was opened last, until an example is chosen
let held = null; // the joints of the part whose button in the legend is pressed
const player = new Player(drawing(), (frame) => cards.forEach((one) => one.now(frame)));
globalThis.poseglot = { player }; // for measurements and debugging

function light(joints) {
  player.drawing.lit(joints ?? held);
}

function legend(clip) {
  const box = document.querySelector(".legend");
  box.replaceChildren();
  held = null;
  for (const [part, color] of Object.entries(COLORS)) {
    const joints = clip.parts.flatMap((own, joint) => (own === part ? [joint] : []));
    if (!joints.length) continue;
    const button = make("button", { type: "button", color, "aria-pressed": "false" }, make("i", { className: "dot" }), part);
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      box.querySelectorAll("button").forEach((other) => other.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", String(on));
      held = on ? joints : null;
      light(null);
    });
    box.append(button);
  }
  if (clip.people.length > 1) box.append(make("span", { className: "note" }, `${clip.people.length} people; every second one is darker`));
}

// With `keep`, the clip is shown already.
function show(result, keep) {
  const { name, truth, clip, results } = result;
  byId("clip-name").textContent = name;
  const people = clip.people.length === 1 ? "one person" : `${clip.people.length} people`;
  byId("clip-about").textContent = `${clip.frames} ${clip.frames === 1 ? "frame" : "frames"}, ${people}, ${clip.num_dims}D`;
  document.body.classList.toggle("is2d", clip.num_dims === 2);
  cards = [];
  if (!keep) {
    player.show(clip);
    legend(clip);
  }
  const seek = (frame) => { player.set(false); player.go(frame); };
  cards = results.map((one) => card(one, models.find(({ id }) => id === one.model), clip, truth, { light, seek }));
  byId("results").replaceChildren(...cards.map(({ article }) => article));
  cards.forEach((one) => one.now(player.time));
  document.querySelector(".work").classList.toggle("two", results.length > 1);
}

function announce({ name, results }) {
  const lines = results.map((one) => {
    const who = results.length > 1 ? `${one.model}: ` : "";
    return who + (one.error || one.scores.slice(0, 2).map(({ action, probability }) => `${action}, ${percent(probability)}`).join("; then "));
  });
  byId("said").textContent = `${name}. ${lines.join(". ")}`;
}

// Request a clip's results and show them. A newer request cancels an older one; while texts are being encoded, request again.
async function look(request, chosen = null) {
  last = [request, chosen];
  running?.abort();
  const own = (running = new AbortController());
  byId("fault").textContent = "";
  document.body.classList.add("busy");
  try {
    let result = await request(own.signal);
    if (own.signal.aborted) return;
    show(result, request === shown);
    shown = request;
    announce(result);
    document.querySelectorAll("#examples li").forEach((item) => item.setAttribute("aria-current", String(item === chosen)));
    document.body.classList.remove("busy");
    const isLoading = () => result.results.some(({ text }) => text?.state === "loading");
    while (isLoading()) {
      await new Promise((resolve) => { setTimeout(resolve, 1500); });
      if (own.signal.aborted) return;
      result = await request(own.signal);
      if (own.signal.aborted) return;
      if (!isLoading()) show(result, true);
    }
  } catch (error) {
    if (own.signal.aborted) return;
    byId("fault").textContent = error.message;
  }
  if (running === own) document.body.classList.remove("busy");
}

function open(file) {
  if (!file) return;
  opened = file;
  if (limits && file.size > limits.body) {
    running?.abort();
    byId("fault").textContent = `${file.name} has ${(file.size / 1e6).toFixed(1)} MB; at most ${(limits.body / 1e6).toFixed(1)} MB are accepted.`;
    return;
  }
  const fields = [...byId("reading").querySelectorAll("select, input")];
  const reading = fields.filter(({ value }) => value).map(({ name, value }) => [name, value]);
  look((signal) => upload(file, Object.fromEntries([...reading, ...typed()]), { signal }));
}

// The actions that were typed, as a field of a request; none for the model's own.
function typed() {
  const actions = byId("actions").value.trim();
  return actions ? [["actions", actions]] : [];
}

function listenForActions() {
  byId("among").addEventListener("submit", (event) => event.preventDefault()); // Enter has changed the field
  byId("actions").addEventListener("change", () => { if (last) look(...last); });
}

function listenForFiles() {
  const field = byId("file");
  field.addEventListener("change", () => { open(field.files[0]); field.value = ""; });
  document.querySelector(".open").addEventListener("change", ({ target }) => { if (target !== field) open(opened); }); // read again, as is chosen now
  const dropping = (on) => (event) => {
    if (on && ![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("dropping", on);
  };
  document.addEventListener("dragover", dropping(true));
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dropping(false)(event); });
  document.addEventListener("drop", (event) => { dropping(false)(event); open(event.dataTransfer.files[0]); });
}

async function start() {
  listenForFiles();
  listenForActions();
  try {
    models = await ask("/api/models");
    limits = await ask("/api/limits");
    byId("models").textContent = models.map(({ id, about, classes }) => `${id}: ${about}, ${classes.length} actions`).join(" · ");
    const endings = await ask("/api/endings");
    byId("file").accept = endings.map((ending) => `.${ending.split(".").pop()}`).join(","); // a browser does not know .csv.gz
    byId("endings").textContent = `Accepted: ${[...endings].sort().join(", ")}.`;
    const layouts = await ask("/api/layouts");
    byId("layout").append(...layouts.map((name) => make("option", { value: name }, name)));
    const examples = await ask("/api/examples");
    byId("synthetic").hidden = !examples.some(({ synthetic }) => synthetic);
    const list = document.querySelector("#examples ul");
    const taken = Object.create(null);
    for (const example of examples) {
      const label = example.label || example.name;
      const number = (taken[label] = (taken[label] ?? 0) + 1);
      const button = make("button", { type: "button", title: example.name }, number > 1 ? `${label} (${number})` : label);
      const item = make("li", {}, button);
      button.addEventListener("click", () => {
        opened = null;
        look((signal) => ask(`/api/examples/${example.id}?${new URLSearchParams(typed())}`, { signal }), item);
      });
      list.append(item);
    }
    byId("examples").hidden = !examples.length;
    list.querySelector("button")?.click();
  } catch (error) {
    byId("fault").textContent = error.message;
  }
}

start();
