import logging
import sys
import warnings

import pytest

from dirnet.errors import PictureError, UsageError
from dirnet.pictures.codecs import failures_as, photo_library, quiet_pillow


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("two\nlines"), "Cannot do it; got two."),
        (OSError(28, "No space left on device"), "Cannot do it; got No space left on device."),
        (RuntimeError(b"as bytes"), "Cannot do it; got as bytes."),
        (KeyError("MPO"), "Cannot do it; got MPO."),
        (AssertionError(), "Cannot do it; got AssertionError."),
        (MemoryError(), "Cannot do it; got MemoryError."),
    ],
)
def test_whatever_a_codec_raises_becomes_a_sentence(error, sentence):
    with pytest.raises(PictureError) as raised, failures_as("Cannot do it"):
        raise error
    assert str(raised.value) == sentence
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [UsageError("As it is"), KeyboardInterrupt()])
def test_our_own_errors_and_interrupts_pass(error):
    with pytest.raises(type(error)) as raised, failures_as("Cannot do it"):
        raise error
    assert raised.value is error


def test_an_absent_library_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(PictureError, match=r"needs rawpy, which is not installed\. Install dirnet-isp\[photo\]\."):
        photo_library("rawpy")
    monkeypatch.undo()
    assert photo_library("rawpy").__name__ == "rawpy"


def test_warnings_are_silent_inside_and_as_before_outside():
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with quiet_pillow(), quiet_pillow():
            warnings.warn("inside", stacklevel=1)
        warnings.warn("outside", stacklevel=1)
    assert [str(one.message) for one in heard] == ["outside"]


def test_tifffile_does_not_print_where_nobody_listens(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger("tifffile"), "propagate", False)
    logging.getLogger("tifffile").error("an odd tag")
    assert capsys.readouterr().err == ""
