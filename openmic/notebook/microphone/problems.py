"""What can go wrong with the microphone in the notebook."""

from __future__ import annotations

from openmic.errors import Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        "nothing_spoken": Problem(
            "There is no final text yet.",
            "Nobody has spoken into this microphone.",
            "Press Speak above, say something, press Stop, then run this cell again.",
        ),
        "still_speaking": Problem(
            "There is no final text yet.",
            "The microphone is still on, or its last words are on their way.",
            "Press Stop above, wait for the final text, then run this cell again.",
        ),
        "no_final_text": Problem(
            "The recording ended without a final text.",
            "The service was stopped, or the connection to it was lost for too long.",
            "Check that the service still runs (mic.running), then speak again.",
        ),
        "listen_elsewhere": Problem(
            "listen() cannot reach a microphone from here.",
            "It asks Colab's own page for sound, and no Colab page runs this cell.",
            "Show the microphone with mic.microphone(), speak, then read its .result in a later cell.",
        ),
        "microphone_refused": Problem(
            "The browser did not open a microphone.",
            "{detail}",
            "Allow the microphone beside the page's address, then run this cell again.",
        ),
    }
)
