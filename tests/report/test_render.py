from __future__ import annotations

from pathlib import Path

import pytest

from dirnet.errors import DirnetError
from dirnet.report.render import write_page


def test_values_are_escaped_and_a_missing_one_is_no_page(tmp_path: Path) -> None:
    out = tmp_path / "below" / "page.html"
    write_page("base.html", out, title="<b>&")
    assert "<h1>&lt;b&gt;&amp;</h1>" in out.read_text()
    before = out.read_bytes()
    with pytest.raises(Exception, match="'title' is undefined"):
        write_page("base.html", out)
    assert out.read_bytes() == before


def test_a_page_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DirnetError, match="Cannot write the report"):
        write_page("base.html", tmp_path / "file" / "page.html", title="x")
