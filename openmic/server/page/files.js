// A file from the picker or dropped anywhere on the page.

/** Call `onFile` with each file that the person chooses, unless `busy()`. */
export function acceptFiles({ open, file, drop }, busy, onFile) {
  open.addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    const [chosen] = file.files;
    file.value = ""; // so that the same file can be chosen again
    if (chosen) onFile(chosen);
  });
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    drop.hidden = busy();
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.hidden = true;
  });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault(); // or the browser opens the file in place of the page
    drop.hidden = true;
    const [dropped] = event.dataTransfer.files;
    if (dropped && !busy()) onFile(dropped);
  });
}

function carriesFiles(event) {
  return Boolean(event.dataTransfer?.types.includes("Files"));
}
