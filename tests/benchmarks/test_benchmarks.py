"""The benchmarks' definitions on displays made by hand, and the parts that need no model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import whisper

from benchmarks.corpus.alignment import aligned
from benchmarks.corpus.cuts import cuts
from benchmarks.corpus.reading import GAP_SECONDS, Reading, joined_samples, long_reading
from benchmarks.corpus.recordings import SHARED_AUDIO_VARIABLE, Clip, german_clip, reading_clips, sample_clips
from benchmarks.corpus.words import SpokenWord, spans, words
from benchmarks.live_quality import Stretch, assess, row, stretches
from benchmarks.metrics import plots
from benchmarks.metrics.display import (
    Delay,
    Display,
    Matcher,
    Shown,
    changed_words,
    gaps,
    measure,
    pooled,
    settled,
    stable_times,
    word_error_rate,
)
from benchmarks.metrics.processes import Others, ProcessTree
from benchmarks.metrics.report import SPREAD_COLUMNS, Gap, Row, Spread, print_spreads
from benchmarks.peers import faster_whisper_files
from benchmarks.policies import AttentionGuard, LocalAgreement
from benchmarks.realtime.feed import Exchange, pieces_of
from benchmarks.realtime.rounds import run_round
from benchmarks.realtime.service import Service, Stream, free_port, seen, stream
from benchmarks.simulated.endurance import endure
from benchmarks.simulated.virtual import GrowingRecording, Told, VirtualEngine
from benchmarks.tail import LEAST_SECONDS, Construction, FullEncoder, Grown, decoded, filled
from openmic.audio.types import SAMPLE_RATE
from openmic.settings import Settings
from openmic.speech.live.hypothesis import Hypothesis, TimedWord
from openmic.speech.live.policy import CommitPolicy
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.window_encoder import WindowEncoder
from openmic.speech.types import CommittedText, LiveText


def spoken(*texts: str) -> list[SpokenWord]:
    """Words that end at 1 s, 2 s, 3 s, ..."""
    return [SpokenWord(text, float(number)) for number, text in enumerate(texts, 1)]


def test_words_are_lower_case_without_punctuation() -> None:
    assert words('Now, a "forty-two line" Bible: it is 5 o\'clock; 3,000 dollars, 23rd.') == (
        ["now", "a", "forty", "two", "line", "bible", "it", "is", "5", "oclock", "3000", "dollars", "23rd"]
    )


def test_spans_end_at_each_words_last_letter() -> None:
    text = "A man's picture-books, 3,000."
    assert [(word, text[last]) for word, last in spans(text)] == [
        ("a", "A"),
        ("mans", "s"),
        ("picture", "e"),
        ("books", "s"),
        ("3000", "0"),
    ]


def test_words_that_show_once_and_stay_are_stable_when_first_seen() -> None:
    history = [Shown(1.5, "Red"), Shown(2.25, "Red green,"), Shown(4.0, "Red green blue.")]
    found = measure(history, spoken("red", "green", "blue"), "red green blue", 5.0)
    assert found.first_seen == found.stable
    assert found.stable is not None
    assert astuple(found.stable) == pytest.approx((0.5, 0.9, 1.0))  # median, p90 and most of 0.5, 0.25 and 1.0
    assert found.stable_by_word == ((1.0, 0.5), (2.0, 0.25), (3.0, 1.0))
    assert (found.missing, found.flicker, found.live_wer) == (0, 0.0, 0.0)


def test_a_word_is_stable_only_when_all_before_it_are() -> None:
    history = [Shown(2.1, "won green"), Shown(3.5, "red green"), Shown(3.9, "red green blue")]
    found = measure(history, spoken("red", "green", "blue"), "red green blue", 5.0)
    assert dict(found.stable_by_word) == pytest.approx({1.0: 2.5, 2.0: 1.5, 3.0: 0.9})
    assert found.first_seen_delays == pytest.approx((2.5, 0.1, 0.9))  # "green" was there from 2.1 on
    assert found.flicker == pytest.approx(1 / 3)  # "won" was replaced, "green" was not


def test_a_word_taken_away_and_shown_again_counts_from_the_second_time() -> None:
    history = [Shown(1.2, "red"), Shown(2.2, "red green"), Shown(3.0, "red"), Shown(4.0, "red green")]
    found = measure(history, spoken("red", "green"), "red green", 5.0)
    assert dict(found.stable_by_word) == pytest.approx({1.0: 0.2, 2.0: 2.0})
    assert found.first_seen_delays == pytest.approx((0.2, 0.2))
    assert found.flicker == pytest.approx(1 / 2)


def test_words_never_shown_are_missing_and_have_no_delay() -> None:
    history = [Shown(1.4, "red"), Shown(3.4, "red blue")]
    found = measure(history, spoken("red", "green", "blue"), "red green blue", 5.0)
    assert found.missing == 1
    assert [end for end, _ in found.stable_by_word] == [1.0, 3.0]
    assert found.live_wer == pytest.approx(1 / 3)


def test_nothing_shown_at_all() -> None:
    found = measure([], spoken("red", "green"), "red green", 5.0)
    assert (found.first_seen, found.stable, found.missing, found.live_wer) == (None, None, 2, 1.0)


def test_live_wer_is_of_the_display_at_the_end_of_the_audio() -> None:
    history = [Shown(1.4, "red"), Shown(2.6, "red green")]
    assert measure(history, spoken("red", "green"), "red green", 2.5).live_wer == 0.5
    assert measure(history, spoken("red", "green"), "red green", 2.6).live_wer == 0.0


def test_a_repeated_word_is_matched_with_its_first_place_until_more_is_shown() -> None:
    reference = ["the", "end", "of", "the", "beginning", "of", "the", "end"]
    assert Matcher(reference).match(["the"]) == [(0, 0)]
    assert Matcher(reference).match(["the", "end"]) == [(0, 0), (1, 1)]
    assert Matcher(reference).match(["the", "end", "of", "the"]) == [(i, i) for i in range(4)]


def test_a_growing_and_changing_display_is_matched_as_a_fresh_one() -> None:
    reference = ["in", "being", "comparatively", "modern", "for", "although", "the", "chinese", "took", "impressions"]
    shown = ["in", "in being", "in being comparative", "in being comparatively modern", "being comparatively the", ""]
    kept = Matcher(reference)
    for text in shown:
        assert kept.match(text.split()) == Matcher(reference).match(text.split())


def test_stable_times_never_fall() -> None:
    displays = [text.split() for text in ("a", "a c", "a b", "x b", "a b", "a b c")]
    times = stable_times(displays, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert times == [5.0, 5.0, 6.0]
    assert all(before <= after for before, after in pairwise(times))


def test_a_word_pushed_along_has_not_changed() -> None:
    assert changed_words([["red", "blue"], ["red", "green", "blue"]]) == 0
    assert changed_words([["red", "blew"], ["red", "green", "blue"]]) == 1
    assert changed_words([["red", "green", "blue"], ["red"]]) == 2


def test_a_commit_and_the_live_text_sent_with_it_are_one_display() -> None:
    display = Display()
    display.live(1.0, " red green")
    display.commit(2.0, " red")
    display.live(2.01, " green blue")
    assert settled(display.history) == [Shown(1.0, " red green"), Shown(2.01, " red green blue")]
    assert changed_words([words(shown.text) for shown in settled(display.history)]) == 0


def test_a_display_that_only_gains_a_comma_is_the_same() -> None:
    assert settled([Shown(1.0, "red"), Shown(2.0, "Red,"), Shown(3.0, "Red, green")]) == [
        Shown(1.0, "red"),
        Shown(3.0, "Red, green"),
    ]


def test_word_error_rate_is_blind_to_spelling_that_whisper_normalises() -> None:
    assert word_error_rate("It's forty-two, Mister Smith.", "it is 42 mr smith") == 0.0
    assert word_error_rate("red green blue white", "red green white") == 0.25
    assert word_error_rate("red green", "") == 1.0


def test_words_are_dropped_where_their_neighbours_miss_too() -> None:
    texts = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    shown = Shown(10.5, "one two seven eight nine ten")
    reference = spoken(*texts)
    found = measure([shown], reference, " ".join(texts), 11.0)
    assert found.dropped == 4
    assert found.gaps == ((reference[2].end, "three four five six"),)
    assert gaps({0, 4, 8}, reference[:9]) == ()
    assert [len(text.split()) for _, text in gaps({0, 1}, reference[:9])] == [7]
    assert gaps(set(), reference[:3]) == ()


def test_what_was_dropped_is_told_below_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    gap = Gap(111.1, "john dashwood had then", ((112.0, " Mister"),))
    print_spreads([Row("two sessions", 2, spread=Spread(2, dropped=4), gaps=(gap,))])
    assert capsys.readouterr().out.endswith("two sessions, dropped at 111.1 s: john dashwood had then\n")


def test_word_error_rate_of_other_languages_keeps_their_letters() -> None:
    assert word_error_rate("Niemand weiß, wer sie schrieb.", "niemand weiß wer sie schrieb", "de") == 0.0
    assert word_error_rate("Äpfel und Birnen", "Apfel und Birnen", "de") == pytest.approx(1 / 3)


def test_streams_are_pooled_by_their_words() -> None:
    good = measure([Shown(1.5, "red"), Shown(2.5, "red green")], spoken("red", "green"), "red green", 5.0)
    bad = measure([Shown(1.2, "rad"), Shown(2.0, "led")], spoken("red"), "red", 5.0)
    both = pooled([good, bad])
    assert (both.words, both.missing) == (3, 1)
    assert both.stable == Delay.of([0.5, 0.5])
    assert (both.flicker, both.live_wer) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_what_a_client_of_ours_shows() -> None:
    said = [
        (0.9, {"type": "live", "text": " Good"}),
        (1.4, {"type": "commit", "text": " Good morning."}),
        (1.5, {"type": "ack", "received_bytes": 3200}),
        (1.6, {"type": "warning", "code": "live_text_late"}),
        (3.5, {"type": "final", "text": " Good morning!"}),
    ]
    found = seen(Exchange(2.0, [(at, json.dumps(message)) for at, message in said]))
    assert found.history == (Shown(0.9, " Good"), Shown(1.4, " Good morning."))
    assert (found.final, found.time_to_final, found.refused) == (" Good morning!", 1.5, None)
    assert found.warnings == ("live_text_late",)


def test_what_a_refused_client_says() -> None:
    error = {"type": "error", "code": "server_full", "fatal": True, "retry_after": 20.0}
    assert seen(Exchange(2.0, [(0.1, json.dumps(error))])).refused == "server_full, retry_after 20 s"


def test_a_server_that_has_gone_is_a_refusal() -> None:
    found = asyncio.run(stream(Service(free_port(), "token", 0), b"", "en"))
    assert found.final is None
    assert found.refused


def test_pictures_are_drawn_of_rows_with_and_without_figures(tmp_path: Path) -> None:
    words_late = ((1.0, 0.4), (2.0, 0.5), (14.0, 30.0))
    rows = [
        Row("one", 1, stable=Delay(0.5, 0.9, 30.0), stable_by_word=words_late, spread=Spread(1)),
        Row("two", 4, stable=Delay(0.6, 1.0, 2.0), spread=Spread(2, 2)),
        Row("none", 8, note="does not run here", spread=Spread(0, 8)),
    ]
    plots.delay_over_time(tmp_path / "time.png", rows)
    plots.delay_over_sessions(tmp_path / "sessions.png", rows)
    for name in ("time.png", "sessions.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_round_pools_the_words_of_its_sessions() -> None:
    reading = load_reading_by_hand()
    streams = [
        Stream((Shown(1.5, "red"), Shown(2.5, "red green")), 3.0, "red green", 4.0),
        Stream((Shown(2.5, "red"), Shown(2.75, "red grin")), 3.0, "red green", 5.0, None, ("live_text_late",) * 2),
        Stream(refused="server_full"),
    ]

    async def client() -> Stream:
        return streams.pop()

    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as server:
        row = run_round("openmic", reading, 3, client, server.pid, 0.25)
        server.kill()
    assert row.stable == Delay.of([0.5, 0.5, 1.5])
    assert (row.missing, row.final_wer, row.time_to_final) == (0.25, 0.0, 2.0)
    assert row.note.startswith("1 refused: server_full")
    assert "1 told live_text_late" in row.note
    assert row.spread == Spread(2, 1, 0, 1.5, 0.5, 0.5, 0.0, 1.0, 2.0)
    assert row.spread.markdown().startswith("| 3 | 2 | 1 | 0 | 1.50 | 50.0% | 50.0 | 0.0 | 1.0 / 2.0 |")
    assert row.spread.markdown().count("|") == Spread(0, 4).markdown().count("|") == len(SPREAD_COLUMNS) + 1
    assert row.cpu_per_second is not None
    assert row.cost_ratio == pytest.approx(row.cpu_per_second / 0.25)
    assert row.markdown().count("|") == Row("x", note="does not run here").markdown().count("|")


def load_reading_by_hand() -> Reading:
    return Reading("by hand", np.zeros(3 * SAMPLE_RATE, np.float32), "red green", tuple(spoken("red", "green")))


def test_a_process_tree_counts_its_children() -> None:
    burn = "import time; e = time.process_time() + 0.4\nwhile time.process_time() < e: pass"
    hold = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE) as process:
        with ProcessTree(process.pid) as tree:
            deadline = time.monotonic() + 120
            while tree.cpu_seconds() < 0.4 and time.monotonic() < deadline:
                time.sleep(0.05)
            spent = tree.cpu_seconds()
        process.communicate()
    assert spent >= 0.4
    assert tree.peak_bytes > 1_000_000


def test_what_others_use_is_told_apart_from_what_we_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with Others() as others:
        busy = time.process_time() + 0.3
        while time.process_time() < busy:
            pass
        ours = psutil.cpu_times()
        theirs = ours._replace(user=ours.user + 1000.0)  # as if somebody had worked for 1000 s
        monkeypatch.setattr(psutil, "cpu_times", lambda: theirs)
    assert others.cores > 100
    assert others.note.startswith("others used ")


def test_pieces_are_a_tenth_of_a_second_and_lose_nothing() -> None:
    pcm = bytes(range(256)) * 50
    pieces = pieces_of(pcm, 2 * SAMPLE_RATE)
    assert {len(piece) for piece in pieces[:-1]} == {3200}
    assert b"".join(piece for piece in pieces if isinstance(piece, bytes)) == pcm


def test_clips_are_joined_with_gaps() -> None:
    ones = Clip("ones", np.ones(1000, np.float32), "one")
    joined = joined_samples([ones, ones])
    assert len(joined) == 2000 + round(GAP_SECONDS * SAMPLE_RATE)
    assert joined.sum() == 2000


def test_without_the_shared_recordings_our_own_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(SHARED_AUDIO_VARIABLE, str(tmp_path / "nowhere"))
    reading = long_reading(2.0)
    assert "sample_audio" in reading.name
    assert 60 < reading.seconds <= 120
    assert reading.text.startswith(sample_clips()[0].text)


def test_the_german_recording_has_its_reference() -> None:
    clip = german_clip()
    assert clip.language == "de"
    assert clip.text.startswith("Guten Morgen und herzlich willkommen im Stadtarchiv.")
    assert 1.5 * len(words(clip.text)) / 10 < clip.seconds < len(words(clip.text))
    assert 0.5 < np.abs(clip.samples).max() <= 1.0


def test_windows_are_cut_where_words_end() -> None:
    text = 'One two, "three" four five.'
    ends = (0.5, 1.0, 1.6, 3.0, 3.5)
    placed = tuple(SpokenWord(word, end) for word, end in zip(words(text), ends, strict=True))
    reading = Reading("by hand", np.arange(4 * SAMPLE_RATE, dtype=np.float32), text, placed)
    found = cuts(reading, 1.0, 10)
    assert [clip.text for clip in found] == [
        "One two",
        'two, "three',
    ]
    assert [clip.samples[0] for clip in found] == [0.0, 0.5 * SAMPLE_RATE]
    assert [clip.seconds for clip in found] == [1.0, 1.1]
    assert [clip.text for clip in cuts(reading, 3.5, 10)] == ['One two, "three" four five', 'two, "three" four five']
    assert len(cuts(reading, 0.5, 2)) == 2
    assert cuts(reading, 15.0, 10) == []


def test_the_recordings_have_their_references(shared_audio: Path | None) -> None:
    clips = reading_clips(shared_audio) if shared_audio else sample_clips()
    assert clips[0].text.startswith("Printing, in the only sense" if shared_audio else "Good morning")
    assert all(1.5 * len(words(clip.text)) / 10 < clip.seconds < len(words(clip.text)) for clip in clips)


def test_faster_whispers_tokenizer_says_what_openai_whispers_says() -> None:
    tokens = faster_whisper_files.token_names()
    theirs = faster_whisper_files.tokenizer(tokens)
    ours = whisper.tokenizer.get_tokenizer(True, num_languages=99, language="en")
    assert len(tokens) == 51865
    assert [tokens[number] for number in (ours.eot, ours.sot, ours.no_timestamps)] == [
        "<|endoftext|>",
        "<|startoftranscript|>",
        "<|notimestamps|>",
    ]
    letters = {letter: byte for byte, letter in faster_whisper_files.byte_letters().items()}
    assert bytes(
        letters[letter] for letter in tokens[ours.encode(" Zürich")[0]]
    ) == ours.encoding.decode_single_token_bytes(ours.encode(" Zürich")[0])
    merges = {tuple(merge.split(" ")) for merge in theirs["model"]["merges"]}
    assert {left + right for left, right in merges} == {token for token in tokens[: ours.eot] if len(token) > 1}
    assert len(theirs["added_tokens"]) == 51865 - len(theirs["model"]["vocab"])


@pytest.mark.weights
def test_the_aligner_hears_the_pauses_of_our_own_recording() -> None:
    clip = next(clip for clip in sample_clips() if clip.name == "quickstart")
    found = aligned(clip)
    assert [word.text for word in found] == words(clip.text)
    ends = [word.end for word in found]
    assert ends == sorted(ends)
    assert 0 < ends[0] < ends[-1] < clip.seconds
    six = next(place for place, word in enumerate(found) if word.text == "six")
    assert ends[six + 1] - ends[six] > 0.9  # the pause that its script makes there
    assert max(after - before for before, after in pairwise(ends[:six])) < 1.5


def test_virtual_time_is_the_speed_of_speech_plus_the_pretended_cost(engine_parts: Any) -> None:
    clip = next(clip for clip in sample_clips() if clip.name == "quickstart")
    shorter = Clip("greeting", clip.samples[: 4 * SAMPLE_RATE], clip.text.split(".")[0])
    reading = Reading(shorter.name, shorter.samples, shorter.text, tuple(aligned(shorter)))
    found = assess(VirtualEngine(engine_parts[0], Settings(), 0.25, "en"), reading)
    assert found.measured.missing == 0
    assert found.measured.live_wer == 0.0
    assert found.measured.stable is not None
    assert -0.5 < found.measured.stable.median < 2.0
    assert len(found.committed_delays) == 10
    assert all(0.0 < delay < 2.5 for delay in found.committed_delays)
    times = [at for at, _, _ in found.events]
    assert times == sorted(times)
    assert all(abs(at * 20 - round(at * 20)) < 1e-6 for at in times)  # ticks of 0.1 s and steps of 0.25 s
    assert times[-1] < 4.0 + 3 * 0.25 + 0.2
    assert row(found).startswith("| greeting | 4 | 10 |")


def heard(*words_and_ends: tuple[str, float]) -> Hypothesis:
    """A hypothesis of words that end at those seconds, half a second long each."""
    timed = tuple(
        TimedWord(f" {text}", (number,), end - 0.5, end, 0.8) for number, (text, end) in enumerate(words_and_ends)
    )
    return Hypothesis(timed, "en", 0.0, -0.1, False)


def committed(policy: CommitPolicy, hypothesis: Hypothesis, audio_seconds: float) -> tuple[str, str]:
    """What the policy commits and what it shows after it."""
    update = policy.update(hypothesis, round(audio_seconds * SAMPLE_RATE), endpoint=False)
    return "".join(w.text for w in update.committed), "".join(w.text for w in update.live)


def test_local_agreement_alone_commits_what_two_hypotheses_say() -> None:
    policy = LocalAgreement()
    assert committed(policy, heard(("red", 0.9), ("grin", 1.0)), 1.0) == ("", " red grin")
    assert committed(policy, heard(("Red", 0.9), ("green", 1.4), ("blue", 1.5)), 1.5) == (" Red", " green blue")
    assert policy.prefix_tokens() == (0,)


def test_the_attention_guard_alone_commits_what_does_not_point_at_the_end() -> None:
    policy = AttentionGuard(guard_seconds=0.4)
    assert committed(policy, heard(("red", 0.6), ("grin", 0.9)), 1.0) == (" red", "")
    assert committed(policy, heard(("green", 1.0), ("blue", 1.45)), 1.5) == (" green", "")


def test_committed_text_is_parted_by_the_language_it_was_decoded_in() -> None:
    def told(language: str, text: str, start: float) -> Told:
        return Told(start + 1.0, CommittedText(text, start, start + 0.5, ()), language)

    live = Told(3.0, LiveText(" zwei", 2.0, 2.5, 2.5, 0.0), "de")
    found = stretches([told("en", " one", 0.0), live, told("de", " eins", 1.0), told("de", " zwei", 2.0)])
    assert found == [Stretch("en", 0.0, 0.5, " one"), Stretch("de", 1.0, 2.5, " eins zwei")]


def test_a_recording_that_is_repeated_goes_on_behind_its_end() -> None:
    recording = GrowingRecording(np.arange(4, dtype=np.float32), laps=3, length=10)
    assert (len(recording), recording.whole) == (10, 12)
    assert recording.read(2, 7).tolist() == [2, 3, 0, 1, 2]
    assert recording.read(8, 99).tolist() == [0, 1]


def test_laps_of_one_stream_are_measured_like_readings(engine_parts: Any, capsys: pytest.CaptureFixture[str]) -> None:
    clip = next(clip for clip in sample_clips() if clip.name == "quickstart")
    shorter = Clip("greeting", clip.samples[: 4 * SAMPLE_RATE], clip.text.split(".")[0])
    reading = Reading(shorter.name, shorter.samples, shorter.text, tuple(aligned(shorter)))
    found = endure(VirtualEngine(engine_parts[0], Settings(), 0.25, "en"), reading, 0.1)
    assert [(lap.begin, lap.end) for lap in found.laps] == [(0.0, 6.0), (6.0, 12.0)]
    # The last of ten words may show after the audio's end; where it was cut, another precision may read it otherwise.
    assert all(lap.measured.words == 10 and lap.measured.missing <= 1 for lap in found.laps)
    assert all(lap.measured.live_wer <= 0.1 for lap in found.laps)
    assert all(lap.encoder > 0 and lap.decoder > 0 and lap.end_bytes > 100e6 for lap in found.laps)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[-4:]] == [
        "| first: 0.0 to 0.1",
        "| last: 0.1 to 0.2",
        "| 0.0 to 0.1",
        "| 0.1 to 0.2",
    ]


def test_every_construction_of_a_window_hears_the_greeting(base_model: Any) -> None:
    clip = next(clip for clip in sample_clips() if clip.name == "quickstart")
    greeting = Clip("greeting", clip.samples[: 4 * SAMPLE_RATE], clip.text.split(".")[0])
    decoder = Decoder(base_model, "float32")
    encoder = WindowEncoder(base_model, decoder, "float32")
    for construction in (
        Construction(FullEncoder(base_model, decoder, "float32").window),
        Construction(encoder.window),
        Grown(encoder.window, inner=encoder),
        Construction(lambda samples: encoder.window(filled(samples))),
    ):
        found = decoded(construction, decoder, base_model, [greeting])
        assert (found.wer, found.loops) == (0.0, 0)
        assert found.encoder_seconds > 0
        assert str(found).startswith("0.0 | 0 | ")


def test_a_short_window_is_filled_with_silence() -> None:
    assert len(filled(np.ones(100, np.float32))) == LEAST_SECONDS * SAMPLE_RATE
    assert filled(np.ones(100, np.float32)).sum() == 100
    assert len(filled(np.ones(3 * SAMPLE_RATE, np.float32))) == 3 * SAMPLE_RATE
