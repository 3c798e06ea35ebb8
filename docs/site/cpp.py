"""The C++ reference: what doxygen finds in the public headers, header by header, for Sphinx's C++ domain."""

import dataclasses
import re
import subprocess
import xml.etree.ElementTree as xml

KINDS = {"function": "function", "variable": "var", "typedef": "type", "enum": "enum"}


@dataclasses.dataclass
class Entry:
    header: str
    line: int
    namespace: str
    rst: str


def run_doxygen(repository, folder):
    """Its XML of the public headers.  A warning of doxygen is an error."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (folder / "xml").glob("*.xml"):
        old.unlink()
    settings = f"""
        PROJECT_NAME = nablaBragg
        INPUT = include/nablabragg
        OUTPUT_DIRECTORY = {folder}
        STRIP_FROM_PATH = include
        GENERATE_HTML = NO
        GENERATE_LATEX = NO
        GENERATE_XML = YES
        XML_PROGRAMLISTING = NO
        EXTRACT_ALL = YES
        MACRO_EXPANSION = YES
        EXPAND_ONLY_PREDEF = YES
        PREDEFINED = NABLA_INLINE= NABLA_HOST_DEVICE= NABLA_NOINLINE=
        QUIET = YES
        WARN_AS_ERROR = FAIL_ON_WARNINGS
    """
    subprocess.run(["doxygen", "-"], input=settings, text=True, check=True, cwd=repository)
    return folder / "xml"


def words_of(element):
    """Its text as RST, with what is code in it."""
    if element is None:
        return ""
    text = escaped(element.text)
    for child in element:
        inner = "".join(child.itertext())
        if child.tag == "computeroutput":
            text += f"``{inner.strip()}``" if inner.strip() else ""
        elif child.tag in ("para", "simplesect", "parameterlist", "itemizedlist", "listitem"):
            text += "\n\n" + words_of(child)
        else:
            text += words_of(child)
        text += escaped(child.tail)
    return text


def escaped(text):
    return re.sub(r"(\w)_(?!\w)", r"\1\\_", re.sub(r"([\\*`|])", r"\\\1", text or ""))


def description(member):
    paragraphs = []
    for name in ("briefdescription", "detaileddescription"):
        for paragraph in words_of(member.find(name)).split("\n\n"):
            paragraph = " ".join(paragraph.split())
            if paragraph:
                paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def plain(element):
    return " ".join("".join(element.itertext()).split()) if element is not None else ""


def template_of(element):
    parameters = element.find("templateparamlist")
    if parameters is None:
        return ""
    words = []
    for parameter in parameters:
        word = plain(parameter.find("type"))
        name = parameter.findtext("declname")
        words.append(f"{word} {name}" if name and not word.endswith(name) else word)
    return f"template<{', '.join(words)}> "


def directive(kind, declaration, text, inner=()):
    lines = [f".. cpp:{kind}:: {declaration}", ""]
    for block in (text, *inner):
        if block:
            lines += ["   " + line if line else "" for line in block.splitlines()] + [""]
    return "\n".join(lines)


def as_member(member, inside=False):
    """A function, variable, alias or enumeration.  Friends and what has no name are left out."""
    kind, name = member.get("kind"), member.findtext("name")
    if kind not in KINDS or not name or name.startswith("@"):
        return None
    text = description(member)
    template = template_of(member)
    if kind == "enum":
        values = [directive("enumerator", value.findtext("name"), description(value)) for value in member.iter("enumvalue")]
        strong = "enum-class" if member.get("strong") == "yes" else "enum"
        return directive(strong, name, text, values)
    kind_type = plain(member.find("type"))
    if kind == "typedef":
        if "(*" in kind_type or member.findtext("argsstring"):
            return None
        return directive("type", f"{template}{name} = {kind_type}", text)
    if kind == "variable":
        initial = plain(member.find("initializer"))
        initial = "" if not initial or "[]" in initial or len(initial) > 60 else f" {initial}"
        if initial.startswith(" {"):
            initial = initial.strip()
        if "(*" in kind_type:  # A pointer to a function: its name stands inside of the type.
            return directive("member" if inside else "var", f"{kind_type}{name}{member.findtext('argsstring')}", text)
        return directive("member" if inside else "var", f"{template}{kind_type} {name}{initial}", text)
    arguments = re.sub(r"\s*=\s*(default|delete|0)$", "", member.findtext("argsstring") or "")
    for word in ("inline", "constexpr", "friend"):
        kind_type = re.sub(rf"\b{word}\b\s*", "", kind_type)
    static = "static " if member.get("static") == "yes" and inside else ""
    requires = re.sub(r"\s*requires .*$", "", kind_type)
    return directive("function", f"{template}{static}{requires} {name}{arguments}".replace("  ", " "), text)


def entries_of(folder):
    """All of them, from doxygen's XML."""
    found = []
    for file in sorted(folder.glob("*.xml")):
        compound = xml.parse(file).getroot().find("compounddef")
        if compound is None or compound.get("kind") not in ("namespace", "struct", "class"):
            continue
        name, place = compound.findtext("compoundname"), compound.find("location")
        if compound.get("kind") == "namespace":
            for member in compound.iter("memberdef"):
                rst, where = as_member(member), member.find("location")
                if rst and name.startswith("nablabragg"):
                    found.append(Entry(header_of(where), int(where.get("line")), name, rst))
            continue
        if not name.startswith("nablabragg") or "<" in name:
            continue
        members = [
            as_member(member, inside=True)
            for section in compound.iter("sectiondef")
            if section.get("kind").startswith("public")
            for member in section.iter("memberdef")
        ]
        outer, _, own = name.rpartition("::")
        bases = ", ".join(plain(base) for base in compound.findall("basecompoundref"))
        declaration = template_of(compound) + own + (f" : public {bases}" if bases else "")
        rst = directive(compound.get("kind"), declaration, description(compound), [member for member in members if member])
        found.append(Entry(header_of(place), int(place.get("line")), outer, rst))
    return sorted(found, key=lambda entry: (entry.header, entry.line))


def header_of(place):
    return place.get("file").rpartition("/")[2]


def reference(entries, header):
    """The RST of a header."""
    parts = []
    for entry in entries:
        if entry.header == header:
            parts += [f".. cpp:namespace:: {entry.namespace}", "", entry.rst]
    return "\n".join(parts)
