"""Function lengths of TypeScript files, by matching braces.

A small reader instead of a compiler: it knows comments, strings, templates and regular expressions well enough to match braces, and
calls a block a function when `=>` or a parameter list leads to it. What it cannot tell (a method of an object type) has no body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
  | (?P<template>`)
  | (?P<word>[A-Za-z_$\#][\w$]*|\d[\w.]*)
  | (?P<arrow>=>)
  | (?P<slash>/)
  | (?P<mark>[^\s\w])
  | (?P<space>\s+)
    """,
    re.VERBOSE | re.DOTALL,
)
REGEX = re.compile(r"/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*")
NOT_FUNCTIONS = {"if", "for", "while", "switch", "catch", "with"}
REGEX_FOLLOWS = set("(,=:[!&|?{};+-*%<>~^") | {
    "=>",
    "return",
    "typeof",
    "case",
    "in",
    "of",
    "delete",
    "void",
    "throw",
    "",
}


Header = list[tuple[str, int]]


@dataclass
class Block:
    """An open brace with the header before it. `name` is set when it is a function's body, which begins in line `line`."""

    header: Header
    name: str | None
    line: int

    @property
    def continues(self) -> bool:
        """Whether the header goes on behind the closing brace: in a parameter list, in a type, in a value after a colon."""
        words = [text for text, _ in self.header]
        return self.name is None and bool(words) and (_depth(words) > 0 or words[-1] in {":", "<", "|", "&", "=", ","})


def function_lengths(source: str) -> dict[str, int]:
    """Lines from a function's name to its closing brace, by name; `name:line` for the second of a name, `=>:line` for an arrow."""
    lengths: dict[str, int] = {}
    blocks: list[Block] = []
    header: Header = []
    for token, line in tokens(source):
        if token == "{":
            name, begun = _function(header)
            blocks.append(Block(header, name, begun or line))
            header = []
        elif token == "}":
            if not blocks:
                raise ValueError(f"line {line}: a brace closes that none opened")
            block = blocks.pop()
            if block.name is not None:
                key = f"{block.name}:{block.line}" if block.name == "=>" or block.name in lengths else block.name
                lengths[key] = line - block.line + 1
            inside = _depth([text for text, _ in block.header]) > 0
            header = [*block.header, ("block", line)] if block.continues or inside else []
        elif token == ";":
            header = []
        else:
            header.append((token, line))
    if blocks:
        raise ValueError(f"line {blocks[-1].line}: a brace opens that none closes")
    return lengths


def _depth(words: list[str]) -> int:
    return sum((word in {"(", "["}) - (word in {")", "]"}) for word in words)


def _function(header: Header) -> tuple[str | None, int | None]:
    """Name and first line of the function whose body opens behind this header; (None, None) when none does."""
    words = [text for text, _ in header]
    arrow = bool(words) and words[-1] == "=>"
    if ")" not in words:
        return ("=>", header[-2][1] if len(header) > 1 else header[-1][1]) if arrow else (None, None)
    closed = len(words) - 1 - words[::-1].index(")")
    opened = closed
    while opened >= 0 and _depth(words[opened : closed + 1]) != 0:
        opened -= 1
    if arrow:
        return "=>", header[max(opened, 0)][1]
    # Behind the parameter list there may only be a return type, and a whole one.
    returns = words[closed + 1 :]
    if opened <= 0 or (returns and (returns[0] != ":" or returns[-1] in {":", "<", "|", "&", ","})):
        return None, None
    named = _before_type_parameters(words, opened - 1)
    if named < 0 or words[named] in NOT_FUNCTIONS or not re.match(r"[A-Za-z_$#\]]|string", words[named]):
        return None, None
    return words[named], header[named][1]


def _before_type_parameters(words: list[str], index: int) -> int:
    """Index of the name in `name<T>(`, given that of the word before the parenthesis."""
    if words[index] != ">":
        return index
    depth = 0
    while index >= 0:
        depth += (words[index] == ">") - (words[index] == "<")
        index -= 1
        if depth == 0:
            break
    return index


def tokens(source: str) -> list[tuple[str, int]]:
    """Words and marks with their lines; comments, strings, templates and regular expressions are left out or stand as one word."""
    found: list[tuple[str, int]] = []
    position, line = 0, 1
    while position < len(source):
        match = TOKEN.match(source, position)
        if match is None:
            raise ValueError(f"line {line}: cannot read {source[position : position + 20]!r}")
        kind, text = match.lastgroup, match.group()
        if kind == "template":
            text = source[position : _template_end(source, position)]
            found.append(("string", line))
        elif (
            kind == "slash"
            and (found[-1][0] if found else "") in REGEX_FOLLOWS
            and (regex := REGEX.match(source, position))
        ):
            text = regex.group()
            found.append(("regex", line))
        elif kind == "string":
            found.append(("string", line))
        elif kind not in {"comment", "space"}:
            found.append((text, line))
        position += len(text)
        line += text.count("\n")
    return found


def _template_end(source: str, start: int) -> int:
    position = start + 1
    while position < len(source):
        if source[position] == "\\":
            position += 2
        elif source[position] == "`":
            return position + 1
        elif source.startswith("${", position):
            position = _substitution_end(source, position + 2)
        else:
            position += 1
    raise ValueError("a template is not closed")


def _substitution_end(source: str, start: int) -> int:
    depth, position = 1, start
    while position < len(source):
        char = source[position]
        if char == "`":
            position = _template_end(source, position)
            continue
        if char in "\"'" and (match := TOKEN.match(source, position)) and match.lastgroup == "string":
            position = match.end()
            continue
        depth += {"{": 1, "}": -1}.get(char, 0)
        position += 1
        if depth == 0:
            return position
    raise ValueError("a substitution is not closed")
