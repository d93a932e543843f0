"""Reads a page that ``report`` has written."""

from html.parser import HTMLParser

VOID = {"meta", "br", "link", "hr", "img", "input"}


class WrittenPage(HTMLParser):
    """The content of a page: tables' rows by caption, sections' texts, all elements and attributes."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.sections = {}, {}
        self.tags, self.attributes = set(), set()
        self._path, self._rows, self._caption = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self._path.append((tag, dict(attrs)))
        if tag == "table":
            self._rows, self._caption = [], ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        while self._path and self._path.pop()[0] != tag:
            pass
        if tag == "table":
            self.tables[self._caption] = self._rows[1:]

    def handle_data(self, data):
        inside = [tag for tag, _ in self._path]
        for tag, attrs in self._path:
            if tag == "section":
                self.sections[attrs["id"]] = self.sections.get(attrs["id"], "") + data
        if inside[-1:] == ["caption"]:
            self._caption += data
        elif "td" in inside or "th" in inside:
            self._rows[-1][-1] += data
