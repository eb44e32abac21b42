// The card as an anywidget: JupyterLab, Notebook 7, VS Code.

import { Card } from "./card.js";
import { Kernel } from "./kernel.js";

export default {
  render({ model, el }) {
    const kernel = new Kernel((post, buffers) => model.send(post, undefined, buffers));
    const hear = (content) => kernel.receive(content);
    model.on("msg:custom", hear);
    const card = new Card(el, kernel);
    return () => card.dispose(); // a recording that is on goes on to its final text, so that answers are still heard
  },
};
