// A model's result as a card: scores, scores over time, and the fit of the texts. Everything is inserted as text, never as HTML.

import { chart } from "./chart.js";
import { make, percent } from "./elements.js";
import { timeline } from "./timeline.js";

const TOUCH = matchMedia("(hover: none)").matches;
let isTextOpen = !matchMedia("(max-width: 820px)").matches; // folded where it would stand below everything else; then as it was left
const ordinal = (number) => number + (["th", "st", "nd", "rd"][number % 100 > 10 && number % 100 < 14 ? 0 : number % 10] ?? "th");
const called = (level) => ({ global: "whole body", foot: "foot and leg", hand: "hand and arm", upper: "upper body", lower: "lower body" }[level] ?? level);

// `light(joints or null)` highlights joints; `seek(frame)` goes to a frame.
export function card(result, model, clip, truth, { light, seek }) {
  const article = make("article", { "aria-label": `Model ${model.id}` });
  article.append(make("p", { className: "model" }, make("b", {}, model.id), make("span", {}, model.about)));
  if (result.error) {
    const refused = result.actions?.length ? "No answer for these actions. " : "This model cannot take the clip. ";
    article.append(make("p", { className: "fault" }, make("b", {}, refused), result.error));
    return { article, now() {} };
  }
  const [best] = result.scores;
  article.append(make("p", { className: "answer" }, best.action, " ", make("small", {}, percent(best.probability))));
  if (result.actions.length) {
    const known = result.actions.every((action) => model.classes.includes(action));
    article.append(make("p", { className: "quiet" }, `Among the ${result.actions.length} actions that you typed. ${known ? "" : "Shares of how well the body fits their texts, not calibrated probabilities."}`));
  }
  for (const note of result.notes) article.append(make("p", { className: "quiet" }, note));
  if (truth && (result.actions.length ? result.actions : model.classes).includes(truth)) {
    const right = truth === best.action;
    article.append(make("p", { className: "verdict" }, right ? "✓ Correct." : `✗ The performed action is: ${truth}.`));
  }

  if (result.mapped) {
    article.append(make("details", { className: "mapped" }, make("summary", {}, "The clip has another layout than this model; its joints were mapped by name."), result.mapped));
  }

  for (const warning of result.warnings ?? []) {
    article.append(make("p", { className: "fault" }, make("b", {}, "Unlike the training clips: "), `${warning}.`));
  }

  const over = result.over_time && chart(result.over_time, result.scores.map(({ action }) => action), clip.frames, seek);
  const text = make("details", { className: "text", open: isTextOpen });
  text.addEventListener("toggle", () => { isTextOpen = text.open; });
  const choose = (number) => {
    bars.querySelectorAll("button").forEach((button, index) => button.setAttribute("aria-pressed", String(index === number)));
    over?.choose(number);
    showText(text, result.text, result.scores[number].action, model, clip, light);
  };
  const bars = make("ul", { className: "bars", "aria-label": "The most probable actions; press one to see its curve and its texts" });
  result.scores.forEach(({ action, probability }, number) => {
    const bar = make("span", {});
    bar.style.width = `${100 * probability}%`;
    const button = make("button", { type: "button" }, swatch(number), make("span", { className: "name" }, action),
      make("span", { className: "track", "aria-hidden": "true" }, bar), make("span", { className: "share" }, percent(probability)));
    button.addEventListener("click", () => choose(number));
    bars.append(make("li", {}, button));
  });
  article.append(bars);
  const long = result.timeline && timeline(result.timeline, clip.frames, seek);
  const time = long ? long.section : make("section", {}, make("h3", {}, "Over time"));
  if (!long) time.append(over ? over.svg : make("p", { className: "quiet" }, "The clip is too short for results over time."));
  if (over) {
    const extra = over.extra.length ? ` Thin lines lead at some time, but not in the whole clip: ${over.extra.join(", ")}.` : "";
    time.append(make("p", { className: "quiet" }, `Each point is the probability in the ${result.over_time.width} frames around it.${extra}`));
  }
  if (long) article.querySelector(".model").after(time, make("p", { className: "quiet" }, "The whole recording taken as one clip:"));
  article.append(...(long ? [] : [time]), text);
  choose(0);
  return { article, now: (frame) => (long ?? over)?.now(frame) };
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

function showText(section, text, action, model, clip, light) {
  const heading = make("summary", {}, make("h3", {}, `Body and text: ${action}`));
  section.replaceChildren(heading);
  if (text.state !== "ready") {
    const note = text.state === "loading" ? "The descriptions are being encoded …" : text.note;
    section.append(make("p", { className: "quiet" }, note));
    return;
  }
  section.append(make("p", { className: "quiet" }, `The cosine between each body part's features and its sentence: 1 is a perfect fit, 0 means unrelated. The mark is the best-fitting other action. ${TOUCH ? "Tap" : "Point at"} a part to highlight it.`));
  if (text.note) section.append(make("p", { className: "quiet" }, text.note));
  const list = make("ul", { className: "levels" });
  const total = model.classes.length;
  text.levels.forEach((level, index) => {
    const match = text.classes[action][index];
    const bar = make("span", {});
    bar.style.width = `${100 * Math.max(match.cosine, 0)}%`;
    const mark = make("i", { className: "other" });
    mark.style.left = `${100 * Math.min(Math.max(match.other_cosine, 0), 1)}%`;
    const isBest = match.rank === 1;
    const rank = isBest
      ? `best fit of ${total} actions; next: ${match.other} (${match.other_cosine.toFixed(2)})`
      : `${ordinal(match.rank)} of ${total}; best fit: ${match.other} (${match.other_cosine.toFixed(2)})`;
    const button = make("button", { type: "button", className: "level", color: level.color || "var(--ink)", "aria-pressed": "false" },
      make("span", { className: "head" }, make("span", {}, called(level.name)),
        make("span", { className: "track", "aria-hidden": "true" }, bar, mark), make("span", { className: "value" }, match.cosine.toFixed(2))),
      make("span", { className: "sentence" }, match.sentence),
      make("span", { className: isBest ? "rank" : "rank far" }, rank));
    const held = () => list.querySelector("[aria-pressed=true]");
    const on = () => light(level.joints);
    const off = () => light(held() ? text.levels[[...list.querySelectorAll("button")].indexOf(held())].joints : null);
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
