// What a model sees, as a card: its answers, its answers over time, and its words. Everything is written as text, never as HTML.

import { chart } from "./chart.js";

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "color") element.style.setProperty("--color", value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const percent = (share) => (share >= 0.9995 ? "100 %" : `${(100 * share).toFixed(1)} %`);
const ordinal = (number) => number + (["th", "st", "nd", "rd"][number % 100 > 10 && number % 100 < 14 ? 0 : number % 10] ?? "th");
const called = (level) => ({ global: "whole body", foot: "foot and leg", hand: "hand and arm", upper: "upper body", lower: "lower body" }[level] ?? level);

// `light(joints or null)` lights them; `seek(frame)` goes there.
export function card(seen, model, clip, truth, { light, seek }) {
  const article = make("article", { "aria-label": `Model ${model.id}` });
  article.append(make("p", { className: "model" }, make("b", {}, model.id), make("span", {}, model.about)));
  if (seen.error) {
    article.append(make("p", { className: "fault" }, make("b", {}, "This model cannot take the clip. "), seen.error));
    return { article, now() {} };
  }
  const [best] = seen.answers;
  article.append(make("p", { className: "answer" }, best.action, " ", make("small", {}, percent(best.probability))));
  if (truth && model.classes.includes(truth)) {
    const right = truth === best.action;
    article.append(make("p", { className: "verdict" }, right ? "✓ That is what was performed." : `✗ Performed was: ${truth}.`));
  }

  if (seen.mapped) {
    article.append(make("details", { className: "mapped" }, make("summary", {}, "The clip has other joints than this model; they were found by name."), seen.mapped));
  }

  const over = seen.over_time && chart(seen.over_time, seen.answers.map(({ action }) => action), clip.frames, seek);
  const words = make("section");
  const choose = (number) => {
    bars.querySelectorAll("button").forEach((button, place) => button.setAttribute("aria-pressed", String(place === number)));
    over?.choose(number);
    showWords(words, seen.words, seen.answers[number].action, model, clip, light);
  };
  const bars = make("ul", { className: "bars", "aria-label": "The most probable actions; press one to see its curve and its words" });
  seen.answers.forEach(({ action, probability }, number) => {
    const bar = make("span", {});
    bar.style.width = `${100 * probability}%`;
    const button = make("button", { type: "button" }, swatch(number), make("span", { className: "name" }, action),
      make("span", { className: "track", "aria-hidden": "true" }, bar), make("span", { className: "share" }, percent(probability)));
    button.addEventListener("click", () => choose(number));
    bars.append(make("li", {}, button));
  });
  article.append(bars);
  const time = make("section", {}, make("h3", {}, "Over time"));
  time.append(over ? over.svg : make("p", { className: "quiet" }, "The clip is too short to be asked stretch by stretch."));
  if (over) time.append(make("p", { className: "quiet" }, `Each point is the answer to the ${seen.over_time.width} frames around it alone.`));
  article.append(time, words);
  choose(0);
  return { article, now: (frame) => over?.now(frame) };
}

function swatch(number) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 26 8");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", "M1 4H25");
  line.setAttribute("class", `curve k${number}`);
  svg.append(line);
  return svg;
}

function showWords(section, words, action, model, clip, light) {
  const heading = make("h3", {}, `Body and words: ${action}`);
  section.replaceChildren(heading);
  if (words.state !== "ready") {
    const note = words.state === "loading" ? "The descriptions are being read …" : words.note;
    section.append(make("p", { className: "quiet" }, note));
    return;
  }
  section.append(make("p", { className: "quiet" }, "How close each part of the moving body is to its sentence (cosine; the mark is the closest other action's). Point at a part to light it."));
  if (words.note) section.append(make("p", { className: "quiet" }, words.note));
  const list = make("ul", { className: "levels" });
  const total = model.classes.length;
  words.levels.forEach((level, place) => {
    const close = words.classes[action][place];
    const bar = make("span", {});
    bar.style.width = `${100 * Math.max(close.cosine, 0)}%`;
    const mark = make("i", { className: "rival" });
    mark.style.left = `${100 * Math.min(Math.max(close.rival_cosine, 0), 1)}%`;
    const nearest = close.rank === 1;
    const rank = nearest
      ? `closest of ${total} actions’ words; next: ${close.rival} (${close.rival_cosine.toFixed(2)})`
      : `${ordinal(close.rank)} of ${total}; closest are the words of ${close.rival} (${close.rival_cosine.toFixed(2)})`;
    const button = make("button", { type: "button", className: "level", color: level.color || "var(--ink)", "aria-pressed": "false" },
      make("span", { className: "head" }, make("span", {}, called(level.name)),
        make("span", { className: "track", "aria-hidden": "true" }, bar, mark), make("span", { className: "value" }, close.cosine.toFixed(2))),
      make("span", { className: "sentence" }, close.sentence),
      make("span", { className: nearest ? "rank" : "rank far" }, rank));
    const held = () => list.querySelector("[aria-pressed=true]");
    const on = () => light(level.joints);
    const off = () => light(held() ? words.levels[[...list.querySelectorAll("button")].indexOf(held())].joints : null);
    button.addEventListener("pointerenter", on);
    button.addEventListener("pointerleave", off);
    button.addEventListener("focus", on);
    button.addEventListener("blur", off);
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      held()?.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(!pressed));
      on();
    });
    list.append(make("li", {}, button));
  });
  section.append(list);
}
