"use strict";

// Words of a text without case and accents, so that "cafe" finds what is written with an accent.
function foldText(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

const UNSPACED = /[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]/;
const SMALL_WORDS = new Set(
  ("a an the is are was were do does did of in on at to from for with by and or when where what who " +
   "which how they he she it we you i there this that").split(" "));

// One pattern for each word of a query: the beginning of a word, or anywhere in scripts that do
// not part words.
function makePatterns(query) {
  const words = foldText(query).match(/[\p{L}\p{N}]+/gu) || [];
  const telling = words.filter((word) => !SMALL_WORDS.has(word));
  return (telling.length ? telling : words).map((word) =>
    new RegExp(UNSPACED.test(word) ? word : "(?<![\\p{L}\\p{N}])" + word, "u"));
}

// Rows that hold most of the words, in their order, and how many words that is.
function findRows(folded, patterns) {
  let most = 0;
  let rows = [];
  folded.forEach((text, row) => {
    const count = patterns.reduce((sum, pattern) => sum + (pattern.test(text) ? 1 : 0), 0);
    if (count > most) {
      most = count;
      rows = [];
    }
    if (count && count === most) rows.push(row);
  });
  return { rows, most };
}

function describeFinding(finding, patterns) {
  const count = finding.rows.length;
  if (!patterns.length) return "";
  if (!count) return "No line holds any of these words.";
  const lines = count === 1 ? "1 line" : count.toLocaleString("en") + " lines";
  if (finding.most === patterns.length) return lines;
  return lines + " with " + finding.most + " of the " + patterns.length + " words; none has all.";
}

function formatTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? hours + ":" + two(minutes) + ":" + two(whole % 60) : minutes + ":" + two(whole % 60);
}

// Elements get their words by textContent alone: what a video says or shows is never markup.
function makeElement(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

const LIST_STEP = 60;

// A list that grows by a step at a time, so that thousands of rows cost nothing until looked at.
function showList(list, more, rows, makeRow) {
  let shown = 0;
  const grow = () => {
    const part = document.createDocumentFragment();
    rows.slice(shown, shown + LIST_STEP).forEach((row) => part.append(makeRow(row)));
    list.append(part);
    shown = Math.min(rows.length, shown + LIST_STEP);
    more.hidden = shown === rows.length;
    more.textContent = "Show more (" + (rows.length - shown).toLocaleString("en") + ")";
  };
  list.replaceChildren();
  more.onclick = grow;
  grow();
}
