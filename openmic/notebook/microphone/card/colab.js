// The card in Colab's output frame: no widget manager, the kernel's messages themselves.

import { Card } from "./card.js";
import { Kernel } from "./kernel.js";

/** Posts go through a comm of the kernel's. */
export async function overComm(root, target) {
  const comm = await google.colab.kernel.comms.open(target, {});
  const kernel = new Kernel((post, buffers) => comm.send(post, { buffers: buffers.map((bytes) => bytes.buffer) }), { alone: true });
  new Card(root, kernel);
  for await (const { data } of comm.messages) kernel.receive(data);
}

const PULL_MS = 200;
const LOOK_MS = 10;

/** The running cell asks for posts and brings answers: `window[name].exchange`. Begins to record at once. */
export function pulled(root, name, seconds) {
  let posts = [];
  const kernel = new Kernel((post) => posts.push(post), { alone: true }); // JSON: buffers do not travel, and the probe says so
  const card = new Card(root, kernel, { seconds });
  window[name] = {
    async exchange(answers, ending) {
      for (const answer of answers) kernel.receive(answer);
      if (ending) card.finish();
      const until = performance.now() + PULL_MS;
      while (!posts.length && !card.over && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      const taken = posts;
      posts = [];
      return { posts: taken, over: card.over };
    },
  };
  card.press();
}
