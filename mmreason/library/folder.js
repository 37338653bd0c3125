
(() => {
  const data = JSON.parse(document.getElementById("mmr-data").textContent);
  const find = (id) => document.getElementById(id);
  const rows = [];
  data.videos.forEach((video, number) => video.rows.forEach(([start_s, kind, text]) =>
    rows.push({ video: number, start_s, kind, text })));
  const folded = rows.map((row) => foldText(row.text));

  function makeRow(row) {
    const item = makeElement("li");
    const link = makeElement("a", "mmr-line");
    link.href = data.videos[row.video].page + "#t=" + row.start_s.toFixed(3);
    link.append(
      makeElement("span", "mmr-time", formatTime(row.start_s)),
      makeElement("span", "mmr-kind mmr-kind-" + data.kinds[row.kind][0], data.kinds[row.kind][1]),
      makeElement("span", "mmr-text", row.text),
      makeElement("span", "mmr-file", data.videos[row.video].name));
    item.append(link);
    return item;
  }

  function search() {
    const patterns = makePatterns(find("mmr-query").value);
    const finding = findRows(folded, patterns);
    find("mmr-count").textContent = describeFinding(finding, patterns);
    find("mmr-found").hidden = !patterns.length;
    showList(find("mmr-list"), find("mmr-more"), finding.rows.map((i) => rows[i]), makeRow);
    const videos = new Set(finding.rows.map((i) => rows[i].video));
    document.querySelectorAll(".mmr-entry").forEach((entry, number) => {
      entry.classList.toggle("mmr-faint", patterns.length > 0 && !videos.has(number));
    });
  }

  let timer = 0;
  find("mmr-query").oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(search, 120);
  };
  search();
})();
