// The page: asks the server, and hands what it says to the player and the cards.

import { ask, upload } from "./api.js";
import { Flat } from "./flat.js";
import { Player } from "./player.js";
import { card, make, percent } from "./results.js";
import { Scene } from "./scene.js";

// The colors of the report (Okabe and Ito), told apart by people with any kind of color vision.
const COLOURS = { head: "#D55E00", hand: "#0072B2", arm: "#56B4E9", hip: "#CC79A7", leg: "#009E73", foot: "#E69F00" };
const byId = (id) => document.getElementById(id);

// WebGL by a graphics processor, or none at all: without one, a browser may compute WebGL itself, at a few frames a second.
// ?draw=3d and ?draw=flat in the address choose.
function drawing() {
  const canvas = byId("canvas");
  const wanted = new URLSearchParams(location.search).get("draw");
  const context = wanted === "flat" ? null : document.createElement("canvas").getContext("webgl2");
  const names = context?.getExtension("WEBGL_debug_renderer_info");
  const renderer = context ? String(context.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : context.RENDERER)) : "";
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  const soft = /swiftshader|llvmpipe|software|basic render/i.test(renderer);
  if (context && (wanted === "3d" || !soft)) return new Scene(canvas, COLOURS, soft);
  return new Flat(canvas, COLOURS);
}

let models = [];
let limits = null;
let cards = [];
let running = null;
let held = null; // the part whose button in the legend is pressed
const player = new Player(drawing(), (frame) => cards.forEach((one) => one.now(frame)));
globalThis.poseglot = { player }; // for who measures, or wants to look

function light(joints) {
  player.drawing.lit(joints ?? held);
}

function legend(clip) {
  const box = document.querySelector(".legend");
  box.replaceChildren();
  held = null;
  for (const [part, color] of Object.entries(COLOURS)) {
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
  if (clip.people.length > 1) box.append(make("span", { className: "note" }, `${clip.people.length} people; every second one in deeper colors`));
}

function show(looked, again) {
  const { name, truth, clip, seen } = looked;
  byId("clip-name").textContent = name;
  const people = clip.people.length === 1 ? "one person" : `${clip.people.length} people`;
  byId("clip-about").textContent = `${clip.frames} ${clip.frames === 1 ? "frame" : "frames"}, ${people}${clip.flat ? ", two coordinates" : ""}`;
  cards = [];
  if (!again) {
    player.show(clip);
    legend(clip);
  }
  const seek = (frame) => { player.set(false); player.go(frame); };
  cards = seen.map((one) => card(one, models.find(({ id }) => id === one.model), clip, truth, { light, seek }));
  byId("results").replaceChildren(...cards.map(({ article }) => article));
  cards.forEach((one) => one.now(player.time));
  document.querySelector(".work").classList.toggle("two", seen.length > 1);
  if (again) return;
  const said = seen.map((one) => {
    const who = seen.length > 1 ? `${one.model}: ` : "";
    return who + (one.error || one.answers.slice(0, 2).map(({ action, probability }) => `${action}, ${percent(probability)}`).join("; then "));
  });
  byId("said").textContent = `${name}. ${said.join(". ")}`;
}

// Ask for a clip and show it. A newer question makes an older one void; while words are being read, ask again for them.
async function look(question, chosen = null) {
  running?.abort();
  const mine = (running = new AbortController());
  byId("fault").textContent = "";
  document.body.classList.add("busy");
  try {
    let looked = await question(mine.signal);
    if (mine.signal.aborted) return;
    show(looked, false);
    document.querySelectorAll("#examples li").forEach((item) => item.setAttribute("aria-current", String(item === chosen)));
    document.body.classList.remove("busy");
    while (looked.seen.some(({ words }) => words?.state === "loading")) {
      await new Promise((resolve) => { setTimeout(resolve, 1500); });
      if (mine.signal.aborted) return;
      looked = await question(mine.signal);
      if (mine.signal.aborted) return;
      if (!looked.seen.some(({ words }) => words?.state === "loading")) show(looked, true);
    }
  } catch (error) {
    if (mine.signal.aborted) return;
    byId("fault").textContent = error.message;
  }
  if (running === mine) document.body.classList.remove("busy");
}

function open(file) {
  if (!file) return;
  if (limits && file.size > limits.body) {
    running?.abort();
    byId("fault").textContent = `${file.name} has ${(file.size / 1e6).toFixed(1)} MB; at most ${(limits.body / 1e6).toFixed(1)} MB are accepted here.`;
    return;
  }
  look((signal) => upload(file, { signal }));
}

function listenForFiles() {
  const field = byId("file");
  field.addEventListener("change", () => { open(field.files[0]); field.value = ""; });
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
  try {
    models = await ask("/api/models");
    limits = await ask("/api/limits");
    byId("models").textContent = models.map(({ id, about, classes }) => `${id}: ${about}, ${classes.length} actions`).join(" · ");
    const examples = await ask("/api/examples");
    const list = document.querySelector("#examples ul");
    for (const example of examples) {
      const button = make("button", { type: "button", title: example.name }, example.label || example.name);
      const item = make("li", {}, button);
      button.addEventListener("click", () => look((signal) => ask(`/api/examples/${example.id}`, { signal }), item));
      list.append(item);
    }
    byId("examples").hidden = !examples.length;
    list.querySelector("button")?.click();
  } catch (error) {
    byId("fault").textContent = error.message;
  }
}

start();
