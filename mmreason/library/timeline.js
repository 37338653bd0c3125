
(() => {
  const data = JSON.parse(document.getElementById("mmr-data").textContent);
  const find = (id) => document.getElementById(id);
  const video = find("mmr-video");
  const still = find("mmr-still");
  const scroller = find("mmr-scroll");
  const tracks = find("mmr-tracks");
  const duration = Math.max(0.001, data.end_s - data.start_s);
  const TILE_PX = 112;
  const MOST_STACKED = 4;
  const ROW_PX = 22;
  const NARROWEST_PX = 5;
  const GROUP_PX = 26;
  const LONGEST_DRAWN_PX = 8000000;

  // Every row once, by time; lanes hold numbers of rows.
  const rows = [];
  data.lanes.forEach((lane, number) => lane.rows.forEach(([start_s, end_s, text, detail]) =>
    rows.push({ lane: number, start_s, end_s, text, detail, stack: 0 })));
  rows.sort((a, b) => a.start_s - b.start_s || a.end_s - b.end_s);
  const folded = rows.map((row) => foldText(row.text));
  const rowsOf = data.lanes.map((_, number) => rows.filter((row) => row.lane === number));
  let found = null;
  let opened = null;
  let zoom = 1;

  // Rows at the same time lie below each other, up to a number of them.
  const heights = rowsOf.map((laneRows) => {
    const ends = [];
    for (const row of laneRows) {
      let stack = ends.findIndex((end_s) => end_s <= row.start_s + 1e-6);
      if (stack < 0) stack = Math.min(ends.length, MOST_STACKED - 1);
      ends[stack] = Math.max(ends[stack] || 0, row.end_s);
      row.stack = stack;
    }
    return Math.max(1, ends.length) * ROW_PX;
  });

  const toPx = (time_s) => ((time_s - data.start_s) / duration) * tracks.clientWidth;
  const toTime = (px) => data.start_s + (px / tracks.clientWidth) * duration;

  function nearestPicture(time_s) {
    let best = -1;
    data.picture_times_s.forEach((t, i) => {
      if (best < 0 || Math.abs(t - time_s) < Math.abs(data.picture_times_s[best] - time_s)) best = i;
    });
    return best;
  }

  // 1. The frame of the picture: a film strip and a lane for each kind, below one axis.
  const strip = makeElement("div", "mmr-strip");
  const lanes = data.lanes.map((lane, number) => {
    const element = makeElement("div", "mmr-lane");
    element.style.height = heights[number] + 4 + "px";
    return element;
  });
  const axis = makeElement("div", "mmr-ruler");
  const playhead = makeElement("div", "mmr-playhead");
  playhead.hidden = true;
  if (data.pictures.length) tracks.append(strip);
  data.lanes.forEach((lane, number) => {
    const head = makeElement("div", "mmr-lane-title");
    head.append(makeElement("span", "", lane.name + " (" + lane.rows.length.toLocaleString("en") + ")"));
    tracks.append(head, lanes[number]);
  });
  tracks.append(axis, playhead);

  // 2. Only what lies in the window is drawn; what would be narrower than a few pixels is drawn
  // together.
  function drawLane(number, left_px, right_px) {
    const first_s = toTime(left_px);
    const last_s = toTime(right_px);
    const part = document.createDocumentFragment();
    const lastOf = [];
    for (const row of rowsOf[number]) {
      if (row.start_s > last_s) break;
      if (row.end_s < first_s && row.start_s < first_s) continue;
      const x = toPx(row.start_s);
      const width = Math.max(NARROWEST_PX, toPx(row.end_s) - x - 1);
      const before = lastOf[row.stack];
      const isHit = found !== null && found.has(row);
      if (before && x < before.right + 1 && before.isHit === isHit && x < before.x + GROUP_PX) {
        before.right = Math.max(before.right, x + width);
        before.count += 1;
        before.element.style.width = Math.max(NARROWEST_PX - 1, before.right - before.x - 1) + "px";
        before.element.textContent = before.count;
        before.element.title = before.count + " lines from " + formatTime(before.row.start_s);
        before.element.onclick = () => {
          setZoom(zoom * 8, before.row.start_s);
          openRow(before.row);
        };
        continue;
      }
      const element = makeElement("button", "mmr-item mmr-kind-" + data.lanes[number].kind);
      element.tabIndex = -1;
      element.style.left = x + "px";
      element.style.width = width + "px";
      element.style.top = row.stack * ROW_PX + 2 + "px";
      element.title = formatTime(row.start_s) + " " + row.text;
      if (width > 30) element.textContent = row.text;
      if (found !== null) element.classList.add(isHit ? "mmr-hit" : "mmr-faint");
      if (row === opened) element.classList.add("mmr-current");
      element.onclick = () => openRow(row);
      lastOf[row.stack] = { x, right: x + width, count: 1, element, row, isHit };
      part.append(element);
    }
    lanes[number].replaceChildren(part);
  }

  function drawStrip(left_px, right_px) {
    const part = document.createDocumentFragment();
    const tile_px = Math.min(TILE_PX, tracks.clientWidth);
    const first = Math.max(0, Math.floor(left_px / tile_px));
    for (let i = first; i * tile_px < Math.min(right_px, tracks.clientWidth); i += 1) {
      const time_s = toTime((i + 0.5) * tile_px);
      const tile = makeElement("button", "mmr-tile");
      const picture = makeElement("img");
      picture.src = data.pictures[nearestPicture(time_s)];
      picture.alt = "";
      tile.tabIndex = -1;
      tile.title = formatTime(time_s);
      tile.style.left = i * tile_px + "px";
      tile.style.width = tile_px + "px";
      tile.onclick = (event) => openTime(toTime(i * tile_px + event.offsetX));
      tile.append(picture);
      part.append(tile);
    }
    let last_px = -10;
    for (const start_s of data.shot_starts_s) {
      const x = toPx(start_s);
      if (x < left_px || x > right_px || x - last_px < 3) continue;
      const mark = makeElement("i", "mmr-cut");
      mark.style.left = x + "px";
      part.append(mark);
      last_px = x;
    }
    strip.replaceChildren(part);
  }

  function drawAxis(left_px, right_px) {
    const steps_s = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
    const pxPerS = tracks.clientWidth / duration;
    const step_s = steps_s.find((step) => step * pxPerS > 70) || 14400;
    const part = document.createDocumentFragment();
    const first = Math.ceil(toTime(left_px) / step_s) * step_s;
    for (let time_s = first; time_s <= toTime(right_px); time_s += step_s) {
      const tick = makeElement("span", "mmr-tick", formatTime(time_s));
      tick.style.left = toPx(time_s) + "px";
      part.append(tick);
    }
    axis.replaceChildren(part);
  }

  function draw() {
    const left_px = scroller.scrollLeft - 100;
    const right_px = scroller.scrollLeft + scroller.clientWidth + 100;
    if (data.pictures.length) drawStrip(left_px, right_px);
    data.lanes.forEach((_, number) => drawLane(number, left_px, right_px));
    drawAxis(left_px, right_px);
    drawPlayhead();
  }

  let waiting = false;
  function drawSoon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  }

  function setZoom(next, time_s) {
    const middle_s = time_s === undefined
      ? toTime(scroller.scrollLeft + scroller.clientWidth / 2) : time_s;
    const most = Math.min(LONGEST_DRAWN_PX / scroller.clientWidth, Math.max(1, duration / 4));
    zoom = Math.min(Math.max(1, next), most);
    tracks.style.width = 100 * zoom + "%";
    scroller.scrollLeft = toPx(middle_s) - scroller.clientWidth / 2;
    find("mmr-in").disabled = zoom >= most;
    find("mmr-out").disabled = find("mmr-fit").disabled = zoom <= 1;
    draw();
  }

  // 3. The player, or a still where the video does not lie beside the page.
  const hasVideo = () => video !== null && !video.hidden;

  function drawPlayhead() {
    const time_s = hasVideo() && video.currentTime > 0 ? video.currentTime : opened && opened.start_s;
    playhead.hidden = time_s === null || time_s === undefined;
    if (!playhead.hidden) playhead.style.left = toPx(time_s) + "px";
  }

  function play(start_s, end_s) {
    const index = nearestPicture(start_s);
    if (index >= 0) still.src = data.pictures[index];
    still.hidden = hasVideo() || index < 0;
    find("mmr-command").textContent = "mpv --start=" + start_s.toFixed(2) + " " + data.quoted_path;
    if (!hasVideo()) return;
    if (video.readyState > 0) video.currentTime = start_s;
    else video.src = data.source + "#t=" + start_s.toFixed(2) + "," + end_s.toFixed(2);
    // A browser may want a click on the player first: then it shows the frame and waits.
    video.play().catch(() => undefined);
  }

  function openTime(time_s) {
    opened = null;
    find("mmr-when").textContent = formatTime(time_s);
    find("mmr-words").textContent = "";
    find("mmr-detail").textContent = "";
    play(time_s, data.end_s);
    draw();
  }

  function openRow(row) {
    opened = row;
    find("mmr-when").textContent = formatTime(row.start_s) + " \u2013 " + formatTime(row.end_s);
    find("mmr-words").textContent = row.text;
    find("mmr-detail").textContent = data.lanes[row.lane].name + (row.detail ? ", " + row.detail : "");
    const x = toPx(row.start_s);
    if (x < scroller.scrollLeft || x > scroller.scrollLeft + scroller.clientWidth) {
      scroller.scrollLeft = x - scroller.clientWidth / 3;
    }
    play(row.start_s, row.end_s);
    draw();
  }

  // 4. The list: what was found, or everything.
  function makeRow(row) {
    const item = makeElement("li");
    const button = makeElement("button", "mmr-line");
    button.append(
      makeElement("span", "mmr-time", formatTime(row.start_s)),
      makeElement("span", "mmr-kind mmr-kind-" + data.lanes[row.lane].kind, data.lanes[row.lane].name),
      makeElement("span", "mmr-text", row.text));
    button.onclick = () => openRow(row);
    item.append(button);
    return item;
  }

  function search() {
    const patterns = makePatterns(find("mmr-query").value);
    const finding = findRows(folded, patterns);
    const chosen = patterns.length ? finding.rows.map((i) => rows[i]) : rows;
    found = patterns.length ? new Set(chosen) : null;
    find("mmr-count").textContent = describeFinding(finding, patterns);
    showList(find("mmr-list"), find("mmr-more"), chosen, makeRow);
    draw();
  }

  let timer = 0;
  find("mmr-query").oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(search, 100);
  };
  find("mmr-query").onkeydown = (event) => {
    if (event.key !== "Enter" || found === null) return;
    const first = rows.find((row) => found.has(row));
    if (first) openRow(first);
  };
  find("mmr-in").onclick = () => setZoom(zoom * 2, opened === null ? undefined : opened.start_s);
  find("mmr-out").onclick = () => setZoom(zoom / 2);
  find("mmr-fit").onclick = () => setZoom(1);
  scroller.addEventListener("scroll", drawSoon, { passive: true });
  window.addEventListener("resize", drawSoon);
  if (video !== null) {
    video.addEventListener("error", () => {
      video.hidden = true;
      find("mmr-missing").hidden = false;
      still.hidden = !data.pictures.length;
    });
    video.addEventListener("timeupdate", drawPlayhead);
  }
  // From a page of a folder or of hits: timeline.html#t=12.5
  function openHash() {
    const match = /^#t=(\d+(?:\.\d+)?)/.exec(location.hash);
    if (!match) return;
    const time_s = Number(match[1]);
    const row = rows.find((r) => Math.abs(r.start_s - time_s) < 0.02);
    if (row) openRow(row);
    else openTime(time_s);
  }
  window.addEventListener("hashchange", openHash);
  if (data.pictures.length) still.src = data.pictures[0];
  if (video !== null && data.pictures.length) video.poster = data.pictures[0];
  still.hidden = hasVideo() || !data.pictures.length;
  setZoom(1);
  search();
  openHash();
})();
