// Taking the text along: the clipboard, and files that the service makes.

/** Put `text` on the clipboard; false where the browser forbids it. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // not on a secure address, or an older browser
  }
}

function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return done;
}

/** Have the service delete a session that has ended, its sound and its words. Throws where it does not. */
export async function remove(resumeToken, sessionId) {
  const response = await fetch(`v1/sessions/${encodeURIComponent(sessionId)}`, {
    method: "DELETE",
    headers: { Authorization: `Bearer ${resumeToken}` },
  });
  if (!response.ok && response.status !== 404) throw new Error(`${response.status}`);
}

/**
 * Fetch a session's file and hand it to the browser as a download. The session's own resume token opens it, and nothing
 * else; it goes into a header, so a plain link would not do. Throws where the service does not give it.
 */
export async function download(resumeToken, sessionId, format, name) {
  const response = await fetch(`v1/sessions/${encodeURIComponent(sessionId)}.${format}`, {
    headers: { Authorization: `Bearer ${resumeToken}` },
  });
  if (!response.ok) throw new Error(`${response.status}`);
  const address = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = `${name}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // Safari reads it after the click
}
