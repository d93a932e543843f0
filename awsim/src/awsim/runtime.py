"""Runs functions: their packages, and execution environments that share no state.

Each execution environment imports a function's own modules (``app``, ``chalicelib``) again, which is a cold start. To
save time, environments share third-party modules with this process, and those modules of a zipped package of which its
owner says that they keep no state (``stateless``). Process-wide state that Lambda keeps for each environment
(environment variables, boto3's default session, logging, Powertools' metrics) is swapped whenever an environment takes
or gives back the baton.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import importlib
import importlib.util
import io
import logging
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import boto3

Handler = Callable[[Any, Any], Any]

ALWAYS_OWN = ("app", "chalicelib")
"""Chalice packages these: they are the function's own, even if this process could import them."""


class _Modules:
    """Which modules this process has, or is to have, of some names."""

    def __init__(self, names: tuple[str, ...], found: tuple[ModuleType | None, ...]) -> None:
        self._names = names
        self._found = found
        self.present = {name: module for name, module in zip(names, found, strict=True) if module is not None}
        self._missing = [name for name in names if name not in self.present]

    def now(self) -> _Modules:
        """Return those that this process has: most often the same, which an invocation asks twice for each call."""
        found = tuple(map(sys.modules.get, self._names))
        return self if found == self._found else _Modules(self._names, found)

    def beside(self, others: Mapping[str, ModuleType]) -> _Modules:
        """Return these, and ``others`` besides."""
        return _Modules(self._names, tuple(map({**others, **self.present}.get, self._names)))

    def install(self) -> None:
        """Let this process have these, and no other ones of the names."""
        sys.modules.update(self.present)
        for name in self._missing:
            sys.modules.pop(name, None)


@dataclass(frozen=True, slots=True)
class Package:
    """A function's code, unpacked: the directory, and the names of the function's own modules.

    ``stateless`` has the beginnings of the names of modules that environments share, ``shared`` these modules, once an
    environment has imported them.
    """

    directory: str
    roots: frozenset[str]
    modules: tuple[str, ...]
    stateless: tuple[str, ...] = ()
    shared: dict[str, ModuleType] = field(default_factory=dict)


def package(source: Path, stateless: tuple[str, ...] = ()) -> Package:
    """Unpack a deployment package (a zip, or a directory), once in a process for each content.

    ``stateless``: packages of a zip whose modules keep no state that a call changes, for example ``lib.images``.
    """
    if source.is_dir():
        files = sorted(str(path.relative_to(source)) for path in source.rglob("*.py"))
        return _described(str(source), files, ())
    return _unzipped(str(source), source.stat().st_mtime_ns, stateless)


@functools.cache
def _unzipped(source: str, _version: int, stateless: tuple[str, ...]) -> Package:
    directory = tempfile.mkdtemp(prefix="sandbox-package-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    with zipfile.ZipFile(source) as archive:
        own = _own_roots(archive.namelist())
        names = [name for name in archive.namelist() if _root(name) in own]
        archive.extractall(directory, names)
    return _described(directory, names, stateless)


def _described(directory: str, files: Sequence[str], stateless: tuple[str, ...]) -> Package:
    own = _own_roots(files)
    modules = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in files
        if name.endswith(".py") and _root(name) in own
    }
    folders = {".".join(name.split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)}
    return Package(directory, own, tuple(sorted(modules | {f for f in folders if _root(f) in own})), stateless)


def _own_roots(files: Iterable[str]) -> frozenset[str]:
    """Return the top-level modules that are the function's own: ALWAYS_OWN, and those that this process lacks."""
    roots = {_root(name) for name in files if name.endswith(".py")}
    return frozenset(root for root in roots if root in ALWAYS_OWN or not _importable(root))


def _root(name: str) -> str:
    return name.split("/", 1)[0].split(".", 1)[0]


@functools.cache
def _importable(root: str) -> bool:
    if not root.isidentifier():
        return True
    return root in sys.modules or importlib.util.find_spec(root) is not None


class _PackageLoader(SourceFileLoader):
    """Loads a function's own module; equal modules, of other packages too, are compiled once in a process."""

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the module's code."""
        return _code(self.path)


class _SharedLoader(_PackageLoader):
    """Loads a module once for all environments."""

    def __init__(self, name: str, path: str, shared: dict[str, ModuleType]) -> None:
        super().__init__(name, path)
        self._shared = shared

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return the module that another environment has loaded, with those that it imports."""
        known = self._shared.get(spec.name)
        if known is not None:
            for name, module in self._shared.items():
                sys.modules.setdefault(name, module)
        return known

    def exec_module(self, module: ModuleType) -> None:
        """Execute it if it is new."""
        if module.__name__ not in self._shared:
            super().exec_module(module)
            self._shared[module.__name__] = module


@functools.cache
def _code(path: str) -> CodeType:
    source = Path(path).read_bytes()
    if source not in _compiled:
        _compiled[source] = compile(source, path, "exec", dont_inherit=True)
    return _compiled[source]


_compiled: dict[bytes, CodeType] = {}
"""Source of a module -> its code. A package of which one module was changed compiles that one."""


@functools.cache
def _definition(text: str) -> CodeType:
    return compile(text, "<string>", "exec", dont_inherit=True)


def _execute(source: str, *scope: dict[str, Any]) -> None:
    exec(_definition(source), *scope)  # noqa: S102 - it is what dataclasses would execute


# A cold start defines some hundred dataclasses, and most of what that takes is compiling the texts of their methods,
# which are the same each time. The name in the module goes before the builtin of that name.
vars(dataclasses)["exec"] = _execute


class _Finder:
    """Finds a function's own modules in its package, before any other finder."""

    def __init__(self, of: Package) -> None:
        self._package = of

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module; None if it is not the function's own."""
        if name.split(".", 1)[0] not in self._package.roots:
            return None
        spec = PathFinder.find_spec(name, [self._package.directory] if path is None else path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            if name.startswith(self._package.stateless):
                spec.loader = _SharedLoader(name, spec.loader.path, self._package.shared)
            else:
                spec.loader = _PackageLoader(name, spec.loader.path)
        return spec


class Log(io.TextIOBase):
    """``sys.stdout`` of the thread that has the baton: lines go to its invocation.

    There is one for the whole process, because logging handlers of third-party libraries keep it.
    """

    def __init__(self) -> None:
        self.lines: list[str] | None = None

    def writable(self) -> bool:
        """Return True: lines can be written."""
        return True

    def write(self, text: str) -> int:
        """Add to the log of the running invocation, if one runs."""
        if self.lines is not None:
            self.lines.append(text)
        return len(text)


LOG = Log()


@dataclass(slots=True)
class _Held:
    """A process-wide setting of which each environment has its own value."""

    owner: Any
    name: str
    value: Any

    def swap(self) -> None:
        """Exchange the process's value and this environment's."""
        outside = getattr(self.owner, self.name)
        setattr(self.owner, self.name, self.value)
        self.value = outside


class Environment:
    """One execution environment of a function.

    ``surroundings`` installs it while its thread has the baton. ``handler``, which must be called inside, imports the
    function's modules: the cold start.
    """

    def __init__(self, of: Package, handler: str, variables: Mapping[str, str], made: datetime) -> None:
        self.cold = True
        self.made = made
        self.log: list[str] = []
        self._package = of
        self._handler = handler
        self._finder = _Finder(of)
        self._modules = self._outside = _Modules(of.modules, (None,) * len(of.modules))
        root = logging.RootLogger(logging.WARNING)
        root.addHandler(logging.StreamHandler(LOG))
        self._held = [
            _Held(boto3, "DEFAULT_SESSION", None),
            _Held(logging, "root", root),
            _Held(logging.Logger, "root", root),
            _Held(logging.Logger, "manager", logging.Manager(root)),
            _Held(sys, "stdout", LOG),
            _Held(sys, "stderr", LOG),
            _Held(
                os.environ, "_data", {os.environ.encodekey(k): os.environ.encodevalue(v) for k, v in variables.items()}
            ),
        ]
        self._metrics = False

    def handler(self) -> Handler:
        """Return the function's handler; import its modules first, which may raise anything."""
        self.cold = False
        module, name = self._handler.rsplit(".", 1)
        found: Handler = getattr(importlib.import_module(module), name)
        return found

    @contextmanager
    def surroundings(self) -> Iterator[None]:
        """Install this environment within the context."""
        self._hold_metrics()
        # a shared module that this environment imports does not import again what it needs: all of them must be there
        if not self._package.shared.keys() <= self._modules.present.keys():
            self._modules = self._modules.beside(self._package.shared)
        self._outside = self._outside.now()
        self._modules.install()
        for held in self._held:
            held.swap()
        LOG.lines = self.log
        sys.meta_path.insert(0, self._finder)
        try:
            yield
        finally:
            sys.meta_path.remove(self._finder)
            LOG.lines = None
            for held in self._held:
                held.swap()
            self._modules = self._modules.now()
            self._outside.install()

    def _hold_metrics(self) -> None:
        """Powertools keeps metrics on its class: give this environment its own collections."""
        metrics = getattr(sys.modules.get("aws_lambda_powertools.metrics.metrics"), "Metrics", None)
        if metrics is not None and not self._metrics:
            self._metrics = True
            shared = [name for name, value in vars(metrics).items() if isinstance(value, dict)]
            self._held += [_Held(metrics, name, {}) for name in shared]
