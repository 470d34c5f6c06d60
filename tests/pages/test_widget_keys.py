"""One key, one meaning: a widget's value outlives its page under the widget's key.

Where another page draws a widget with that key, it begins with what was left there. Of a choice
that both pages ask for, that is wanted; of a button, it is pressed for ever.
"""

import ast
import re

from pages.shared.controls import SHARED
from tests.support.places import ROOT

PAGES = ROOT / "pages"
NO_WIDGETS = {"Column", "sorted", "min", "max", "sort", "pick"}  # whose `key` means another thing


def _trees():
    """Room and syntax tree of each module of a page; what stands in shared is a room too."""
    for path in sorted(PAGES.glob("*/**/*.py")):
        yield path.relative_to(PAGES).parts[0], ast.parse(path.read_text(encoding="utf-8"))


def _called(call):
    return ast.unparse(call.func).split(".")[-1]


def _place_of_key(definition):
    """Say at which place a function takes a widget's key, and what it is by default."""
    arguments = definition.args.args
    names = [each.arg for each in arguments]
    if "key" not in names:
        return None, None
    at = names.index("key")
    defaults = definition.args.defaults
    first = len(names) - len(defaults)
    return at, defaults[at - first] if at >= first else None


def _given_keys():
    """Yield room and expression of every key that a call of a module gives, or has by default."""
    trees = list(_trees())
    places = {}
    for room, tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                at, default = _place_of_key(node)
                if at is not None:
                    places[node.name] = at
                if default is not None:
                    yield room, default, tree
    for room, tree in trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or _called(node) in NO_WIDGETS:
                continue
            yield from ((room, k.value, tree) for k in node.keywords if k.arg == "key")
            at = places.get(_called(node))
            if at is not None and at < len(node.args):
                yield room, node.args[at], tree


def _pattern(expression, tree):
    """Make a pattern of what a key can be; None where only running the page can tell."""
    if isinstance(expression, ast.Name):
        constants = [
            node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == expression.id
        ]
        return _pattern(constants[0], tree) if constants else None
    if isinstance(expression, ast.Constant):
        return re.escape(expression.value)
    if isinstance(expression, ast.JoinedStr):
        parts = [
            re.escape(part.value) if isinstance(part, ast.Constant) else ".+"
            for part in expression.values
        ]
        return "".join(parts)
    return None


def _keys_by_room():
    found = {}
    for room, expression, tree in _given_keys():
        if pattern := _pattern(expression, tree):
            found.setdefault(room, set()).add(pattern)
    return found


def test_no_two_pages_give_their_widgets_the_same_key():
    rooms = _keys_by_room()
    assert len(rooms) > 10 and sum(map(len, rooms.values())) > 100
    own = {room: keys - set(SHARED) for room, keys in rooms.items()}
    for room, keys in own.items():
        for other in own.keys() - {room, "shared"}:
            for mine in keys:
                same = [theirs for theirs in own[other] if re.fullmatch(mine, theirs)]
                assert not same, f"{room} and {other} both have a widget with the key {same[0]}"
    for room in own.keys() - {"shared"}:
        assert not own[room] & own["shared"], room


def test_a_control_that_is_disabled_says_why():
    """``disabled=bool(why), help=why or ...``: the reason stands where the mouse or a finger is."""
    seen = 0
    for room, tree in _trees():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            given = {k.arg: ast.unparse(k.value) for k in call.keywords}
            if "disabled" in given:
                seen += 1
                reason = re.fullmatch(r"bool\((\w+)\)", given["disabled"])
                assert reason, (room, given["disabled"])
                assert given.get("help", "").startswith(f"{reason[1]} or "), (room, given)
    assert seen > 8
