"""Turn a dataset of AI Hub into arrays and back, by AI Hub's own code in its own venv.

`aihub_data.py read IN.h5 OUT.npz` or `aihub_data.py write IN.npz OUT.h5 NAME ...`; the array
`I.B` is batch B of tensor I.
"""

import sys

import h5py
import numpy as np
from qai_hub.util.dataset_entries_converters import dataset_entries_to_h5, h5_to_dataset_entries


def main() -> None:
    """Do what the command line says."""
    verb, source, sink, *names = sys.argv[1:]
    if verb == "read":
        with h5py.File(source, "r") as file:
            entries = h5_to_dataset_entries(file)
            lists = list(entries.values() if isinstance(entries, dict) else entries)
            arrays = {f"{at}.{b}": v for at, vs in enumerate(lists) for b, v in enumerate(vs)}
        np.savez(sink, **arrays)
        return
    with np.load(source, allow_pickle=False) as stored, h5py.File(sink, "w") as file:
        found = {
            name: [stored[f"{at}.{b}"] for b in range(len(stored.files) // len(names))]
            for at, name in enumerate(names)
        }
        dataset_entries_to_h5(found, file)


if __name__ == "__main__":
    main()
