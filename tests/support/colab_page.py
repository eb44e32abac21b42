"""A stand-in for Colab's page, in a real Chromium over a real kernel: comms, evaluations, outputs.

Names and shapes are those of Colab's own files (``google.colab.kernel.comms.open`` in ``files.py``, the messages of
``_message.py`` and ``_js.py``).
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from tests.support.kernel import Cell, Kernel

FRONT_END = """
(() => {
  const comms = {};
  const base64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
  class Comm {
    constructor(id) { this.id = id; this.waiting = []; this.wake = () => {}; }
    async send(data, { buffers = [] } = {}) {
      await standInSend("comm_msg", { comm_id: this.id, data }, buffers.map(base64));
    }
    get messages() { return this.all(); }
    async *all() {
      for (;;) {
        while (this.waiting.length) yield this.waiting.shift();
        await new Promise((resolve) => { this.wake = resolve; });
      }
    }
  }
  const open = async (target_name, data = {}, buffers = []) => {
    const comm = new Comm(crypto.randomUUID());
    comms[comm.id] = comm;
    await standInSend("comm_open", { comm_id: comm.id, target_name, data }, buffers.map(base64));
    return comm;
  };
  window.google = { colab: { kernel: { accessAllowed: true, comms: { open } } } };
  window.standInReceive = (id, data) => { comms[id].waiting.push({ data, buffers: [] }); comms[id].wake(); };
  window.standInShow = (html) => {
    const output = document.createElement("div");
    output.innerHTML = html;
    document.body.append(output);
    for (const old of output.querySelectorAll("script")) {
      const script = document.createElement("script");
      script.textContent = old.textContent;
      old.replaceWith(script);
    }
  };
})();
"""


class ColabPage:
    """Brings messages from the kernel to the page and back, while ``until`` waits for something.

    Args:
        buffers: whether the front end passes buffers on to the kernel; without, a message comes without its own.
    """

    def __init__(self, page: Page, kernel: Kernel, url: str, *, buffers: bool = True) -> None:
        self.page = page
        self.kernel = kernel
        self._buffers = buffers
        self._passed = 0
        self._shown: list[Any] = []
        page.expose_function("standInSend", self._send)
        page.goto(url)
        page.evaluate(FRONT_END)

    def until(self, condition: Callable[[], object], *cells: Cell, seconds: float = 120.0) -> None:
        """Carry messages until ``condition`` is true; what these cells display is shown meanwhile."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.page.inner_text("body"), [cell.text for cell in cells])
            self.carry(*cells)

    def carry(self, *cells: Cell) -> None:
        """One turn."""
        self.page.wait_for_timeout(10)
        self.kernel.read(0.01)
        for cell in cells:
            for display in [one for one in cell.seen if "text/html" in one.get("data", {})]:
                if display not in self._shown:
                    self._shown.append(display)
                    self.page.evaluate("(html) => standInShow(html)", display["data"]["text/html"])
        for _, message in self.kernel.comm_messages[self._passed :]:
            content = message["content"]
            self.page.evaluate("([id, data]) => standInReceive(id, data)", [content["comm_id"], content["data"]])
        self._passed = len(self.kernel.comm_messages)
        for request in [*self.kernel.colab_requests]:
            self.kernel.colab_requests.remove(request)
            self.kernel.reply_to_colab(request, self.page.evaluate(request["content"]["request"]["script"]))

    def _send(self, kind: str, content: dict[str, Any], buffers: list[str]) -> None:
        carried = [base64.b64decode(one) for one in buffers] if self._buffers else []
        self.kernel.send_comm(kind, content, carried)
