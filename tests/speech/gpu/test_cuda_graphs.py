"""Recorded steps: made once, compared, and given up at the first sign that they are wrong."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

import pytest
import torch

from openmic.speech.gpu.cuda_graphs import Step, StepGraphs, cuda_capture


class Counter:
    """A step that doubles its input."""

    def __init__(self) -> None:
        self.input, self.output = torch.ones(3), torch.zeros(2, 3)
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        self.output[1].copy_(2 * self.input)


def faithful(step: Step) -> Step:
    """Replays by doing the step."""
    return step


def test_without_a_recorder_steps_are_done() -> None:
    count, graphs = Counter(), StepGraphs(None)
    graphs.record("a", count, count.output)
    graphs.run("a", count)
    assert not graphs.enabled
    assert count.output[1].tolist() == [2, 2, 2]
    assert count.calls == 1


def test_a_step_is_recorded_once_and_replayed_on_what_its_inputs_hold_then() -> None:
    count, made = Counter(), []

    def capture(step: Step) -> Step:
        made.append(step)
        return step

    graphs = StepGraphs(capture)
    graphs.record("a", count, count.output)
    for value in (1.0, 4.0, 5.0):
        count.input.fill_(value)
        graphs.run("a", count)
        assert count.output[1].tolist() == [2 * value] * 3
    assert len(made) == 1
    assert graphs.keys == ("a",)


def test_a_step_without_a_graph_is_done_and_never_recorded() -> None:
    """A recording while people speak breaks on other cells' work, and breaks theirs."""
    count, made = Counter(), []
    graphs = StepGraphs(lambda step: made.append(step) or step)
    graphs.run("a", count)
    assert count.calls == 1
    assert not made


def test_a_recording_that_another_thread_breaks_is_made_again() -> None:
    count, tries = Counter(), []

    def capture(step: Step) -> Step:
        tries.append(step)
        if len(tries) == 1:
            raise RuntimeError("operation failed due to a previous error during capture")
        return step

    graphs = StepGraphs(capture)
    graphs.record("a", count, count.output)
    assert graphs.keys == ("a",)
    assert len(tries) == 2


def refuses(step: Step) -> Step:
    raise RuntimeError("operation not permitted when stream is capturing")


def lies(step: Step) -> Step:
    return lambda: None


def breaks_later(step: Step) -> Step:
    def replay() -> None:
        raise RuntimeError("an illegal memory access was encountered")

    return replay


@pytest.mark.parametrize(
    ("capture", "why"),
    [(refuses, "could not be recorded"), (lies, "says something else"), (breaks_later, "illegal memory")],
)
def test_a_recording_that_fails_or_differs_ends_recording_with_one_warning(
    capture: Callable[[Step], Step], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    count, graphs = Counter(), StepGraphs(capture)
    with caplog.at_level(logging.WARNING):
        for value in (1.0, 4.0):
            count.input.fill_(value)
            graphs.record("a", count, count.output)
            graphs.run("a", count)
            assert count.output[1].tolist() == [2 * value] * 3
    assert not graphs.enabled
    assert graphs.keys == ()
    assert len(caplog.records) == 1
    assert why in caplog.text


def test_a_later_failure_ends_the_use_of_earlier_recordings() -> None:
    """What one graph does wrong on this GPU, another may."""
    count, captures = Counter(), iter([faithful, lies])
    graphs = StepGraphs(lambda step: next(captures)(step))
    graphs.record("a", count, count.output)
    graphs.record("b", count, count.output)
    assert graphs.keys == ()
    count.input.fill_(7.0)
    graphs.run("a", count)
    assert count.output[1].tolist() == [14, 14, 14]


def test_a_stream_that_is_not_a_number_does_not_count_as_a_difference() -> None:
    """One session's broken audio must not take the graphs from all others."""
    count, graphs = Counter(), StepGraphs(faithful)
    count.input[1] = torch.nan
    graphs.record("a", count, count.output)
    assert graphs.enabled


class FakeCuda:
    """Notes in the place of torch's CUDA what a recording asks of it; ``breaks`` raises at that moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, breaks: str = "", error: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self.breaks, self.error = breaks, error or RuntimeError("operation failed during capture")
        self.default_generators = [FakeGenerator(self.calls, "the process's")]
        for name in ("graph_pool_handle", "Stream", "current_device", "current_stream", "stream", "CUDAGraph"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))
        monkeypatch.setattr(torch.cuda, "default_generators", self.default_generators)
        monkeypatch.setattr(torch, "Generator", lambda device: FakeGenerator(self.calls, "its own"))
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", lambda *_: self.note("pool left"), raising=False)

    def note(self, what: str) -> None:
        self.calls.append(what)
        if what == self.breaks:
            raise self.error

    def graph_pool_handle(self) -> tuple[int, int]:
        return 0, 1

    def Stream(self, device: torch.device) -> FakeCuda:  # noqa: N802 (torch's name)
        return self

    def current_device(self) -> int:
        return 0

    def current_stream(self, device: torch.device) -> FakeCuda:
        return self

    def wait_stream(self, other: FakeCuda) -> None:
        pass

    @contextlib.contextmanager
    def stream(self, stream: FakeCuda) -> Iterator[None]:
        self.note("stream entered")
        try:
            yield
        finally:
            self.note("stream left")

    def CUDAGraph(self) -> FakeCuda:  # noqa: N802
        return self

    def capture_begin(self, pool: tuple[int, int], capture_error_mode: str) -> None:
        self.note("begin")

    def capture_end(self) -> None:
        self.note("end")

    def replay(self) -> None:
        self.note("replay")


class FakeGenerator:
    """A random number generator whose state is its name."""

    def __init__(self, calls: list[str], name: str) -> None:
        self.calls, self.name = calls, name

    def graphsafe_get_state(self) -> str:
        return self.name

    def graphsafe_set_state(self, state: str) -> None:
        self.calls.append(f"draws from {state}")


def test_a_recording_draws_from_its_own_generator_and_leaves_the_process_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = FakeCuda(monkeypatch)
    cuda_capture(torch.device("cuda"))(lambda: cuda.note("step"))()
    assert cuda.calls == [
        "stream entered",
        "step",
        "step",
        "draws from its own",
        "begin",
        "draws from the process's",
        "step",
        "end",
        "stream left",
        "replay",
    ]


@pytest.mark.parametrize("error", [RuntimeError("lost"), KeyboardInterrupt()])
@pytest.mark.parametrize("breaks", ["begin", "end"])
def test_a_recording_that_breaks_or_is_interrupted_leaves_the_process_as_it_was(
    breaks: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = FakeCuda(monkeypatch, breaks, error)
    capture = cuda_capture(torch.device("cuda"))
    cuda.error = error
    with pytest.raises(type(error)):
        capture(lambda: None)
    drawn = [call for call in cuda.calls if call.startswith("draws")]
    assert drawn[-1] == "draws from the process's"
    assert "end" in cuda.calls
    assert cuda.calls[-2:] == ["pool left", "stream left"]


@pytest.mark.gpu
def test_on_a_gpu_a_graph_does_what_the_step_does() -> None:
    source, output = torch.ones(3, device="cuda"), torch.zeros(2, 3, device="cuda")
    graphs = StepGraphs(cuda_capture(torch.device("cuda")))

    def step() -> None:
        output[1].copy_(2 * source)

    graphs.record("a", step, output)
    assert graphs.keys == ("a",)
    for value in (1.0, 4.0, 5.0):
        source.fill_(value)
        graphs.run("a", step)
        assert output[1].tolist() == [2 * value] * 3


@pytest.mark.gpu
def test_on_a_gpu_a_failed_recording_leaves_the_process_as_it_was() -> None:
    """After torch's own recorder failed, every random number of the process failed too."""
    output = torch.zeros(2, 3, device="cuda")

    def waits() -> None:
        output[1] += 1
        float(output.sum())  # no recording may wait

    torch.manual_seed(3)
    expected = torch.rand(4, device="cuda").tolist()
    torch.manual_seed(3)
    stream = torch.cuda.current_stream()
    graphs = StepGraphs(cuda_capture(torch.device("cuda")))
    graphs.record("a", waits, output)
    assert not graphs.enabled
    assert torch.cuda.current_stream() == stream
    assert torch.rand(4, device="cuda").tolist() == expected


@pytest.mark.gpu
def test_on_a_gpu_a_recording_that_failed_once_is_made_again() -> None:
    output, tries = torch.zeros(2, 3, device="cuda"), []

    def waits_once() -> None:
        output[1].fill_(3.0)
        tries.append(torch.cuda.is_current_stream_capturing())
        if tries.count(True) == 1 and tries[-1]:
            float(output.sum())

    graphs = StepGraphs(cuda_capture(torch.device("cuda")))
    graphs.record("a", waits_once, output)
    assert graphs.keys == ("a",)
