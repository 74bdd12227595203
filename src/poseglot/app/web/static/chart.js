// Probabilities over the frames of a clip, as lines. A press goes to the frame; a mark follows the player.
// `names` are the classes with bars; other classes that lead at some time are drawn, too (`extra`).

const SPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [520, 170, 52, 512, 10, 144];

function make(tag, attributes, text = "") {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

export function chart(overTime, names, frames, seek) {
  const extra = Object.keys(overTime.probabilities).filter((name) => !names.includes(name));
  const x = (frame) => LEFT + (frame / Math.max(frames - 1, 1)) * (RIGHT - LEFT);
  const y = (share) => BOTTOM - share * (BOTTOM - TOP);
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img" });
  const ends = [...names.slice(0, 2), ...extra].map((name) => {
    const values = overTime.probabilities[name].map((share) => Math.round(100 * share));
    return `${name} from ${values[0]} to ${values.at(-1)} percent, at most ${Math.max(...values)}`;
  });
  svg.append(make("title", {}, `Probabilities over time: ${ends.join("; ")}`));
  for (const share of [0, 0.5, 1]) {
    svg.append(make("line", { class: "rule", x1: LEFT, x2: RIGHT, y1: y(share), y2: y(share) }));
    svg.append(make("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share} %`));
  }
  svg.append(make("text", { x: LEFT, y: HEIGHT - 8 }, "frame 1"), make("text", { x: RIGHT, y: HEIGHT - 8, "text-anchor": "end" }, String(frames)));
  const line = (name, style) => {
    const points = overTime.probabilities[name].map((share, index) => `${x(overTime.frames[index]).toFixed(1)},${y(share).toFixed(1)}`);
    return make("polyline", { class: `curve ${style}`, points: points.join(" ") });
  };
  const curves = names.map((name, number) => line(name, `k${number}`));
  svg.append(...extra.map((name) => line(name, "extra")), ...curves.toReversed());
  for (const name of extra) {
    const values = overTime.probabilities[name];
    const peak = values.indexOf(Math.max(...values));
    const at = x(overTime.frames[peak]);
    const anchor = at < (LEFT + RIGHT) / 2 ? "start" : "end";
    svg.append(make("text", { class: "extra", x: at, y: Math.max(y(values[peak]) - 5, TOP + 8), "text-anchor": anchor }, name));
  }
  const mark = make("line", { class: "now", y1: TOP - 4, y2: BOTTOM, x1: 0, x2: 0 });
  svg.append(mark);
  const go = (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * WIDTH;
    seek(Math.round(((at - LEFT) / (RIGHT - LEFT)) * (frames - 1)));
  };
  svg.addEventListener("pointerdown", go);
  svg.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
  return {
    svg,
    extra,
    now: (frame) => { mark.style.transform = `translateX(${x(frame)}px)`; }, // a transform needs no new layout
    choose: (chosen) => curves.forEach((curve, number) => curve.classList.toggle("chosen", number === chosen)),
  };
}
