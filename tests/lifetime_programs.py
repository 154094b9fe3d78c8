"""Small programs that acquire and release, drawn at random: as they are analysed, and as they are run.

What a program cannot know (the outcome of a test, the length of a loop, whether a call fails) it asks the runtime of
`lifetime_runs`, which it calls ``rt``.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from hypothesis import strategies as st

HELPERS = """\
from fake import res
from elsewhere import kept


class Holder:
    def __init__(self, x):
        self.x = x

    def close(self):
        self.x.close()


def close_it(x):
    if x is not None:
        x.close()


def shut(x):
    close_it(x)


def keep_it(x):
    kept.append(x)


def look_at(x):
    print(x)


def pass_on(x):
    return x


def make():
    return res()
"""
HEAD = """\
from contextlib import AsyncExitStack, ExitStack, aclosing, closing, contextmanager, suppress
from fake import ares, res, stream
from elsewhere import flag, holder, items, kept, pause, take, ticks, work
from helpers import Holder, close_it, keep_it, look_at, make, pass_on, shut


"""

# --- drawing them ----------------------------------------------------------------------------------------------------

SIMPLE = [
    *("{x} = res()", "{x}.close()") * 4,
    *("{x}.use()", "work()", "{x} = {y}") * 3,
    *("{x}.read()", "res().read()", "list({x})"),
    *("{x} = None", "{x} = make()", "{x} = {y} and pass_on({y})", "look_at({x})"),
    *("close_it({x})", "shut({x})", "keep_it({x})", "take({x})", "kept.append({x})", "holder.x = {x}", "del {x}"),
    *("return", "return {x}", "return res()", "raise ValueError", "res().use()", "{x} = res() if p else None"),
    *("{x} = {y} or res()", "{x}, {y} = {y}, {x}", "{x}, {y} = res(), res()", "{x} = [res(), {y}][0]"),
    *(
        "{x} = {y} and Holder({y})",
        "{x} = Holder(res())",
        "take(Holder({x}))",
        "take(lambda: {x}.close())",
        "take({x}.close)",
    ),
    *("f = {x} is None", "f = True", "f = False", "take(closing({x}))", "{x} and {x}.close()", "both = [{x}, {y}]"),
]
HEADS = [
    *("if flag.is_set():", "if p:", "if not q:", "if p and q:", "if f:", "if not f:") * 2,
    *("if {x}:", "if {x} is None:", "if {x} is not None:", "if not {x}:", "if ({x} := make()):"),
    *("while flag.is_set():", "for i in items.values():") * 3,
    *("while True:", "while {x} is None:", "for c in ({x}, {y}):", "for i in {x}:"),
    *("with res() as {x}:", "with {x}:", "with suppress(Exception):", "with suppress(ValueError):", "def inner():"),
    *("with closing(res()) as {x}:", "with closing({x}):", "with res() as {x}, res() as {y}:", "match p:"),
]
IDIOMS = """\
{x} = res()
try:
    {B}
finally:
    {x}.close()

{x} = res()
try:
    {B}
except Exception:
    {x}.close()
    raise
{B}
{x}.close()

{x} = None
try:
    {x} = res()
    {B}
finally:
    if {x} is not None:
        {x}.close()

f = False
if flag.is_set():
    {x} = res()
    f = True
{B}
if f:
    {x}.close()

f = {x} is None
if f:
    {x} = res()
try:
    {B}
finally:
    if f:
        {x}.close()

for i in items.values():
    {x} = res()
    {B}
    {x}.close()

for i in items.values():
    {x} = res()
    if flag.is_set():
        {J}
    {x}.close()

for i in items.values():
    if {x} is not None:
        {x}.close()
    {x} = res()
{B}
{x}.close()

for i in items.values():
    try:
        {x} = res()
        {B}
    finally:
        {x}.close()

for i in items.values():
    try:
        {x} = res()
        {B}
        break
    except Exception:
        {J}
else:
    {B}
{x}.close()

while True:
    {x} = res()
    if flag.is_set():
        {J}
    {B}
    {x}.close()
{x}.close()

while flag.is_set():
    {x} = {y}
    {y} = res()
else:
    {B}

while True:
    {x} = {y}
    {y} = res()
    if flag.is_set():
        break
{x} and {x}.close()
{y}.close()

if p:
    {x} = res()
{B}
if not p:
    {J}
{x}.close()

{x} = res() if q else None
{B}
if not q:
    return
{x}.close()

{x} = res()
try:
    {B}
except Exception:
    {x}.close()
    raise
{x}.close()

{x} = res()
try:
    {B}
except ValueError:
    {x}.close()
    return
{x}.close()

{x} = res()
try:
    {B}
except:
    work()
{x}.close()

{x} = res()
try:
    work()
except ValueError:
    {x}.close()
    raise
{x}.close()

{x} = res()
try:
    work()
except Exception:
    raise
{x}.close()

{x} = res()
try:
    work()
except ValueError:
    {J}
except Exception:
    {x}.close()
    raise
{x}.close()

{x} = res()
with suppress(Exception):
    work()
    {J}
{x}.close()

{x} = res()
with suppress(ValueError):
    {B}
{x}.close()

{x} = res()
try:
    {y} = res()
except Exception:
    {x}.close()
    raise
{B}
{x}.close()
{y}.close()

{x} = res()
try:
    {y} = res()
    try:
        {B}
    finally:
        {y}.close()
finally:
    {x}.close()

try:
    {x} = res()
except ValueError:
    {J}
else:
    {B}
    {x}.close()

with suppress(Exception):
    {x} = res()
    {B}
    {x}.close()
{B}

{x} = res()
if flag.is_set():
    {J}
{B}
{x}.close()

{x} = res()
try:
    {J}
finally:
    {x}.close()

{x} = res()
try:
    {J}
finally:
    work()

{x} = res()
{y} = {x}
{x} = None
{B}
{y}.close()

{x} = Holder(res())
{B}
{x}.close()

with ExitStack() as s:
    {x} = s.enter_context(res())
    {B}

with ExitStack() as s:
    {x} = res()
    s.callback({x}.close)
    {B}

{x} = res()
with ExitStack() as s:
    s.push({x})
    {B}
    s.pop_all()

s = ExitStack()
s.enter_context(res())
{B}
s.close()

match p:
    case 1:
        {x} = res()
    case 2:
        {B}
    case 3:
        {J}
{x} and {x}.close()

{x} = res()
for i in {x}:
    if flag.is_set():
        {J}
    {B}

{x} = res()
for i in {x}:
    {B}
{B}
""".strip().split("\n\n")
HANDLERS = ["except Exception:", "except ValueError:", "except:", "except (ValueError, KeyError):"]
EXTRA = {
    "plain": ([], []),
    "async": (
        ["await pause()", "{x} = await ares()", "{x} = await stream()", "await {x}.aclose()", "await {x}.ask()"] * 2,
        [
            "async for i in {x}:\n    {B}",
            "async for i in ticks():\n    {B}",
            "{x} = await stream()\nasync with aclosing({x}):\n    async for i in {x}:\n        {B}",
            "{x} = await stream()\nasync for i in {x}:\n    if flag.is_set():\n        {J}\nawait {x}.aclose()",
            "async with {x}:\n    {B}",
            "async with await stream() as {x}:\n    {B}",
            "{x} = await stream()\ntry:\n    await pause()\nfinally:\n    await {x}.aclose()",
            "{x} = res()\ntry:\n    await pause()\nexcept Exception:\n    {x}.close()\n    raise\n{x}.close()",
            "{x} = res()\nasync for i in ticks():\n    {B}\n{x}.close()",
            "async with AsyncExitStack() as s:\n    await s.enter_async_context(await stream())\n    {B}",
        ],
    ),
    "generator": (
        [*["yield 1"] * 4, "yield {x}", "yield"],
        ["{x} = res()\ntry:\n    yield 1\nfinally:\n    {x}.close()", "for i in {x}:\n    yield i"],
    ),
}
EXTRA["manager"] = ([*["yield {x}"] * 4, "yield"], ["{x} = res()\ntry:\n    yield {x}\nfinally:\n    {x}.close()"])
EXTRA["agen"] = tuple([*one, *other] for one, other in zip(EXTRA["async"], EXTRA["generator"], strict=True))
FIRST = {
    "plain": "def main(p, q):",
    "async": "async def main(p, q):\n    await pause()",
    "generator": "def main(p, q):\n    yield 0",
    "manager": "@contextmanager\ndef main(p, q):",
    "agen": "async def main(p, q):\n    await pause()\n    yield 0",
}


@st.composite
def blocks(draw, extra, depth):
    """Some statements, each with its lines."""
    simple, idioms = extra
    lines = []
    for _ in range(draw(st.integers(1, 3 if depth else 2))):
        form = draw(st.sampled_from(["simple", "simple", "idiom", "idiom", "headed", "tried"] if depth else ["simple"]))
        x, y = draw(st.sampled_from(["ab", "ba"]))
        inner = blocks(extra, depth - 1)
        if form == "simple":
            lines += [draw(st.sampled_from([*SIMPLE, *simple])).format(x=x, y=y)]
        elif form == "idiom":
            text = draw(st.sampled_from([*IDIOMS, *idioms * 2]))
            jump = draw(st.sampled_from(["return", "raise ValueError", "break", "continue", f"return {y}"]))
            lines += _filled(text, x, y, jump, lambda inner=inner: draw(inner))
        elif form == "headed":
            head = draw(st.sampled_from(HEADS)).format(x=x, y=y)
            lines += _headed(head, draw(inner), draw(st.one_of(st.just([]), inner)))
        else:
            handlers = draw(st.lists(st.tuples(st.sampled_from(HANDLERS), inner), max_size=2).map(_handler_order))
            some = st.one_of(st.just([]), inner)
            lines += _tried(draw(inner), handlers, draw(some), draw(some))
    return lines


def _indented(lines):
    return [f"    {line}" for line in lines]


def _filled(text, x, y, jump, block):
    lines = []
    for line in text.split("\n"):
        margin = line[: len(line) - len(line.lstrip())]
        filled = line.replace("{x}", x).replace("{y}", y).replace("{J}", jump).strip()
        lines += [margin + one for one in (block() if filled == "{B}" else [filled])]
    return lines


def _headed(head, body, other):
    if head == "def inner():":
        return [head, "    take(a)"]
    if head.startswith("for c"):
        return [head, "    c.close()"]
    if head.startswith("match"):
        return [
            head,
            "    case 1:",
            *_indented(_indented(body)),
            "    case 2:",
            *_indented(_indented(other or ["work()"])),
        ]
    lines = [head, *_indented(body)]
    if other and head.startswith(("if", "for", "while")):
        lines += ["else:", *_indented(other)]
    return lines


def _tried(body, handlers, other, final):
    lines = ["try:", *_indented(body)]
    for head, inner in handlers:
        lines += [head, *_indented(inner)]
    if handlers and other:
        lines += ["else:", *_indented(other)]
    if final or not handlers:
        leaving = re.compile(r"\b(return.*|raise ValueError|break|continue)$")  # would drop what is being returned
        lines += ["finally:", *_indented([leaving.sub("work()", line) for line in final] or ["a.close()"])]
        lines = [line.replace("def inner():", "if flag.is_set():") for line in lines]
    return lines


def _handler_order(handlers):
    """One handler for each failure, a bare ``except`` at the end: no others are ever reached."""
    narrow = [one for one in handlers if "ValueError" in one[0]]
    return (
        narrow[:1]
        + [one for one in handlers if one[0] == "except Exception:"][:1]
        + [one for one in handlers if one[0] == "except:"][:1]
    )


class Program(NamedTuple):
    """A program as it is analysed, and the same as it is run."""

    text: str
    code: object


def programs(kind):
    """Programs of a kind, half of them small: what is hidden in a small one nothing else hides."""
    bodies = st.one_of(blocks(EXTRA[kind], 1), blocks(EXTRA[kind], 2))
    return bodies.map(lambda body: _program(kind, body))


def _program(kind, body):
    body = _breaking(["a = b = f = None", *body])
    if kind in {"generator", "agen", "manager"}:
        body = [re.sub(r"^( *)return .*", r"\1return", line) for line in body]
    if kind == "manager" and not any("yield" in line for line in body):
        body.append("yield")
    text = HEAD + "\n".join([FIRST[kind], *_indented(body)]) + "\n"
    return Program(text, _instrumented(text))


def _breaking(body):
    """In a loop, ``break`` and ``continue`` take the place of a plain ``return`` and ``raise``, elsewhere not."""
    lines, loops = [], []
    for line in body:
        depth = len(line) - len(line.lstrip())
        while loops and loops[-1] >= depth and not (line.strip().startswith("else") and loops[-1] == depth):
            loops.pop()
        if line.strip().startswith(("while", "for i", "async for")):
            loops.append(depth)
        if line.strip().startswith("else") and loops and loops[-1] == depth:
            loops.pop()
        jumps = (
            {"return": "break", "raise ValueError": "continue"} if loops else {"break": "return", "continue": "return"}
        )
        jump = jumps.get(line.strip())
        lines.append(line.replace(line.strip(), jump) if jump else line)
    return lines


# --- programs that ask the runtime whatever they cannot know ---------------------------------------------------------

NAMES = {"a", "b", "c", "s"}
WORLD = {"flag", "items", "kept"}
_WORDS = {"Holder": "held", "ExitStack": "stack", "AsyncExitStack": "stack"}
LETS_GO = re.compile(
    r"close|shut|keep|take|kept|holder|with |del |return [ab]|yield [ab]|lambda|both|push|inner|read|list|for i in"
)


class _Instrument(ast.NodeTransformer):
    """Puts calls of the runtime (``rt``), with the line, in place of what the program only names."""

    def __init__(self, main):
        self.captured = {
            name.id
            for node in ast.walk(main)
            if isinstance(node, ast.FunctionDef | ast.Lambda) and node is not main
            for name in ast.walk(node)
            if isinstance(name, ast.Name) and name.id in NAMES
        }

    def lets_go(self, stmt):
        """Whether a statement closes something or hands it over; a name of a nested function takes what it gets."""
        stored = {n.id for n in ast.walk(stmt) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        return LETS_GO.search(ast.unparse(stmt)) is not None or not stored.isdisjoint(self.captured)

    def ask(self, node, word, *args):
        there = ast.Call(ast.Attribute(ast.Name("rt", ast.Load()), "at", ast.Load()), [ast.Constant(node.lineno)], [])
        call = ast.Call(ast.Attribute(there, word, ast.Load()), [*args], [])
        return ast.fix_missing_locations(ast.copy_location(call, node))

    def visit_FunctionDef(self, node):
        return ast.copy_location(ast.Pass(), node)

    def visit_Lambda(self, node):
        kept = [ast.Name(name, ast.Load()) for name in sorted(self.captured)]
        return self.ask(node, "gave", ast.Tuple(kept, ast.Load()))

    def visit_Call(self, node):
        given = [self.visit(arg) for arg in node.args]
        called = node.func
        if isinstance(called, ast.Name):
            return node if called.id == "suppress" else self.ask(node, _WORDS.get(called.id, called.id), *given)
        if isinstance(called.value, ast.Name) and called.value.id in WORLD:
            return self.ask(node, called.attr, *given)
        return self.ask(node, "method", ast.Constant(called.attr), self.visit(called.value), *given)

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name) and node.value.id in NAMES:
            return self.ask(node, "part", node.value)
        return node

    def visit_If(self, node):
        excuses = not _is_known(node.test) and any(map(self.lets_go, node.body))
        ticks = [self.ask(node, "tick")] if isinstance(node, ast.While) else []
        self.generic_visit(node)
        test = ast.BoolOp(ast.And(), [*ticks, node.test]) if ticks else node.test
        node.test = self.ask(node, "tested", test, ast.Constant(excuses))
        return node

    def visit_While(self, node):
        return self.visit_If(node)

    def visit_For(self, node):
        excuses = any(map(self.lets_go, node.body))
        self.generic_visit(node)
        if not isinstance(node.iter, ast.Tuple):
            node.iter = self.ask(node, "looped", node.iter, ast.Constant(excuses))
        return node

    def visit_AsyncFor(self, node):
        return self.visit_For(node)

    def visit_Match(self, node):
        self.generic_visit(node)
        node.subject = self.ask(node, "case", ast.Constant(len(node.cases)))
        return node

    def visit_With(self, node):
        self.generic_visit(node)
        for item in node.items:
            item.context_expr = self.ask(node, "entered", item.context_expr)
        if isinstance(node, ast.AsyncWith):
            node.body = [ast.Expr(self.ask(node, "cancels")), *node.body]
        return self._given(node, *(item.optional_vars for item in node.items if item.optional_vars), inside=True)

    def visit_AsyncWith(self, node):
        return self.visit_With(node)

    def visit_Assign(self, node):
        self.generic_visit(node)
        if isinstance(node.targets[0], ast.Attribute) or getattr(node.targets[0], "id", "") == "both":
            node.value = self.ask(node, "gave", node.value)
        return self._given(node, *node.targets)

    def _given(self, node, *targets, inside=False):
        """What a nested function has hold of is somebody else's as soon as it has the name."""
        names = {n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)} & self.captured
        given = [ast.Expr(self.ask(node, "gave", ast.Name(name, ast.Load()))) for name in sorted(names)]
        if inside:
            node.body = [*given, *node.body]
            return node
        return [node, *given]

    def visit_NamedExpr(self, node):
        self.generic_visit(node)
        if node.target.id in self.captured:
            node.value = self.ask(node, "gave", node.value)
        return node

    def visit_Return(self, node):
        self.generic_visit(node)
        returned = self.ask(node, "returned", node.value or ast.Constant(None))
        if node.value is None:
            return [ast.Expr(returned), node]
        node.value = returned
        return node

    def visit_Yield(self, node):
        self.generic_visit(node)
        node.value = self.ask(node, "yielded", node.value or ast.Constant(None))
        return node

    def visit_Raise(self, node):
        raised = self.ask(node, "raised")
        if node.exc is None:
            return [ast.copy_location(ast.Expr(raised), node), node]
        node.exc = raised
        return node

    def visit_Delete(self, node):
        name = node.targets[0].id
        given = ast.Expr(self.ask(node, "gave", ast.Name(name, ast.Load())))
        gone = ast.Assign([ast.Name(name, ast.Store())], ast.Constant(None))
        return [given, ast.fix_missing_locations(ast.copy_location(gone, node))]


def _is_known(test):
    """Whether a test asks only for what the program itself has made of its names."""
    return all(not isinstance(n, ast.Call) and getattr(n, "id", "f") in {*NAMES, "f"} for n in ast.walk(test))


def _instrumented(text):
    main = ast.parse(text).body[-1]
    main.decorator_list = []
    instrument = _Instrument(main)
    body = []
    for stmt in main.body:
        done = instrument.visit(stmt)
        body += done if isinstance(done, list) else [done]
    main.body = body
    return compile(ast.fix_missing_locations(ast.Module([main], [])), "program", "exec")
