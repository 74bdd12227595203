// What is done in a long recording: a strip for each person. A press or a drag goes to a frame; a mark follows the player.

import { make, percent } from "./elements.js";

// Okabe and Ito's colors, in the order in which actions appear; more actions begin again.
const COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#777777"];
const seconds = (frame) => `${(frame / 30).toFixed(1)} s`;

export function timeline({ segments, note }, frames, seek) {
  const section = make("section", { className: "timeline" }, make("h3", {}, "Timeline"));
  const actions = [...new Set(segments.map(({ action }) => action))];
  const marks = [];
  const pieces = [];
  for (const person of new Set(segments.map((segment) => segment.person))) {
    const mark = make("i", { className: "now" });
    const strip = make("div", { className: "strip", role: "group", "aria-label": person ? `Person ${person}` : "Everybody" });
    for (const segment of segments.filter((one) => one.person === person)) {
      const { start, end, action, score } = segment;
      const about = `${action}, ${seconds(start)} to ${seconds(end)}, ${percent(score)}`;
      const button = make("button", { type: "button", title: about, "aria-label": about, color: COLORS[actions.indexOf(action) % COLORS.length] }, action);
      button.style.left = `${(100 * start) / frames}%`;
      button.style.width = `${(100 * (end - start)) / frames}%`;
      button.addEventListener("click", (event) => { if (!event.detail) seek(start); }); // by the keyboard; a pointer goes where it is
      pieces.push({ ...segment, button });
      strip.append(button);
    }
    strip.append(mark);
    const go = (event) => {
      const box = strip.getBoundingClientRect();
      seek(Math.max(0, Math.min(frames - 1, Math.round(((event.clientX - box.left) / box.width) * frames - 0.5))));
    };
    strip.addEventListener("pointerdown", go);
    strip.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
    marks.push(mark);
    if (person > 0 && segments.some((one) => one.person !== person)) section.append(make("p", { className: "quiet" }, `Person ${person}`));
    section.append(strip);
  }
  const current = make("p", { className: "quiet" });
  if (segments.length) section.append(current);
  if (note || !segments.length) section.append(make("p", { className: "quiet" }, note || "No action was found."));
  return {
    section,
    now: (frame) => {
      marks.forEach((mark) => { mark.style.left = `${(100 * (frame + 0.5)) / frames}%`; });
      const here = pieces.filter(({ start, end }) => start <= frame && frame < end);
      pieces.forEach((piece) => piece.button.setAttribute("aria-current", String(here.includes(piece))));
      const said = `${seconds(frame)}: ${here.map(({ action, score }) => `${action}, ${percent(score)}`).join("; ") || "no action"}`;
      if (current.textContent !== said) current.textContent = said;
    },
  };
}
