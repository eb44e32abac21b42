"""Sentences with names and terms that no model can know how to spell, spoken by a synthetic voice.

Made with hibari-tts (its voice "heart" is inside the wheel), which reads an unknown word as English would. Invented
product names, rare places and rare people, ten in each group of sentences; and as many others that nobody says.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import av
import numpy as np
from hibari import Hibari

from openmic.audio import SAMPLE_RATE
from openmic.audio.types import Samples

VOICE_RATE = 24_000  # Hz, of the voice
LOUDNESS = 0.6  # peak
PAUSE_SECONDS = 0.9
ROOM_NOISE = 0.0003  # standard deviation of the noise floor

GROUPS: tuple[tuple[str, ...], ...] = (
    (
        "Please forward the invoice to {Vexalor} before the meeting on Friday.",
        "{Oriane Thibodeau} will present the new version of {Quantiva} tomorrow morning.",
        "We moved the database from {Zephyrion} to {Kubrelta} last week.",
        "Doctor {Szymanska} prescribed {Tolvexin} for two more weeks.",
        "The train stops in {Llanberis} and then goes on to {Wrocley}.",
        "Ask {Brannagh} whether the report is finished.",
    ),
    (
        "Our partner {Nexovia} has opened an office in {Tavistock}.",
        "{Anneliese Voorhees} and {Dhruv Malhotra} are writing the proposal together.",
        "The patient takes {Cardolexin} every morning and {Prelovane} in the evening.",
        "You can find the source code under the name {Rustelix}.",
        "The ferry to {Skerryvore} was late again because of the storm.",
        "I spoke with {Padraig} about the {Mirador} project, and he agreed.",
    ),
    (
        "Welcome to {Fenwarren}, the oldest village in the valley.",
        "The engine was built by {Haldorsen} and tested by {Yarrowby}.",
        "{Ishikawa} showed us how to install {Plexorio} on a small computer.",
        "They serve a dish called {Kartulisalat} with dark bread.",
        "The contract with {Ombrelle} ends in December.",
        "My cousin {Siobhan} studied in {Aberystwyth} for three years, and then at {Caltrava}.",
    ),
    (
        "The alarm in building nine was set off by {Drexmoor} again.",
        "{Thandiwe Nkosi} leads the team that looks after {Velocirra}.",
        "We tasted a cheese from {Gruylandes} and a wine from {Montavelle}.",
        "Write the password down and give it to {Kjetil} in the office.",
        "The river {Ystwyth} is high, so the bridge at {Penllwyn} is closed.",
        "A company named {Axiomate} bought {Lumenor} for nine million dollars.",
    ),
)
"""What is said in one session each; terms stand in braces."""

OTHERS = [
    "Arkwynn",
    "Belvadore",
    "Corintha",
    "Dunmorrow",
    "Elvastria",
    "Farrowgate",
    "Glenquist",
    "Harrovane",
    "Iltarion",
    "Jessamund",
    "Kelvarro",
    "Lorimond",
    "Maravelle",
    "Northwick",
    "Orlandine",
    "Pellaway",
    "Quillmere",
    "Ravensthorpe",
    "Stellarix",
    "Thornaby",
    "Umbrival",
    "Vantoria",
    "Wexcombe",
    "Xanthera",
    "Yelverton",
    "Zambrello",
    "Altimara",
    "Brightholm",
    "Castrivan",
    "Delphora",
    "Eskdalen",
    "Fosterane",
    "Grimsbury",
    "Hollowmere",
    "Inverleith",
    "Jarrowick",
    "Kestrimo",
    "Langholme",
    "Mistravel",
    "Neverby",
    "Oakhurstia",
    "Primadora",
    "Quorndale",
    "Rosendaal",
    "Silvarno",
    "Tremayne",
    "Ulverston",
    "Veridox",
    "Wolverscote",
    "Xylophar",
    "Yarborough",
    "Zenthira",
    "Adumbra",
    "Bexcalor",
    "Cytronova",
    "Dexatrim",
    "Ergolux",
    "Fibrelon",
    "Glycomax",
    "Hexadyne",
    "Immunoril",
    "Jointrex",
    "Ketazone",
    "Lipravol",
    "Metrexan",
    "Novastatin",
    "Oxylume",
    "Panzorex",
    "Quinolar",
    "Rivastel",
    "Sertadox",
    "Tamulin",
    "Ursolate",
    "Valdecor",
    "Wellaxin",
    "Xenoprim",
    "Yttrion",
    "Zolmidex",
    "Abernathy",
    "Bjornsdottir",
    "Czerwinski",
    "Dragomirov",
    "Eichelberger",
    "Fitzwilliam",
    "Giannopoulos",
    "Haverkamp",
    "Iwasaki",
    "Jankowski",
    "Kaczmarek",
    "Lindqvist",
    "Mkhize",
    "Nwachukwu",
    "Oyelaran",
    "Papadakis",
    "Quesenberry",
    "Raghunathan",
    "Schwarzenbach",
    "Tkachenko",
    "Uchechukwu",
    "Vandermeer",
    "Wojciechowski",
    "Xiaoping",
    "Yevtushenko",
    "Zuckermann",
    "Andersdotter",
    "Bhattacharya",
    "Castellanos",
    "Diyarbakir",
    "Eskisehir",
    "Fuenlabrada",
    "Gloucestria",
    "Hvammstangi",
    "Iquitora",
    "Jonkoping",
    "Kilmarnock",
    "Ljubljana",
    "Machynlleth",
    "Nuneaton",
    "Ouagadou",
    "Przemysl",
    "Quetzalan",
    "Reykholt",
    "Szczecin",
    "Tullamore",
    "Ulaanbat",
    "Vlissingen",
    "Wollongar",
    "Xochimil",
    "Ypsilanti",
    "Zaanstad",
    "Brixora",
    "Cloudantic",
    "Datavere",
    "Ethernode",
    "Flowmatic",
    "Gridwise",
    "Hyperlynx",
    "Infranet",
    "Jetscale",
    "Kernelix",
    "Loadstar",
    "Metricon",
    "Nodewright",
    "Opsgenix",
    "Pipelyne",
    "Querylo",
    "Routewell",
    "Stackhaven",
    "Tracelight",
    "Uptimer",
    "Vaultry",
    "Webhookle",
    "Xplorify",
    "Yamlette",
    "Zerolag",
]


@dataclass(frozen=True, slots=True)
class Session:
    """What is said in one session.

    Attributes:
        samples: 16 kHz.
        sentences: their texts, with terms as they are to be written.
        terms: that are said, in order.
    """

    samples: Samples
    sentences: tuple[str, ...]
    terms: tuple[str, ...]

    @property
    def text(self) -> str:
        """All that is said."""
        return " ".join(self.sentences)


def vocabulary(session: Session, count: int) -> tuple[str, ...]:
    """``count`` terms, among them all that are said; the order is by chance, but always the same one."""
    said = {term for group in GROUPS for sentence in group for term in terms_in(sentence)}
    rest = [*sorted(said - set(session.terms)), *OTHERS]
    chosen = [*session.terms, *rest[: max(0, count - len(session.terms))]]
    return tuple(chosen[place] for place in np.random.default_rng(count).permutation(len(chosen)))


def terms_in(sentence: str) -> list[str]:
    """The terms in braces."""
    return re.findall(r"\{(.+?)\}", sentence)


def plain(sentence: str) -> str:
    """The sentence as it is to be written."""
    return re.sub(r"[{}]", "", sentence)


def sessions() -> tuple[Session, ...]:
    """All groups, spoken; takes about as long as the speech lasts."""
    return tuple(session(number) for number in range(len(GROUPS)))


@functools.cache
def session(number: int) -> Session:
    """One group of ``GROUPS``, spoken."""
    voice, noise = Hibari(), np.random.default_rng(number)
    group, pieces = GROUPS[number], []
    for place, sentence in enumerate(group):
        said = spoken(voice, plain(sentence), 100 * number + place)
        pieces += [said, np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE), np.float32)]
    sound = np.concatenate(pieces)
    samples = (LOUDNESS * sound / np.abs(sound).max() + noise.normal(0, ROOM_NOISE, len(sound))).astype(np.float32)
    terms = tuple(term for sentence in group for term in terms_in(sentence))
    return Session(samples, tuple(plain(sentence) for sentence in group), terms)


def spoken(voice: Hibari, text: str, seed: int) -> Samples:
    """A sentence at 16 kHz, shape (n,); the same seed gives the same samples."""
    frame = av.AudioFrame.from_ndarray(
        voice(text, seed=seed).astype(np.float32)[np.newaxis], format="flt", layout="mono"
    )
    frame.sample_rate = VOICE_RATE
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    return np.concatenate([piece.to_ndarray()[0] for given in (frame, None) for piece in resampler.resample(given)])
