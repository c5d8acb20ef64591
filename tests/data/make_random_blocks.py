"""Writes `random_blocks.npz`; see the README beside it."""

from pathlib import Path

import numpy as np

from tests.attention.transformers_random_blocks import drawn_by_transformers

FILE = Path(__file__).with_name("random_blocks.npz")
FIXTURE = Path(__file__).parents[3] / "shared/fixtures/google/pattern/rand_attn.npz"

GRID_LENGTHS = (512, 704, 768, 1024, 1536, 2048, 3072, 4096)


def main() -> None:
    tables = {}
    with np.load(FIXTURE) as fixture:
        for name in fixture:
            # The rarer settings, and two of the three seeds of the grid with two heads.
            in_grid = int(name.split("_")[0][6:]) in GRID_LENGTHS
            if not in_grid or name.endswith(("heads2_seed0", "heads2_seed11")):
                tables[f"google_{name}"] = fixture[name]
    for length, block, rand, longest in (
        (1024, 64, 3, 4096),
        (2048, 64, 3, 4096),
        (4096, 64, 3, 4096),
        (1024, 16, 3, 2048),
        (3072, 64, 2, 3072),
        (1216, 64, 3, 4096),
        (768, 64, 3, 1024),
    ):
        for seed, table in enumerate(drawn_by_transformers(length, block, rand, longest)):
            name = f"length{length}_block{block}_rand{rand}_heads2_seed{seed}_max{longest}"
            tables[f"transformers_{name}"] = table.astype(np.uint8)
    np.savez_compressed(FILE, **tables)
    print(f"{len(tables)} tables, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
