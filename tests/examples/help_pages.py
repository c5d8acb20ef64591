"""Help pages written by hand, in `pydoc`'s form, for the tests of the demo's data."""

from examples.docs_qa.pages import Page

# Lines that only a bar stands on end with two blanks in pydoc's output; they matter.
ZEBRA = Page(
    "zebra.stripes",
    """NAME
    zebra.stripes - Paint stripes.

CLASSES
    builtins.object
        Brush
\x20\x20\x20\x20
    class Brush(builtins.object)
     |  Brush(width=3)
     |\x20\x20
     |  paint_it(black)
     |      A call in the class's own documentation is no definition.
     |\x20\x20
     |  Methods defined here:
     |\x20\x20
     |  __init__(self, width=3)
     |      Initialise the brush with everything.
     |\x20\x20
     |  dip_brush(self, /, pot: 'Pot') -> 'Brush'
     |      Dip the brush into a pot of naïve
     |      colour: e.g. black. Wait a second.
     |\x20\x20
     |  undocumented_one(self)
     |\x20\x20
     |  rinse_brush(self)
     |      Wash all colour out
     |\x20\x20
     |      The water must be warm.
     |\x20\x20
     |  ----------------------------------------------------------------------
     |  Readonly properties defined here:
     |\x20\x20
     |  bristle_count(x)
     |      Number of bristles that are left.

FUNCTIONS
    draw_stripe(canvas, start=(0, 0))
        Draw one stripe on a canvas!
\x20\x20\x20\x20\x20\x20\x20\x20
        fake_definition(in_an_example)
            This is an example in running text.
\x20\x20\x20\x20
    endless(text)
        A paragraph of two lines that
        never comes to its end

        of sentence.
\x20\x20\x20\x20
    stripe(...)
        stripe(canvas) -> a new stripe
\x20\x20\x20\x20
    twice_defined(a)
        The first of two definitions here.
\x20\x20\x20\x20
    twice_defined(a, b)
        The second of two definitions here.

DATA
    not_a_function(1)
        Some words in a section of data.
""",
)


def page(module: str, *functions: tuple[str, str]) -> Page:
    """Makes a page of functions with one-line documentation."""
    text = f"NAME\n    {module}\n\nFUNCTIONS\n"
    for name, documentation in functions:
        text += f"    {name}(x, y=None)\n        {documentation}\n    \n"
    return Page(module, text)


def page_of_classes(module: str, classes: dict[str, tuple[str, ...]]) -> Page:
    """Makes a page of classes, whose methods have one-line documentation."""
    text = f"NAME\n    {module}\n\nCLASSES\n    builtins.object\n"
    text += "".join(f"        {owner}\n" for owner in classes)
    for owner, methods in classes.items():
        text += f"    \n    class {owner}(builtins.object)\n     |  {owner}(rows)\n     |  \n"
        text += "     |  Methods defined here:\n     |  \n"
        for method in methods:
            text += f"     |  {method}(self)\n     |      The deed of {method} in it.\n     |  \n"
    return Page(module, text)


KIWI = page_of_classes(
    "kiwi",
    {
        "Nest": ("nest_rows", "count_eggs", "shared_deed"),
        "Egg": ("drop_eggs", "shared_deed", "egg_rows"),
    },
)


def library() -> list[Page]:
    """Returns pages of twelve packages with distinct documentation."""
    pages = [ZEBRA, KIWI]
    for number, package in enumerate(
        ["ant", "bee", "cow", "dog", "elk", "fox", "gnu", "hen", "ibis", "jay"]
    ):
        for part in range(1 + number % 3):
            functions = [
                (
                    f"{package}_{part}_{verb}_rows",
                    f"{verb.title()} the rows of {package} table {part} as step {step}.",
                )
                for step, verb in enumerate(("sort", "merge", "split", "count", "drop"))
            ]
            pages.append(page(f"{package}.part{part}" if part else package, *functions))
    return pages
