"""What is to change while a cluster runs, in a file that all replicas look at.

Serve would replace every replica for it: it takes what it is given for a new version.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from openmic.ownership import make_private_folder

NAME = "cluster.json"  # in the folder that all replicas share


@dataclass(frozen=True, slots=True)
class Orders:
    """What holds for all replicas now.

    Attributes:
        public_url: where a tunnel leads to the cluster from; None: nowhere.
        ending: whether all that is said is to get its final now, because everything will be shut down.
    """

    public_url: str | None = None
    ending: bool = False

    def write(self, data_dir: Path) -> None:
        """Give them to all replicas.

        Raises:
            OSError: the folder cannot be written.
        """
        make_private_folder(data_dir)
        made = data_dir / f"{NAME}.new"
        made.write_text(json.dumps(asdict(self)), encoding="utf-8")
        made.replace(data_dir / NAME)


def read_orders(data_dir: Path) -> Orders:
    """Those that hold now; where nobody gave any, the usual.

    Raises:
        OSError: the folder cannot be read.
        ValueError, TypeError: the file is no such file.
    """
    try:
        return Orders(**json.loads((data_dir / NAME).read_bytes()))
    except FileNotFoundError:
        return Orders()
