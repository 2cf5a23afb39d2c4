"""A page as a browser would take it apart."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_INLINE = ("a", "b", "code", "em", "small", "span", "strong", "time")
_VOID = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")


@dataclass
class Form:
    """A form with the values it would send."""

    action: str
    method: str
    fields: dict = field(default_factory=dict)
    buttons: list = field(default_factory=list)
    """The text of each, and what it sends besides, and where."""


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__()
        self.elements = []
        self.text = []
        self.open = []
        self.forms = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in _INLINE:
            self.text.append(" ")
        self.elements.append((tag, values))
        if tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get")))
        if self.forms and "form" in self.open:
            self._field(tag, values)
        if tag not in _VOID:
            self.open.append(tag)

    def _field(self, tag, values):
        form = self.forms[-1]
        if tag == "input" and values.get("name") and values.get("type") != "checkbox":
            form.fields[values["name"]] = values.get("value") or ""
        if tag == "button":
            form.buttons.append(["", values])

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)
        if "button" in self.open and "form" in self.open:
            self.forms[-1].buttons[-1][0] += data


class Page:
    """What came back."""

    def __init__(self, response):
        self.response = response
        self.status = response.status_code
        self.html = response.get_data(as_text=True)
        parser = _Parser()
        parser.feed(self.html)
        self.elements = parser.elements
        self.forms = parser.forms
        self.text = " ".join("".join(parser.text).split())

    def __contains__(self, text):
        return text in self.text

    def form(self, button):
        """The form of a button, with what that sends."""
        for form in self.forms:
            for text, values in form.buttons:
                if text.strip() == button:
                    own = {values["name"]: values.get("value", "")} if values.get("name") else {}
                    return Form(values.get("formaction") or form.action, form.method, {**form.fields, **own})
        raise AssertionError(f"there is no button {button!r}; there are {self.buttons}")

    @property
    def buttons(self):
        """The text of all buttons that change something, but for signing out."""
        posts = [form for form in self.forms if form.method == "post" and form.action != "/sign-out"]
        return [text.strip() for form in posts for text, _ in form.buttons]

    def links(self):
        """Where its links lead."""
        return [values.get("href") or "" for tag, values in self.elements if tag == "a"]

    def all(self, tag):
        """The attributes of every element of that name."""
        return [values for found, values in self.elements if found == tag]
