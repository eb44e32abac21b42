// What the final text corrected, from the service's `revised` to pieces of text that can be shown.

/**
 * Cut the final's segments at every changed span. Each segment becomes a list of { text, old, isNew }: `old` is what
 * stood there before (struck through), `isNew` says that `text` was not there. Only other words count, not their form.
 *
 * `count` is the number of changed places; null where the service did not say, or where most of the text was never
 * shown, so that there is nothing to compare.
 */
export function cutAtChanges({ text, segments, revised }) {
  const plain = segments.map((segment) => [{ text: segment.text, old: "", isNew: false }]);
  if (!revised || segments.map((segment) => segment.text).join("") !== text) return { pieces: plain, count: null };
  const inUnits = unitsOf(text);
  const spans = revised
    .filter(({ kind }) => kind === "words")
    .map((span) => ({ old: span.old, from: inUnits(span.new_start), to: inUnits(span.new_end) }));
  const added = spans.filter(({ old }) => !old).reduce((sum, { from, to }) => sum + to - from, 0);
  if (added > text.length / 2) return { pieces: plain, count: null };
  let offset = 0;
  const pieces = segments.map((segment, index) => {
    const [start, end] = [offset, (offset += segment.text.length)];
    const isLast = index === segments.length - 1;
    return cut(text, start, end, spans.filter(({ from, to }) => to > start && from < end || from === to && from >= start && (from < end || isLast)));
  });
  return { pieces, count: spans.length };
}

/** The text from `start` to `end`, cut at `spans`, which are in order; a span's old words stand at its beginning. */
function cut(text, start, end, spans) {
  const pieces = [];
  let at = start;
  for (const { old, from, to } of spans) {
    if (from > at) pieces.push({ text: text.slice(at, from), old: "", isNew: false });
    const [first, last] = [Math.max(from, start), Math.min(to, end)];
    pieces.push({ text: text.slice(first, last), old: from >= start ? old : "", isNew: last > first });
    at = last;
  }
  if (at < end) pieces.push({ text: text.slice(at, end), old: "", isNew: false });
  return pieces;
}

/** A function from an offset in Unicode code points, as the service counts, to one in UTF-16 units, as browsers do. */
function unitsOf(text) {
  const points = [...text];
  if (points.length === text.length) return (offset) => offset;
  const units = [0];
  for (const point of points) units.push(units.at(-1) + point.length);
  return (offset) => units[offset];
}
