"""Draws `docs/pictures/rooms.svg` from the table of rooms in `docs/architecture.md`.

python docs/rooms_picture.py
"""

import re
from pathlib import Path

DOCS = Path(__file__).parent
PICTURE = DOCS / "pictures/rooms.svg"
ROW = re.compile(r"^\| `([\w/.]+)` \| (.*?) \| (.*) \|$", re.MULTILINE)
WIDTH, HEIGHT, GAP, ROW_GAP = 128, 34, 22, 40
# Column and row. Small files that any room may need are left out.
PLACES = {
    "cli": (1, 0),
    "serving": (1, 1),
    "models": (1, 2),
    "preprocessing": (0, 4),
    "checkpoints": (1, 3),
    "generation": (2, 3),
    "training": (3, 3),
    "layers": (1, 4),
    "config": (1, 5),
    "attention": (1, 6),
    "nn": (2, 7),
}


def read_rooms(page: str) -> dict[str, set[str]]:
    """Returns which room imports which others, by the page's table."""
    return {
        room.strip("/").removesuffix(".py"): set(re.findall(r"`(\w+)`", imports))
        for room, _, imports in ROW.findall(page)
    }


def direct(rooms: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Returns the imports that no longer way through other rooms implies."""

    def below(room: str) -> set[str]:
        return rooms[room].union(*(below(other) for other in rooms[room]))

    return [
        (room, other)
        for room in rooms
        for other in sorted(rooms[room])
        if not any(other in below(third) for third in rooms[room] - {other})
    ]


def draw(rooms: dict[str, set[str]]) -> str:
    """Returns the SVG: an arrow from each room to those that it imports directly."""
    rooms = {room: rooms[room] & PLACES.keys() for room in PLACES}
    place = {
        room: (GAP + x * (WIDTH + GAP), GAP + y * (HEIGHT + ROW_GAP))
        for room, (x, y) in PLACES.items()
    }
    columns, rows = (max(values) + 1 for values in zip(*PLACES.values(), strict=True))
    total = columns * (WIDTH + GAP) + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} '
        f'{GAP + rows * (HEIGHT + ROW_GAP) - ROW_GAP + GAP}" font-family="sans-serif" '
        'font-size="14">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#607d8b"/></marker></defs>',
    ]
    for room, other in direct(rooms):
        (x1, y1), (x2, y2) = place[room], place[other]
        lines.append(
            f'<path d="M{x1 + WIDTH / 2} {y1 + HEIGHT} L{x2 + WIDTH / 2} {y2}" stroke="#607d8b" '
            'fill="none" marker-end="url(#tip)"/>'
        )
    for room, (x, y) in place.items():
        lines.append(
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="#e8eaf6" '
            f'stroke="#3f51b5"/><text x="{x + WIDTH / 2}" y="{y + 22}" '
            f'text-anchor="middle">{room}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    PICTURE.write_text(draw(read_rooms(page)), encoding="utf-8")
