"""What a name stands for, across the files of a project: `Project` on small projects on the disk."""

from __future__ import annotations

import pytest

from toollint.config import Config
from toollint.facts import Assigned, ClassFacts, FunctionFacts, ModuleFacts
from toollint.project import Library, Variable
from toollint.syntax import Name
from toollint.workspace import Workspace

BASE = "class Base: ...\n"
OTHER = "class Base: ...\n\n\nclass Other: ...\n"


@pytest.fixture
def load(tmp_path):
    """Write a project and give the `Values` around one of its files."""

    def load(files, name="main.py", config=None, marker="pyproject.toml"):
        for file, text in {**files, marker: ""}.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Workspace(config or Config()).around(str(tmp_path / name))

    return load


def shown(target):
    """A target as a short text."""
    if isinstance(target, Library):
        return f"library {target.name}"
    if isinstance(target, ModuleFacts):
        return f"module {target.name}"
    if isinstance(target, ClassFacts):
        return f"class {target.full_name}"
    if isinstance(target, FunctionFacts):
        return f"function {target.module.name}.{target.qualname}"
    if isinstance(target, Variable):
        return f"variable {target.scope.module.name}.{target.name}"
    return target


def probe(project, path):
    """What ``probe = ...`` in a file names."""
    module = project.module_at(path)
    (binding,) = module.scope.bindings["probe"]
    assert isinstance(binding, Assigned)
    return shown(project.resolve(module.scope, binding.stmt.value))


def resolved(load, tmp_path, files, main, name="main.py"):
    values = load({name: main, **files}, name)
    return probe(values.project, str(tmp_path / name))


@pytest.mark.parametrize(
    ("files", "main", "expected"),
    [
        pytest.param({}, "probe = open\n", "library builtins.open", id="builtin"),
        pytest.param({}, "import os.path\nprobe = os.path.join\n", "library os.path.join", id="library"),
        pytest.param({}, "import numpy as np\nprobe = np.linalg.norm\n", "library numpy.linalg.norm", id="alias"),
        pytest.param({}, "from json import loads as l\nprobe = l\n", "library json.loads", id="from-as"),
        pytest.param({"m.py": BASE}, "import m\nprobe = m\n", "module m", id="module"),
        pytest.param({"m.py": BASE}, "import m\nprobe = m.Base\n", "class m.Base", id="import"),
        pytest.param({"m.py": BASE}, "from m import Base as B\nprobe = B\n", "class m.Base", id="from"),
        pytest.param({"m.py": "def f(): ...\n"}, "from m import f\nprobe = f\n", "function m.f", id="function"),
        pytest.param({"m.py": "x = g()\n"}, "from m import x\nprobe = x\n", "variable m.x", id="variable"),
        pytest.param({"m.py": BASE + "B = Base\n"}, "import m\nprobe = m.B\n", "class m.Base", id="alias-of-class"),
        pytest.param(
            {"m.py": "import json\nl = json.loads\n"},
            "import m\nprobe = m.l\n",
            "library json.loads",
            id="alias-of-library",
        ),
        pytest.param({"m.py": BASE}, "import m\nprobe = m.Missing\n", None, id="missing"),
        pytest.param(
            {"m.py": "x = y\ny = x\n"}, "from m import x\nprobe = x\n", "variable m.x", id="aliases-in-a-circle"
        ),
        pytest.param(
            {"m.py": "from main import probe\n"},
            "from m import probe as p\nprobe = p\n",
            "variable main.probe",
            id="imports-in-a-circle",
        ),
    ],
)
def test_names_and_imports(load, tmp_path, files, main, expected):
    assert resolved(load, tmp_path, files, main) == expected


@pytest.mark.parametrize(
    ("files", "main", "expected"),
    [
        pytest.param(
            {"p/__init__.py": "", "p/m.py": BASE}, "import p.m\nprobe = p.m.Base\n", "class p.m.Base", id="submodule"
        ),
        pytest.param(
            {"p/__init__.py": "", "p/m.py": BASE},
            "from p import m\nprobe = m.Base\n",
            "class p.m.Base",
            id="from-package",
        ),
        pytest.param(
            {"p/__init__.py": "from .m import Base\n", "p/m.py": BASE},
            "import p\nprobe = p.Base\n",
            "class p.m.Base",
            id="re-export",
        ),
        pytest.param(
            {"p/__init__.py": "from .q import B\n", "p/q/__init__.py": "from ..m import Base as B\n", "p/m.py": BASE},
            "from p import B\nprobe = B\n",
            "class p.m.Base",
            id="re-export-twice",
        ),
        pytest.param(
            {"p/__init__.py": "from . import m\n", "p/m.py": BASE},
            "import p\nprobe = p.m.Base\n",
            "class p.m.Base",
            id="own-submodule",
        ),
        pytest.param(
            {"p/__init__.py": "from .make import make\n", "p/make.py": "def make(): ...\n"},
            "from p import make\nprobe = make\n",
            "function p.make.make",
            id="a-package-s-name-goes-before-its-submodule",
        ),
        pytest.param(
            {"p/__init__.py": "from .make import make\n", "p/make.py": "def make(): ...\n\n\nclass C: ...\n"},
            "from p.make import C\nprobe = C\n",
            "class p.make.C",
            id="and-the-submodule-can-still-be-imported-from",
        ),
        pytest.param(
            {"p/__init__.py": "", "p.py": BASE},
            "import p\nprobe = p.Base\n",
            "library p.Base",
            id="package-beats-module",
        ),
        pytest.param({"ns/m.py": BASE}, "from ns.m import Base\nprobe = Base\n", "class ns.m.Base", id="namespace"),
        pytest.param({"ns/m.py": BASE}, "from ns import m\nprobe = m.Base\n", "class ns.m.Base", id="from-namespace"),
        pytest.param(
            {"ns/m.py": BASE}, "import ns.m\nprobe = ns.m.Base\n", "class ns.m.Base", id="import-of-namespace"
        ),
        pytest.param(
            {"src/ns/a.py": "from ns.b import Base\n", "ns/b.py": BASE},
            "from ns.a import Base\nprobe = Base\n",
            "class ns.b.Base",
            id="namespaces-merge-over-roots",
        ),
        pytest.param(
            {"src/p/__init__.py": "", "src/p/m.py": BASE},
            "from p.m import Base\nprobe = Base\n",
            "class p.m.Base",
            id="src",
        ),
        pytest.param(
            {"examples/app/p/__init__.py": "", "examples/app/p/m.py": BASE},
            "from p.m import Base\nprobe = Base\n",
            "class examples.app.p.m.Base",
            id="package-deep-in-the-tree",
        ),
        pytest.param(
            {f"{top}/p/{file}": text for top in "ab" for file, text in (("__init__.py", ""), ("m.py", BASE))},
            "from p.m import Base\nprobe = Base\n",
            "library p.m.Base",
            id="two-packages-deep-in-the-tree",
        ),
    ],
)
def test_packages(load, tmp_path, files, main, expected):
    assert resolved(load, tmp_path, files, main) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("from . import m as probe_", "module p.q.m"),
        ("from .m import Base as probe_", "class p.q.m.Base"),
        ("from .. import n as probe_", "module p.n"),
        ("from ..n import Base as probe_", "class p.n.Base"),
        ("from ..q.m import Base as probe_", "class p.q.m.Base"),
        ("from ... import top as probe_", "module top"),
    ],
)
@pytest.mark.parametrize("name", ["p/q/main.py", "p/q/__init__.py"])
def test_relative_imports(load, tmp_path, statement, expected, name):
    files = {"p/__init__.py": "", "p/q/__init__.py": "", "p/q/m.py": BASE, "p/n.py": BASE, "top.py": ""}
    assert (
        resolved(
            load, tmp_path, {**files, name: f"{statement}\nprobe = probe_\n"}, f"{statement}\nprobe = probe_\n", name
        )
        == expected
    )


@pytest.mark.parametrize(
    ("files", "main", "expected"),
    [
        pytest.param({"m.py": OTHER}, "from m import *\nprobe = Other\n", "class m.Other", id="public"),
        pytest.param(
            {"m.py": "class _Base: ...\n"}, "from m import *\nprobe = _Base\n", "library builtins._Base", id="private"
        ),
        pytest.param(
            {"m.py": "__all__ = ['_Base']\n\n\nclass _Base: ...\n"},
            "from m import *\nprobe = _Base\n",
            "class m._Base",
            id="private-in-all",
        ),
        pytest.param(
            {"m.py": "__all__ = ['Base']\n" + OTHER}, "from m import *\nprobe = Base\n", "class m.Base", id="in-all"
        ),
        pytest.param(
            {"m.py": "__all__ = ['Base']\n" + OTHER},
            "from m import *\nprobe = Other\n",
            "library builtins.Other",
            id="not-in-all",
        ),
        pytest.param(
            {"n.py": "from m import *\n", "m.py": OTHER}, "import n\nprobe = n.Other\n", "class m.Other", id="re-export"
        ),
        pytest.param(
            {"n.py": "__all__ = ['Base']\nfrom m import *\n", "m.py": OTHER},
            "from n import *\nprobe = Base\n",
            "class m.Base",
            id="star-of-star",
        ),
        pytest.param(
            {"m.py": OTHER}, "from m import *\nprobe = open\n", "library builtins.open", id="builtins-behind-a-star"
        ),
        pytest.param({}, "from tkinter import *\nprobe = Frame\n", None, id="star-of-a-library"),
        pytest.param(
            {"m.py": OTHER},
            "from m import *\n\n\nclass Other: ...\n\n\nprobe = Other\n",
            "class main.Other",
            id="own-name",
        ),
        pytest.param(
            {"a.py": "from b import *\n", "b.py": "from a import *\n" + BASE},
            "from a import *\nprobe = Base\n",
            "class b.Base",
            id="circle",
        ),
        pytest.param(
            {"a.py": "from b import *\n", "b.py": "from a import *\n"},
            "from a import *\nprobe = Base\n",
            "library builtins.Base",
            id="empty-circle",
        ),
        pytest.param(
            {"a.py": BASE, "b.py": OTHER},
            "from a import *\nfrom b import *\nprobe = Base\n",
            None,
            id="two-stars-that-differ",
        ),
        pytest.param(
            {"a.py": BASE, "b.py": "from a import Base\n"},
            "from a import *\nfrom b import *\nprobe = Base\n",
            "class a.Base",
            id="two-stars-that-agree",
        ),
    ],
)
def test_star_imports(load, tmp_path, files, main, expected):
    assert resolved(load, tmp_path, files, main) == expected


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        pytest.param("if TYPE_CHECKING:\n    from a import Base\nprobe = Base\n", "class a.Base", id="type-checking"),
        pytest.param(
            "if TYPE_CHECKING:\n    from a import Base\nelse:\n    Base = object\nprobe = Base\n",
            None,
            id="type-checking-else",
        ),
        pytest.param(
            "try:\n    from a import Base\nexcept ImportError:\n    Base = None\nprobe = Base\n",
            "class a.Base",
            id="guarded",
        ),
        pytest.param(
            "Base: type\ntry:\n    from a import Base\nexcept ImportError:\n    pass\nprobe = Base\n",
            "class a.Base",
            id="declared",
        ),
        pytest.param(
            "try:\n    from a import Base\nexcept ImportError:\n    from a import Base\nprobe = Base\n",
            "class a.Base",
            id="both-the-same",
        ),
        pytest.param(
            "try:\n    from a import Base\nexcept ImportError:\n    from b import Base\nprobe = Base\n",
            None,
            id="fallback",
        ),
        pytest.param(
            "try:\n    from x import B\nexcept ImportError:\n    from y import B\nprobe = B\n",
            None,
            id="library-fallback",
        ),
        pytest.param(
            "if sys.version_info >= (3, 11):\n    import a as m\nelse:\n    import b as m\nprobe = m\n",
            None,
            id="version",
        ),
        pytest.param("match x:\n    case 1:\n        from a import Base\nprobe = Base\n", "class a.Base", id="match"),
        pytest.param("with x:\n    from a import Base\nprobe = Base\n", "class a.Base", id="with"),
        pytest.param("for Base in x:\n    pass\nprobe = Base\n", "variable main.Base", id="loop"),
        pytest.param("from lazy import anything\nprobe = anything\n", None, id="module-getattr"),
        pytest.param("from lazy import Base\nprobe = Base\n", "class a.Base", id="beside-module-getattr"),
    ],
)
def test_everything_that_binds_counts(load, tmp_path, main, expected):
    lazy = "from a import Base\n\n\ndef __getattr__(name): ...\n"
    assert resolved(load, tmp_path, {"a.py": BASE, "b.py": OTHER, "lazy.py": lazy}, main) == expected


def test_scopes_are_those_of_python(load, tmp_path):
    text = """\
import a

x = a.module

class C:
    x = a.cls
    y = x

    def method(self):
        z = x
        def inner():
            return z
        return inner

def shadow(a):
    return a
"""
    values = load({"main.py": text})
    project = values.project
    module = project.module_at(str(tmp_path / "main.py"))
    cls, shadow = module.scope.bindings["C"][0], module.scope.bindings["shadow"][0]
    method = cls.methods["method"]
    inner = method.scope.bindings["inner"][0]
    assert shown(project.named(cls.scope, "x")) == "library a.cls"
    assert shown(project.named(method.scope, "x")) == "library a.module"
    assert shown(project.named(inner.scope, "z")) == "library a.module"
    assert shown(project.named(inner.scope, "y")) == "library builtins.y"
    assert shown(project.named(shadow.scope, "a")) == "variable main.a"


def test_members_of_classes_come_from_the_nearest_ancestor(load, tmp_path):
    files = {
        "base.py": "class Base:\n    def f(self): ...\n    def g(self): ...\n    def h(self): ...\n",
        "main.py": "from base import Base\n\n\nclass L(Base): ...\n\n\nclass R(Base):\n    def f(self): ...\n\n\n"
        "class C(L, R):\n    def h(self): ...\n\n\nclass D(C, Unknown): ...\n",
    }
    project = load(files).project
    module = project.module_at(str(tmp_path / "main.py"))
    cls, unknown = module.scope.bindings["C"][0], module.scope.bindings["D"][0]
    assert [shown(project.class_member(cls, name)) for name in "fgh"] == [
        "function main.R.f",
        "function base.Base.g",
        "function main.C.h",
    ]
    assert shown(project.class_member(unknown, "f")) == "function main.R.f"
    assert project.class_member(unknown, "missing") is None


GENERIC = "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass C(Generic[T]): ...\n"
TOOL = "from langchain_core.tools import BaseTool as B\nclass A(B): ...\nclass C(A, B): ...\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class C: ...\n", ("C", "", True)),
        ("class C(Exception): ...\n", ("C", "builtins.Exception", True)),
        (TOOL, ("C A", "langchain_core.tools.BaseTool", True)),
        (GENERIC, ("C", "typing.Generic", True)),
        ("from abc import ABCMeta\nclass C(metaclass=ABCMeta): ...\n", ("C", "", True)),
        ("class C(metaclass=Strange): ...\n", ("C", "", False)),
        ("from nobody_knows import Base\nclass C(Base): ...\n", ("C", "nobody_knows.Base", False)),
        ("class C(make()): ...\n", ("C", "", False)),
        ("bases = ()\nclass C(*bases): ...\n", ("C", "", False)),
        ("class A(C): ...\nclass C(A): ...\n", ("C A", "", False)),
        ("class O: ...\nclass A(O): ...\nclass B(O): ...\nclass C(A, B): ...\n", ("C A B O", "", True)),
    ],
)
def test_lineages(load, tmp_path, text, expected):
    project = load({"main.py": text}).project
    (cls,) = project.module_at(str(tmp_path / "main.py")).scope.bindings["C"]
    lineage = project.lineage(cls)
    names = " ".join(each.name for each in lineage.classes)
    assert (names, " ".join(lineage.libraries), lineage.known) == expected


# --- which files there are ---------------------------------------------------------------------------------------


def test_a_stub_stands_back_behind_its_source(load, tmp_path):
    files = {"m.py": BASE, "m.pyi": "class Base(Exception): ...\n", "lone.pyi": "class Base(Exception): ...\n"}
    values = load({**files, "main.py": "from m import Base as probe_\nprobe = probe_\nfrom lone import Base as L\n"})
    project = values.project
    module = project.module_at(str(tmp_path / "main.py"))
    assert project.lineage(project.named(module.scope, "probe_")).libraries == ()
    assert project.lineage(project.named(module.scope, "L")).libraries == ("builtins.Exception",)


@pytest.mark.parametrize(("src", "expected"), [((), "library p.m.Base"), (("lib",), "class p.m.Base")])
def test_configured_source_roots(load, tmp_path, src, expected):
    values = load({"lib/p/m.py": BASE, "main.py": "from p.m import Base\nprobe = Base\n"}, config=Config(src=src))
    assert probe(values.project, str(tmp_path / "main.py")) == expected


@pytest.mark.parametrize("marker", ["pyproject.toml", "setup.cfg", ".git/HEAD"])
def test_the_nearest_marker_is_where_a_project_starts(load, tmp_path, marker):
    files = {"pyproject.toml": "", "m.py": BASE, "inner/m.py": "class Base(Exception): ...\n"}
    main = "from m import Base\nprobe = Base\n"
    values = load({**files, "inner/main.py": main}, "inner/main.py", marker=f"inner/{marker}")
    (cls,) = values.project.module_at(str(tmp_path / "inner" / "m.py")).scope.bindings["Base"]
    module = values.project.module_at(str(tmp_path / "inner" / "main.py"))
    assert values.project.named(module.scope, "Base") is cls
    assert str(tmp_path / "m.py") not in values.project.paths


@pytest.mark.parametrize("name", ["app/p/q/m.py", "app/script.py"])
def test_without_a_marker_the_outermost_package_tells(tmp_path, name):
    for file in ("app/p/__init__.py", "app/p/q/__init__.py", "app/p/q/m.py", "app/script.py", "elsewhere.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    project = Workspace(Config()).around(str(tmp_path / name)).project
    assert shown(project.lookup("p.q.m")) == "module p.q.m"
    assert str(tmp_path / "elsewhere.py") not in project.paths


def test_texts_alone_are_a_project_too():
    """Packages and ``src/`` count although nothing of them is on the disk."""
    top = "/no/such/folder"
    texts = {"src/p/__init__.py": "", "src/p/q/__init__.py": "", "src/p/q/m.py": BASE, "pyproject.toml": ""}
    buffers = {f"{top}/{name}": text.encode() for name, text in texts.items() if name.endswith(".py")}
    project = Workspace(Config(), buffers).around(f"{top}/src/p/q/m.py").project
    assert shown(project.lookup("p.q.m.Base")) == "class p.q.m.Base"


def test_files_that_mention_words(load):
    values = load(
        {"main.py": "alpha = beta\n", "b.py": "# alpha, and beta\n", "c.py": "alphabeta\n", "d.py": "alpha beta(\n"}
    )
    assert [module.name for module in values.project.mentioning("alpha", "beta")] == ["b", "main"]


@pytest.mark.parametrize(
    "annotation",
    [
        "Base",
        "Optional[Base]",
        "Base | None",
        "Annotated[Base, 1]",
        "ClassVar[Base]",
        "Final[Base]",
        "'Base'",
        "Alias",
        "New",
    ],
)
def test_annotations_are_stripped(load, tmp_path, annotation):
    head = (
        "from typing import *\nfrom typing import Annotated, ClassVar, Final, NewType, Optional\nfrom m import Base\n"
    )
    main = f"{head}Alias = Base\nNew = NewType('New', Base)\n\n\ndef f(x: {annotation}): ...\n"
    values = load({"m.py": BASE, "main.py": main})
    module = values.project.module_at(str(tmp_path / "main.py"))
    (function,) = module.scope.bindings["f"]
    (instance,) = values.annotation(function.outer, function.node.params[0].annotation)
    assert shown(instance.cls) == "class m.Base"


def test_containers_give_their_elements(load, tmp_path):
    values = load({"m.py": BASE, "main.py": "from m import Base\n\n\ndef f(x: dict[str, list[Base]]): ...\n"})
    (function,) = values.project.module_at(str(tmp_path / "main.py")).scope.bindings["f"]
    (mapping,) = values.annotation(function.outer, function.node.params[0].annotation)
    ((listed,),) = mapping.args[1:]
    assert [shown(element.cls) for (element,) in listed.args] == ["class m.Base"]


VALUES = """
from lib import redis
from lib.parts import Part
class Holder:
    parts: list[Part]
    by_name: dict[str, Part]
async def work(holder: Holder, redis: redis.Client, given: Part | None = None):
    chosen = given or Part()
    other = Part() if given is None else given
    for one in holder.parts: ...
    for name, value in holder.by_name.items(): ...
    for number, counted in enumerate(holder.parts): ...
    with opened() as managed: ...
    coroutine = fetched()
    awaited = await fetched()
@contextmanager
def opened() -> Iterator[Part]:
    yield Part()
async def fetched() -> Part: ...
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, "Part") for name in ("chosen", "other", "one", "value", "counted", "managed", "awaited")),
        ("redis", "Client"),
        *((name, None) for name in ("name", "number", "coroutine")),
    ],
)
def test_what_a_local_name_holds(load, tmp_path, name, expected):
    files = {"lib/__init__.py": "", "lib/redis.py": "class Client: ...\n", "lib/parts.py": "class Part: ...\n"}
    imports = "from collections.abc import Iterator\nfrom contextlib import contextmanager\n"
    values = load({"main.py": imports + VALUES, **files})
    module = values.project.module_at(str(tmp_path / "main.py"))
    (work,) = module.scope.bindings["work"]
    held = values.instance(work.scope, Name(name, 0, 0))
    kind = held.name if held is not None and isinstance(held.cls, ClassFacts) else None
    assert kind == expected
