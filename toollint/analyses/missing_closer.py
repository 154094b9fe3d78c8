"""A class that owns resources and offers no closer: what to say of it, and the methods that it lacks."""

from __future__ import annotations

from collections.abc import Sequence

from toollint.analyses.closers import empty_hook
from toollint.analyses.ownership import Owned, Owner
from toollint.analyses.reach import Component
from toollint.analyses.release import WAITS, is_empty
from toollint.model import AddImport, AddMethods, Finding, Note, Place, Repair, Role, Safety, Severity, Span, Step
from toollint.syntax import Arg, walk


def unreleased(owner: Owner, owned: Sequence[Owned], component: Component | None) -> Finding:
    """The finding on a class that keeps ``owned`` and has no closer; ``component`` is its part in an agent."""
    first, closer = owned[0], _Closer(owner, component, owned)
    return Finding(
        owner.cls.place,
        f"`{owner.cls.name}` opens `{short(first)}` into `self.{first.attribute}` but has no closer",
        label="keeps it, never releases it",
        related=[note for one in owned for note in acquired(owner, one)] + _origin(component),
        notes=[growth(first), closer.caller],
        help=f"{closer.advice}, and call it when the {closer.role} is no longer used",
        fixes=[closer.repair()],
        severity=Severity.ERROR if first.acquisition.resource.leak == "open after gc" else None,
    )


# --- words -------------------------------------------------------------------------------------------------------


def acquired(owner: Owner, one: Owned) -> list[Note]:
    """Where the attribute gets its value, and where that in turn opens what has to be released."""
    notes = [Note(one.place, f"`self.{one.attribute}` is acquired here", Role.ACQUIRED)]
    leaves = Owner.of(owner.values, one.part).leaves if one.part is not None else ()
    inner = [Note(leaf.place, f"which opens `{short(leaf)}` here", Role.ACQUIRED) for leaf in leaves[:1]]
    return [*notes, *inner]


def _origin(component: Component | None) -> list[Note]:
    """Where something other than the class's own bases makes it part of an agent."""
    if component is None or component.place is None:
        return []
    if component.heir is not None:
        return [Note(component.place, f"this {component.role} inherits it", Role.REGISTERED)]
    return [Note(component.place, "this makes it a tool", Role.REGISTERED)]


def short(owned: Owned) -> str:
    """The acquiring call: a class by its name, a function with the module or class that it belongs to."""
    if owned.part is not None and owned.acquisition.name == owned.part.full_name:
        return owned.part.name
    *_, owner, name = ["", *owned.acquisition.name.split(".")]
    deep = owned.acquisition.name.count(".") > 1
    return name if deep and name[:1].isupper() else f"{owner}.{name}".lstrip(".")


def growth(owned: Owned) -> str:
    """What every object costs, and until when."""
    resource = owned.acquisition.resource
    name = resource.name.rpartition(".")[2]
    when = {
        "open after gc": "until the process exits: garbage collection does not close it",
        "freed by full gc pass": "until a full garbage collection, which may come long after the last use",
        "freed by refcount": "as long as anything refers to the object",
    }.get(resource.leak, "until the process exits or the object is collected")
    which = "each instance that is given none" if owned.mixed else "each instance"
    return f"{which} holds one `{name}` {when}"


# --- the closer that is missing ----------------------------------------------------------------------------------


class _Closer:
    """The methods that would release everything: how they are called, what they do, who calls them."""

    def __init__(self, owner: Owner, component: Component | None, owned: Sequence[Owned]) -> None:
        self.owner = owner
        self.owned = owned
        self.heir = component.heir if component is not None else None
        self.role = component.role if component is not None else "object"
        self.tool = tool = component.tool if component is not None else None
        self.awaits = any(one.acquisition.resource.async_ for one in owned)
        self.hook = empty_hook(owner.values, owner.cls, awaits=self.awaits)
        in_colour = (tool is not None and tool.closer == "async") or (self.hook is not None and self.hook.is_async)
        self.is_async = self.awaits or in_colour
        usual = self._usual_verb()
        self.hollow = usual in owner.cls.methods and is_empty(owner.cls.methods[usual])
        self.taken = usual if usual in owner.members and not self.hollow else ""
        self.verb = usual.replace("close", "release") if self.taken else usual
        self.names = (self.verb, "__aenter__", "__aexit__") if self.is_async else (self.verb, "__enter__", "__exit__")

    def _usual_verb(self) -> str:
        """The hook of the framework where it has one of the right colour, else the usual name."""
        tool = self.tool
        hooks = tool.hooks if tool is not None and tool.called else ()
        if self.is_async and "close_async" in hooks:
            return "close_async"
        if "close" in hooks and (not self.is_async or (tool is not None and tool.closer == "async")):
            return "close"
        if self.hook is not None:
            return self.hook.name
        return "aclose" if self.is_async else "close"

    @property
    def _is_hook(self) -> bool:
        return self.tool is not None and self.tool.called and self.verb in self.tool.hooks

    @property
    def caller(self) -> str:
        """Who has to call it."""
        if self.tool is not None:
            return self.tool.caller
        return f"no framework is known to call `{self.verb}` of it: whoever builds the {self.role} has to"

    @property
    def advice(self) -> str:
        """What to do, in words."""
        first = self.owned[0]
        bare = self._closerless()
        if bare:
            return f"give `{bare}` a closer, add `{self.verb}` that calls it"
        call = called_release(first, f"self.{first.attribute}").removeprefix("await ")
        unless = " unless a caller passed it in" if any(one.mixed for one in self.owned) else ""
        return f"add `{self.verb}` that calls `{call}`{unless}"

    def repair(self) -> Repair:
        """The methods as a fix, as safe as they are; only shown where they cannot simply be added."""
        title = f"add `{self.verb}` and the context-manager methods"
        obstacle = self._obstacle()
        if obstacle:
            flags = [f"self.{_flag(one)} = ...  # whether it was made here\n" for one in self.owned if one.mixed]
            return Repair(title, Safety.DISPLAY, why=obstacle, recipe="\n".join([*flags, *self._lines()]) + "\n")
        doubt = self._doubt()
        cls = self.owner.cls
        place = Place(cls.module.path, Span(cls.origin + cls.node.start, cls.origin + cls.node.end))
        functions = {one.acquisition.resource.release.rpartition(".")[0] for one in self.owned} - {""}
        imports: list[Step] = [AddImport(cls.module.path, module) for module in sorted(functions)]
        methods = AddMethods(place, self._lines(), self.names)
        return Repair(title, Safety.UNSAFE if doubt else Safety.SAFE, (methods, *imports), why=doubt)

    def _obstacle(self) -> str:
        """Why the methods cannot simply be added, empty if they can."""
        if self.hollow:
            return f"`{self.verb}` is there already and does nothing: fill it in"
        clash = self.taken or next((name for name in self.names if name in self.owner.members), "")
        if clash:
            return f"`{clash}` means something else in this class already"
        bare, tool = self._closerless(), self.tool
        if bare:
            return f"`{bare}` has no closer that it could call"
        if tool is not None and tool.called and not self._is_hook and "close" not in tool.hooks:
            return f"{tool.framework} has hooks of its own: {', '.join(tool.hooks)}"
        return still_running(self.owned) or why_not(self.owner, self.owned)

    def _closerless(self) -> str:
        """The class of a part that has no closer itself, empty if all have one."""
        bare = [one.part.name for one in self.owned if one.part is not None and not one.acquisition.resource.release]
        return bare[0] if bare else ""

    def _doubt(self) -> str:
        """Why the fix is not safe, empty if it is."""
        owned, hook, owner = self.owned, self.hook, self.owner
        doubts = {
            f"`{self.verb}` is a hook of {self.tool.framework if self.tool else ''}, which may call it from then on": (
                self._is_hook and self.tool is not None
            ),
            f"the inherited `{self.verb}` does nothing, and whoever calls it closes this from then on": hook
            is not None,
            "the class is decorated": bool(owner.cls.node.decorators),
            f"the class is no {self.role} itself, and all its subclasses get the methods": self.heir is not None,
            "a caller may have passed the resource in, and closes it too": any(
                one.injectable or one in owner.handed_over for one in owned
            ),
            "what gave it may have to be released as well": any(one.acquisition.kind == "method" for one in owned),
            "the resource is opened later or only sometimes": not all(one.always for one in owned),
        }
        return next((words for words, holds in doubts.items() if holds), "")

    def _lines(self) -> tuple[str, ...]:
        close, enter, leave = self.names
        word, wait = ("async def", "await ") if self.is_async else ("def", "")
        again = "; calling it twice is harmless" if all(map(_is_repeatable, self.owned)) else ""
        return (
            f"{word} {close}(self) -> None:",
            f'    """Release what this object has opened{again}."""',
            *("    " + line for line in release_lines(self.owned[::-1])),
            "",
            f'{word} {enter}(self) -> "{self.owner.cls.name}":',
            "    return self",
            "",
            f"{word} {leave}(self, *exc: object) -> None:",
            f"    {wait}self.{close}()",
        )


def still_running(owned: Sequence[Owned]) -> str:
    """Why the release alone does not end it, empty if it does: it waits for an end, or fails before that."""
    for resource in (one.acquisition.resource for one in owned):
        if resource.release in WAITS:
            return f"`{resource.release}` waits for its end: something has to bring that about first"
        if resource.stopped_by:
            return f"`{resource.release}` fails while it runs: `{resource.stopped_by}` has to end that first"
    return ""


def why_not(owner: Owner, owned: Sequence[Owned]) -> str:
    """Why nobody can say how to release it here, empty if that is clear."""
    if any(one.mixed for one in owned):
        return "a caller may have passed it in and use it still: only a flag can tell"
    if any(one.unlike for one in owned):
        return "it may hold things that are released in different ways"
    if _is_frozen(owner) and not all(map(_stays, owned)):
        return "the class is frozen: what is closed cannot be taken out of it"
    return ""


def _is_frozen(owner: Owner) -> bool:
    """Whether attributes of the objects cannot be assigned."""
    words = (arg.keyword for cls in owner.lineage.classes for arg in walk(cls.node, into=False) if isinstance(arg, Arg))
    return "frozen" in words


def _stays(owned: Owned) -> bool:
    """Whether the attribute is left as it is when what it holds is released."""
    return owned.cached or _is_plain(owned)


def _is_repeatable(owned: Owned) -> bool:
    return owned.acquisition.resource.second_close == "ok" or not _is_plain(owned)


def _is_plain(owned: Owned) -> bool:
    """Whether the attribute is there for certain and may be closed as often as one likes."""
    there = owned.always and owned.declared and not owned.cached
    return there and owned.acquisition.resource.second_close == "ok"


def release_lines(owned: Sequence[Owned]) -> list[str]:
    """The statements that release everything, each even if the one before fails."""
    first = _release(owned[0])
    if len(owned) == 1:
        return first
    return [
        "try:",
        *("    " + line for line in first),
        "finally:",
        *("    " + line for line in release_lines(owned[1:])),
    ]


def _release(owned: Owned) -> list[str]:
    """The statements that release one attribute, if it is there and has not been released yet."""
    name, local = owned.attribute, _bare_name(owned)
    if owned.mixed:
        return [f"if self.{_flag(owned)}:", f"    {called_release(owned, f'self.{name}')}"]
    if _is_plain(owned):
        return [called_release(owned, f"self.{name}")]
    if owned.cached:
        return [f'{local} = self.__dict__.pop("{name}", None)', *_if_there(owned, local)]
    if owned.declared:
        return [f"{local}, self.{name} = self.{name}, None", *_if_there(owned, local)]
    if owned.nullable:
        return [
            f'if getattr(self, "{name}", None) is not None:',
            f"    {local}, self.{name} = self.{name}, None",
            f"    {called_release(owned, local)}",
        ]
    return [
        f'if hasattr(self, "{name}"):',
        f"    {local} = self.{name}",
        f"    del self.{name}",
        f"    {called_release(owned, local)}",
    ]


def _bare_name(owned: Owned) -> str:
    return owned.attribute.strip("_") or "held"


def _flag(owned: Owned) -> str:
    """The attribute that would say whether this object made it."""
    return f"_owns_{_bare_name(owned)}"


def _if_there(owned: Owned, local: str) -> list[str]:
    return [f"if {local} is not None:", f"    {called_release(owned, local)}"]


def called_release(owned: Owned, value: str) -> str:
    """The expression that releases what ``value`` gives."""
    resource = owned.acquisition.resource
    if not resource.release and resource.async_with == "releases":
        return f"await {value}.__aexit__(None, None, None)"
    if not resource.release and resource.with_ == "releases":
        return f"{value}.__exit__(None, None, None)"
    release = resource.release or "close"
    call = f"{release}({value})" if "." in release else f"{value}.{release}()"
    return f"await {call}" if resource.async_ else call
