// Recognition in the browser alone: MediaPipe finds the pose, ONNX Runtime runs the exported file, which holds all preparation.

import { Flat } from "./flat.js";
import { clipJoints, drawingOf, frameOf, jointsOf, liveRow } from "./joints.js";

const PACE = 30; // frames per second of a clip
const TOP = 5;
const MIN_FRAMES = 5; // of somebody in a window; fewer show no motion
const byId = (id) => document.getElementById(id);
const page = { frames: 0, predictions: 0, seconds: 0, pose: null, watched: null }; // also read and set by tests
window.poseglot = page;

function say(text, isFault = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("fault", isFault);
}

// Everything is fetched under its hash; a file that was changed on the way is refused by the browser.
const fetched = async ({ url, integrity }) => {
  const answer = await fetch(url, integrity ? { integrity } : {});
  if (!answer.ok) throw new Error(`${url} cannot be read (${answer.status})`);
  return answer;
};
const blobOf = async (file) => URL.createObjectURL(await (await fetched(file)).blob());
const moduleOf = ({ url }) => import(new URL(url, location.href).href);

async function loadModel() {
  const { module, loader, wasm } = page.info.libraries.runtime;
  const ort = await moduleOf(module);
  ort.env.wasm.numThreads = 1; // several need headers that a plain server does not send
  ort.env.wasm.wasmPaths = { mjs: new URL(loader.url, location.href).href };
  ort.env.wasm.wasmBinary = await (await fetched(wasm)).arrayBuffer();
  const model = new Uint8Array(await (await fetched(page.info.model)).arrayBuffer());
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  page.predict = async (people) => {
    const shape = [1, people.length, people[0].length, people[0][0].length, people[0][0][0].length];
    const joints = new ort.Tensor("float32", Float32Array.from(people.flat(3)), shape);
    const { probabilities } = await session.run({ joints }, ["probabilities"]);
    return Array.from(probabilities.data);
  };
}

async function loadPose() {
  const { module, loader, wasm } = page.info.libraries.vision;
  const { PoseLandmarker } = await moduleOf(module);
  const files = { wasmLoaderPath: await blobOf(loader), wasmBinaryPath: await blobOf(wasm) };
  const modelAssetBuffer = new Uint8Array(await (await fetched(page.info.pose)).arrayBuffer());
  const create = (delegate) => PoseLandmarker.createFromOptions(files, { baseOptions: { modelAssetBuffer, delegate }, runningMode: "VIDEO" });
  return hasGraphics() ? create("GPU").catch(() => create("CPU")) : create("CPU");
}

// WebGL that the browser computes on the CPU is far slower than MediaPipe on the CPU.
function hasGraphics() {
  const context = document.createElement("canvas").getContext("webgl2");
  const names = context?.getExtension("WEBGL_debug_renderer_info");
  const renderer = context ? String(context.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : context.RENDERER)) : "software";
  context?.getExtension("WEBGL_lose_context")?.loseContext();
  return !/swiftshader|llvmpipe|software|basic render/i.test(renderer);
}

function showActions(probabilities) {
  const best = probabilities.map((probability, at) => [probability, page.info.classes[at]]).sort((one, other) => other[0] - one[0]);
  byId("actions").replaceChildren(...best.slice(0, TOP).map(([probability, action]) => {
    const item = document.createElement("li");
    const [name, share, bar] = ["span", "b", "progress"].map((tag) => document.createElement(tag));
    name.textContent = action;
    share.textContent = `${(100 * probability).toFixed(1)} %`;
    bar.value = probability;
    bar.setAttribute("aria-label", action);
    item.append(name, share, bar);
    return item;
  }));
  page.best = best[0];
}

// Predict, unless nobody is seen: then probabilities are NaN.
async function recognise(people) {
  const start = performance.now();
  const probabilities = await page.predict(people);
  page.seconds = (performance.now() - start) / 1000;
  page.predictions += 1;
  if (probabilities.some(Number.isNaN)) byId("actions").replaceChildren();
  else showActions(probabilities);
}

function stop() {
  const video = byId("video");
  page.watched = null;
  video.srcObject?.getTracks().forEach((track) => track.stop());
  if (video.src) URL.revokeObjectURL(video.src);
  video.pause();
  video.srcObject = null;
  video.removeAttribute("src");
  video.hidden = byId("stop").disabled = true;
}

// Start something that `stop`, or the next thing, ends.
function begin() {
  stop();
  byId("stop").disabled = false;
  byId("actions").replaceChildren();
  page.watched = {};
  return page.watched;
}

async function playClip(table) {
  const people = clipJoints(table, page.info.input);
  const mine = begin();
  const drawing = drawingOf(people, page.info.input);
  page.flat.show(drawing);
  await recognise(people);
  say(`${drawing.frames} frames, recognised as a whole in ${Math.round(1000 * page.seconds)} ms.`);
  const start = performance.now();
  const step = (now) => {
    if (page.watched !== mine) return;
    page.flat.draw((Math.max(now - start, 0) / 1000 * PACE) % Math.max(drawing.frames - 1, 1));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

async function watch(give) {
  const mine = begin();
  const video = byId("video");
  const { input, window: seconds, stride, min_duration: least } = page.info;
  say("Loading the pose model …");
  page.pose ??= await loadPose();
  await give(video);
  video.hidden = false;
  await video.play();
  const view = { people: [[liveRow(null)]], frames: 1, num_dims: 3, bones: input.bones, parts: input.parts };
  page.flat.show(view);
  page.flat.pose.high = 10;
  page.flat.front();
  let [past, last, due, busy, told] = [[], -1, 0, false, 0];
  const step = () => {
    if (page.watched !== mine) return;
    const time = video.currentTime;
    if (video.readyState >= 2 && time !== last) {
      if (time < last) [past, due] = [[], 0]; // a video that starts again
      last = time;
      const frame = frameOf(page.pose.detectForVideo(video, performance.now()), video.videoWidth, video.videoHeight);
      past.push([time, frame]);
      while (time - past[0][0] > seconds) past.shift();
      view.people[0][0] = liveRow(frame);
      page.flat.draw(0);
      page.frames += 1;
      const present = past.filter(([, each]) => each);
      if (!frame) byId("actions").replaceChildren();
      else if (!busy && time >= due && present.length >= MIN_FRAMES && time - present[0][0] >= least) {
        due = time + stride;
        busy = true;
        const joints = jointsOf(past.map(([, each]) => each), [video.videoWidth, video.videoHeight], input);
        recognise(joints).catch(fail).finally(() => { busy = false; });
      }
      if (time - told >= 1 || told > time) {
        told = time;
        const rate = (past.length - 1) / Math.max(time - past[0][0], 1e-3);
        const found = frame ? `recognised in ${Math.round(1000 * page.seconds)} ms` : "nobody is seen";
        const isSlow = past.length < MIN_FRAMES && time >= seconds;
        say(`${rate.toFixed(1)} frames per second; ${isSlow ? "too few to recognise an action" : found}.`);
      }
    }
    requestAnimationFrame(() => { try { step(); } catch (error) { fail(error); } });
  };
  step();
}

function fail(error) {
  stop();
  say(`That failed: ${error.message ?? error}`, true);
}

const useCamera = (video) => navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } }).then((stream) => { video.srcObject = stream; });
const useFile = (file) => (video) => { video.src = URL.createObjectURL(file); video.loop = true; };

async function open(file) {
  if (file.name.toLowerCase().endsWith(".json")) return playClip(JSON.parse(await file.text()));
  if (!page.info.pose && !page.pose) throw new Error("this page was made without a pose model, so it takes clips alone");
  return watch(useFile(file));
}

async function start() {
  page.info = await (await fetched({ url: "page.json" })).json();
  page.flat = new Flat(byId("canvas"), page.info.colors);
  new ResizeObserver(() => page.flat.size()).observe(byId("canvas"));
  byId("about").textContent = page.info.about;
  await loadModel();
  byId("camera").addEventListener("click", () => watch(useCamera).catch(fail));
  byId("stop").addEventListener("click", () => { stop(); say("Stopped."); });
  byId("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) open(target.files[0]).catch(fail);
    target.value = "";
  });
  byId("file").disabled = false;
  byId("camera").disabled = !page.info.pose;
  say(page.info.pose ? "Ready." : "Ready for clips. This page was made without a pose model, so it has no camera and no videos.");
  page.ready = true;
}

start().catch(fail);
