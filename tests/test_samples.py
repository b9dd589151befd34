"""What is shown at a validation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_training import begin
from tests.toy import small_config
from translator.samples import Samples

SENTENCES = ["I like apples.", "He buys milk."]


def test_samples_are_printed_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer = begin(small_config(tmp_path, "train.max_steps=6", "validation.every_steps=3"))
    trainer.train([Samples(trainer, SENTENCES)])
    error = capsys.readouterr().err
    assert all(error.count(f"    {sentence}  →  ") == 2 for sentence in SENTENCES)

    events = accumulator.EventAccumulator(str(trainer.run.path / "tensorboard"))
    events.Reload()
    assert {"loss", "validation_loss", "validation_chrf", "learning_rate"} <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Scalars("validation_chrf")] == [3, 6]
    pictures = events.Images("cross-attention")
    assert [e.step for e in pictures] == [3, 6]
    assert all(e.encoded_image_string.startswith(b"\x89PNG") and e.height > 100 for e in pictures)
    [tag] = events.Tags()["tensors"]
    assert SENTENCES[1] in events.Tensors(tag)[-1].tensor_proto.string_val[0].decode()


def test_without_sentences_nothing_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = begin(small_config(tmp_path))
    capsys.readouterr()
    Samples(trainer, [])(1, trainer.model.eval())
    assert capsys.readouterr().err == ""
