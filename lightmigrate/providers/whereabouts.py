"""Where the model of an application's own object runs, as far as its settings, its clients and its code show it."""

from __future__ import annotations

import dis
import functools
import inspect
import re
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from lightmigrate.providers.settings import is_address, is_set, settings_of, wants_key

# `here`: in this process, by code that was seen to the end. `elsewhere`: there is a key, or a client of a service.
Place = Literal["here", "elsewhere", "unknown"]

# Packages whose models run in this process, and those of numbers that such models are written with.
_HERE = re.compile(
    r"(numpy|scipy|pandas|torch\w*|tensorflow|keras|jax|sklearn|gensim|spacy|sentencepiece|tiktoken|tokenizers"
    r"|safetensors|transformers|sentence_transformers|onnx|onnxruntime|optimum|fastembed|llama_cpp|gpt4all|model2vec"
    r"|wordllama|open_clip|text2vec|InstructorEmbedding|FlagEmbedding|mlx\w*|PIL"
    r"|lightmigrate\.providers\.(onnx|sentence_transformers)"
    r"|chromadb\.utils\.embedding_functions\.(onnx|sentence_transformer|instructor|open_clip|text2vec)\w*)(\.|$)"
)

# Packages that speak to a server, and the names of those who sell embeddings, wherever in a module's name they stand.
_ELSEWHERE = re.compile(
    r"^(socket|http|http\.client|urllib|urllib\.request)$"
    r"|^(httpx\d*|httpcore|requests|aiohttp|urllib3|grpc|websockets?|boto3|botocore|aiobotocore|huggingface_hub"
    r"|litellm|replicate)(\.|$)"
    r"|(^|[._])(aws|amazon|bedrock|sagemaker|google|gemini|genai|vertex|vertexai|azure|openai|anthropic|cohere|voyage"
    r"|voyageai|mistralai|together|fireworks|databricks|watsonx|dashscope|jina|nomic|nvidia|ollama)([._]|$)"
)

# What objects of applications derive from: they hold no model, and embed by what is derived from them.
_INTERFACES = re.compile(r"(chromadb|langchain_core|llama_index\.core|pydantic|typing_extensions)(\.|$)")

_URL = re.compile(r"https?://")

# Of one object, and of one list of it: more are not looked at.
_MOST_LOOKED_AT, _MOST_OF_LIST = 2000, 100

_ATOMS = (str, bytes, int, float, complex, bool, type(None))


@dataclass(frozen=True)
class Whereabouts:
    """Where a model runs.

    Attributes:
        place: as far as that shows.
        addresses: URLs of its servers, as its settings, its clients and its code name them.
    """

    place: Place
    addresses: tuple[str, ...] = ()


def whereabouts(function: object, config: Mapping[str, object]) -> Whereabouts:
    """Where the model of an embedding function runs. Calls no model, and loads nothing.

    What it holds is looked at, what its closure holds, and what the code of its own package names.

    Args:
        function: the embedding function.
        config: what it says of itself, beside its attributes.
    """
    search = _Search(_package_of(function))
    try:
        search.run(function)
    except Exception:  # properties of third-party objects may raise anything  # noqa: BLE001
        search.unknown = True
    if search.elsewhere or wants_key({**config, **settings_of(function)}):
        stated = [str(value) for name, value in config.items() if is_address(name) and is_set(value)] + search.addresses
        return Whereabouts("elsewhere", tuple(dict.fromkeys(stated or search.in_code)))
    return Whereabouts("unknown" if search.unknown else "here")


class _Search:
    """A walk from an object over all that it can call.

    Args:
        package: whose code is read.

    Attributes:
        elsewhere: whether something calls a service.
        unknown: whether something is of a package of which nothing is known, and whose code is not read.
        addresses: of servers, as settings name them.
        in_code: of servers, as texts in the code name them; there may be others, such as those of a documentation.
    """

    def __init__(self, package: str) -> None:
        self._package = package
        self.elsewhere = self.unknown = False
        self.addresses: list[str] = []
        self.in_code: list[str] = []

    def run(self, start: object) -> None:
        """Look at an object, and at what it leads to, the nearest first."""
        waiting, seen = deque([start]), dict[int, object]()  # which are held, so that no number is given twice
        while waiting:
            thing = waiting.popleft()
            if isinstance(thing, str) and _URL.match(thing):
                self.in_code.append(thing)
            if isinstance(thing, _ATOMS) or id(thing) in seen:
                continue
            if len(seen) == _MOST_LOOKED_AT:
                self.unknown = True
                return
            seen[id(thing)] = thing
            waiting.extend(self._next(thing, is_start=thing is start))

    def _next(self, thing: object, *, is_start: bool) -> Iterable[object]:
        if isinstance(thing, types.ModuleType):
            self._kind(thing.__name__)
            return ()
        if isinstance(thing, types.MethodType):
            return (thing.__self__, thing.__func__)
        if isinstance(thing, functools.partial):
            return (thing.func, *thing.args, *thing.keywords.values())
        if isinstance(thing, (list, tuple, set, frozenset)):
            return [each for each in islice(thing, _MOST_OF_LIST) if not isinstance(each, str)]
        if isinstance(thing, dict):
            return [each for each in islice(thing.values(), _MOST_OF_LIST) if not isinstance(each, str)]
        if isinstance(thing, types.FunctionType):
            kind = self._kind(thing.__module__)
            return _reached(thing) if kind == "own" or (is_start and kind != "here") else ()
        if isinstance(thing, types.BuiltinFunctionType):
            self._kind(thing.__module__)
            return (thing.__self__,)
        if isinstance(thing, (staticmethod, classmethod)):
            return (thing.__func__,)
        if isinstance(thing, (property, functools.cached_property)):
            return (thing.fget if isinstance(thing, property) else thing.func,)
        if isinstance(thing, type):
            own = self._kind(thing.__module__) == "own"
            return (*vars(thing).values(), *thing.__bases__) if own else ()
        wrapped = inspect.getattr_static(thing, "__wrapped__", None)  # by a cache, for one
        return (wrapped, *self._of_instance(thing, is_start=is_start))

    def _of_instance(self, thing: object, *, is_start: bool) -> Iterator[object]:
        kind = self._kind(type(thing).__module__)
        if kind == "here" or (kind == "known" and not is_start):
            return
        if kind == "own":
            yield type(thing)
        for name, value in settings_of(thing).items():
            if is_address(name) and (isinstance(value, str) or type(value).__name__ == "URL"):
                self.addresses += filter(None, [str(value)])
            elif not isinstance(value, str):
                yield value

    def _kind(self, module: str | None) -> Literal["here", "elsewhere", "known", "own", "other"]:
        """Of what kind a module is; notes what shows where the model runs."""
        name = module or "builtins"
        if _HERE.match(name):
            return "here"
        if _ELSEWHERE.search(name):
            self.elsewhere = True
            return "elsewhere"
        package = name.partition(".")[0]
        if package in sys.stdlib_module_names or _INTERFACES.match(name):
            return "known"
        if package == self._package:
            return "own"
        self.unknown = True
        return "other"


def _package_of(function: object) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    owner = getattr(function, "__self__", None)
    owner = function if owner is None else owner
    module = getattr(owner, "__module__", None) or type(owner).__module__
    return str(module).partition(".")[0]


def _reached(function: types.FunctionType) -> Iterator[object]:
    """What a function's code can reach: its closure, its defaults, and the names that it loads and imports."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # it is empty yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield from _named(function.__code__, function.__globals__)


def _named(code: types.CodeType, names: Mapping[str, object]) -> Iterator[object]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and instruction.argval in names:
            yield names[instruction.argval]
        elif instruction.opname == "IMPORT_NAME":
            yield types.ModuleType(str(instruction.argval))  # its name is enough; it is not loaded
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _named(constant, names)
        elif isinstance(constant, str):
            yield constant
