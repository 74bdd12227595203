// The report page: values under the pointer (or the arrow keys) in charts and matrices, and clips that move.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  // Write pieces of text, those in [brackets] strong. Only ever as text: names may look like HTML.
  const write = (element, pieces) => {
    element.replaceChildren(...pieces.map((piece) => {
      if (!Array.isArray(piece)) return document.createTextNode(piece);
      const strong = document.createElement("b");
      strong.textContent = piece[0];
      return strong;
    }));
  };
  const at = (svg, event) => {
    const point = new DOMPoint(event.clientX, event.clientY);
    return point.matrixTransform(svg.getScreenCTM().inverse());
  };
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const bounded = (value, count) => Math.max(0, Math.min(count - 1, value));

  for (const figure of document.querySelectorAll("[data-chart]")) {
    const chart = data.charts[figure.dataset.chart];
    const svg = figure.querySelector("svg");
    const cursor = svg.querySelector(".cursor");
    const readout = figure.querySelector(".readout");
    let here = chart.epochs.length - 1;
    const show = (place) => {
      here = bounded(place, chart.epochs.length);
      cursor.setAttribute("x1", chart.xs[here]);
      cursor.setAttribute("x2", chart.xs[here]);
      cursor.setAttribute("visibility", "visible");
      const pieces = [`Epoch ${chart.epochs[here]}: `];
      chart.curves.forEach((curve, number) => {
        const value = curve.values[here];
        pieces.push((number ? ", " : "") + curve.name + " ", [value === null ? "–" : value + chart.unit]);
      });
      write(readout, pieces);
    };
    const nearest = (event) => {
      const { x } = at(svg, event);
      const away = chart.xs.map((value) => Math.abs(value - x));
      show(away.indexOf(Math.min(...away)));
    };
    svg.addEventListener("pointermove", nearest);
    svg.addEventListener("pointerdown", nearest);
    svg.addEventListener("focus", () => show(here));
    svg.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!step || !step[0]) return;
      event.preventDefault();
      show(here + step[0]);
    });
  }

  const sentence = {
    confusion: (grid, row, column, value) => {
      const of = grid.totals[row];
      const share = of ? ` of ${of} clips (${((100 * (value || 0)) / of).toFixed(1)} %)` : " clips (there are none of it)";
      const what = row === column ? [" correct: "] : [" predicted as ", [grid.columns[column]], ": "];
      return [[grid.rows[row]], ...what, [String(value || 0)], share];
    },
    topology: (grid, row, column, value) => [
      [grid.rows[row]], " collects ", [value === undefined || value === null ? "–" : value.toFixed(3)],
      row === column ? " of itself" : " from ", row === column ? "" : [grid.columns[column]],
    ],
  };
  for (const svg of document.querySelectorAll("[data-grid]")) {
    const grid = data.grids[svg.dataset.grid];
    const [left, top, size] = ["left", "top", "size"].map((name) => Number(svg.dataset[name]));
    const values = new Map(grid.values.map(([row, column, value]) => [row * grid.columns.length + column, value]));
    const mark = svg.querySelector(".here");
    const readout = svg.closest("figure").querySelector(".readout");
    let row = 0;
    let column = 0;
    const show = (newRow, newColumn) => {
      row = bounded(newRow, grid.rows.length);
      column = bounded(newColumn, grid.columns.length);
      mark.querySelector(".row").setAttribute("y", top + row * size);
      mark.querySelector(".column").setAttribute("x", left + column * size);
      mark.querySelector(".frame").setAttribute("x", left + column * size);
      mark.querySelector(".frame").setAttribute("y", top + row * size);
      mark.setAttribute("visibility", "visible");
      write(readout, sentence[grid.kind](grid, row, column, values.get(row * grid.columns.length + column)));
    };
    const under = (event) => {
      const { x, y } = at(svg, event);
      const newRow = Math.floor((y - top) / size);
      const newColumn = Math.floor((x - left) / size);
      if (newRow >= 0 && newRow < grid.rows.length && newColumn >= 0 && newColumn < grid.columns.length) show(newRow, newColumn);
    };
    svg.addEventListener("pointermove", under);
    svg.addEventListener("pointerdown", under);
    svg.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!step) return;
      event.preventDefault();
      show(row + step[1], column + step[0]);
    });
  }

  if (!data.clips || !data.clips.shown.length) return;
  const turn = document.getElementById("turn");
  const all = document.getElementById("all");
  let calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const styles = getComputedStyle(document.documentElement);

  const players = [...document.querySelectorAll("[data-clip]")].map((canvas) => {
    const clip = data.clips.shown[Number(canvas.dataset.clip)];
    const figure = canvas.closest("figure");
    const seek = figure.querySelector(".seek");
    const button = figure.querySelector(".play");
    const frames = clip.people[0].length;
    const player = { clip, canvas, seek, button, frames, time: 0, playing: false, visible: true };
    seek.max = frames - 1;
    player.draw = () => draw(player);
    player.set = (playing) => {
      player.playing = playing;
      button.textContent = playing ? "❚❚" : "▶";
      button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/^\w+/, playing ? "Pause" : "Play"));
    };
    button.addEventListener("click", () => {
      player.set(!player.playing);
      calm = true;
      label();
      run();
    });
    seek.addEventListener("input", () => {
      player.set(false);
      label();
      player.time = (Number(seek.value) / frames) * clip.seconds;
      player.draw();
    });
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = [event.clientX, Number(turn.value)];
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", () => { from = null; });
    canvas.addEventListener("pointercancel", () => { from = null; });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      const angle = from[1] + (event.clientX - from[0]) / 1.5;
      turn.value = ((((angle + 180) % 360) + 360) % 360) - 180;
      redraw();
    });
    return player;
  });
  const redraw = () => players.forEach((player) => player.draw());

  function draw(player) {
    const { clip, canvas, frames, seek } = player;
    const context = canvas.getContext("2d");
    const frame = Math.min(frames - 1, Math.floor((player.time / clip.seconds) * frames));
    if (document.activeElement !== seek || player.playing) seek.value = frame;
    const [width, height] = [canvas.width, canvas.height];
    const angle = (Number(turn.value) * Math.PI) / 180;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    // A clip's largest extent is 1000; turned, the floor may be wider than that by a little.
    const scale = (0.84 * height) / 1000;
    context.clearRect(0, 0, width, height);
    context.lineCap = "round";
    for (const person of clip.people) {
      const flat = person[frame];
      if (!flat) continue;
      const place = (joint) => {
        const [x, y, z] = [flat[3 * joint], flat[3 * joint + 1], flat[3 * joint + 2]];
        return [width / 2 + scale * (x * cos + z * sin), height / 2 - scale * y];
      };
      context.lineWidth = width / 70;
      for (const [child, parent] of data.clips.bones) {
        if (flat[3 * child] === null || flat[3 * parent] === null) continue;
        context.strokeStyle = data.clips.colors[child];
        context.beginPath();
        context.moveTo(...place(parent));
        context.lineTo(...place(child));
        context.stroke();
      }
      context.lineWidth = width / 260;
      context.strokeStyle = styles.getPropertyValue("--joint-edge");
      data.clips.colors.forEach((color, joint) => {
        if (flat[3 * joint] === null) return;
        context.fillStyle = color;
        context.beginPath();
        context.arc(...place(joint), width / 85, 0, 2 * Math.PI);
        context.fill();
        context.stroke();
      });
    }
  }

  let last = null;
  const tick = (now) => {
    const passed = last === null ? 0 : (now - last) / 1000;
    const moving = players.filter((player) => player.playing);
    for (const player of moving) {
      player.time = (player.time + passed) % player.clip.seconds;
      if (player.visible) player.draw();
    }
    last = moving.length ? now : null;
    if (moving.length) requestAnimationFrame(tick);
  };
  const run = () => { if (last === null) requestAnimationFrame(tick); };
  const label = () => {
    const playing = players.some((player) => player.playing);
    all.textContent = playing ? "Pause all" : "Play all";
    all.setAttribute("aria-pressed", String(playing));
  };
  all.addEventListener("click", () => {
    const play = !players.some((player) => player.playing);
    players.forEach((player) => player.set(play));
    calm = true;
    label();
    run();
  });
  turn.addEventListener("input", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  // Clips out of sight rest; those that come into sight begin, unless the reader wants little motion or has pressed a button.
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const player = players.find(({ canvas }) => canvas === entry.target);
      player.visible = entry.isIntersecting;
      if (entry.isIntersecting && !player.seen && !calm) {
        player.seen = true;
        player.set(true);
      }
    }
    label();
    run();
  });
  players.forEach((player) => { player.draw(); watcher.observe(player.canvas); });
})();
