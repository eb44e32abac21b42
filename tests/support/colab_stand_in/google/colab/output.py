"""What a cell can ask Colab's page: a request over IOPub, answered by an input reply."""

import time
import uuid

import zmq
from ipykernel.kernelapp import IPKernelApp

LOOK_SECONDS = 0.025  # as often as Colab's own looks


def eval_js(script: str, ignore_result: bool = False) -> object:
    """Evaluate JavaScript in the output of the running cell; what it gives, once its promise is kept."""
    app = IPKernelApp.instance()
    ident = str(uuid.uuid4())
    asked = app.session.msg(
        "colab_request",
        content={"request": {"script": script}},
        metadata={"colab_msg_id": ident, "colab_request_type": "cell_javascript_eval"},
        parent=app.kernel.get_parent("shell"),
    )
    app.session.send(app.iopub_socket, asked)
    if ignore_result:
        return None
    while True:
        _, reply = app.session.recv(app.kernel.stdin_socket, zmq.NOBLOCK)
        value = (reply or {}).get("content", {}).get("value")
        if isinstance(value, dict) and value.get("colab_msg_id") == ident:
            return value.get("data")
        if reply is None:
            time.sleep(LOOK_SECONDS)
